"""What a cycle says, kept until it is committed: encoded, keyed, and put into batches by partition."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from app.lanes import metrics
from app.lanes.decode import Raw
from app.lanes.producer import Filling, LaneProducer
from app.pipeline import STEPS, Step
from app.settings import Settings
from schemas.codec import Codec, DecodeError
from schemas.encoder import Encode
from schemas.partitioning import lane_of
from schemas.records import Row, Said
from schemas.topics import TOPIC_OF_RECORD, changelog_name
from tables.reference import Instruments

Message = Mapping[str, Any]

# The record key of each record that a lane says.
KEYS: dict[str, Callable[[Message], str]] = {
    "ClearedOrder": itemgetter("symbol"),
    "ClearedCancel": itemgetter("symbol"),
    "ClearedReplace": itemgetter("symbol"),
    "ClearedStatusRequest": itemgetter("symbol"),
    "Execution": itemgetter("account"),
    "OrderEvent": itemgetter("order_id"),
    "MassCancelReport": itemgetter("account"),
    "ControlReport": lambda m: m["account"] or m["symbol"],
    "SelfTradePrevented": itemgetter("symbol"),
    "QuoteTaken": itemgetter("symbol"),
    "Trade": itemgetter("symbol"),
    "BookUpdate": itemgetter("symbol"),
    "SessionChange": itemgetter("symbol"),
    "AuctionIndication": itemgetter("symbol"),
    "Position": lambda m: f"{m['account']}|{m['asset']}",
    "ReferencePrice": itemgetter("symbol"),
}


class _Route(NamedTuple):
    """Where a record goes: how its bytes, its key and the filling of its partition are found."""

    encode: Encode
    key: Callable[[Message], str]
    filling: Callable[[Message], Filling]


class Outbox:
    """Collects records for topic partitions; `send` empties it into a transaction of the lane's producer.

    `at_us` is the time of what is added.
    """

    def __init__(
        self, lane: int, settings: Settings, codec: Codec, instruments: Instruments, producer: LaneProducer
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._codec = codec
        self._instruments = instruments
        self._producer = producer
        # By topic, then by partition.
        self._fillings: dict[str, list[Filling]] = {}
        self._routes = {
            step.name: {
                record: _Route(codec.encoder(record), key, self._filling_of(record))
                for record, key in KEYS.items()
                if TOPIC_OF_RECORD[record].short in step.says
            }
            for step in STEPS
        }
        self._changelogs = {step.name: changelog_name(settings.app_id, step.name) for step in STEPS}
        self.at_us = time.time_ns() // 1000

    def adder(self, step: Step) -> Callable[[Iterable[Said]], None]:
        """What encodes the messages of an agent; it may only say what the pipeline declares."""
        routes, at_ms = self._routes[step.name], self.at_us // 1000

        def add(said: Iterable[Said]) -> None:
            for record, message in said:
                assert record in routes, f"{step.name} says {record}, which app/pipeline.py does not declare"
                encode, key, filling = routes[record]
                filling(message).add(at_ms, key(message).encode(), encode(message))

        return add

    def _topic(self, name: str) -> list[Filling]:
        """What is written to a topic, by partition."""
        if name not in self._fillings:
            self._fillings[name] = [self._producer.filling() for _ in range(self._settings.partitions)]
        return self._fillings[name]

    def _filling_of(self, record: str) -> Callable[[Message], Filling]:
        """How what is written to a message's partition is found."""
        topic, lanes = TOPIC_OF_RECORD[record], self._settings.partitions
        fillings, place = self._topic(self._settings.topic(topic.short)), self._instruments.lane_of_symbol
        if topic.key == "account":
            return lambda message: fillings[lane_of(message["account"], lanes)]
        if topic.key == "symbol":
            return lambda message: fillings[place(message["symbol"], lanes)]
        own = fillings[self._lane]
        return lambda _: own

    def add_rows(self, table: str, rows: Iterable[Row]) -> None:
        """Encodes a table's changed rows for its changelog."""
        encode, add, at_ms = self._codec.encode, self._own(self._changelogs[table]).add, self.at_us // 1000
        for key, kind, row in rows:
            add(at_ms, key.encode(), None if row is None else encode(kind, row))

    def _own(self, topic: str) -> Filling:
        return self._topic(topic)[self._lane]

    def put_raw(
        self, short: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        """Bytes as they came, for another lane."""
        self._topic(self._settings.topic(short))[partition].add(self.at_us // 1000, key, value, headers)

    def dead_letter(self, topic: str, raw: Raw, error: DecodeError) -> None:
        """A record of this lane that cannot be taken, with its bytes and the reason."""
        letter = {
            "topic": topic,
            "partition": self._lane,
            "offset": raw.offset,
            "timestamp_us": raw.timestamp * 1000,
            "key": raw.key,
            "value": raw.value,
            "reason": error.reason,
            "text": error.text,
            "at_us": self.at_us,
        }
        value = self._codec.encode("DeadLetter", letter)
        self._own(self._settings.topic("dead-letters")).add(self.at_us // 1000, raw.key, value)

    async def send(self) -> "list[asyncio.Future[Any]]":
        """Hands everything to the producer; the futures tell when each batch is written."""
        futures = []
        for topic, fillings in self._fillings.items():
            for partition, filling in enumerate(fillings):
                for batch in filling.take():
                    metrics.RECORDS_OUT.labels(topic).inc(batch.record_count())
                    futures.append(await self._producer.send_batch(batch, topic, partition=partition))
        return futures
