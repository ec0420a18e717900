"""The life of an order: which status follows which, as data.

Statuses are FIX's (OrdStatus 39), steps are what happens to an order. Where several statuses apply,
the one with the higher precedence is the order's (FIX 4.4 appendix D): a partially filled order whose
rest is canceled is canceled; one that is replaced to no more than it has filled is filled, although its
rest was canceled. So no step ever leads to a status of lower precedence, and none leads out of a
status that ends the order.
"""

from typing import Final, Literal

from schemas.messages import OrderStatus

Step = Literal[
    "accepted",  # entered into matching
    "rejected",  # refused on its way there
    "triggered",  # its stop was reached; from now on it trades
    "partially_filled",  # traded, something is left
    "filled",  # traded, nothing is left
    "replaced",  # quantity or price changed, something is left
    "closed",  # replaced to no more than what was filled
    "canceled",  # what was left is canceled
    "expired",  # what was left ended with its time in force
]

TRANSITIONS: Final[dict[OrderStatus, dict[Step, OrderStatus]]] = {
    "pending_new": {"accepted": "new", "rejected": "rejected"},
    "new": {
        "triggered": "new",
        "partially_filled": "partially_filled",
        "filled": "filled",
        "replaced": "new",
        "canceled": "canceled",
        "expired": "expired",
    },
    "partially_filled": {
        "partially_filled": "partially_filled",
        "filled": "filled",
        "replaced": "partially_filled",
        "closed": "filled",
        "canceled": "canceled",
        "expired": "expired",
    },
    "filled": {},
    "canceled": {},
    "expired": {},
    "rejected": {},
}

# FIX gives expired no number of its own here; it ends an order as canceled does.
PRECEDENCE: dict[OrderStatus, int] = {
    "filled": 8,
    "canceled": 5,
    "expired": 5,
    "partially_filled": 4,
    "new": 2,
    "pending_new": 2,
    "rejected": 2,
}

TERMINAL = frozenset(status for status, steps in TRANSITIONS.items() if not steps)
