"""The latest state of an order from its events: which events change it, and which of two states is later.

Rules. A refused cancel or replace and a repeated status say nothing new. Version 0 names no order, and a
duplicate's refusal is not about the order that it duplicates, whatever order_id it carries. Should two
orders of one order_id begin at version 1, for the first was rejected and forgotten, the one that was not
rejected is the order. Events of one order may come from two lanes, so the later state is told by rank,
never by arrival.
"""

from collections.abc import Mapping
from typing import Any

CHANGES = frozenset({"accepted", "rejected", "triggered", "trade", "canceled", "replaced", "expired"})
FINISHED = frozenset({"filled", "canceled", "rejected", "expired"})


def changes_order(event: Mapping[str, Any]) -> bool:
    """Whether an OrderEvent is a state of the order that its order_id names."""
    return (
        event["event"] in CHANGES and event["version"] > 0 and event["reason"] != "ACCOUNTS_DUPLICATE_ORDER"
    )


def rank(version: int, status: str, at: int | str) -> tuple[int, bool, int | str]:
    """Orders the states of an order: the highest is the latest. `at` is a time of one sortable form."""
    return version, status != "rejected", at
