"""Kafka's second transaction protocol (KIP-890, `transaction.version` 2), which aiokafka 0.14 does not speak.

A write adds its partition to the transaction by itself, and so does a commit of offsets: nothing is asked for
beforehand. Each end of a transaction gives its producer a new epoch, so that whatever is late belongs to a
transaction that is over and is refused; under the first protocol it could hang, or become part of the next
one. By its versions a request says that it is of this protocol: Produce 12, TxnOffsetCommit 5, EndTxn 5.

Bytes are Kafka's flexible encoding: lengths are variable and one more than they are, and each structure ends
with tagged fields, of which none is sent here. Field by field: clients/src/main/resources/common/message in
Kafka's source.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from struct import Struct
from typing import Any, ClassVar, TypeVar

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
    UnsignedVarInt32,
)

FEATURE = "transaction.version"
NEEDED = 2

Part = TypeVar("Part")
# Topic, then partition and error code of each of its partitions.
Errors = list[tuple[str, list[tuple[int, int]]]]

_NAME = CompactString("utf-8")
_NO_TAGS = b"\0"
_PRODUCE = Struct(">hi")
_PRODUCER = Struct(">qh")
_OFFSET = Struct(">iqi")
_NO_LEADER_EPOCH = -1
# Of a consumer group's member; lanes are fenced by their transactional ids.
_NO_MEMBER = Struct(">i").pack(-1) + _NAME.encode("") + _NAME.encode(None)

# What newer requests are answered with, as aiokafka knows it.
_KNOWN = {
    # PRODUCER_FENCED: INVALID_PRODUCER_EPOCH.
    90: 47,
    # TRANSACTION_ABORTABLE: INVALID_TXN_STATE. A lane never goes on after an abort.
    120: 48,
}
# A write that must wait for another one: CONCURRENT_TRANSACTIONS was NOT_ENOUGH_REPLICAS before Produce 12,
# and that is what aiokafka tries again after.
_KNOWN_OF_WRITES = {**_KNOWN, 51: 19}


def _code(code: int) -> int:
    return _KNOWN.get(code, code)


def _array(items: list[bytes]) -> bytes:
    return b"".join((UnsignedVarInt32.encode(len(items) + 1), *items))


def _by_topic(topics: Mapping[str, Sequence[Part]], write: Callable[[Part], bytes]) -> bytes:
    """What is said of partitions, under the names of their topics."""
    said = [
        _NAME.encode(topic) + _array([write(part) + _NO_TAGS for part in parts]) + _NO_TAGS
        for topic, parts in topics.items()
    ]
    return _array(said)


class _Request(RequestStruct):  # type: ignore[misc]
    """A request of one version; it writes itself."""

    API_KEY = -1
    API_VERSION = -1
    RESPONSE_TYPE = Response
    SCHEMA = Schema()
    FLEXIBLE_VERSION = True

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def encode(self) -> bytes:
        """Its bytes after the header."""
        return self._body

    def prepare(self, versions: dict[int, tuple[int, int]]) -> "_Request":
        """Itself, where the broker knows it. Raises IncompatibleBrokerVersion."""
        low, high = versions.get(self.API_KEY, (0, -1))
        if not low <= self.API_VERSION <= high:
            raise IncompatibleBrokerVersion(
                f"{type(self).__name__} needs version {self.API_VERSION}, the broker knows {low} to {high}; "
                "lanes need Kafka 4.0 or later"
            )
        return self


class ProduceResponse(Response):  # type: ignore[misc]
    """What became of each batch; `topics` as aiokafka reads it of version 8."""

    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", _NAME),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        (
                            "record_errors",
                            CompactArray(("index", Int32), ("message", _NAME), ("tags", TaggedFields)),
                        ),
                        ("error_message", _NAME),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )

    def __init__(self, topics: Any, *rest: Any) -> None:
        known = [
            (name, [(each[0], _KNOWN_OF_WRITES.get(each[1], each[1]), *each[2:7]) for each in partitions])
            for name, partitions, _ in topics
        ]
        super().__init__(known, *rest)


class Produce(_Request):
    """Batches of a transaction, all of them to be written by all copies."""

    API_KEY = 0
    API_VERSION = 12
    RESPONSE_TYPE = ProduceResponse
    required_acks: ClassVar[int] = -1

    def __init__(
        self, transactional_id: str, timeout_ms: int, topics: dict[str, list[tuple[int, bytes]]]
    ) -> None:
        head = _NAME.encode(transactional_id) + _PRODUCE.pack(self.required_acks, timeout_ms)
        super().__init__(head + _by_topic(topics, _batch) + _NO_TAGS)


def _batch(part: tuple[int, bytes]) -> bytes:
    partition, batch = part
    return b"".join((Int32.encode(partition), CompactBytes.encode(batch)))


class TxnOffsetCommitResponse(Response):  # type: ignore[misc]
    """What became of each offset."""

    API_KEY = 28
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            CompactArray(
                ("topic", _NAME),
                (
                    "partitions",
                    CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )
    errors: Errors

    def __init__(self, throttle_time_ms: int, errors: Any, tags: Any) -> None:
        known = [
            (topic, [(partition, _code(code)) for partition, code, _ in partitions])
            for topic, partitions, _ in errors
        ]
        super().__init__(throttle_time_ms, known, tags)


class TxnOffsetCommit(_Request):
    """Offsets of a group, by topic: partition, offset and metadata."""

    API_KEY = 28
    API_VERSION = 5
    RESPONSE_TYPE = TxnOffsetCommitResponse

    def __init__(
        self,
        transactional_id: str,
        group_id: str,
        producer_id: int,
        producer_epoch: int,
        topics: dict[str, list[tuple[int, int, str]]],
    ) -> None:
        head = _NAME.encode(transactional_id) + _NAME.encode(group_id)
        producer = _PRODUCER.pack(producer_id, producer_epoch)
        super().__init__(head + producer + _NO_MEMBER + _by_topic(topics, _offset) + _NO_TAGS)


def _offset(part: tuple[int, int, str]) -> bytes:
    partition, offset, metadata = part
    return b"".join((_OFFSET.pack(partition, offset, _NO_LEADER_EPOCH), _NAME.encode(metadata)))


class EndTxnResponse(Response):  # type: ignore[misc]
    """Whether a transaction ended, and who its producer is from now on."""

    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )

    def __init__(self, throttle_time_ms: int, error_code: int, *rest: Any) -> None:
        super().__init__(throttle_time_ms, _code(error_code), *rest)


class EndTxn(_Request):
    """Commits or aborts a transaction."""

    API_KEY = 26
    API_VERSION = 5
    RESPONSE_TYPE = EndTxnResponse

    def __init__(self, transactional_id: str, producer_id: int, producer_epoch: int, commit: bool) -> None:
        head = _NAME.encode(transactional_id) + _PRODUCER.pack(producer_id, producer_epoch)
        super().__init__(head + bytes((commit,)) + _NO_TAGS)


class FeaturesResponse(Response):  # type: ignore[misc]
    """ApiVersions, of which only the features are of interest."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(("key", Int16), ("low", Int16), ("high", Int16), ("tags", TaggedFields)),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )
    _FINALIZED_TAG: ClassVar[int] = 2
    _FINALIZED: ClassVar[CompactArray] = CompactArray(
        ("name", _NAME), ("high", Int16), ("low", Int16), ("tags", TaggedFields)
    )
    tags: dict[int, bytes]

    def level(self, feature: str) -> int:
        """The level at which the cluster works; 0 where it does not know the feature."""
        finalized = self._FINALIZED.decode(BytesIO(self.tags.get(self._FINALIZED_TAG, b"\1"))) or ()
        return next((high for name, high, _, _ in finalized if name == feature), 0)


class Features(_Request):
    """Asks which features a cluster has."""

    API_KEY = 18
    API_VERSION = 3
    RESPONSE_TYPE = FeaturesResponse

    def __init__(self) -> None:
        super().__init__(_NAME.encode("oms") + _NAME.encode("1") + _NO_TAGS)

    def parse_response_header(self, read_buffer: "BytesIO | bytes") -> ResponseHeader_v0:
        """Of the first version whatever the request's is, for clients that cannot know better yet."""
        return ResponseHeader_v0.decode(read_buffer)
