"""The real servers, as every other test gets them."""

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis


async def test_kafka_commits_a_transaction(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("local-parts", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="local-parts")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait("local-parts", b"kept", partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(
        "local-parts",
        bootstrap_servers=kafka,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert record.value == b"kept"


async def test_postgres_answers_over_tcp_with_a_password(postgres: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres) as connection:
        row = await (await connection.execute("SELECT current_database(), version()")).fetchone()
    assert row is not None
    assert row[0] == "oms"
    assert row[1].startswith("PostgreSQL 18")


async def test_redis_answers(redis_url: str) -> None:
    client: Redis = Redis.from_url(redis_url)
    assert await client.incr("local-parts") == 1
    await client.aclose()
