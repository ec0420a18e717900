"""The log on a real Kafka: what survives, who may write, and what a crash leaves."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.registry.kafka_log import LogError
from app.registry.refusals import Refusal
from app.registry.state import Version, schema_change
from tests.registry.conftest import Open, Running


def body(node: Any) -> dict[str, Any]:
    return {"schema": json.dumps(node)}


def contents(running: Running) -> Any:
    state = running.state
    versions = [version for subject in state.subjects() for version in state.versions(subject, deleted=True)]
    return versions, state.levels, state.modes, state.last_id


async def test_a_change_is_in_the_state_when_it_is_answered(registry: Open) -> None:
    async with registry() as running:
        version = await running.service.register("s", body("string"))
        assert running.state.versions("s") == [version]
        assert (version.id, version.version) == (1, 1)


async def test_a_restart_finds_everything(registry: Open) -> None:
    async with registry() as running:
        service = running.service
        for subject in "abc":
            await service.register(subject, body("string"))
        await service.register("b", body("bytes"))
        await service.set_level("b", "NONE")
        await service.set_level(None, "BACKWARD")
        await service.delete_subject("a", permanent=False)
        await service.delete_subject("c", permanent=False)
        await service.delete_subject("c", permanent=True)
        await service.set_mode("b", "READONLY")
        before = contents(running)
    started = time.monotonic()
    async with registry() as again:
        assert time.monotonic() - started < 2
        assert contents(again) == before


async def test_an_id_never_comes_back_for_another_schema(registry: Open, kafka: str, topic: str) -> None:
    """Not even when the log has forgotten the one that had it."""
    async with registry() as running:
        await running.service.register("s", body("string"))
        await running.service.delete_subject("s", permanent=False)
        await running.service.delete_subject("s", permanent=True)
    assert "last_id" in str(await records(kafka, topic)).lower()
    async with registry() as again:
        assert (await again.service.register("t", body("long"))).id == 2


async def test_many_at_once_get_ids_of_their_own(registry: Open) -> None:
    names = [f"R{i}" for i in range(20)]
    async with registry() as running:
        versions = await asyncio.gather(
            *(
                running.service.register("s" + name, body({"type": "enum", "name": name, "symbols": ["A"]}))
                for name in names
            )
        )
    assert sorted(version.id for version in versions) == list(range(1, 21))


async def test_the_same_schema_at_once_is_registered_once(registry: Open) -> None:
    async with registry() as running:
        versions = await asyncio.gather(*(running.service.register("s", body("string")) for _ in range(10)))
        assert len(set(versions)) == 1
        assert running.state.versions("s") == [versions[0]]


async def test_a_second_registry_takes_over_and_the_first_refuses_writes(registry: Open) -> None:
    async with registry() as first:
        await first.service.register("s", body("string"))
        async with registry() as second:
            assert contents(second) == contents(first)
            with pytest.raises(Refusal, match="taken over") as caught:
                await first.service.register("t", body("long"))
            assert (caught.value.status, caught.value.code) == (500, 50004)
            assert first.log.superseded
            written = await second.service.register("t", body("long"))
            with pytest.raises(Refusal, match="taken over"):
                await first.service.register("u", body("long"))
            async with asyncio.timeout(10), first.log._moved:
                await first.log._moved.wait_for(lambda: first.state.versions("t"))
            assert first.service.versions("t") == [written]


async def test_a_change_cut_off_before_its_commit_never_was(registry: Open, kafka: str, topic: str) -> None:
    """What a registry leaves that is killed between writing and committing."""
    async with registry() as running:
        await running.service.register("s", body("string"))
    killed = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"registry-{topic}")
    await killed.start()
    await killed.begin_transaction()
    key, value = schema_change(Version("t", 1, 2, '"long"'))
    await killed.send_and_wait(topic, json.dumps(value).encode(), json.dumps(key).encode(), partition=0)
    async with registry() as again:
        assert again.state.subjects() == ["s"]
        assert (await again.service.register("u", body("long"))).id == 2
    await killed.stop()


async def test_reads_go_on_and_writes_return_after_kafka_forgot_the_writer(registry: Open) -> None:
    """An error of unknown outcome: the next write begins from what the log says then."""
    async with registry() as running:
        await running.service.register("s", body("string"))
        await running.log._drop_producer()
        assert running.service.versions("s")
        assert (await running.service.register("t", body("long"))).id == 2


async def test_a_topic_with_more_partitions_is_refused(registry: Open, kafka: str, topic: str) -> None:
    await make(kafka, NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "compact"}))
    with pytest.raises(LogError, match=f"{topic} has 2 partitions"):
        async with registry():
            pass


async def test_a_topic_that_forgets_is_refused(registry: Open, kafka: str, topic: str) -> None:
    await make(kafka, NewTopic(topic, 1, 1))
    with pytest.raises(LogError, match=r"cleanup.policy=delete, schemas would be lost"):
        async with registry():
            pass


async def test_a_record_of_another_program_is_refused_by_offset(
    registry: Open, kafka: str, topic: str
) -> None:
    await make(kafka, NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"}))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(topic, b"{}", b'{"keytype": "NOOP"}', partition=0)
        await producer.send_and_wait(topic, b"rubbish", b"key", partition=0)
    with pytest.raises(LogError, match=f"record 1 of {topic} is not a registry's"):
        async with registry():
            pass


async def test_the_topic_is_compacted_with_one_partition(registry: Open, kafka: str, topic: str) -> None:
    async with registry() as running:
        await running.service.register("s", body("string"))
    [(key, value)] = await records(kafka, topic)
    assert key == {"keytype": "SCHEMA", "subject": "s", "version": 1, "magic": 1}
    assert value == {"subject": "s", "version": 1, "id": 1, "schema": '"string"', "deleted": False}


async def make(kafka: str, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([topic])
    await admin.close()


async def records(kafka: str, topic: str) -> list[tuple[Any, Any]]:
    """Keys and values of a topic's committed records."""
    place = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed") as consumer:
        end = (await consumer.end_offsets([place]))[place]
        consumer.assign([place])
        consumer.seek(place, 0)
        found = []
        while await consumer.position(place) < end:
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                found += [(json.loads(r.key), r.value and json.loads(r.value)) for r in batch]
        return found
