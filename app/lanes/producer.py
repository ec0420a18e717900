"""A transactional producer of Kafka's second transaction protocol, that does not sleep where the broker is
done in a millisecond.

After a commit the broker still writes the transaction's markers, and answers the next transaction's
first requests with "not yet", as it does while another request adds to the same transaction. aiokafka 0.14
sleeps 50 ms on some of these answers and gives up on others. Here they are asked again in 2 ms, a limited
number of times, and after that every 50.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    NodeNotReadyError,
    NotEnoughReplicasError,
    RequestTimedOutError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import EndTxnHandler, Sender, SendProduceReqHandler, TxnOffsetCommitHandler
from aiokafka.producer.transaction_manager import PidAndEpoch, TransactionManager
from aiokafka.structs import TopicPartition

from app.lanes import protocol

NO_HEADERS: list[tuple[str, bytes]] = []
SHORTLY_S = 0.002
TRANSACTION_TIMEOUT_MS = 15_000
# So many quick tries, about a second; then the condition is something else, and aiokafka's way is right.
QUICK_TRIES = 500


class _Transactions(TransactionManager):  # type: ignore[misc]
    """aiokafka's state of a transaction; what is written or committed belongs to it without being added."""

    def maybe_add_partition_to_txn(self, tp: TopicPartition) -> None:
        assert self.is_in_transaction()
        self._txn_partitions.add(tp)

    def add_offsets_to_txn(self, offsets: Any, group_id: str) -> "asyncio.Future[None]":
        self._txn_consumer_group = group_id
        written: asyncio.Future[None] = super().add_offsets_to_txn(offsets, group_id)
        return written

    def go_on_as(self, producer_id: int, epoch: int) -> None:
        """The next transaction is of this epoch, in which every partition counts from 0."""
        self._pid_and_epoch = PidAndEpoch(producer_id, epoch)
        self._sequence_numbers.clear()


_NOT_YET = {
    CoordinatorLoadInProgressError.errno,
    CoordinatorNotAvailableError.errno,
    ConcurrentTransactions.errno,
}


class _CommitOffsets(TxnOffsetCommitHandler):  # type: ignore[misc]
    def create_request(self) -> protocol.TxnOffsetCommit:
        manager = self._sender._txn_manager
        topics: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for place, offset in sorted(self._offsets.items()):
            topics[place.topic].append((place.partition, offset.offset, offset.metadata))
        return protocol.TxnOffsetCommit(
            manager.transactional_id, self._group_id, manager.producer_id, manager.producer_epoch, topics
        )

    def handle_response(self, resp: Any) -> float | None:
        codes = {code for _, partitions in resp.errors for _, code in partitions}
        if codes and codes <= _NOT_YET and self._sender.may_hurry():
            return SHORTLY_S
        if ConcurrentTransactions.errno in codes:
            # aiokafka would end for it. What was answered otherwise is sent again, too: it is the same.
            return float(self._default_backoff)
        backoff: float | None = super().handle_response(resp)
        return backoff


class _End(EndTxnHandler):  # type: ignore[misc]
    def create_request(self) -> protocol.EndTxn:
        manager = self._sender._txn_manager
        return protocol.EndTxn(
            manager.transactional_id, manager.producer_id, manager.producer_epoch, bool(self._commit_result)
        )

    def handle_response(self, resp: Any) -> float | None:
        if not resp.error_code:
            self._sender._txn_manager.go_on_as(resp.producer_id, resp.producer_epoch)
        backoff: float | None = super().handle_response(resp)
        return backoff


class _Produce(SendProduceReqHandler):  # type: ignore[misc]
    def create_request(self) -> protocol.Produce:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for place, batch in self._batches.items():
            topics[place.topic].append((place.partition, batch.get_data_buffer()))
        sender = self._sender
        return protocol.Produce(sender._txn_manager.transactional_id, sender._request_timeout_ms, topics)

    def handle_response(self, response: Any) -> None:
        codes = {partition[1] for _, partitions in response.topics for partition in partitions}
        if NotEnoughReplicasError.errno in codes and self._sender.may_hurry():
            self._default_backoff = SHORTLY_S
        super().handle_response(response)


class _QuickSender(Sender):  # type: ignore[misc]
    """aiokafka's sender with the handlers above."""

    _quick_tries = 0

    async def start(self) -> None:
        """Begins, with an epoch of its own. Raises IncompatibleBrokerVersion, before anybody is fenced, where
        Kafka keeps to the first protocol.
        """
        level = await self._feature_level()
        if level < protocol.NEEDED:
            raise IncompatibleBrokerVersion(
                f"Kafka works with {protocol.FEATURE} {level}, lanes need {protocol.NEEDED} (Kafka 4.0 or "
                f"later): kafka-features.sh --bootstrap-server … upgrade --feature "
                f"{protocol.FEATURE}={protocol.NEEDED}"
            )
        await super().start()

    async def _feature_level(self) -> int:
        """Asks until somebody answers; whoever starts a producer says how long that may take."""
        while True:
            try:
                answer = await self.client.send(self.client.get_random_node(), protocol.Features())
                return int(answer.level(protocol.FEATURE))
            except (NodeNotReadyError, KafkaConnectionError, RequestTimedOutError):
                await self.client.force_metadata_update()
                await asyncio.sleep(SHORTLY_S)

    def may_hurry(self) -> bool:
        """Whether the broker may be asked again at once."""
        self._quick_tries += 1
        return self._quick_tries < QUICK_TRIES

    def transaction_ended(self) -> None:
        """A transaction went through: quick tries count anew."""
        self._quick_tries = 0

    async def _do_txn_offset_commit(self, offsets: dict[TopicPartition, Any], group_id: str) -> None:
        if offsets:
            node_id = await self._find_coordinator(CoordinationType.GROUP, group_id)
            await _CommitOffsets(self, offsets, group_id).do(node_id)

    async def _do_txn_commit(self, commit_result: Any) -> None:
        await self._message_accumulator.flush_for_commit()
        manager = self._txn_manager
        if manager.is_empty_transaction():
            manager.complete_transaction()
            return
        node_id = await self._find_coordinator(CoordinationType.TRANSACTION, manager.transactional_id)
        await _End(self, commit_result).do(node_id)

    async def _send_produce_req(self, node_id: int, batches: dict[TopicPartition, Any]) -> None:
        await _Produce(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        for tp in batches:
            self._muted_partitions.remove(tp)


class Filling:
    """Batches of one partition, filled record by record before their transaction begins.

    Nothing is kept of a record but its bytes in a batch.
    """

    __slots__ = ("_append", "_batches", "_count", "_create")

    def __init__(self, create: Callable[[], BatchBuilder]) -> None:
        self._create = create
        self._batches: list[BatchBuilder] = []
        self._append: Callable[..., object] = _no_room
        self._count = 0

    def add(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] = NO_HEADERS,
    ) -> None:
        """Adds a record; one that is too large for a batch gets one of its own, and the broker may decide."""
        if self._append(self._count, timestamp_ms, key=key, value=value, headers=headers) is None:
            self._begin()
            self._append(0, timestamp_ms, key=key, value=value, headers=headers)
        self._count += 1

    def take(self) -> list[BatchBuilder]:
        """The batches; what is added next begins a new one."""
        self._end()
        batches, self._batches, self._append = self._batches, [], _no_room
        return batches

    def _begin(self) -> None:
        self._end()
        self._batches.append(self._create())
        self._append = self._batches[-1]._builder.append

    def _end(self) -> None:
        if self._batches:
            self._batches[-1]._relative_offset = self._count
        self._count = 0


def _no_room(*_: object, **__: object) -> None:
    """Of a batch that was not begun."""


class LaneProducer(AIOKafkaProducer):  # type: ignore[misc]
    """One lane's producer; starting it fences whoever had the lane before and settles its transaction.

    `start` raises IncompatibleBrokerVersion where Kafka keeps to the first transaction protocol.
    """

    def __init__(self, bootstrap: str, transactional_id: str) -> None:
        super().__init__(
            bootstrap_servers=bootstrap,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=900_000,
            max_request_size=8 * 1024 * 1024,
            request_timeout_ms=15_000,
            retry_backoff_ms=50,
        )
        self._txn_manager = _Transactions(transactional_id, TRANSACTION_TIMEOUT_MS)
        self._message_accumulator._txn_manager = self._txn_manager
        self._sender: _QuickSender = _QuickSender(
            self.client,
            acks=-1,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=50,
            request_timeout_ms=15_000,
        )

    def filling(self) -> "Filling":
        """What is to be written to one partition, empty."""
        return Filling(self.create_batch)

    async def commit_transaction(self) -> None:
        """Commits; every `send_batch` future must have been awaited before.

        aiokafka commits a transaction although one of its batches failed for good.
        """
        await super().commit_transaction()
        self._sender.transaction_ended()
