"""Orders from the command line and from files: parsed, sent, and their answers counted."""
