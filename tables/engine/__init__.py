"""The fast matching engine: one market per symbol, every order type, and dictionaries in and out of it."""
