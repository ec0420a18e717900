"""The baseline: the same step as plain Faust, as its documentation would write it.

Two agents (accounts; risk and matching in one), Faust tables with changelogs, a table write and a send
per event, at least once. Same tables of ours, same codec, same records, so that only the way of
delivery differs. Runs as `python -m tests.bench.plain_faust` with OMS_ settings in the environment.
"""

import asyncio
import time
from typing import Any

import faust
import uvloop

from app.lanes.decode import Decoder
from app.lanes.outbox import KEYS
from app.lanes.reference import ReferenceReader
from app.settings import Settings
from app.topics import prepare
from schemas.codec import Codec
from schemas.records import Record, Said
from schemas.registry import Registry
from schemas.topics import TOPIC_OF_RECORD
from tables.accounts import Accounts
from tables.matching import Matching
from tables.risk import Risk


async def serve(settings: Settings) -> None:
    """Runs until it is ended."""
    async with Registry(settings.endpoint("registry")) as registry:
        decoder = Decoder(Codec(await prepare(settings)), registry)
    reference = ReferenceReader(settings, decoder)
    await reference.start()
    app = faust.App(
        f"{settings.app_id}-plain",
        broker=f"kafka://{settings.endpoint('kafka')}",
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        web_enabled=False,
        autodiscover=False,
        topic_partitions=settings.partitions,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    topics = {
        short: app.topic(
            settings.topic(short), value_type=bytes, value_serializer="raw", key_serializer="raw"
        )
        for short in ("orders", "control", "executions", "cleared", "events", "trades", "books", "positions")
    }
    rows = {
        name: app.Table(f"plain-{name}", value_type=bytes, partitions=settings.partitions)
        for name in ("accounts", "matching")
    }
    codec = decoder.codec

    async def emit(said: list[Said]) -> None:
        for kind, message in said:
            short = TOPIC_OF_RECORD[kind].short
            if short in topics:
                await topics[short].send(key=KEYS[kind](message).encode(), value=codec.encode(kind, message))

    def remember(name: str, table: Any) -> None:
        for key, kind, row in table.changed_rows():
            if row is not None:
                rows[name][key] = codec.encode(kind, row).hex()

    tables: dict[int, Any] = {}

    async def accounts(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            table = tables.setdefault(
                message.partition,
                Accounts(message.partition, reference.instruments, reference.references, 86_400_000_000, 500),
            )
            kind, value = codec.decode(event.value)
            if kind in (
                "SetAccount",
                "SetLimits",
                "MoveCash",
                "MoveHolding",
                "NewOrder",
                "CancelOrder",
                "Execution",
            ):
                at_us = time.time_ns() // 1000
                await emit(table.apply(Record(kind, value, message.offset, at_us), at_us))
                await emit(table.end_cycle(at_us))
                remember("accounts", table)

    books: dict[int, tuple[Risk, Matching]] = {}

    async def matching(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            risk, table = books.setdefault(
                message.partition,
                (
                    Risk(message.partition, reference.instruments),
                    Matching(message.partition, reference.instruments),
                ),
            )
            kind, value = codec.decode(event.value)
            at_us = time.time_ns() // 1000
            record = Record(kind, value, message.offset, at_us)
            refusal = risk.apply(record, at_us)
            await emit(refusal if refusal is not None else table.apply(record, at_us))
            await emit(table.end_cycle(at_us))
            remember("matching", table)

    app.agent(
        app.topic(
            *(settings.topic(s) for s in ("control", "executions", "orders")),
            value_type=bytes,
            value_serializer="raw",
        )
    )(accounts)
    app.agent(topics["cleared"])(matching)
    await app.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Settings()))
