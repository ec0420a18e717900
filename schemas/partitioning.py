"""The lane of a key: Kafka's murmur2 partitioner, whatever client wrote the record.

Clients disagree on partitioners (librdkafka: CRC-32; Java and aiokafka: murmur2), so the partition
that a producer chose is never trusted: a record in another lane is forwarded to the lane named here.
"""

from functools import lru_cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(key: bytes) -> int:
    """MurmurHash2 as in org.apache.kafka.common.utils.Utils, as an unsigned 32-bit integer."""
    length = len(key)
    h = _SEED ^ length
    body = length & ~3
    for i in range(0, body, 4):
        k = int.from_bytes(key[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length & 3:
        h = (h ^ int.from_bytes(key[body:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def lane_of(key: str, partitions: int) -> int:
    """Partition of an account or symbol among `partitions`."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
