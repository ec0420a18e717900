"""The life-cycle table: every status with every step."""

from itertools import product
from typing import get_args

import pytest

from schemas.messages import OrderStatus
from tables.orders import TERMINAL, TRANSITIONS, Step

# What each status allows, written a second time, by hand, from FIX 4.4 appendix D. "." is refused.
#                accepted rejected triggered partially_filled filled replaced         closed canceled expired
EXPECTED = """
pending_new      new      rejected .         .                .      .                .      .        .
new              .        .        new       partially_filled filled new              .      canceled expired
partially_filled .        .        .         partially_filled filled partially_filled filled canceled expired
filled           .        .        .         .                .      .                .      .        .
canceled         .        .        .         .                .      .                .      .        .
expired          .        .        .         .                .      .                .      .        .
rejected         .        .        .         .                .      .                .      .        .
"""
STEPS: tuple[Step, ...] = get_args(Step)
TABLE = {
    words[0]: dict(zip(STEPS, words[1:], strict=True)) for words in map(str.split, EXPECTED.split("\n")[1:-1])
}

# FIX 5.0 SP2 appendix D: of all statuses that apply, the highest is the order's. Expired is as canceled.
PRECEDENCE = {
    "filled": 8,
    "canceled": 5,
    "expired": 5,
    "partially_filled": 4,
    "new": 2,
    "pending_new": 2,
    "rejected": 2,
}


@pytest.mark.parametrize(("status", "step"), list(product(TRANSITIONS, STEPS)))
def test_every_step_from_every_status_leads_where_fix_says(status: OrderStatus, step: Step) -> None:
    assert TRANSITIONS[status].get(step, ".") == TABLE[status][step]


def test_every_status_that_is_ever_said_is_in_the_table() -> None:
    # Readers know two more: "unknown" is a newer writer's, "replaced" FIX dropped in 4.4.
    assert set(TRANSITIONS) == set(get_args(OrderStatus)) - {"unknown", "replaced"}


def test_nothing_follows_the_end_of_an_order() -> None:
    assert {"filled", "canceled", "expired", "rejected"} == TERMINAL


def test_no_step_leads_to_a_status_of_lower_precedence() -> None:
    for status, steps in TRANSITIONS.items():
        for step, following in steps.items():
            assert PRECEDENCE[following] >= PRECEDENCE[status], f"{status} {step} {following}"


def test_every_status_can_be_reached() -> None:
    reached = {following for steps in TRANSITIONS.values() for following in steps.values()}
    assert reached == set(TRANSITIONS) - {"pending_new"}
