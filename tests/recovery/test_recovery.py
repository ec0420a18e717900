"""Fail-over, handing over, scaling under load, with room for noise; `python -m tests.recovery` measures."""

import re
import time
from typing import Any, cast

from app.lanes import metrics
from app.lanes.changelog import Progress
from app.lanes.manager import LaneManager
from app.settings import Settings
from schemas.topics import CHANGELOG_CONFIG
from tests.bench.steady import steady
from tests.lanes.workers import set_up, workers
from tests.recovery import changelogs, scenarios
from tests.recovery.probe import Probe

SESSION_S = 2.0
# What a machine that others share may add to any of it.
NOISE_S = 12.0


async def test_after_kill_9_every_order_is_answered_once_the_session_is_over(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        first, second = running.begin(), running.begin()
        await first.ready(60)
        await second.ready(60)
        async with Probe(settings) as probe:
            await scenarios.quiet(probe)
            span = await scenarios.killed(running, probe, first)
        assert span.orders > 0
        # Otherwise nothing was killed that mattered.
        assert span.wait_s > SESSION_S / 2
        assert span.wait_s <= SESSION_S + 3 + NOISE_S
        recovered = await scenarios.recovery_of(second)
        assert recovered["oms_recovery_read_rows"] > 0
        assert recovered["oms_recovery_left_seconds"] == 0
        assert recovered["oms_recovery_length_rows"] >= recovered["oms_recovery_read_rows"]


async def test_lanes_move_to_new_workers_and_back_with_one_pause_each(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        await running.start()
        async with Probe(settings) as probe:
            await scenarios.quiet(probe)
            for number in (2, 3):
                span = await scenarios.joined(running, probe, running.begin())
                assert span.wait_s <= SESSION_S + NOISE_S, f"with worker {number}"
            span = await scenarios.stopped(running, probe, running.all[1])
            assert span.wait_s <= 3 + NOISE_S
        assert 0 < await scenarios.pause_s(running.all) <= NOISE_S + 8


def test_progress_is_told_with_rate_and_time_left() -> None:
    progress = Progress(1000)
    progress.started_s = time.monotonic() - 2
    progress.add(250)
    assert 120 < progress.rate <= 125
    assert 5.5 < progress.left_s < 6.5
    assert progress.words().startswith("250 of 1000 rows, 12")
    assert Progress.latest is progress
    for gauge, value in (
        (metrics.RECOVERY_READ, 250),
        (metrics.RECOVERY_LENGTH, 1000),
        (metrics.RECOVERY_RATE, progress.rate),
        (metrics.RECOVERY_LEFT, progress.left_s),
    ):
        assert abs(next(iter(gauge.collect())).samples[0].value - value) < 1


def test_the_longest_pause_is_read_from_the_buckets() -> None:
    name = "oms_rebalance_pause_seconds_bucket"
    text = f'{name}{{le="0.5"}} 1.0\n{name}{{le="1.0"}} 3.0\n{name}{{le="+Inf"}} 3.0\n'
    assert scenarios.longest_of(text) == 1.0
    assert scenarios.longest_of(text.replace("3.0", "0.0").replace("1.0\n", "0.0\n")) == 0.0


def test_the_book_of_the_changelogs_figures_is_steady() -> None:
    resting: set[str] = set()
    for kind, message in [*steady(300, 20), *steady(200, 20, 300)]:
        if kind == "CancelOrder":
            resting.remove(message["order"])
        elif message["side"] == "buy":
            resting.add(message["client_order_id"])
        assert len(resting) <= 17
    assert len(resting) == 16


def test_changelogs_are_bounded_when_the_second_half_of_the_days_leaves_little_more_than_the_first() -> None:
    def bounded(*days: tuple[int, int]) -> bool:
        return changelogs.is_bounded(*changelogs.most([changelogs.Day(*day) for day in days]))

    assert bounded((1, 10), (10, 10), (12, 10), (15, 10))
    assert not bounded((10, 10), (10, 10), (10, 10), (16, 10))
    assert not bounded((10, 10), (10, 10), (10, 16), (10, 10))
    # Growth with the orders.
    assert not bounded(*((day, day) for day in range(1, 11)))


def test_changelogs_are_compacted_before_they_are_long() -> None:
    assert int(CHANGELOG_CONFIG["segment.bytes"]) <= 32 * 2**20
    # Longer than a recovery that the watchdog lets live, shorter than a day of deleted rows.
    assert 60_000 <= int(CHANGELOG_CONFIG["delete.retention.ms"]) <= 3_600_000


def test_a_worker_that_recovers_says_how_far_it_is() -> None:
    lanes = LaneManager(Settings(), cast(Any, None), cast(Any, None), {})
    assert lanes.waiting() == "lanes are not open yet"
    Progress(1000).add(500)
    lanes._loading = True
    assert re.fullmatch(
        r"lanes are not open yet: recovering, 500 of 1000 rows, \d+ rows/s, \d+ s left", lanes.waiting()
    )
    lanes.ready = True
    assert lanes.waiting() == ""
