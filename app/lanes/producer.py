"""A transactional producer that does not sleep where the broker is done in a millisecond.

After a commit the broker still writes the transaction's markers, and answers the next transaction's
first requests with "not yet": CONCURRENT_TRANSACTIONS, NOT_ENOUGH_REPLICAS (produce) or
COORDINATOR_NOT_AVAILABLE (offsets). aiokafka 0.14 sleeps 20 to 100 ms on these, and forgets the
coordinator on the last. Here they are asked again in 1 to 2 ms, a limited number of times.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import (
    BACKOFF_OVERRIDE,
    AddOffsetsToTxnHandler,
    AddPartitionsToTxnHandler,
    Sender,
    SendProduceReqHandler,
    TxnOffsetCommitHandler,
)
from aiokafka.structs import TopicPartition

# A record's key, value and headers.
Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

SOON_S = 0.001
SHORTLY_S = 0.002
# So many quick tries, about a second; then the condition is something else, and aiokafka's way is right.
QUICK_TRIES = 500


class _AddPartitions(AddPartitionsToTxnHandler):  # type: ignore[misc]
    def handle_response(self, resp: Any) -> float | None:
        backoff: float | None = super().handle_response(resp)
        return SOON_S if backoff == BACKOFF_OVERRIDE and self._sender.may_hurry() else backoff


class _AddOffsets(AddOffsetsToTxnHandler):  # type: ignore[misc]
    def handle_response(self, resp: Any) -> float | None:
        if resp.error_code == ConcurrentTransactions.errno and self._sender.may_hurry():
            return SOON_S
        backoff: float | None = super().handle_response(resp)
        return backoff


class _CommitOffsets(TxnOffsetCommitHandler):  # type: ignore[misc]
    def handle_response(self, resp: Any) -> float | None:
        codes = {code for _, partitions in resp.errors for _, code in partitions}
        if codes == {CoordinatorNotAvailableError.errno} and self._sender.may_hurry():
            return SHORTLY_S
        backoff: float | None = super().handle_response(resp)
        return backoff


class _Produce(SendProduceReqHandler):  # type: ignore[misc]
    def handle_response(self, response: Any) -> None:
        codes = {partition[1] for _, partitions in response.topics for partition in partitions}
        if NotEnoughReplicasError.errno in codes and self._sender.may_hurry():
            self._default_backoff = SHORTLY_S
        super().handle_response(response)


class _QuickSender(Sender):  # type: ignore[misc]
    """aiokafka's sender with the handlers above."""

    _quick_tries = 0

    def may_hurry(self) -> bool:
        """Whether the broker may be asked again at once."""
        self._quick_tries += 1
        return self._quick_tries < QUICK_TRIES

    def transaction_ended(self) -> None:
        """A transaction went through: quick tries count anew."""
        self._quick_tries = 0

    async def _do_add_partitions_to_txn(self, tps: set[TopicPartition]) -> bool:
        node_id = await self._find_coordinator(
            CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        )
        return bool(await _AddPartitions(self, tps).do(node_id))

    async def _do_add_offsets_to_txn(self, group_id: str) -> bool:
        node_id = await self._find_coordinator(
            CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        )
        return bool(await _AddOffsets(self, group_id).do(node_id))

    async def _do_txn_offset_commit(self, offsets: dict[TopicPartition, Any], group_id: str) -> None:
        if offsets:
            node_id = await self._find_coordinator(CoordinationType.GROUP, group_id)
            await _CommitOffsets(self, offsets, group_id).do(node_id)

    async def _send_produce_req(self, node_id: int, batches: dict[TopicPartition, Any]) -> None:
        await _Produce(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        for tp in batches:
            self._muted_partitions.remove(tp)


class LaneProducer(AIOKafkaProducer):  # type: ignore[misc]
    """One lane's producer; starting it fences whoever had the lane before and settles its transaction."""

    def __init__(self, bootstrap: str, transactional_id: str) -> None:
        super().__init__(
            bootstrap_servers=bootstrap,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=15_000,
            acks="all",
            linger_ms=0,
            max_batch_size=900_000,
            max_request_size=8 * 1024 * 1024,
            request_timeout_ms=15_000,
            retry_backoff_ms=50,
        )
        self._sender: _QuickSender = _QuickSender(
            self.client,
            acks=-1,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=50,
            request_timeout_ms=15_000,
        )

    def filled(self, items: Sequence[Item], begin: int, timestamp_ms: int) -> tuple[BatchBuilder, int]:
        """A batch of items from one on, and where the next batch begins. Raises for one that fits in none.

        As `BatchBuilder.append` does it, without a Python call of its own for each record.
        """
        batch = self.create_batch()
        append = batch._builder.append
        number = 0
        for number, (key, value, headers) in enumerate(islice(items, begin, None)):
            if append(number, timestamp_ms, key=key, value=value, headers=headers) is None:
                break
        else:
            number += 1
        if not number:
            raise MessageSizeTooLargeError(f"a record is larger than {self._max_batch_size} bytes")
        batch._relative_offset = number
        return batch, begin + number

    async def commit_transaction(self) -> None:
        """Commits; every `send_batch` future must have been awaited before.

        aiokafka commits a transaction although one of its batches failed for good.
        """
        await super().commit_transaction()
        self._sender.transaction_ended()
