"""The stage of every history: two lanes, two symbols, four accounts, and what the log may begin with."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from app.settings import Settings
from schemas.codec import Codec, record_names
from schemas.partitioning import lane_of
from schemas.records import Record
from schemas.topics import TOPIC_OF_RECORD
from tables.reference import Instruments
from tests.simulation.broker import Broker, Log, Place, Producing
from tests.tables.words import NOON_US, instrument

CODEC = Codec({record: number for number, record in enumerate(record_names(), 1)})
LANES = 2
SETTINGS = Settings(_env_file=None, kafka="none", registry="none", partitions=LANES, cycle_floor_ms=1.0)
# Two accounts of each lane.
ACCOUNTS = ("alice", "bob", "carol", "frank")
SYMBOLS = ("AAPL", "MSFT")


class Ground:
    """What the broker has when a history begins, and the time of day."""

    def __init__(self, broker: Broker | None = None, now_us: int = NOON_US) -> None:
        self.now_us = now_us
        self._logs: dict[Place, list[object]] = {}
        self._offsets: dict[Place, int] = {}
        self._epochs: dict[str, int] = {}
        if broker is not None:
            self._logs = {place: list(log.entries) for place, log in broker.logs.items()}
            self._offsets = dict(broker.offsets)
            self._epochs = {name: producing.epoch for name, producing in broker.producers.items()}

    def length(self, place: Place) -> int:
        """Where a partition ends when a history begins."""
        return len(self._logs.get(place, ()))

    def copy_to(self, broker: Broker) -> None:
        """Gives a broker what is there."""
        broker.logs = {place: Log(entries) for place, entries in self._logs.items()}  # type: ignore[arg-type]
        broker.offsets = dict(self._offsets)
        for name, epoch in self._epochs.items():
            producing = broker.producers[name] = Producing(name)
            producing.epoch = epoch


def place_of(record: Record) -> tuple[str, int]:
    """Short topic and right lane of a request, control or quote."""
    short, message = TOPIC_OF_RECORD[record.kind].short, record.message
    account = message.get("account")
    return short, SYMBOLS.index(message["symbol"]) % LANES if account is None else lane_of(account, LANES)


def messages() -> Iterator[dict[str, Any]]:
    """The instruments, each in a lane of its own."""
    for number, symbol in enumerate(SYMBOLS):
        yield instrument(symbol, max_quote_age_ms=0, lane=number % LANES)


@cache
def instruments() -> Instruments:
    """The instruments as a table."""
    found = Instruments()
    for message in messages():
        found.put(message)
    return found
