"""`oms cache` as a process, between a real Kafka and a real Redis that is flushed and killed."""

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from redis.asyncio import Redis

from app.local.redis import LocalRedis
from app.settings import Settings
from schemas.codec import defaults
from schemas.numbers import ONE
from tests.cache.test_books import ASK, BID, Desk
from tests.flow import Log, Said, accepted, event, filled, position, round_trips, trade
from tests.sink_process import SinkProcess, until


@pytest.fixture(autouse=True)
async def empty_redis(settings: Settings) -> None:
    """A long run has more tests than Redis has databases."""
    async with Redis.from_url(settings.redis) as redis:
        await redis.flushdb()


def now_us() -> int:
    return time.time_ns() // 1000


def quote(symbol: str, bid: int) -> Said:
    return "Quote", {
        "symbol": symbol,
        "bid": bid * ONE,
        "bid_size": ONE,
        "ask": (bid + 1) * ONE,
        "ask_size": ONE,
        "last": 0,
        "last_size": 0,
        "venue": "X",
        "at_us": now_us(),
    }


def instrument(symbol: str) -> Said:
    return "Instrument", {
        **defaults("Instrument"),
        "symbol": symbol,
        "name": "Apple",
        "asset_class": "equity",
        "currency": "USD",
        "ticks": [{"from_price": 0, "tick_size": ONE // 100}],
        "lot_size": ONE,
        "multiplier": ONE,
        "sector": "",
        "status": "active",
        "lane": None,
        "band_bps": 1000,
        "max_quote_age_ms": 0,
        "at_us": now_us(),
    }


async def everything(redis: Redis) -> dict[str, Any]:
    """All that the cache wrote, by key."""
    found: dict[str, Any] = {}
    async for name in redis.scan_iter(count=1000):
        key = name.decode()
        kind = cast(bytes, await redis.type(key)).decode()
        if key.startswith("cache:"):
            continue
        if kind == "hash":
            found[key] = await redis.hgetall(key)
        elif kind == "set":
            found[key] = await redis.smembers(key)
        else:
            found[key] = await redis.get(key)
    return found


async def some_of_all(log: Log) -> Desk:
    """Says something for every kind of key."""
    desk = Desk()
    desk.rest("buy", BID, 5)
    first = desk.update()
    desk.rest("sell", ASK, 3)
    at = now_us()
    await log.say(
        instrument("AAPL"),
        quote("AAPL", 187),
        quote("AAPL", 188),
        ("ReferencePrice", {"symbol": "AAPL", "price": 188 * ONE, "at_us": at}),
        ("BookUpdate", first),
        ("BookUpdate", desk.update()),
        accepted("live", at_us=at),
        accepted("done", at_us=at),
        filled("done", at_us=at + 1),
        trade(1),
        position("A", "AAPL", 1, 10),
        position("A", "USD", 1, 1000, kind="cash"),
    )
    return desk


async def test_every_key_is_as_the_layout_says(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis:
        await some_of_all(log)
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()
        found = await everything(redis)
        live, done = (str(accepted(name)[1]["order_id"]) for name in ("live", "done"))
        assert orjson.loads(found["quote:AAPL"])["bid"] == "188"
        assert orjson.loads(found["reference:AAPL"])["price"] == "188"
        assert orjson.loads(found["instrument:AAPL"])["ticks"] == [{"from_price": "0", "tick_size": "0.01"}]
        assert found["instruments"] == {b"AAPL"}
        book = orjson.loads(found["book:AAPL"])
        assert (book["sequence"], book["bids"], book["asks"]) == (
            2,
            [["187.12", "5", 1]],
            [["187.13", "3", 1]],
        )
        assert orjson.loads(found[f"order:{live}"])["status"] == "new"
        assert orjson.loads(found[f"order:{done}"])["cum_quantity"] == "10"
        assert found["orders:live:A"] == {live.encode()}
        assert found["client:A:done"] == done.encode()
        assert 0 < await redis.ttl(f"order:{done}") <= 3600
        assert await redis.ttl(f"order:{live}") == -1
        assert {asset: orjson.loads(value)["total"] for asset, value in found["position:A"].items()} == {
            b"AAPL": "10",
            b"USD": "1000",
        }
        assert await redis.exists("cache:ready")
        assert await cache.stop() == 0


async def test_a_flushed_redis_is_filled_again_without_telling_old_news(
    settings: Settings, tmp_path: Path
) -> None:
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis, redis.pubsub() as news:
        desk = await some_of_all(log)
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()
        before = await everything(redis)
        await news.subscribe("orders.A", "trades.AAPL", "books.AAPL", "quotes.AAPL")
        await redis.flushdb()
        await until(lambda: _is(redis, before))
        desk.rest("buy", BID, 1)
        await log.say(trade(2), ("BookUpdate", desk.update()), quote("AAPL", 190))
        told = await heard(news, 3)
        assert {(channel, message.get("sequence")) for channel, message in told} == {
            ("trades.AAPL", 2),
            ("books.AAPL", 3),
            ("quotes.AAPL", None),
        }
        await cache.stop()


async def _is(redis: Redis, expected: dict[str, Any]) -> bool:
    return bool(await redis.exists("cache:ready")) and await everything(redis) == expected


async def heard(news: Any, at_least: int) -> list[tuple[str, dict[str, Any]]]:
    """Messages to subscribers, until there are so many and then a moment without any."""
    found: list[tuple[str, dict[str, Any]]] = []
    end = time.monotonic() + 15
    while time.monotonic() < end:
        message = await news.get_message(ignore_subscribe_messages=True, timeout=0.5)
        if message is not None:
            found.append((message["channel"].decode(), orjson.loads(message["data"])))
        elif len(found) >= at_least:
            break
    return found


async def test_a_killed_redis_is_filled_again(settings: Settings, tmp_path: Path) -> None:
    async with LocalRedis(tmp_path / "own") as server, Log(settings) as log:
        own = settings.model_copy(update={"redis": server.url})
        await some_of_all(log)
        cache = SinkProcess("cache", own, tmp_path)
        await cache.ready()
        async with Redis.from_url(server.url) as redis:
            before = await everything(redis)
        assert server._child is not None
        server._child.kill()
        await cache.waits_for("Redis")
        await server.start()
        async with Redis.from_url(server.url) as redis:
            await until(lambda: _is(redis, before))
        await cache.ready()
        assert await cache.stop() == 0


async def test_kills_of_the_cache_tell_every_event_and_end_with_the_same_values(
    settings: Settings, tmp_path: Path
) -> None:
    trips = 240
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis, redis.pubsub() as news:
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()
        await news.subscribe("orders.A")
        told: list[tuple[str, dict[str, Any]]] = []
        for number in range(3):
            await log.say(*round_trips(range(number * 80, (number + 1) * 80)))
            await asyncio.sleep(0.02 * number)
            cache.kill()
            cache = SinkProcess("cache", settings, tmp_path)
            await cache.ready()
            told += await heard(news, 0)
        versions = [(message["client_order_id"], message["version"]) for _, message in told]
        assert sorted(set(versions)) == sorted(versions)
        assert len(versions) == 2 * trips
        positions = await redis.hgetall("position:A")
        assert {orjson.loads(value)["total"] for value in positions.values()} == {str(trips // 8)}
        assert not await redis.exists("orders:live:A")
        assert await cache.stop() == 0


async def test_who_subscribes_first_and_then_reads_misses_no_update(
    settings: Settings, tmp_path: Path
) -> None:
    desk = Desk()
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis, redis.pubsub() as news:
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()

        async def keep_trading() -> None:
            for _ in range(40):
                updates: list[Said] = []
                for _ in range(3):
                    desk.rest("buy", BID, 1)
                    updates.append(("BookUpdate", desk.update()))
                await log.say(*updates)

        trading = asyncio.create_task(keep_trading())
        await until(lambda: _sequence_above(redis, 9))
        await news.subscribe("books.AAPL")
        await news.get_message(timeout=1)
        snapshot = orjson.loads(await redis.get("book:AAPL") or b"")
        await trading
        told = [message["sequence"] for _, message in await heard(news, 1)]
        missing = [sequence for sequence in range(snapshot["sequence"] + 1, 121) if sequence not in told]
        assert missing == []
        assert told == list(range(told[0], 121))
        await cache.stop()


async def _sequence_above(redis: Redis, sequence: int) -> bool:
    value = await redis.get("book:AAPL")
    return value is not None and orjson.loads(value)["sequence"] > sequence


async def test_a_gap_in_a_book_is_shown_until_the_next_snapshot(settings: Settings, tmp_path: Path) -> None:
    desk = Desk()
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis:
        desk.rest("buy", BID, 1)
        first = desk.update()
        desk.rest("buy", BID, 1)
        desk.update()  # never written
        desk.rest("buy", BID, 1)
        await log.say(("BookUpdate", first), ("BookUpdate", desk.update()))
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()
        stale = orjson.loads(await redis.get("book:AAPL") or b"")
        assert (stale["stale"], stale["sequence"]) == (True, 1)
        desk.market.snapshot_due = True
        desk.rest("buy", BID, 1)
        await log.say(("BookUpdate", desk.update()))
        await until(lambda: _sequence_above(redis, 3))
        whole = orjson.loads(await redis.get("book:AAPL") or b"")
        assert (whole["stale"], whole["bids"]) == (False, [["187.12", "4", 4]])
        await cache.stop()


async def test_a_second_process_waits_for_the_lease(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis:
        first = SinkProcess("cache", settings, tmp_path / "1")
        await first.ready()
        second = SinkProcess("cache", settings, tmp_path / "2")
        await second.waits_for("standby")
        first.kill()
        await log.say(quote("AAPL", 187))
        await second.ready()
        assert orjson.loads(await redis.get("quote:AAPL") or b"")["bid"] == "187"
        assert await second.stop() == 0
        assert not await redis.exists("cache:writer")


async def test_it_ends_when_asked_in_the_middle_of_traffic(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log:

        async def keep_trading() -> None:
            desk = Desk()
            while True:
                desk.rest("buy", BID, 1)
                await log.say(("BookUpdate", desk.update()), accepted(str(desk.orders), at_us=now_us()))

        trading = asyncio.create_task(keep_trading())
        for _ in range(3):
            cache = SinkProcess("cache", settings, tmp_path)
            await cache.ready()
            assert await cache.stop() == 0
        assert not trading.done()
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)


async def test_the_cache_of_another_kafka_is_refused(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings), Redis.from_url(settings.redis) as redis:
        await redis.hset("cache:positions", "events:0", 1000)
        cache = SinkProcess("cache", settings, tmp_path)
        await until(cache.ended)
        assert cache.child.code == 1
        assert "filled from another Kafka" in cache.child.last_words()
        cache.kill()


async def test_answers_that_change_no_order_reach_subscribers(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log, Redis.from_url(settings.redis) as redis, redis.pubsub() as news:
        cache = SinkProcess("cache", settings, tmp_path)
        await cache.ready()
        await news.subscribe("orders.A")
        for kind in ("order_status", "cancel_rejected"):
            await log.say(("OrderEvent", event("1", kind, "new", 1)))
        told = await heard(news, 2)
        assert [message["event"] for _, message in told] == ["order_status", "cancel_rejected"]
        assert await everything(redis) == {}
        await cache.stop()
