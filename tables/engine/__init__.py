"""The fast matching engine: one market per symbol, every order type, and dictionaries in and out of it."""

from tables.engine.engine import Engine

__all__ = ["Engine"]
