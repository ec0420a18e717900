"""What a cycle says, kept until it is committed: encoded, keyed, and put into batches by partition."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.lanes import metrics
from app.lanes.decode import Raw
from app.lanes.producer import LaneProducer
from app.pipeline import STEPS, Step
from app.settings import Settings
from schemas.codec import Codec, DecodeError
from schemas.partitioning import lane_of
from schemas.records import Row, Said
from schemas.topics import TOPIC_OF_RECORD, changelog_name
from tables.reference import Instruments

Message = Mapping[str, Any]
Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
NO_HEADERS: list[tuple[str, bytes]] = []

# The record key of each record that a lane says.
KEYS: dict[str, Callable[[Message], str]] = {
    "ClearedOrder": lambda m: m["symbol"],
    "ClearedCancel": lambda m: m["symbol"],
    "ClearedReplace": lambda m: m["symbol"],
    "ClearedStatusRequest": lambda m: m["symbol"],
    "Execution": lambda m: m["account"],
    "OrderEvent": lambda m: m["order_id"],
    "MassCancelReport": lambda m: m["account"],
    "ControlReport": lambda m: m["account"] or m["symbol"],
    "SelfTradePrevented": lambda m: m["symbol"],
    "QuoteTaken": lambda m: m["symbol"],
    "Trade": lambda m: m["symbol"],
    "BookUpdate": lambda m: m["symbol"],
    "SessionChange": lambda m: m["symbol"],
    "AuctionIndication": lambda m: m["symbol"],
    "Position": lambda m: f"{m['account']}|{m['asset']}",
    "ReferencePrice": lambda m: m["symbol"],
}


class Outbox:
    """Collects records for topic partitions; `send` empties it into a transaction."""

    def __init__(self, lane: int, settings: Settings, codec: Codec, instruments: Instruments) -> None:
        self._lane = lane
        self._settings = settings
        self._codec = codec
        self._instruments = instruments
        self._items: dict[tuple[str, int], list[Item]] = defaultdict(list)
        self._routes = {
            step.name: {
                record: (settings.topic(TOPIC_OF_RECORD[record].short), key, self._partition_of(record))
                for record, key in KEYS.items()
                if TOPIC_OF_RECORD[record].short in step.says
            }
            for step in STEPS
        }
        self._changelogs = {step.name: changelog_name(settings.app_id, step.name) for step in STEPS}
        self.at_us = time.time_ns() // 1000

    def add(self, step: Step, said: Iterable[Said]) -> None:
        """Encodes what an agent said; it may only say what the pipeline declares."""
        encode, items, routes = self._codec.encode, self._items, self._routes[step.name]
        for record, message in said:
            assert record in routes, f"{step.name} says {record}, which app/pipeline.py does not declare"
            topic, key, partition = routes[record]
            value = encode(record, message)
            items[topic, partition(message)].append((key(message).encode(), value, NO_HEADERS))

    def _partition_of(self, record: str) -> Callable[[Message], int]:
        """How the partition of a record's messages is found."""
        partitions, lane, place = self._settings.partitions, self._lane, self._instruments.lane_of_symbol
        key = TOPIC_OF_RECORD[record].key
        if key == "account":
            return lambda message: lane_of(message["account"], partitions)
        if key == "symbol":
            return lambda message: place(message["symbol"], partitions)
        return lambda _: lane

    def add_rows(self, table: str, rows: Iterable[Row]) -> None:
        """Encodes a table's changed rows for its changelog."""
        encode, items = self._codec.encode, self._items[(self._changelogs[table], self._lane)]
        for key, kind, row in rows:
            items.append((key.encode(), None if row is None else encode(kind, row), NO_HEADERS))

    def put_raw(
        self, short: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        """Bytes as they came, for another lane."""
        self._items[(self._settings.topic(short), partition)].append((key, value, headers))

    def dead_letter(self, raw: Raw, error: DecodeError) -> None:
        """A record that cannot be taken, with its bytes and the reason."""
        letter = {
            "topic": raw.topic,
            "partition": raw.partition,
            "offset": raw.offset,
            "timestamp_us": raw.timestamp * 1000,
            "key": raw.key,
            "value": raw.value,
            "reason": error.reason,
            "text": error.text,
            "at_us": time.time_ns() // 1000,
        }
        name = self._settings.topic("dead-letters")
        self._items[(name, self._lane)].append(
            (raw.key, self._codec.encode("DeadLetter", letter), NO_HEADERS)
        )

    async def send(self, producer: LaneProducer) -> "list[asyncio.Future[Any]]":
        """Hands everything to the producer; the futures tell when each batch is written."""
        timestamp_ms = self.at_us // 1000
        futures = []
        for (topic, partition), items in self._items.items():
            if not items:
                continue
            metrics.RECORDS_OUT.labels(topic).inc(len(items))
            batch = producer.create_batch()
            append = batch.append
            for key, value, headers in items:
                if append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                    futures.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    append = batch.append
                    append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
            futures.append(await producer.send_batch(batch, topic, partition=partition))
        self._items.clear()
        return futures
