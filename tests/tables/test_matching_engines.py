"""The fast engine and the naive one agree on random commands; so do a restored one and one that lived on.

`python -m tests.tables.soak` does the same for hours.
"""

from itertools import islice
from random import Random

import pytest

from tables.engine import Engine
from tests.tables.differential import Restored, TwoEngines, failure, shrunk
from tests.tables.random_commands import Commands, rules


@pytest.mark.parametrize("seed", range(1, 5))
def test_two_engines_agree_on_random_commands(seed: int) -> None:
    engines = TwoEngines(rules(seed))
    for step in islice(Commands(seed), 500):
        engines.apply(step)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    engines, random = Restored(rules(seed)), Random(seed)
    for step in islice(Commands(seed), 1_000):
        engines.apply(step)
        if random.random() < 0.01:
            engines.restore()


def test_random_commands_reach_everything() -> None:
    """A comparison of commands that do nothing would prove nothing."""
    seen: set[str] = set()
    for seed in range(1, 13):
        engine = Engine(rules(seed))
        for command, at_us in islice(Commands(seed), 1_000):
            for happening in engine.apply(command, at_us):
                seen |= {str(happening["event"]), str(happening.get("reason")), str(happening.get("session"))}
                if happening.get("session") == "continuous" and command["type"] != "control":
                    seen.add("a pause has ended")
    assert seen >= {
        *("accepted", "rejected", "triggered", "trade", "canceled", "cancel_rejected", "replaced"),
        *("replace_rejected", "expired", "self_trade_prevented", "session", "indicative"),
        *("MATCHING_NO_LIQUIDITY", "MATCHING_NOT_FILLABLE", "MATCHING_SELF_TRADE", "MATCHING_LINKED"),
        *("MATCHING_LINK", "MATCHING_LINK_ENDED", "MATCHING_POST_ONLY", "MATCHING_PRICE_BAND"),
        *("MATCHING_COLLAR", "MATCHING_LIMIT_STATE", "MATCHING_EXPIRED", "MATCHING_END_OF_DAY"),
        *("MATCHING_HALTED", "MATCHING_CLOSED", "MATCHING_TIME_IN_FORCE", "MATCHING_DUPLICATE_ORDER"),
        *("MATCHING_INVALID_QUANTITY", "MATCHING_INVALID_PRICE", "MATCHING_INVALID_INSTRUCTION"),
        *("MATCHING_NOTHING_TO_REPLACE", "MATCHING_NOT_REPLACEABLE", "MATCHING_UNKNOWN_ORDER"),
        *("pre_open", "opening_auction", "continuous", "volatility_auction", "closing_auction"),
        *("halt", "closed", "a pause has ended"),
    }


def test_the_same_seed_gives_the_same_commands() -> None:
    assert list(islice(Commands(7), 300)) == list(islice(Commands(7), 300))
    assert list(islice(Commands(7), 30)) != list(islice(Commands(8), 30))


def test_an_engine_that_does_something_else_is_found_by_few_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison can fail, and names the shortest way there: here a trade and what it needs."""
    honest = Engine.apply

    def broken(engine: Engine, command: dict[str, object], at_us: int) -> list[dict[str, object]]:
        """Says a wrong price of every trade."""
        said = honest(engine, command, at_us)
        return [h | {"price": 1} if h["event"] == "trade" else h for h in said]

    monkeypatch.setattr(Engine, "apply", broken)
    steps = list(islice(Commands(1), 200))
    assert "they say" in failure(steps, rules(1))
    assert len(shrunk(steps, lambda part: bool(failure(part, rules(1))))) == 2
