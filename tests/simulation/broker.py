"""Kafka in memory, as far as lanes can see it: logs, transactions and their coordinator.

What is kept of the real one: a reader of committed records sees a partition up to its last stable offset,
without what was aborted; markers take offsets; the answer to a commit comes before its markers are written
and before the group shows its offsets; what is written belongs to the transaction without being added, and
each commit gives the producer a new epoch; starting one bumps it too, settles what its id had open, and only
then answers; whoever has an older epoch is refused; a transaction left open is aborted in the end.
Requests are methods that end in a `reply`; nothing here waits.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from random import Random
from typing import Any, NamedTuple, Protocol

from aiokafka.errors import InvalidTxnState, KafkaError, ProducerFenced

from tests.simulation.loop import Process

TRANSACTION_TIMEOUT_S = 15.0

# A topic's name and partition; a TopicPartition is equal to it.
Place = tuple[str, int]
Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
Later = Callable[..., Any]


class Lost(KafkaError):  # type: ignore[misc]
    """A fault: the connection was lost with a request, or with its answer."""


class Reply(Protocol):
    """Takes what a request comes to, once."""

    def __call__(self, result: Any = None, error: Exception | None = None) -> None:
        """The result, or the error instead."""


class Transaction:
    """What a producer wrote since it began, and what became of it."""

    __slots__ = ("committed", "offsets", "owner", "places", "records", "state", "unmarked")

    def __init__(self, owner: "Producing") -> None:
        self.owner = owner
        self.state = "open"
        self.committed = False
        self.places: set[Place] = set()
        self.offsets: dict[Place, int] = {}
        self.records = 0
        self.unmarked = 0


class Producing:
    """What the coordinator knows of a transactional id; `process` started its latest producer.

    Producers with an epoch below `fenced` have lost the id, or the transaction.
    """

    __slots__ = ("epoch", "fenced", "name", "process", "transaction", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = -1
        self.fenced = -1
        self.process: Process | None = None
        self.transaction: Transaction | None = None
        self.waiting: list[Callable[[], None]] = []


class Stored(NamedTuple):
    """A record of the log, with what lanes ask of one; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    transaction: Transaction | None

    @property
    def visible(self) -> bool:
        """Whether a reader of committed records will ever see it, as of now."""
        return self.transaction is None or self.transaction.committed


class Log:
    """One partition; None is a marker."""

    __slots__ = ("entries", "open", "watchers")

    def __init__(self, entries: Iterable[Stored | None] = ()) -> None:
        self.entries: list[Stored | None] = list(entries)
        self.open: dict[Transaction, int] = {}
        # In their order: a history must not depend on hashes.
        self.watchers: dict[Callable[[], None], None] = {}

    @property
    def stable(self) -> int:
        """The last stable offset: the first that an open transaction holds back, or the end."""
        return min(self.open.values()) if self.open else len(self.entries)

    def read(self, position: int, limit: int, *, dirty: bool = False) -> tuple[list[Stored], int]:
        """Committed records from a position on, at most so many, and where to go on; all when `dirty`."""
        found: list[Stored] = []
        entries, stable = self.entries, len(self.entries) if dirty else self.stable
        while position < stable and len(found) < limit:
            entry = entries[position]
            if entry is not None and (dirty or entry.visible):
                found.append(entry)
            position += 1
        return found, position


class Broker:
    """Logs by topic and partition, the group's offsets, and transactional ids."""

    def __init__(self, later: Later, now_us: Callable[[], int], chance: Random) -> None:
        self._later = later
        self._now_us = now_us
        self._chance = chance
        self.logs: dict[Place, Log] = {}
        self.offsets: dict[Place, int] = {}
        self.producers: dict[str, Producing] = {}
        self.aborted = 0
        # Whoever is refused because a newer producer has its id.
        self.on_refused: Callable[[Process], None] = lambda process: None
        self.on_cut: Callable[[Producing, Process], None] = lambda producing, by: None
        self.note: Callable[[str], None] = lambda text: None

    def log(self, place: Place) -> Log:
        """A partition's log, made where there is none."""
        log = self.logs.get(place)
        if log is None:
            log = self.logs[tuple(place)] = Log()  # type: ignore[index]
        return log

    def append(self, place: Place, key: bytes | None, value: bytes | None) -> int:
        """Writes a record of an outsider, outside any transaction; its offset."""
        log = self.log(place)
        offset = len(log.entries)
        log.entries.append(Stored(*place, offset, self._now_us() // 1000, key, value, [], None))
        self._news(log)
        return offset

    def _news(self, log: Log) -> None:
        for watcher in list(log.watchers):
            watcher()

    # Reading.

    def read(self, reply: Reply, positions: Mapping[Place, int], limit: int, dirty: bool = False) -> None:
        """For each partition where there is something behind the position: start, records, end."""
        found = {}
        for place, start in positions.items():
            records, end = self.log(place).read(start, limit, dirty=dirty)
            if end != start:
                found[place] = (start, records, end)
        reply(found)

    def stable_ends(self, reply: Reply, places: Iterable[Place]) -> None:
        """Last stable offsets."""
        reply({place: self.log(place).stable for place in places})

    def committed(self, reply: Reply, places: Iterable[Place]) -> None:
        """The group's offsets as they are now; -1 where there is none."""
        reply({place: self.offsets.get(place, -1) for place in places})

    # Transactions.

    def start_producer(self, reply: Reply, name: str, process: Process) -> None:
        """InitProducerId: fences the id's former owner, settles what it left open, gives a new epoch."""
        producing = self.producers.get(name)
        if producing is None:
            producing = self.producers[name] = Producing(name)
        transaction = producing.transaction
        if transaction is not None:
            if transaction.state == "open":
                self.on_cut(producing, process)
                self._fence(producing)
                self._end(producing, commit=False)
            producing.waiting.append(partial(self.start_producer, reply, name, process))
            return
        self._fence(producing)
        producing.process = process
        self.note(f"{process.name} has producer {name}, epoch {producing.epoch}")
        reply(producing.epoch)

    def _current(self, reply: Reply, name: str, epoch: int, process: Process) -> Producing | None:
        producing = self.producers[name]
        if epoch == producing.epoch:
            return producing
        self.note(f"{process.name} is refused: epoch {epoch} of {name}, which is at {producing.epoch}")
        self.on_refused(process)
        reply(error=ProducerFenced())
        return None

    @staticmethod
    def _fence(producing: Producing) -> None:
        producing.epoch += 1
        producing.fenced = producing.epoch

    def _begun(self, producing: Producing, again: Callable[[], None]) -> Transaction | None:
        """The open transaction, begun where there is none; None when it must wait for the former one."""
        transaction = producing.transaction
        if transaction is None:
            transaction = producing.transaction = Transaction(producing)
            self._later(TRANSACTION_TIMEOUT_S, self.time_out, producing, transaction)
        elif transaction.state != "open":
            producing.waiting.append(again)
            return None
        return transaction

    def produce(
        self,
        reply: Reply,
        name: str,
        epoch: int,
        process: Process,
        batches: list[tuple[Place, int, list[Item]]],
    ) -> None:
        """Appends batches (partition, timestamp in ms, items) to the transaction, which they may begin; waits
        while the former transaction's markers are being written.
        """
        producing = self._current(reply, name, epoch, process)
        if producing is None:
            return
        transaction = self._begun(producing, partial(self.produce, reply, name, epoch, process, batches))
        if transaction is None:
            return
        for place, timestamp_ms, items in batches:
            transaction.places.add(place)
            log = self.log(place)
            log.open.setdefault(transaction, len(log.entries))
            transaction.records += len(items)
            for key, value, headers in items:
                offset = len(log.entries)
                log.entries.append(Stored(*place, offset, timestamp_ms, key, value, headers, transaction))
        reply()

    def add_offsets(
        self, reply: Reply, name: str, epoch: int, process: Process, offsets: Mapping[Place, int]
    ) -> None:
        """TxnOffsetCommit."""
        producing = self._current(reply, name, epoch, process)
        if producing is None:
            return
        again = partial(self.add_offsets, reply, name, epoch, process, offsets)
        transaction = self._begun(producing, again)
        if transaction is not None:
            transaction.offsets.update({tuple(place): offset for place, offset in offsets.items()})  # type: ignore[misc]
            reply()

    def commit(self, reply: Reply, name: str, epoch: int, process: Process) -> None:
        """EndTxn: decided when answered, with the epoch to go on with; markers and offsets follow."""
        producing = self._current(reply, name, epoch, process)
        if producing is None:
            return
        if producing.transaction is None or producing.transaction.state != "open":
            reply(error=InvalidTxnState())
            return
        self._end(producing, commit=True)
        producing.epoch += 1
        reply(producing.epoch)

    def time_out(self, producing: Producing, transaction: Transaction) -> None:
        """Aborts a transaction that was open for too long, and fences its producer."""
        if producing.transaction is transaction and transaction.state == "open":
            self._fence(producing)
            self.note(f"the transaction of {producing.name} is timed out")
            self._end(producing, commit=False)

    def _end(self, producing: Producing, *, commit: bool) -> None:
        transaction = producing.transaction
        assert transaction is not None
        transaction.state = "committing" if commit else "aborting"
        transaction.committed = commit
        self.note(f"{producing.name}: {'commit' if commit else 'ABORT'} of {transaction.records} records")
        if not commit and transaction.records:
            self.aborted += 1
        places = sorted(transaction.places)
        cut = self._chance.randrange(len(places) + 1)
        parts = [part for part in (places[:cut], places[cut:]) if part]
        transaction.unmarked = len(parts) + 1
        for part in parts:
            self._later(self._delay_s(), self._mark, transaction, part)
        self._later(self._delay_s(), self._move_offsets, transaction)

    def _delay_s(self) -> float:
        return 0.0002 + 0.006 * self._chance.random() ** 3

    def _mark(self, transaction: Transaction, places: list[Place]) -> None:
        for place in places:
            log = self.log(place)
            log.entries.append(None)
            log.open.pop(transaction, None)
            if log.watchers:
                self._news(log)
        self._part_done(transaction)

    def _move_offsets(self, transaction: Transaction) -> None:
        if transaction.committed:
            self.offsets.update(transaction.offsets)
        self._part_done(transaction)

    def _part_done(self, transaction: Transaction) -> None:
        transaction.unmarked -= 1
        if transaction.unmarked:
            return
        transaction.state = "ended"
        producing = transaction.owner
        producing.transaction = None
        waiting, producing.waiting = producing.waiting, []
        for again in waiting:
            again()

    def quiet(self) -> bool:
        """Whether no transaction is under way."""
        return all(producing.transaction is None for producing in self.producers.values())

    def lag(self, places: Iterable[Place]) -> int:
        """Records that the group has not taken; what may still be aborted counts."""
        behind = 0
        for place in places:
            log = self.logs.get(place)
            if log is not None:
                start = self.offsets.get(place, 0)
                behind += sum(
                    1
                    for entry in log.entries[start:]
                    if entry is not None and (entry.visible or entry.transaction in log.open)
                )
        return behind
