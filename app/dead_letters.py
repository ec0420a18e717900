"""Dead letters: what workers set aside, what it says, and how it goes through the front door again.

Rules: a letter is named by its place in `oms.dead-letters.v1`, as in `2:17`. What is replayed are its bytes
as they were, to the topic where they were found and the lane of their key, with a header that names the
letter, so that the log itself tells what was replayed. What would only become a dead letter again is refused.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.lanes.decode import Decoder
from app.lookup import read_instruments, read_to_end
from app.pipeline import OUTSIDE, STEPS
from app.reader import TopicReader
from app.resources import rfc3339, shown
from app.settings import Settings
from app.writer import Place
from schemas.codec import Codec, DecodeError
from schemas.messages import Instrument
from schemas.partitioning import lane_of
from schemas.registry import Registry

SHORT = "dead-letters"
HEADER = "oms-dead-letter"
_POLL_MS = 500
# How far the worker's clock, which dates a letter, may be ahead of the broker's, which dates a replay.
_CLOCKS_MS = 60_000


class DeadLetterError(Exception):
    """A letter is not there or cannot be replayed; the text says why and what to do."""


class LetterId(NamedTuple):
    """Where a letter is."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place in `2:17`. Raises DeadLetterError."""
        partition, colon, offset = text.partition(":")
        if not (colon and partition.isdecimal() and offset.isdecimal()):
            raise DeadLetterError(
                f"{text} names no dead letter: write PARTITION:OFFSET as in `oms dead-letters list`"
            )
        return cls(int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Letter(NamedTuple):
    """A dead letter; `message` is its DeadLetter."""

    id: LetterId
    message: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """What a list shows of it."""
        message = self.message
        return {
            "id": str(self.id),
            "at": rfc3339(message["at_us"]),
            "reason": message["reason"],
            "topic": message["topic"],
            "partition": message["partition"],
            "offset": message["offset"],
            "key": None if message["key"] is None else message["key"].decode("utf-8", "backslashreplace"),
            "bytes": len(message["value"] or b""),
            "text": message["text"],
        }


class Only(NamedTuple):
    """Which letters to list: of a topic (short or full name), a reason, a span of time."""

    topic: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def has(self, settings: Settings, message: Mapping[str, Any]) -> bool:
        """Whether a DeadLetter is one of them."""
        at_s = message["at_us"] / 1e6
        return (
            (not self.topic or message["topic"] in (self.topic, settings.topic(self.topic)))
            and (not self.reason or message["reason"] == self.reason)
            and (self.since is None or at_s >= self.since.timestamp())
            and (self.until is None or at_s < self.until.timestamp())
        )


async def letters(settings: Settings, only: Only) -> AsyncIterator[Letter]:
    """The letters there are now, partition by partition. Raises KafkaError, RegistryError."""
    async for read in read_to_end(settings, SHORT):
        if only.has(settings, read.message):
            yield Letter(LetterId(read.partition, read.offset), read.message)


async def find(settings: Settings, wanted: LetterId) -> Letter:
    """One letter. Raises DeadLetterError when there is none at its place."""
    async with TopicReader(settings, [SHORT], "end") as reader:
        ends = await reader.ends()
        source = (SHORT, wanted.partition)
        if wanted.offset < ends.get(source, 0):
            await reader.rewind({**ends, source: wanted.offset})
            async for batch in reader.batches():
                for read in batch:
                    if (read.partition, read.offset) == wanted and read.error is None:
                        return Letter(wanted, read.message)
                if await reader.caught_up():
                    break
    raise DeadLetterError(f"there is no dead letter {wanted}; `oms dead-letters list` shows those there are")


class Plan(NamedTuple):
    """What a replay does: the bytes of a letter, which say `message`, to a partition of a topic."""

    letter: Letter
    short: str
    partition: int
    key: bytes
    kind: str
    message: Mapping[str, Any]

    def words(self, settings: Settings) -> str:
        """What will happen, for the person who is asked."""
        said = shown(self.kind, self.message)
        named = ("account", "symbol", "client_order_id", "control_id", "order")
        names = " ".join(f"{name}={said[name]}" for name in named if said.get(name))
        return (
            f"{self.letter.id}: {self.kind} {names}\n"
            f"  goes to {settings.topic(self.short)} partition {self.partition} as it was, "
            f"with the header {HEADER}={self.letter.id}\n  {self._effect()}"
        )

    def _effect(self) -> str:
        if self.short == "quotes":
            return "It becomes the latest quote of its symbol, however old it is."
        if self.short == "control":
            once = "the same control_id is applied once"
            return (
                f"It is applied as a new control; {once if self.message['control_id'] else 'it has no id'}."
            )
        return (
            "It is checked as a new request, against what is allowed now; "
            "the same client_order_id and body is never done twice."
        )


class Judge:
    """Says what a replay of a letter would do, by the checks that a lane makes; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry = Registry(settings.endpoint("registry"))
        self._instruments: dict[str, Instrument] = {}

    async def __aenter__(self) -> Self:
        await self._registry.__aenter__()
        self._decoder = Decoder(Codec({}), self._registry)
        self._instruments = await read_instruments(self._settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._registry.close()

    async def decoded(self, letter: Letter) -> tuple[str, dict[str, Any]]:
        """Record name and message of a letter's bytes. Raises DecodeError."""
        return await self._decoder.decode(letter.message["value"])

    async def plan(self, letter: Letter) -> Plan:
        """What a replay would do. Raises DeadLetterError when it cannot work."""
        short = self._front_door(letter)
        value = letter.message["value"]
        limit = self._settings.request_bytes_max
        if value is not None and len(value) > limit:
            raise self._refused(letter, f"its {len(value)} bytes exceed OMS_REQUEST_BYTES_MAX={limit}")
        try:
            kind, message = await self.decoded(letter)
        except DecodeError as error:
            raise self._refused(letter, f"its bytes still cannot be taken: {error}") from None
        if not any(kind in step.hears.get(short, ()) for step in STEPS):
            raise self._refused(letter, f"{letter.message['topic']} carries no {kind}")
        key, partition = self._lane(letter, message)
        return Plan(letter, short, partition, key, kind, message)

    def _front_door(self, letter: Letter) -> str:
        for short in OUTSIDE:
            if letter.message["topic"] == self._settings.topic(short):
                return short
        doors = ", ".join(map(self._settings.topic, OUTSIDE))
        raise self._refused(letter, f"{letter.message['topic']} takes nothing from outside, only {doors} do")

    def _lane(self, letter: Letter, message: Mapping[str, Any]) -> tuple[bytes, int]:
        """Key and partition of a message, where workers look for it."""
        partitions = self._settings.partitions
        account = message.get("account")
        if account is not None:
            return account.encode(), lane_of(account, partitions)
        symbol = message["symbol"]
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise self._refused(letter, f"its lane is not known: {symbol!r} is no instrument. Add it first")
        lane = instrument["lane"]
        own = lane is not None and lane < partitions
        return symbol.encode(), lane if own and lane is not None else lane_of(symbol, partitions)

    @staticmethod
    def _refused(letter: Letter, why: str) -> DeadLetterError:
        return DeadLetterError(
            f"{letter.id} ({letter.message['reason']}) would only become a dead letter again: {why}"
        )


async def replays(settings: Settings, some: Iterable[Letter]) -> dict[LetterId, Place]:
    """Where letters were replayed to, as the log tells. Raises KafkaError."""
    found: dict[LetterId, Place] = {}
    since_ms: dict[str, int] = {}
    wanted = {}
    for letter in some:
        wanted[str(letter.id).encode()] = letter.id
        topic, at_ms = letter.message["topic"], max(0, letter.message["at_us"] // 1000 - _CLOCKS_MS)
        since_ms[topic] = min(at_ms, since_ms.get(topic, at_ms))
    doors = set(map(settings.topic, OUTSIDE))
    for topic in since_ms.keys() & doors:
        async for place, headers in _headers(settings, topic, since_ms[topic]):
            for name, value in headers:
                if name == HEADER and value in wanted:
                    found[wanted[value]] = place
    return found


async def _headers(
    settings: Settings, topic: str, since_ms: int
) -> AsyncIterator[tuple[Place, Sequence[tuple[str, bytes]]]]:
    """Place and headers of what a topic got since then."""
    partitions = [TopicPartition(topic, lane) for lane in range(settings.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.endpoint("kafka"),
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ends = await consumer.end_offsets(partitions)
        unread = {tp for tp in partitions if (start := starts[tp]) and start.offset < ends[tp]}
        consumer.assign(list(unread))
        for tp in unread:
            consumer.seek(tp, starts[tp].offset)
        while unread:
            for tp, records in (await consumer.getmany(*unread, timeout_ms=_POLL_MS)).items():
                for record in records:
                    yield Place(tp.topic, tp.partition, record.offset), record.headers
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()


async def replay(settings: Settings, plans: Sequence[Plan]) -> list[Place]:
    """Sends letters again, in their order; where each is now. Raises KafkaError: the outcome is unknown."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.endpoint("kafka"), enable_idempotence=True)
    await producer.start()
    try:
        places = []
        for plan in plans:
            sent = await producer.send_and_wait(
                settings.topic(plan.short),
                plan.letter.message["value"],
                plan.key,
                plan.partition,
                headers=[(HEADER, str(plan.letter.id).encode())],
            )
            places.append(Place(sent.topic, sent.partition, sent.offset))
        return places
    finally:
        await producer.stop()
