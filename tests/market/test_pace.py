"""Recorded things keep their distance in time, divided by the speed."""

import time

import pytest

from app.market.pace import paced


async def timed(dues_us: list[int], speed: float) -> list[tuple[int, float]]:
    """Length of each chunk, and the seconds after which it came."""
    began = time.monotonic()
    items = ((due_us, due_us) for due_us in dues_us)
    return [(len(chunk), time.monotonic() - began) async for chunk in paced(items, speed)]


@pytest.mark.parametrize(("speed", "step_s"), [(1.0, 0.2), (4.0, 0.05)])
async def test_distances_are_kept_and_divided_by_the_speed(speed: float, step_s: float) -> None:
    first, second, third = await timed([5, 1005, 200_005, 400_005], speed)
    assert [chunk[0] for chunk in (first, second, third)] == [2, 1, 1]
    assert first[1] < step_s
    assert 2 * step_s - 0.01 <= third[1] < 2 * step_s + 0.3


async def test_what_has_no_time_comes_at_once_and_time_runs_from_the_first_that_has_one() -> None:
    (first, at_s), (second, then_s) = await timed([0, 0, 10**12, 10**12 + 100_000], 1.0)
    assert (first, second) == (3, 1)
    assert at_s < 0.1
    assert then_s >= 0.09


async def test_at_speed_0_all_comes_at_once_in_bounded_chunks() -> None:
    chunks = await timed([10**12 * (n + 1) for n in range(4500)], 0.0)
    assert [length for length, _ in chunks] == [2000, 2000, 500]


async def test_a_time_that_goes_back_waits_for_nothing() -> None:
    assert [length for length, _ in await timed([200_000, 100_000, 200_000], 1.0)] == [3]
