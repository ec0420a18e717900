"""One history: workers, broker, group and faults in virtual time, until everything is answered and quiet."""

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from app.pipeline import INPUTS
from app.settings import Settings
from tests.simulation.broker import Broker, Lost, Place, Producing
from tests.simulation.group import Group
from tests.simulation.loop import Died, Loop, Process, current_process
from tests.simulation.plan import Fault, Plan, Sent
from tests.simulation.setting import CODEC, SETTINGS, Ground
from tests.simulation.worker import Worker

# Faults are over within seconds; whatever is not answered then never will be.
DEADLINE_S = 120.0
POLL_S = 0.5


class World:
    """Plays a plan on a prepared ground; `trace` has what happened when it is asked for."""

    def __init__(self, plan: Plan, ground: Ground, *, traced: bool = False) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed * 2 + 1)
        self.loop = Loop()  # type: ignore[abstract]
        self._no_process = contextvars.Context()
        self.loop.world = self  # type: ignore[attr-defined]
        self.settings: Settings = SETTINGS.model_copy(update=dict(plan.settings))
        self.inputs = INPUTS
        self.codec = CODEC
        self.batch_records = plan.batch_records
        self.read_records = plan.read_records
        self.ground = ground
        self._start_us = ground.now_us
        self.trace: list[tuple[float, str]] = []
        self._traced = traced
        self.broker = Broker(self._later, self.now_us, self.chance)
        self.group = Group(self.settings.partitions, self._later, self.chance)
        ground.copy_to(self.broker)
        self.workers: list[Worker] = []
        self.wrong: list[str] = []
        self.sometimes: Counter[str] = Counter()
        self.asked = 0
        self._faults = sorted(plan.faults, key=lambda fault: fault.at, reverse=True)
        self._frozen = 0
        self._restarts = 0
        self._unsent = len(plan.requests)
        # Orders that were partly filled when their worker was killed, and when that was.
        self.partly_filled: dict[str, int] = {}
        self._wire()

    def _wire(self) -> None:
        broker, group = self.broker, self.group
        broker.note = group.note = self.note
        broker.on_refused = self._refused
        broker.on_cut = self._cut
        group.on_rebalance = self._rebalancing

    def now_us(self) -> int:
        """Virtual time of day."""
        return self._start_us + int(self.loop.time() * 1_000_000)

    def note(self, text: str) -> None:
        """Keeps a line of the trace."""
        if self._traced:
            self.trace.append((self.loop.time(), text))

    # -- the edges -----------------------------------------------------------------------------

    def _later(
        self, delay_s: float, step: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> None:
        """A step of the broker, which no worker's death prevents; with `context`, of a process."""
        self.loop.call_later(delay_s, step, *args, context=self._no_process if context is None else context)

    def delay_s(self) -> float:
        """How long a request or an answer is on its way: mostly short, now and then long."""
        draw = self.chance.random()
        return 0.0002 + 0.004 * draw * draw if draw < 0.995 else 0.15

    def ask(self, what: str, handler: Callable[..., None], *args: Any) -> Any:
        """A request of the running process to the broker; a fault may befall it here."""
        process = current_process()
        future = self.loop.create_future()
        reply = partial(self._reply, process, future)
        self.asked += 1
        if self._faults and self._faults[-1].at <= self.asked:
            return self._suffer(self._faults.pop(), process, what, future, partial(handler, reply, *args))
        self._later(self.delay_s(), handler, reply, *args)
        return future

    def _reply(
        self, process: Process, future: Any, result: Any = None, error: Exception | None = None
    ) -> None:
        self.loop.call_later(self.delay_s(), _settle, future, result, error, context=process.context)

    def fetch(self, process: Process, positions: Mapping[Place, int], take: Callable[[Any], None]) -> None:
        """A fetch of the group's consumer, which is no place for faults: it has no effect on the broker."""

        def answer(found: Any) -> None:
            self.loop.call_later(self.delay_s(), take, found, context=process.context)

        limit = self.chance.choice((1, 3, 1000, 1000))
        self._later(self.delay_s(), self.broker.read, answer, positions, limit)

    # -- faults --------------------------------------------------------------------------------

    def _suffer(
        self, fault: Fault, process: Process, what: str, future: Any, request: Callable[[], None]
    ) -> Any:
        """Does to a request, or to who makes it, what the plan says."""
        self.note(f"FAULT {fault.kind} at request {self.asked}, {what!r} of {process.name}")
        self.sometimes[f"fault: {fault.kind}"] += 1
        later, delay_s = self._later, self.delay_s()
        match fault.kind:
            case "kill":
                self.kill(process)
                raise Died
            case "kill after sending":
                later(delay_s, request)
                self.kill(process)
                raise Died
            case "kill, request late":
                later(fault.seconds, request)
                self.kill(process)
                raise Died
            case "freeze":
                self._freeze(process, fault.seconds)
                self.loop.call_soon(partial(later, delay_s, request), context=process.context)
            case "freeze after sending":
                later(delay_s, request)
                self._freeze(process, fault.seconds)
            case "lose request":
                later(0.1, _settle, future, None, Lost("request lost"), context=process.context)
            case "lose answer":
                later(delay_s, request)
                later(0.0, _settle, future, None, Lost("answer lost"), context=process.context)
            case "refuse" if what == "produce":
                error = MessageSizeTooLargeError("too large for the broker")
                later(delay_s, _settle, future, None, error, context=process.context)
            case "delay":
                later(fault.seconds, request)
            case _:
                later(delay_s, request)
                self._disturb(fault, process)
        return future

    def _disturb(self, fault: Fault, process: Process) -> None:
        """Faults that befall no request."""
        match fault.kind:
            case "time out":
                for producing in self.broker.producers.values():
                    if producing.transaction is not None and producing.process is process:
                        self.broker.time_out(producing, producing.transaction)
            case "join":
                self.start_worker()
            case "leave":
                self._worker(process).terminate()
            case "rebalance":
                self.group.rebalance()
            case "freeze another" | "kill another":
                others = [w.process for w in self.workers if w.process.alive and w.process is not process]
                if others:
                    other = self.chance.choice(others)
                    self.note(f"that is {other.name}")
                    if fault.seconds:
                        self._freeze(other, fault.seconds)
                    else:
                        self.kill(other)

    def kill(self, process: Process) -> None:
        """kill -9."""
        self._remember_fills(process)
        self._end(process)

    def _end(self, process: Process) -> None:
        process.alive = False
        self.group.silent(process)
        self._restart_soon()

    def died(self, process: Process, reason: str, error: BaseException | None) -> None:
        """A worker ended itself (app.lanes.fatal)."""
        self.note(f"{process.name} ends: {reason}")
        if not self._may_end(process, reason, error):
            self.wrong.append(f"{process.name} ended: {reason}")
        self._remember_fills(process)
        self._end(process)

    def _may_end(self, process: Process, reason: str, error: BaseException | None) -> bool:
        """Whether a fault explains it: nothing else may end a worker."""
        if isinstance(error, Lost | ProducerFenced | MessageSizeTooLargeError):
            return True
        if process.was_frozen and (isinstance(error, TimeoutError) or "a cycle took over" in reason):
            return True
        # Whoever has lost a lane and does not know it yet may see what does not fit.
        producers: list[Any] = [lane.producer for lane in self._worker(process).lanes()]
        if any(self.broker.producers[producer.name].fenced > producer.epoch for producer in producers):
            return True
        return process.was_frozen and process not in self.group.owners.values()

    def ended(self, process: Process) -> None:
        """A worker left in peace."""
        self._end(process)
        self.group.leave(process)

    def _restart_soon(self) -> None:
        """The supervisor starts it again."""
        self._restarts += 1
        self._later(0.05 + self.chance.random(), self._restart)

    def _restart(self) -> None:
        self._restarts -= 1
        if sum(worker.process.alive for worker in self.workers) < self.plan.workers:
            self.start_worker()

    def _freeze(self, process: Process, seconds: float) -> None:
        self._frozen += 1
        self.loop.freeze(process)
        self.group.silent(process)
        self._later(seconds, self._thaw, process)

    def _thaw(self, process: Process) -> None:
        self._frozen -= 1
        self.note(f"{process.name} goes on")
        self.loop.thaw(process)
        self.group.back(process)

    # -- what is counted -----------------------------------------------------------------------

    def _worker(self, process: Process) -> Worker:
        return next(worker for worker in self.workers if worker.process is process)

    def _remember_fills(self, process: Process) -> None:
        for order_id in self._worker(process).partly_filled():
            self.partly_filled.setdefault(order_id, self.now_us())

    def _refused(self, process: Process) -> None:
        self.sometimes["fenced producer"] += 1
        if process.was_frozen and process not in self.group.owners.values():
            self.sometimes["zombie write refused"] += 1

    def _cut(self, producing: Producing, by: Process) -> None:
        """A cycle under way is aborted by a new owner: only of a worker that could not finish it."""
        former = producing.process
        if former not in self.group.members or not former.alive or former.was_frozen:
            return
        lane = int(producing.name.rpartition("-")[2])
        if self.group.owners.get(lane) is by and self.group.stable and by is not former:
            self.wrong.append(f"{by.name} cut a cycle of {former.name}, which had given up {producing.name}")

    def _rebalancing(self) -> None:
        if self.lag():
            self.sometimes["rebalance with orders in flight"] += 1

    def lag(self) -> int:
        """Records that the group has not taken."""
        topic, lanes = self.settings.topic, range(self.settings.partitions)
        return self.broker.lag((topic(short), lane) for short in INPUTS for lane in lanes)

    # -- playing -------------------------------------------------------------------------------

    def start_worker(self) -> None:
        """One more worker process."""
        worker = Worker(self, f"worker-{len(self.workers) + 1}")
        if self.chance.random() < self.plan.wrong_clocks:
            worker.process.ahead_us = self.chance.randrange(-4_000_000, 4_000_000)
        self.workers.append(worker)
        worker.start()

    def play(self) -> "World":
        """Plays the plan to its end."""
        try:
            self.loop.run(self._play())
        finally:
            self.loop.close()
        self.wrong += [f"{type(error).__name__}: {error}" for error in self.loop.errors if _is_news(error)]
        self.sometimes["aborted transaction"] += self.broker.aborted
        return self

    async def _play(self) -> None:
        for _ in range(self.plan.workers):
            self._later(0.02 * self.chance.random(), self.start_worker)
        for sent in self.plan.requests:
            self._later(sent.at_s, self._send, sent)
        await self._until_quiet()

    def _send(self, sent: Sent) -> None:
        self._unsent -= 1
        place = (self.settings.topic(sent.short), sent.lane)
        offset = self.broker.append(place, None, sent.value)
        self.note(f"{sent.short}-{sent.lane}@{offset}: {sent.text}")

    async def _until_quiet(self) -> None:
        while not self._quiet():
            if self.loop.time() > DEADLINE_S:
                self.wrong.append(f"not quiet after {DEADLINE_S:.0f} virtual seconds: {self._unquiet()}")
                return
            await asyncio.sleep(POLL_S)

    def _quiet(self) -> bool:
        if self._unsent or self._frozen or self._restarts or not self.group.stable:
            return False
        return self.broker.quiet() and self._all_open() and not self.lag()

    def _all_open(self) -> bool:
        alive = [worker for worker in self.workers if worker.process.alive]
        if not alive or {worker.process for worker in alive} != self.group.members:
            return False
        return all(
            (lane := self.live_lane(number)) is not None
            and lane.open
            and lane.generation == self.group.generation
            for number in range(self.settings.partitions)
        )

    def live_lane(self, number: int) -> Any:
        """The lane as its present owner has it; None while it has none."""
        owner = self.group.owners.get(number)
        return None if owner is None else self._worker(owner).lane(number)

    def _unquiet(self) -> str:
        lanes = {
            number: (lane.open, lane.generation) if (lane := self.live_lane(number)) else None
            for number in range(self.settings.partitions)
        }
        alive = [worker.process.name for worker in self.workers if worker.process.alive]
        members = sorted(process.name for process in self.group.members)
        return (
            f"lag {self.lag()}, alive {alive}, members {members}, generation {self.group.generation}, "
            f"lanes (open, generation) {lanes}, restarts {self._restarts}, frozen {self._frozen}"
        )


def _is_news(error: BaseException) -> bool:
    """Errors of tasks that nobody awaited: those of faults are told by who died of them."""
    return not isinstance(error, Lost | ProducerFenced | MessageSizeTooLargeError)


def _settle(future: Any, result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
