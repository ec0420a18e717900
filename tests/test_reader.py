"""Topics read outside lanes, on a real Kafka."""

import asyncio
from collections.abc import Callable

import pytest

from app.reader import PositionLost, Read, TopicReader
from app.settings import Settings
from schemas.codec import schema_text
from schemas.registry import RegistryUnavailable
from tests.flow import Log, accepted, trade


async def read_to_end(reader: TopicReader) -> list[Read]:
    found: list[Read] = []
    async with asyncio.timeout(20):
        async for batch in reader.batches():
            found += batch
            if await reader.caught_up():
                return found
    raise AssertionError("batches end never")


async def test_it_reads_all_partitions_in_order_and_stops_at_what_was_there(settings: Settings) -> None:
    async with Log(settings) as log:
        await log.say(*(trade(n, symbol) for n in range(1, 51) for symbol in ("A", "B", "C", "D", "E")))
        async with TopicReader(settings, ["trades"], batch_max=7) as reader:
            assert not await reader.caught_up()
            found = await read_to_end(reader)
            for symbol in "ABCDE":
                sequences = [read.message["sequence"] for read in found if read.message["symbol"] == symbol]
                assert sequences == list(range(1, 51))
            assert (await reader.lag())["trades"] == 0


async def test_what_is_aborted_is_not_seen_and_does_not_keep_it_from_the_end(settings: Settings) -> None:
    async with Log(settings) as log:
        await log.say(accepted("1"))
        await log.producer.begin_transaction()
        await log.bytes("OrderEvent", log.codec.encode(*accepted("2")), "AAPL")
        await log.producer.abort_transaction()
        async with TopicReader(settings, ["events"]) as reader:
            assert [read.message["client_order_id"] for read in await read_to_end(reader)] == ["1"]


async def test_from_the_end_it_sees_what_an_open_transaction_wrote_before(settings: Settings) -> None:
    async with Log(settings) as log:
        await log.say(accepted("1"))
        await log.producer.begin_transaction()
        await log.producer.send_and_wait(
            settings.topic("events"), log.codec.encode(*accepted("2")), b"AAPL", partition=0
        )
        async with TopicReader(settings, ["events"], "end") as reader:
            assert await reader.caught_up()
            await log.producer.commit_transaction()
            async with asyncio.timeout(20):
                async for batch in reader.batches():
                    if batch:
                        assert [read.message["client_order_id"] for read in batch] == ["2"]
                        break


async def test_it_rewinds(settings: Settings) -> None:
    async with Log(settings) as log:
        await log.say(*(trade(n) for n in range(1, 11)))
        async with TopicReader(settings, ["trades"]) as reader:
            first = await read_to_end(reader)
            await reader.rewind({(first[0].short, first[0].partition): first[6].offset})
            assert [read.message["sequence"] for read in await read_to_end(reader)] == [7, 8, 9, 10]


async def test_a_position_outside_the_log_is_refused_or_begins_anew(settings: Settings) -> None:
    async with Log(settings) as log:
        await log.say(trade(1))
    places = {("trades", lane): 1000 for lane in range(settings.partitions)}
    with pytest.raises(PositionLost, match="1000 is to be read next"):
        await TopicReader(settings, ["trades"], places, exact=True).__aenter__()
    async with TopicReader(settings, ["trades"], places) as reader:
        assert len(await read_to_end(reader)) == 1


async def test_bytes_that_are_no_record_of_the_topic_come_with_their_reason(settings: Settings) -> None:
    async with Log(settings) as log:
        async with log.producer.transaction():
            await log.bytes("Trade", b"junk", "A")
            await log.bytes("Trade", log.codec.encode(*accepted("1")), "A")
        async with TopicReader(settings, ["trades"]) as reader:
            found = await read_to_end(reader)
    assert [read.error.reason for read in found if read.error] == ["DECODE_NOT_FRAMED", "DECODE_WRONG_RECORD"]
    assert found[0].value == b"junk"


async def test_it_waits_for_a_registry_that_is_away(settings: Settings) -> None:
    answers: list[Callable[[], str]] = [_away, _away, lambda: schema_text("Trade")]

    async def schema_of(_: int) -> str:
        return answers.pop(0)()

    async with Log(settings) as log:
        await log.say(trade(1), trade(2))
        async with TopicReader(settings, ["trades"], schema_of=schema_of) as reader:
            assert [read.kind for read in await read_to_end(reader)] == ["Trade", "Trade"]
    assert answers == []


def _away() -> str:
    raise RegistryUnavailable("away")
