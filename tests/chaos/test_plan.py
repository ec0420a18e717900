"""The schedule: the same for a seed, every kind in turn, the demanding ones first."""

from collections import Counter
from dataclasses import replace

import pytest

from app.chaos.faults import Faults
from app.chaos.plan import KIND, KINDS, TRACKS, Options, PlanError, kinds, schedule
from app.chaos.poison import MAKERS

LONG = Options(seed=7, minutes=20, nodes=3, workers=3)


def test_a_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert schedule(LONG) == schedule(LONG)
    assert schedule(LONG) != schedule(replace(LONG, seed=8))


def test_every_kind_comes_and_none_much_more_often_than_another_of_its_track() -> None:
    found = Counter(fault.name for fault in schedule(LONG))
    assert set(found) == set(KIND)
    for track in TRACKS:
        times = [found[kind.name] for kind in KINDS if kind.track == track]
        assert max(times) - min(times) <= 1, track


@pytest.mark.parametrize("seed", range(20))
def test_two_minutes_have_what_a_run_must_meet(seed: int) -> None:
    faults = schedule(Options(seed=seed, minutes=2, nodes=3))
    first = [fault.name for fault in faults if KIND[fault.name].track == "workers"][:2]
    assert set(first) == {"worker-zombie", "worker-crash-before-commit"}
    assert 30 < len(faults) < 60
    assert max(fault.at_s for fault in faults) < 120


def test_one_broker_is_spared_what_needs_three() -> None:
    named = {kind.name for kind in kinds(replace(LONG, nodes=1))}
    assert set(KIND) - named == {"broker-leader-kill", "brokers-majority-down"}


def test_only_and_without_choose_and_an_unknown_name_is_refused() -> None:
    only = replace(LONG, only=("redis-flush", "worker-kill"))
    assert {fault.name for fault in schedule(only)} == {"redis-flush", "worker-kill"}
    assert {fault.name for fault in schedule(replace(only, without=("redis-flush",)))} == {"worker-kill"}
    with pytest.raises(PlanError, match="redis-flash"):
        schedule(replace(LONG, only=("redis-flash",)))
    with pytest.raises(PlanError, match="no fault is left"):
        schedule(Options(seed=1, minutes=1, nodes=1, only=("brokers-majority-down",)))


def test_every_kind_can_be_done() -> None:
    for kind in KINDS:
        if kind.track == "poison":
            assert kind.name.removeprefix("poison-") in MAKERS
        elif not kind.name.startswith("worker-crash-"):
            assert hasattr(Faults, f"_{kind.name.replace('-', '_')}"), kind.name
