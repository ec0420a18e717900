"""The simulated Kafka does what the real one does, where lanes depend on it."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from tests.simulation.broker import Broker, Place
from tests.simulation.group import Group
from tests.simulation.loop import Died, Loop, Process, current_process

OUT: Place = ("out", 0)
IN: Place = ("in", 0)


class Bench:
    """A broker whose later steps are run when the test says so."""

    def __init__(self) -> None:
        self.later: list[Callable[[], Any]] = []
        self.broker = Broker(self._later, lambda: 0, Random(1))
        self.owner, self.other = Process("owner"), Process("other")
        self.answers: list[Any] = []

    def _later(self, delay_s: float, step: Callable[..., Any], *args: Any, **_: Any) -> None:
        if delay_s < 1:
            self.later.append(lambda: step(*args))

    def reply(self, result: Any = None, error: Exception | None = None) -> None:
        self.answers.append(error or result)

    def settle(self) -> None:
        while self.later:
            self.later.pop(0)()

    def start(self, process: Process) -> int:
        self.broker.start_producer(self.reply, "lane-0", process)
        self.settle()
        epoch: int = self.answers[-1]
        return epoch

    def write(self, epoch: int, process: Process, value: bytes = b"v") -> None:
        who = ("lane-0", epoch, process)
        self.broker.produce(self.reply, *who, [(OUT, 0, [(b"k", value, [])])])

    def values(self) -> list[bytes | None]:
        return [record.value for record in self.broker.log(OUT).read(0, 100)[0]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_readers_wait_for_the_end_of_the_transaction_and_its_marker_takes_an_offset(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.write(epoch, bench.owner)
    assert bench.broker.log(OUT).read(0, 100) == ([], 0)
    bench.broker.commit(bench.reply, "lane-0", epoch, bench.owner)
    assert bench.values() == []
    bench.settle()
    records, end = bench.broker.log(OUT).read(0, 100)
    assert [record.value for record in records] == [b"v"]
    assert end == 2


def test_a_commit_is_answered_before_the_group_shows_its_offsets(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.broker.add_offsets(bench.reply, "lane-0", epoch, bench.owner, {IN: 5})
    bench.answers.clear()
    bench.broker.commit(bench.reply, "lane-0", epoch, bench.owner)
    assert bench.answers == [epoch + 1]
    assert bench.broker.offsets == {}
    bench.settle()
    assert bench.broker.offsets == {IN: 5}


def test_a_new_producer_aborts_what_was_open_before_it_is_answered(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.write(epoch, bench.owner)
    bench.answers.clear()
    bench.broker.start_producer(bench.reply, "lane-0", bench.other)
    assert bench.answers == []
    bench.settle()
    assert bench.answers[-1] > epoch
    assert bench.values() == []
    assert bench.broker.log(OUT).read(0, 100)[1] == 2


def test_whoever_was_fenced_can_add_nothing(bench: Bench) -> None:
    former = bench.start(bench.owner)
    bench.start(bench.other)
    bench.answers.clear()
    bench.broker.produce(bench.reply, "lane-0", former, bench.owner, [(OUT, 0, [(b"k", b"v", [])])])
    bench.broker.add_offsets(bench.reply, "lane-0", former, bench.owner, {IN: 5})
    bench.broker.commit(bench.reply, "lane-0", former, bench.owner)
    assert [type(answer) for answer in bench.answers] == [ProducerFenced] * 3
    assert bench.broker.log(OUT).entries == []


def test_the_next_transaction_waits_for_the_markers_of_the_former_one(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.write(epoch, bench.owner)
    bench.broker.commit(bench.reply, "lane-0", epoch, bench.owner)
    bench.answers.clear()
    bench.write(epoch + 1, bench.owner)
    assert bench.answers == []
    bench.settle()
    assert bench.answers == [None]


def test_what_comes_after_its_transaction_is_refused(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.write(epoch, bench.owner)
    bench.broker.commit(bench.reply, "lane-0", epoch, bench.owner)
    bench.answers.clear()
    bench.write(epoch, bench.owner)
    assert [type(answer) for answer in bench.answers] == [ProducerFenced]


def test_what_can_still_be_aborted_counts_as_lag(bench: Bench) -> None:
    epoch = bench.start(bench.owner)
    bench.write(epoch, bench.owner)
    assert bench.broker.lag([OUT]) == 1
    bench.start(bench.other)
    assert bench.broker.lag([OUT]) == 0


def test_everybody_gives_up_everything_before_anybody_gets_anything() -> None:
    steps: list[Callable[[], Any]] = []

    def later(delay_s: float, step: Callable[..., Any], *args: Any, **_: Any) -> None:
        if delay_s < 1:
            steps.append(lambda: step(*args))

    group = Group(2, later, Random(1))
    heard: list[str] = []
    assigned: dict[str, Any] = {}
    one, two = Process("one"), Process("two")

    def join(process: Process) -> None:
        group.join(
            lambda result=None, error=None: assigned.__setitem__(process.name, result),
            process,
            lambda: heard.append(process.name),
        )

    def settle() -> None:
        done, steps[:] = list(steps), []
        for step in done:
            step()

    join(one)
    settle()
    assert assigned == {"one": (1, [0, 1])}
    assigned.clear()
    join(two)
    assert assigned == {}
    settle()
    assert heard == ["one"]
    join(one)
    settle()
    assert {name: generation for name, (generation, _) in assigned.items()} == {"one": 2, "two": 2}
    assert sorted(lane for _, lanes in assigned.values() for lane in lanes) == [0, 1]


def test_a_killed_process_takes_no_further_step_and_a_frozen_one_goes_on_where_it_stood() -> None:
    loop = Loop()  # type: ignore[abstract]
    steps: list[Any] = []
    killed, frozen = Process("killed"), Process("frozen")

    async def work() -> None:
        for _ in range(3):
            steps.append(current_process().name)
            await asyncio.sleep(1)

    async def main() -> None:
        for process in (killed, frozen):
            process.context.run(loop.create_task, work())
        await asyncio.sleep(0.5)
        killed.alive = False
        loop.freeze(frozen)
        await asyncio.sleep(10)
        assert steps == ["killed", "frozen"]
        loop.thaw(frozen)
        await asyncio.sleep(10)

    loop.run(main())
    loop.close()
    assert steps == ["killed", "frozen", "frozen", "frozen"]


def test_nobody_acts_for_a_process_that_has_ended() -> None:
    process = Process("dead")
    process.alive = False
    with pytest.raises(Died):
        process.context.run(current_process)
