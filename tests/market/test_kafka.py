"""Market data on a real broker: places, seeds, and order flow through a real worker."""

from collections import Counter

import pytest

from app import topics
from app.lookup import read_instruments, read_to_end
from app.market.demo_instruments import PROFILES, demo_instruments
from app.market.generator import Generated, MarketError, generate
from app.market.prices import Market
from app.market.seed import seed
from app.settings import Settings
from app.submit.controls import ControlsError, apply_controls
from app.writer import Stream, TopicWriter
from schemas.messages import Quote
from schemas.partitioning import lane_of


def quote(symbol: str, number: int = 0) -> Quote:
    return {
        "symbol": symbol,
        "bid": 1 + number,
        "bid_size": 1,
        "ask": 2 + number,
        "ask_size": 1,
        "last": 0,
        "last_size": 0,
        "venue": "test",
        "at_us": number,
    }


async def test_every_record_goes_to_the_lane_of_its_key_or_of_its_instrument(settings: Settings) -> None:
    await topics.prepare(settings)
    lane = (lane_of("AAPL", 4) + 1) % 4
    async with TopicWriter(settings) as writer:
        await writer.send("Instrument", {**demo_instruments(4)["AAPL"], "lane": lane})
        places = await writer.send_many([("Quote", quote("AAPL")), ("Quote", quote("OTHER"))])
    assert [place.partition for place in places] == [lane, lane_of("OTHER", 4)]
    async with TopicWriter(settings) as another:
        assert another.lane("Quote", quote("AAPL")) == lane
        assert another.lane("MoveCash", {"account": "A"}) == lane_of("A", 4)
    read = [read async for read in read_to_end(settings, "quotes", "instruments")]
    assert {(r.kind, r.message["symbol"], r.partition, r.key) for r in read} == {
        ("Instrument", "AAPL", lane, b"AAPL"),
        ("Quote", "AAPL", lane, b"AAPL"),
        ("Quote", "OTHER", lane_of("OTHER", 4), b"OTHER"),
    }


async def test_streamed_chunks_keep_their_order_and_tell_each_place(settings: Settings) -> None:
    await topics.prepare(settings)
    told: list[tuple[int, int, int]] = []
    async with TopicWriter(settings) as writer:
        stream = Stream(
            writer,
            lambda said, places: told.extend(
                (message["at_us"], place.partition, place.offset)
                for (_, message), place in zip(said, places, strict=True)
            ),
            ahead=3,
        )
        for start in range(0, 9000, 900):
            await stream.post([("Quote", quote(f"S{n % 7}", n)) for n in range(start, start + 900)])
        await stream.finish()
    assert [number for number, _, _ in told] == list(range(9000))
    read = [read async for read in read_to_end(settings, "quotes")]
    assert sorted(told) == sorted((r.message["at_us"], r.partition, r.offset) for r in read)


async def test_seeding_again_writes_nothing_and_leaves_what_an_operator_changed(settings: Settings) -> None:
    await topics.prepare(settings)
    written = await seed(settings)
    instruments = await read_instruments(settings)
    assert set(instruments) == set(PROFILES)
    assert sorted(i["lane"] or 0 for i in instruments.values()) == sorted([0, 1, 2, 3] * 3)
    async with TopicWriter(settings) as writer:
        await writer.send("Instrument", {**instruments["AAPL"], "band_bps": 77})
    # Without a worker no position shows that cash was moved: those controls are repeated, under the same ids.
    again = await seed(settings)
    assert {kind for kind, _ in again} == {"MoveCash", "MoveHolding"}
    assert all(said in written for said in again)
    assert (await read_instruments(settings))["AAPL"]["band_bps"] == 77


async def test_generated_quotes_are_those_of_the_seed_and_come_at_the_rate(settings: Settings) -> None:
    await topics.prepare(settings)
    await seed(settings)
    seen: list[int] = []

    def progress(done: Generated) -> None:
        seen.append(done.quotes)

    done = await generate(settings, rate=1000, seed=7, count=500, progress=progress)
    assert done.quotes == seen[-1] == 500
    assert 0.45 < done.seconds < 5
    market = Market(demo_instruments(4).values(), PROFILES, seed=7, rate=1000)
    wanted = Counter(repr(sorted(({**market.next_quote(0), "at_us": 0}).items())) for _ in range(500))
    read = [r.message async for r in read_to_end(settings, "quotes")]
    assert Counter(repr(sorted(({**message, "at_us": 0}).items())) for message in read) == wanted
    with pytest.raises(MarketError, match="no instrument NOSUCH"):
        await generate(settings, symbols=["NOSUCH"], rate=1, seed=1, count=1, progress=progress)


async def test_controls_that_nobody_answers_are_an_error(settings: Settings) -> None:
    await topics.prepare(settings)
    control = (
        "ExpireDay",
        {"symbol": "S", "control_id": "c", "entered_us": 0, "entered_by": "", "door": "system"},
    )
    with pytest.raises(
        ControlsError, match=r"1 of 1 controls are not answered after 0\.5 s: is a worker running"
    ):
        await apply_controls(settings, [control], 0.5)
