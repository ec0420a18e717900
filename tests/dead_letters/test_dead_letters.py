"""`oms dead-letters` on real topics: what is there, and what a replay does or refuses."""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from app.cli import cli
from app.lanes.decode import UNKNOWN_AGAIN_S
from app.settings import Settings
from app.topics import prepare
from schemas.codec import Codec, schema_text
from schemas.partitioning import lane_of
from schemas.registry import Registry
from tests.bench.workload import ONE, SYMBOLS
from tests.lanes.test_lanes import order
from tests.lanes.workers import read_all, set_up, until_answered, workers

ACCOUNT = "BENCH-001"


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the test's own system."""
    for name in ("data_dir", "kafka", "registry", "topic_prefix", "app_id"):
        monkeypatch.setenv(f"OMS_{name.upper()}", str(getattr(settings, name)))


async def oms(*arguments: str, typed: str = "") -> Result:
    """Runs `oms dead-letters ...`."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", *arguments], input=typed)


async def said(*arguments: str) -> Any:
    """What `oms dead-letters ... --json` printed."""
    done = await oms(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def refused(*arguments: str) -> str:
    """Why `oms dead-letters ...` did nothing."""
    done = await oms(*arguments)
    assert done.exit_code == 1, done.output
    return done.stderr


async def listed(count: int, *arguments: str) -> list[dict[str, Any]]:
    """The letters, once there are so many."""
    end_s = time.monotonic() + 60
    while len(found := await said("list", *arguments)) < count:
        assert time.monotonic() < end_s, found
        await asyncio.sleep(0.3)
    assert len(found) == count
    return list(found)


async def send(settings: Settings, topic: str, lane: int, *values: bytes) -> None:
    """Bytes to a partition, as a producer of whatever kind would."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    for value in values:
        await producer.send_and_wait(settings.topic(topic), value, b"key", lane)
    await producer.stop()


async def test_a_letter_is_found_shown_and_replayed_once(settings: Settings) -> None:
    ids = await prepare(settings)
    codec = Codec(ids)
    # The next id that the registry gives: of a schema that the producer forgot to register.
    unknown = max(ids.values()) + 1
    early = unknown.to_bytes(5, "big") + codec.encode(*order("early"))[5:]
    lane = lane_of(ACCOUNT, settings.partitions)
    async with workers(settings) as running:
        await set_up(settings)
        await running.start()
        # One after the other: the letters of one cycle have one time, and `--until` would part none.
        await send(settings, "orders", lane, b"no avro")
        await listed(1)
        await send(settings, "orders", lane, early, codec.encode(*order("neighbour")))
        garbage, letter = await listed(2)
        assert set(await until_answered(settings, 1)) == {(ACCOUNT, 2)}

        assert (garbage["reason"], letter["reason"]) == ("DECODE_NOT_FRAMED", "DECODE_UNKNOWN_SCHEMA")
        assert (letter["topic"], letter["partition"], letter["offset"]) == (settings.topic("orders"), lane, 1)
        assert [one["id"] for one in await said("list", "--reason", "decode_unknown_schema")] == [
            letter["id"]
        ]
        assert await said("list", "--until", letter["at"]) == [garbage]
        assert await said("list", "--topic", "quotes") == []
        shown = await said("show", letter["id"])
        assert (bytes.fromhex(shown["hex"]), shown["message"]) == (early, None)
        assert "register it" in shown["problem"]

        assert "still cannot be taken" in await refused("replay", letter["id"], "--yes")
        async with Registry(settings.registry) as registry:
            other = json.loads(schema_text("NewOrder")) | {"doc": f"As {settings.topic_prefix} has it."}
            assert await registry.register(f"{settings.topic_prefix}-other", json.dumps(other)) == unknown
        shown = await said("show", letter["id"])
        assert (shown["record"], shown["message"]["client_order_id"]) == ("NewOrder", "early")

        assert "Nothing was sent" in await refused("replay", garbage["id"], letter["id"], "--yes")
        doubted = await oms("replay", letter["id"], typed="n\n")
        assert doubted.exit_code == 1
        assert "client_order_id=early" in doubted.stderr
        assert len(await read_all(settings, "orders")) == 3

        # Workers remember for so long that the registry has no such schema.
        told_s = datetime.fromisoformat(letter["at"]).timestamp()
        await asyncio.sleep(max(0.0, told_s + UNKNOWN_AGAIN_S + 1 - time.time()))
        place = (await said("replay", letter["id"], "--yes"))["replayed_to"]
        assert (place["topic"], place["partition"]) == (settings.topic("orders"), lane)
        found = await until_answered(settings, 2)
        assert found == {(ACCOUNT, 2): 1, (ACCOUNT, place["offset"]): 1}
        assert (await said("show", letter["id"]))["replayed_to"] == place
        assert "was replayed before" in await refused("replay", letter["id"], "--yes")
        twice = (await said("replay", letter["id"], "--yes", "--again"))["replayed_to"]
        assert (await until_answered(settings, 3))[ACCOUNT, twice["offset"]] == 1
        accepted = [
            r.message for r in await read_all(settings, "events") if r.message.get("event") == "accepted"
        ]
        assert [event["client_order_id"] for event in accepted] == ["neighbour", "early"]


async def letters_of(settings: Settings, *some: Mapping[str, Any]) -> list[str]:
    """Writes dead letters as a worker would; their names."""
    codec = Codec(await prepare(settings))
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    names = []
    for one in some:
        usual = {"partition": 0, "offset": 7, "timestamp_us": 1, "key": None, "text": "", "at_us": 1}
        letter = {**usual, **one}
        sent = await producer.send_and_wait(
            settings.topic("dead-letters"), codec.encode("DeadLetter", letter), partition=1
        )
        names.append(f"{sent.partition}:{sent.offset}")
    await producer.stop()
    return names


async def test_what_cannot_work_is_refused_with_the_reason(settings: Settings) -> None:
    codec = Codec(await prepare(settings))
    quote = dict.fromkeys(("bid", "bid_size", "ask", "ask_size", "last", "last_size"), ONE)
    value = codec.encode("Quote", quote | {"symbol": SYMBOLS[3], "venue": "", "at_us": 1})
    limit = settings.request_bytes_max
    astray, gone, inner, large, foreign = await letters_of(
        settings,
        {"topic": settings.topic("quotes"), "reason": "LANE_MISROUTED", "value": value},
        {"topic": settings.topic("orders"), "reason": "DECODE_NOT_FRAMED", "value": None},
        {"topic": settings.topic("events"), "reason": "DECODE_FAILED", "value": value},
        {"topic": settings.topic("orders"), "reason": "DECODE_TOO_LARGE", "value": b"\0" * (limit + 1)},
        {"topic": settings.topic("orders"), "reason": "DECODE_WRONG_RECORD", "value": value},
    )
    assert f"'{SYMBOLS[3]}' is no instrument" in await refused("replay", astray, "--yes")
    assert "still cannot be taken" in await refused("replay", gone, "--yes")
    assert "takes nothing from outside" in await refused("replay", inner, "--yes")
    assert f"OMS_REQUEST_BYTES_MAX={limit}" in await refused("replay", large, "--yes")
    assert "carries no Quote" in await refused("replay", foreign, "--yes")
    assert "there is no dead letter 1:99" in await refused("show", "1:99")
    assert "there is no dead letter 77:0" in await refused("show", "77:0")
    assert "names no dead letter" in await refused("show", "seven")
    assert "no dead letter has it" in await refused("list", "--reason", "RISK_HALTED")
    assert "--since yesterday" in await refused("list", "--since", "yesterday")
    assert await read_all(settings, "quotes") == []

    await set_up(settings)
    done = await said("replay", astray, "--yes")
    assert done["replayed_to"]["partition"] == 3 % settings.partitions
    (sent,) = await read_all(settings, "quotes")
    assert (sent.value, sent.key) == (value, SYMBOLS[3].encode())


async def test_a_list_for_people_shows_no_control_characters(settings: Settings) -> None:
    await letters_of(
        settings,
        {"topic": settings.topic("orders"), "reason": "DECODE_FAILED", "value": b"x", "text": "\x1b[2J"},
    )
    done = await oms("list")
    assert "\x1b[2J" not in done.stdout
    assert "\\x1b[2J" in done.stdout
    assert (await oms("show", "1:0")).exit_code == 0
