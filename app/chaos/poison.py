"""Records that no lane can take, or not where they are: what a broken or hostile producer may send."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from app.settings import Settings
from schemas.codec import Codec
from schemas.partitioning import lane_of
from schemas.registry import Registry

_UNKNOWN_ID = 1_999_999_999
# Below the broker's limit on a batch, 1 MiB.
_MEGABYTE = 1_000_000
_TOPICS = ("orders", "quotes", "control")


class Poison(NamedTuple):
    """A value, and how far from its right partition it goes."""

    value: bytes
    off: int = 0


Maker = Callable[[Random, bytes], Poison]


def _truncated(chance: Random, good: bytes) -> Poison:
    return Poison(good[: chance.randrange(5, len(good) - 1)])


MAKERS: dict[str, Maker] = {
    "random-bytes": lambda chance, good: Poison(chance.randbytes(chance.randrange(1, 200))),
    "truncated": _truncated,
    "trailing-bytes": lambda chance, good: Poison(good + chance.randbytes(3)),
    "unknown-schema": lambda chance, good: Poison(b"\0" + _UNKNOWN_ID.to_bytes(4, "big") + good[5:]),
    "wrong-partition": lambda chance, good: Poison(good, off=chance.randrange(1, 4)),
    "megabyte": lambda chance, good: Poison(good + b"\0" * (_MEGABYTE - len(good))),
}


async def send(settings: Settings, name: str, chance: Random, order: dict[str, Any]) -> str:
    """Sends a few of a kind between good neighbours; what was sent, in words. Raises KafkaError."""
    async with Registry(settings.endpoint("registry")) as registry:
        codec = Codec(await registry.register_all(settings.topic_prefix, settings.app_id))
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, max_request_size=2 * 1024 * 1024)
    await producer.start()
    try:
        sent = []
        for number in range(3):
            named = {**order, "client_order_id": f"{order['client_order_id']}-{number}"}
            poison = MAKERS[name](chance, codec.encode("NewOrder", named))
            lane = lane_of(order["account"], settings.partitions)
            partition = (lane + poison.off) % settings.partitions
            # Orders in a wrong partition of quotes would only be the wrong record.
            short = "orders" if poison.off else chance.choice(_TOPICS)
            await producer.send_and_wait(settings.topic(short), poison.value, b"poison", partition)
            sent.append(f"{short}-{partition}")
        return f"to {', '.join(sent)}"
    finally:
        await producer.stop()
