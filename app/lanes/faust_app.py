"""Faust, with delivery, commit and recovery taken over by lanes.

Faust keeps group membership, co-partitioned assignment, agents, channels and the worker's life. The
hooks are subclasses of what Faust lets one replace; line numbers are those of faust-streaming 0.15.3.
Faust's consumer runs in a thread of its own; here it runs in the worker's loop, which saves two
thread switches per fetch and the wait for the interpreter lock.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.agents import Agent
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.topics import Topic
from faust.transport.drivers import aiokafka as driver
from mode.services import Service
from mode.utils.futures import maybe_async

from agents.batch import Batch
from app.lanes.fatal import die
from app.lanes.manager import LaneManager
from app.settings import Settings


class AgentInbox:
    """An agent's queue of batches; a batch is done when the agent asks for the next one.

    It stands in for the queue of a Faust channel, which clears itself on rebalance and acknowledges
    inside compiled code. A stream takes its slow path, `__anext__`, as long as the queue says that it
    is empty.
    """

    def __init__(self) -> None:
        self._errors: deque[BaseException] = deque()
        self._batches: asyncio.Queue[tuple[Batch[Any], asyncio.Future[None]] | BaseException] = (
            asyncio.Queue()
        )
        self._under_way: asyncio.Future[None] | None = None

    async def process(self, batch: Batch[Any]) -> None:
        """Hands a batch to the agent and waits until it is done."""
        done = asyncio.get_running_loop().create_future()
        self._batches.put_nowait((batch, done))
        await done

    async def next(self) -> Batch[Any]:
        """The agent's next batch; says that the one before is done."""
        if self._under_way is not None:
            self._under_way.set_result(None)
            self._under_way = None
        item = await self._batches.get()
        if isinstance(item, BaseException):
            raise item
        batch, self._under_way = item
        return batch

    def _throw(self, error: BaseException) -> None:
        """Faust ends an agent's stream by an error in its queue (agents/actor.py:61)."""
        self._batches.put_nowait(error)

    def empty(self) -> bool:
        """Always: the stream is to ask the channel."""
        return True

    def get_nowait(self) -> Batch[Any]:
        """Never called, as the queue is always empty."""
        raise asyncio.QueueEmpty


class LaneTopic(Topic):  # type: ignore[misc]
    """A Faust topic whose events are batches of lanes; Faust never commits its offsets."""

    def __init__(self, app: faust.App, *, inbox: AgentInbox, **kwargs: Any) -> None:
        self.inbox = inbox
        super().__init__(app, **{**kwargs, "acks": False})

    @property
    def queue(self) -> AgentInbox:
        """The agent's inbox, shared by every clone."""
        return self.inbox

    def _clone_args(self) -> dict[str, Any]:
        return {**super()._clone_args(), "inbox": self.inbox}

    async def __anext__(self) -> Batch[Any]:
        return await self.inbox.next()


class LaneAgent(Agent):  # type: ignore[misc]
    """A Faust agent whose end is the worker's end (agents/agent.py:694)."""

    async def _execute_actor(self, coro: Any, aref: Any) -> None:
        try:
            await coro
        except asyncio.CancelledError:
            if not self.should_stop and not self.app.should_stop:
                die(f"agent {self.name} was cancelled")
            raise
        except BaseException as error:
            die(f"agent {self.name}: {error!r}", error)
        if not self.should_stop and not self.app.should_stop:
            die(f"agent {self.name} returned; an agent loops for ever")


class _Recovery(Recovery):  # type: ignore[misc]
    """Opens lanes where Faust would recover its own tables (tables/recovery.py:306)."""

    async def _resume_streams(self, generation_id: int = 0) -> None:
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        if app.consumer_generation_id != generation_id:
            return
        try:
            opened = await app.lanes.open(consumer.kafka, consumer.assignment(), generation_id)
        except Exception as error:
            die(f"lanes could not be opened: {error!r}", error)
        if not opened:
            return
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class _TableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager without tables, and without its second of sleep at the start."""

    _recovery: _Recovery | None = None

    @property
    def recovery(self) -> _Recovery:
        if self._recovery is None:
            self._recovery = _Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _ConsumerService(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread as a service of the worker's loop (transport/drivers/aiokafka.py:525)."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, thread_loop=consumer.loop, **kwargs)

    async def start(self) -> None:
        self._thread_started.set()
        await Service.start(self)

    async def stop(self) -> None:
        await Service.stop(self)

    def _stopped_set(self) -> None:
        self._stopped.set()

    def set_shutdown(self) -> None:
        self._shutdown.set()

    async def on_stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        self._shutdown.set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _thread_keepalive(self) -> None:
        """There is no thread to keep alive."""

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        return await maybe_async(fun(*args, **kwargs))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self.consumer.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        await self.consumer.on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Lanes have a watchdog of their own; Faust's looks at acknowledgements, of which there are none."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # A position that is out of range is an error: `earliest` would jump without a word.
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            max_poll_interval_ms=86_400_000,
            retry_backoff_ms=50,
            check_crcs=conf.broker_check_crcs,
        )


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, feeding lanes."""

    def _new_consumer_thread(self) -> _ConsumerService:
        return _ConsumerService(self, loop=self.loop, beacon=self.beacon)

    @property
    def kafka(self) -> AIOKafkaConsumer:
        """The client underneath."""
        return self._thread._ensure_consumer()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        # Cycles finish before Faust suspends flow, so that a clean hand-over loses no work.
        await self.app.lanes.revoke()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Lanes seek for themselves."""

    async def _drain_messages(self, fetcher: Any) -> None:
        lanes = self.app.lanes
        try:
            while not (self.should_stop or fetcher.should_stop):
                await lanes.pump(1.0)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self.app.should_stop:
                die(f"fetching failed: {error!r}", error)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Nothing to do: offsets are committed in the lanes' transactions."""
        return False


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class LaneApp(faust.App):  # type: ignore[misc]
    """A Faust app whose agents work in lanes; set `lanes` before it starts."""

    lanes: LaneManager

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    async def on_stop(self) -> None:
        await self.lanes.close()
        await super().on_stop()

    def lane_topic(self, names: Iterable[str], inbox: AgentInbox) -> LaneTopic:
        """A topic over several names whose batches come through `inbox`."""
        return LaneTopic(self, inbox=inbox, topics=list(names))


def new_app(settings: Settings) -> LaneApp:
    """The Faust app of a worker, with the settings that lanes need."""
    return LaneApp(
        settings.app_id,
        broker=[f"kafka://{server}" for server in settings.endpoint("kafka").split(",")],
        autodiscover=False,
        store="memory://",
        # Faust makes its folder even when it keeps nothing.
        datadir=str(settings.data_dir / "faust"),
        cython_optimizations=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_rebalance_timeout=10.0,
        broker_request_timeout=20.0,
        broker_check_crcs=False,
        consumer_max_fetch_size=1024 * 1024,
        Agent=LaneAgent,
        TableManager=_TableManager,
    )
