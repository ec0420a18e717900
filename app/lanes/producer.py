"""A transactional producer that does not sleep where the broker is done in a millisecond.

After a commit the broker still writes the transaction's markers, and answers the next transaction's
first requests with "not yet": CONCURRENT_TRANSACTIONS, NOT_ENOUGH_REPLICAS (produce) or
COORDINATOR_NOT_AVAILABLE (offsets). aiokafka 0.14 sleeps 20 to 100 ms on these, and forgets the
coordinator on the last. Here they are asked again in 1 to 2 ms, a limited number of times.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    NotEnoughReplicasError,
    ProducerFenced,
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
# A transaction begun ahead is ended after so long without use, far below its timeout.
IDLE_S = 3.0
TRANSACTION_TIMEOUT_MS = 15_000
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
    # A group whose offsets the transaction will have, to be added before they are known.
    group_ahead = ""

    def may_hurry(self) -> bool:
        """Whether the broker may be asked again at once."""
        self._quick_tries += 1
        return self._quick_tries < QUICK_TRIES

    def transaction_ended(self) -> None:
        """A transaction went through: quick tries count anew."""
        self._quick_tries = 0

    def _maybe_do_transactional_request(self) -> "asyncio.Task[Any] | None":
        manager, group = self._txn_manager, self.group_ahead
        if group and manager.is_in_transaction() and not manager.partitions_to_add():
            self.group_ahead = ""
            if manager._txn_consumer_group is None:
                return asyncio.ensure_future(self._do_add_offsets_to_txn(group))
        task: asyncio.Task[Any] | None = super()._maybe_do_transactional_request()
        return task

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
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
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
        self._sent: set[TopicPartition] = set()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Future[None] | None = None

    async def begin_transaction(self) -> None:
        """Begins a transaction, or goes on with the one begun ahead."""
        if self._ending is not None:
            await self._ending
            self._ending = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        else:
            await super().begin_transaction()

    async def begin_ahead(self, group_id: str) -> None:
        """Begins the next transaction while there is nothing to send yet.

        The broker takes no new transaction of ours before it has written the markers of the last one; that,
        and adding partitions and group, is done while nobody waits for it. Partitions that turn out not to be
        needed cost a marker each, so only those of the last transaction are added. One that stays unused is
        ended before the broker would abort it and fence us.
        """
        sent, self._sent = self._sent, set()
        if not sent:
            return
        await super().begin_transaction()
        for partition in sent:
            self._txn_manager.maybe_add_partition_to_txn(partition)
        self._sender.group_ahead = group_id
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_S, self._end_idle)

    def _end_idle(self) -> None:
        self._idle_timer = None
        self._ending = asyncio.ensure_future(super().commit_transaction())

    async def end_ahead(self) -> None:
        """Ends a transaction begun ahead, if there is one."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._end_idle()
        if self._ending is not None:
            # Whoever has the lane now has ended it: there is nothing to lose in it.
            with suppress(ProducerFenced):
                await self._ending
            self._ending = None

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Hands a batch over; the future tells when it is written."""
        self._sent.add(TopicPartition(topic, partition))
        written: asyncio.Future[Any] = await super().send_batch(batch, topic, partition=partition)
        return written

    def filled(self, items: Sequence[Item], begin: int, timestamp_ms: int) -> tuple[BatchBuilder, int]:
        """A batch of items from one on, at least that one, and where the next batch begins.

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
        batch._relative_offset = number
        return batch, begin + number

    async def commit_transaction(self) -> None:
        """Commits; every `send_batch` future must have been awaited before.

        aiokafka commits a transaction although one of its batches failed for good.
        """
        await super().commit_transaction()
        self._sender.transaction_ended()
