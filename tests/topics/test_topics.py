"""Topics and schemas made ready, listed and read, on a real Kafka and registry."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from app.settings import Settings
from app.tail import Tailed, tail
from app.topics import TopicsError, create, facts, prepare, wanted
from schemas.codec import Codec, record_names
from schemas.topics import TOPICS
from tests.schemas.samples import sample


async def test_all_topics_and_schemas_are_made_and_nothing_changes_the_second_time(
    settings: Settings,
) -> None:
    ids = await prepare(settings)
    assert set(ids) == set(record_names())
    assert await create(settings) == []
    assert await prepare(settings) == ids
    found = {topic.name: topic for topic in await facts(settings)}
    assert list(found) == list(wanted(settings))
    assert {topic.partitions for topic in found.values()} == {settings.partitions}
    assert found[settings.topic("orders")].retention_ms is None
    assert found[settings.topic("quotes")].retention_ms == 86_400_000
    assert found[f"{settings.app_id}-accounts-changelog"].cleanup == "compact"
    assert len(found) == len(TOPICS) + 3


async def test_several_may_prepare_at_once(settings: Settings) -> None:
    made = await asyncio.gather(prepare(settings), prepare(settings), prepare(settings))
    assert made[0] == made[1] == made[2]


async def test_another_number_of_partitions_is_named(settings: Settings) -> None:
    await create(settings)
    other = settings.model_copy(update={"partitions": 3})
    with pytest.raises(
        TopicsError, match=r"must have 3 partitions \(OMS_PARTITIONS\), but .* has 4"
    ) as caught:
        await create(other)
    assert "and 12 more do not" in str(caught.value)
    assert "Set OMS_PARTITIONS to what they have" in str(caught.value)


async def test_more_replicas_than_brokers_are_refused_with_kafka_s_words(settings: Settings) -> None:
    with pytest.raises(TopicsError, match="InvalidReplicationFactor"):
        await create(settings.model_copy(update={"replication": 3}))


def test_three_replicas_need_two_that_are_written() -> None:
    assert "min.insync.replicas" not in wanted(Settings(replication=1))["oms.orders.v1"]
    assert wanted(Settings(replication=3))["oms.orders.v1"]["min.insync.replicas"] == "2"


async def test_an_absent_kafka_is_named() -> None:
    with pytest.raises(TopicsError, match=r"127.0.0.1:1: .* Check OMS_KAFKA"):
        await create(Settings(kafka="127.0.0.1:1"))


async def write(settings: Settings, *values: tuple[str, bytes | None, bytes | None]) -> None:
    """Writes (full topic name, key, value) to partition 0."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for topic, key, value in values:
            await producer.send_and_wait(topic, value, key, partition=0)


async def tailed(settings: Settings, topic: str, count: int, **how: Any) -> list[Tailed]:
    """The first records that a tail shows."""
    found: list[Tailed] = []
    async with asyncio.timeout(30), aclosing(tail(settings, topic, **how)) as records:
        while len(found) < count:
            found.append(await anext(records))
    return found


async def test_a_tail_shows_everything_also_what_cannot_be_decoded(settings: Settings) -> None:
    codec = Codec(await prepare(settings))
    orders = settings.topic("orders")
    await write(
        settings,
        (orders, b"A-1", codec.encode("NewOrder", sample("NewOrder"))),
        (orders, b"\xff\x00", b"rubbish"),
        (orders, None, b"\0\0\xff\0\0rubbish"),
        (orders, b"A-1", codec.encode("NewOrder", sample("NewOrder"))[:-1]),
        (orders, b"A-1", codec.encode("NewOrder", {**sample("NewOrder"), "entered_us": 2**62})),
        (orders, b"A-1", None),
    )
    good, bad, unknown, short, late, gone = await tailed(settings, "orders", 6, from_beginning=True)
    assert (good.topic, good.partition, good.offset, good.key, good.record) == (
        orders,
        0,
        0,
        "A-1",
        "NewOrder",
    )
    assert good.message is not None
    assert (good.message["quantity"], good.message["entered_at"]) == ("187.12", "2023-11-14T22:13:20.000000Z")
    assert bad.error.startswith("DECODE_NOT_FRAMED: value must begin")
    assert (bad.key, bytes.fromhex(bad.hex), bad.message) == ("\\xff\x00", b"rubbish", None)
    assert "has no schema 16711680" in unknown.error
    assert short.error.startswith("DECODE_FAILED: ")
    assert late.error == "a time in it is beyond the year 9999"
    assert (gone.message, gone.error, gone.hex) == (None, "", "")


async def test_a_tail_without_beginning_shows_what_comes(settings: Settings) -> None:
    codec = Codec(await prepare(settings))
    name = f"{settings.app_id}-accounts-changelog"
    rows = [codec.encode("AccountRow", {**sample("AccountRow"), "name": text}) for text in ("old", "new")]
    await write(settings, (name, b"k", rows[0]))
    coming = asyncio.create_task(tailed(settings, name, 1, partition=0))
    while not coming.done():
        await write(settings, (name, b"k", rows[1]))
        await asyncio.sleep(0.2)
    [first] = coming.result()
    assert first.message is not None
    assert first.message["name"] == "new"


async def test_a_dead_letter_s_bytes_are_shown(settings: Settings) -> None:
    codec = Codec(await prepare(settings))
    await write(
        settings, (settings.topic("dead-letters"), b"k", codec.encode("DeadLetter", sample("DeadLetter")))
    )
    [letter] = await tailed(settings, "dead-letters", 1, from_beginning=True)
    assert letter.message is not None
    assert letter.message["value"] == "00ff"


async def test_a_topic_or_partition_that_is_not_there_is_named(settings: Settings) -> None:
    await create(settings)
    with pytest.raises(TopicsError, match=r"there is no topic nope. .* orders, quotes"):
        await tailed(settings, "nope", 1)
    with pytest.raises(TopicsError, match="has partitions 0 to 3, not 9"):
        await tailed(settings, "orders", 1, partition=9)


def oms(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `oms topics ...`."""
    env = {
        **os.environ,
        "OMS_KAFKA": settings.kafka,
        "OMS_REGISTRY": settings.registry,
        "OMS_TOPIC_PREFIX": settings.topic_prefix,
        "OMS_APP_ID": settings.app_id,
    }
    command = [sys.executable, "-m", "app.cli", "topics", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_commands_create_list_and_tail(settings: Settings) -> None:
    made = oms(settings, "create")
    assert made.stdout == f"15 topics and {len(record_names())} schemas are there\n"
    listed = json.loads(oms(settings, "list", "--json").stdout)
    assert [topic["name"] for topic in listed] == list(wanted(settings))
    assert listed[0]["ends"] == [0, 0, 0, 0]
    table = oms(settings, "list").stdout
    assert settings.topic("orders") in table
    asyncio.run(write(settings, (settings.topic("orders"), b"\x1b[2J", b"rubbish")))
    line = oms(settings, "tail", "orders", "--from-beginning", "--max", "1").stdout
    assert "\\x1b[2J DECODE_NOT_FRAMED" in line
    assert "\x1b" not in line
    record = json.loads(oms(settings, "tail", "orders", "--from-beginning", "--max", "1", "--json").stdout)
    assert (record["offset"], record["hex"]) == (0, b"rubbish".hex())
    failed = oms(settings, "tail", "nope")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("there is no topic nope")
