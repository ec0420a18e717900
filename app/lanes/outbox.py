"""What a cycle says, kept until it is committed: encoded, keyed, and put into batches by partition."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from app.lanes import metrics
from app.lanes.decode import Raw
from app.lanes.producer import Item, LaneProducer
from app.pipeline import STEPS, Step
from app.settings import Settings
from schemas.codec import Codec, DecodeError
from schemas.encoder import Encode
from schemas.partitioning import lane_of
from schemas.records import Row, Said
from schemas.topics import TOPIC_OF_RECORD, changelog_name
from tables.reference import Instruments

Message = Mapping[str, Any]
NO_HEADERS: list[tuple[str, bytes]] = []

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
    """Where a record goes: how its bytes, its key and the items of its partition are found."""

    encode: Encode
    key: Callable[[Message], str]
    items: Callable[[Message], list[Item]]


class Outbox:
    """Collects records for topic partitions; `send` empties it into a transaction."""

    def __init__(self, lane: int, settings: Settings, codec: Codec, instruments: Instruments) -> None:
        self._lane = lane
        self._settings = settings
        self._codec = codec
        self._instruments = instruments
        # By topic, then by partition; emptied by `send`, never replaced.
        self._items: dict[str, list[list[Item]]] = {}
        self._routes = {
            step.name: {
                record: _Route(codec.encoder(record), key, self._items_of(record))
                for record, key in KEYS.items()
                if TOPIC_OF_RECORD[record].short in step.says
            }
            for step in STEPS
        }
        self._changelogs = {step.name: changelog_name(settings.app_id, step.name) for step in STEPS}
        self.at_us = time.time_ns() // 1000

    def adder(self, step: Step) -> Callable[[Iterable[Said]], None]:
        """What encodes the messages of an agent; it may only say what the pipeline declares."""
        routes = self._routes[step.name]

        def add(said: Iterable[Said]) -> None:
            for record, message in said:
                assert record in routes, f"{step.name} says {record}, which app/pipeline.py does not declare"
                encode, key, items = routes[record]
                items(message).append((key(message).encode(), encode(message), NO_HEADERS))

        return add

    def _topic(self, name: str) -> list[list[Item]]:
        """Items of a topic, by partition."""
        if name not in self._items:
            self._items[name] = [[] for _ in range(self._settings.partitions)]
        return self._items[name]

    def _items_of(self, record: str) -> Callable[[Message], list[Item]]:
        """How the items of a message's partition are found."""
        topic, lanes = TOPIC_OF_RECORD[record], self._settings.partitions
        items, place = self._topic(self._settings.topic(topic.short)), self._instruments.lane_of_symbol
        if topic.key == "account":
            return lambda message: items[lane_of(message["account"], lanes)]
        if topic.key == "symbol":
            return lambda message: items[place(message["symbol"], lanes)]
        own = items[self._lane]
        return lambda _: own

    def add_rows(self, table: str, rows: Iterable[Row]) -> None:
        """Encodes a table's changed rows for its changelog."""
        encode, items = self._codec.encode, self._topic(self._changelogs[table])[self._lane]
        for key, kind, row in rows:
            items.append((key.encode(), None if row is None else encode(kind, row), NO_HEADERS))

    def put_raw(
        self, short: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        """Bytes as they came, for another lane."""
        self._topic(self._settings.topic(short))[partition].append((key, value, headers))

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
        name = self._settings.topic("dead-letters")
        self._topic(name)[self._lane].append((raw.key, self._codec.encode("DeadLetter", letter), NO_HEADERS))

    async def send(self, producer: LaneProducer) -> "list[asyncio.Future[Any]]":
        """Hands everything to the producer; the futures tell when each batch is written."""
        timestamp_ms = self.at_us // 1000
        futures = []
        for topic, lanes in self._items.items():
            for partition, items in enumerate(lanes):
                if not items:
                    continue
                metrics.RECORDS_OUT.labels(topic).inc(len(items))
                begin = 0
                while begin < len(items):
                    batch, begin = producer.filled(items, begin, timestamp_ms)
                    futures.append(await producer.send_batch(batch, topic, partition=partition))
                items.clear()
        return futures
