"""One module per migration, in the order of their numbers; none is changed once released."""
