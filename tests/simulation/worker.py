"""A simulated worker: the real lanes, agents and reader of reference data, as app/worker.py wires them."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agents.batch import Batch
from app.lanes import manager
from app.lanes.decode import Decoder
from app.lanes.faust_app import AgentInbox
from app.lanes.lane import Lane
from app.lanes.reference import ReferenceReader
from app.pipeline import STEPS, Step
from schemas.registry import UnknownSchema
from tests.simulation import stand_ins
from tests.simulation.clients import PATIENCE_S, GroupConsumer
from tests.simulation.group import HEARTBEAT_S
from tests.simulation.loop import Died, Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class _Registry:
    """Knows what the codec knows already, and nothing else."""

    async def schema(self, schema_id: int) -> str:
        raise UnknownSchema(f"no schema {schema_id}")


class _Batches:
    """An agent's stream."""

    def __init__(self, inbox: AgentInbox) -> None:
        self._inbox = inbox

    def __aiter__(self) -> "_Batches":
        return self

    async def __anext__(self) -> Batch[Any]:
        return await self._inbox.next()


class Worker:
    """One process; the group's protocol and Faust's recovery task are told here in a few lines."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.process = Process(name)
        self._lanes: manager.LaneManager | None = None
        self._opening = asyncio.Event()

    def start(self) -> None:
        """Begins."""
        self._spawn(self._serve())

    def terminate(self) -> None:
        """SIGTERM: cycles finish, the group is left."""
        self._spawn(self._leave())

    def _spawn(self, coroutine: Any) -> None:
        self.process.context.run(self._world.loop.create_task, coroutine)

    def lane(self, number: int) -> Lane | None:
        """A lane that it has."""
        return None if self._lanes is None else self._lanes.lanes.get(number)

    def lanes(self) -> list[Lane]:
        """Lanes that it has, or believes to have."""
        return [] if self._lanes is None else list(self._lanes.lanes.values())

    def partly_filled(self) -> Iterator[str]:
        """Orders in its books that have traded before."""
        for lane in self.lanes():
            for order in lane.tables["matching"]._live.values():
                if order.cum_quantity_e8:
                    yield order.order_id

    async def _serve(self) -> None:
        world = self._world
        decoder = Decoder(world.codec, _Registry())  # type: ignore[arg-type]
        reference = ReferenceReader(world.settings, decoder)
        try:
            await reference.start()
        except Exception as error:
            stand_ins.die(f"start failed: {error}", error)
        inboxes = {step.name: AgentInbox() for step in STEPS}
        for step in STEPS:
            world.loop.create_task(self._agent(step, inboxes[step.name]))
        self._lanes = lanes = manager.LaneManager(world.settings, decoder, reference, inboxes)
        consumer = GroupConsumer()
        world.loop.create_task(self._recover(lanes, consumer))
        await self._member(lanes, consumer)

    async def _agent(self, step: Step, inbox: AgentInbox) -> None:
        try:
            await step.agent(_Batches(inbox))
        except Died:
            raise
        except BaseException as error:
            stand_ins.die(f"agent {step.name}: {error!r}", error)

    async def _member(self, lanes: manager.LaneManager, consumer: GroupConsumer) -> None:
        """aiokafka's coordinator: give up, join, be assigned, until the next rebalance."""
        world = self._world
        while True:
            consumer.reassignment_in_progress = True
            await lanes.revoke()
            try:
                await consumer.join()
            except Exception as error:
                # aiokafka would try again; here the supervisor does.
                stand_ins.die(f"the group cannot be joined: {error!r}", error)
            self._opening.set()
            # Heartbeats begin when the assignment was taken; the first one comes after its interval,
            # unless the process stood still meanwhile.
            if world.chance.random() < 0.9:
                await asyncio.sleep(HEARTBEAT_S * world.chance.random())
            await consumer.rebalance_needed()

    async def _recover(self, lanes: manager.LaneManager, consumer: GroupConsumer) -> None:
        """Faust's recovery task: one assignment after the other, each in its generation only."""
        draining = False
        while True:
            await self._opening.wait()
            self._opening.clear()
            generation = consumer.generation
            await asyncio.sleep(0)
            if consumer.generation != generation:
                continue
            try:
                opened = await lanes.open(consumer, consumer.assigned(), generation)
            except Exception as error:
                stand_ins.die(f"lanes could not be opened: {error!r}", error)
            if opened and not draining:
                draining = True
                self._world.loop.create_task(self._drain(lanes))

    async def _drain(self, lanes: manager.LaneManager) -> None:
        try:
            while True:
                await lanes.pump(PATIENCE_S)
        except Died:
            raise
        except BaseException as error:
            stand_ins.die(f"fetching failed: {error!r}", error)

    async def _leave(self) -> None:
        if self._lanes is not None:
            await self._lanes.close()
        self._world.ended(self.process)
