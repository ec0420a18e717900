"""Messages as lanes would write them, for what reads topics: made up here, sent in transactions."""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, cast

from aiokafka import AIOKafkaProducer

from app.settings import Settings
from app.topics import prepare
from schemas import messages as m
from schemas.codec import Codec
from schemas.ids import order_id
from schemas.numbers import ONE
from schemas.partitioning import lane_of
from schemas.topics import TOPIC_OF_RECORD

START_US = 1_789_000_000_000_000
Said = tuple[str, Mapping[str, Any]]


class Log:
    """Writes what is said into the topics of the settings, as one lane's producer; makes the topics first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def __aenter__(self) -> Self:
        self.codec = Codec(await prepare(self.settings))
        self.producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka,
            transactional_id=f"{self.settings.app_id}-test",
            linger_ms=5,
            max_batch_size=262_144,
        )
        await self.producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.producer.stop()

    async def say(self, *said: Said) -> None:
        """All of it in one transaction."""
        async with self.producer.transaction():
            for kind, message in said:
                await self.bytes(kind, self.codec.encode(kind, message), key_of(kind, message))

    async def bytes(self, kind: str, value: bytes, key: str, lane: int | None = None) -> None:
        """Any bytes into the topic of a record name; to be called within a transaction of `producer`."""
        partition = lane_of(key, self.settings.partitions) if lane is None else lane
        topic = TOPIC_OF_RECORD[kind].name(self.settings.topic_prefix)
        await self.producer.send(topic, value, key.encode(), partition)


def key_of(kind: str, message: Mapping[str, Any]) -> str:
    """What the message's lane is made of: its symbol, where it has one, else its account."""
    return str(message["account"] if kind == "Position" else message.get("symbol") or message.get("account"))


def event(client_order_id: str, event: str, status: str, version: int, **fields: Any) -> m.OrderEvent:
    """An OrderEvent of a buy order for 10 AAPL at 187.12 by the account A, unless `fields` say otherwise."""
    account = fields.get("account", "A")
    message: dict[str, Any] = {
        "event": event,
        "status": status,
        "account": account,
        "client_order_id": client_order_id,
        "order_id": order_id(account, client_order_id, START_US),
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "version": version,
        "quantity": 10 * ONE,
        "limit_price": 18_712_000_000,
        "cum_quantity": 0,
        "leaves_quantity": 10 * ONE,
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": "NONE",
        "text": "",
        "request_offset": -1,
        "request_id": "",
        "entered_by": "A",
        "door": "kafka",
        "at_us": START_US + version,
    }
    return cast(m.OrderEvent, message | fields)


def accepted(client_order_id: str, **fields: Any) -> Said:
    """The order rests in the book."""
    return "OrderEvent", event(client_order_id, "accepted", "new", 1, **fields)


def filled(client_order_id: str, trade_id: str = "AAPL-1", **fields: Any) -> Said:
    """The order traded whole."""
    all_of_it: dict[str, Any] = {
        "cum_quantity": 10 * ONE,
        "leaves_quantity": 0,
        "average_price": 18_712_000_000,
        "last_quantity": 10 * ONE,
        "last_price": 18_712_000_000,
        "trade_id": trade_id,
    }
    return "OrderEvent", event(client_order_id, "trade", "filled", 2, **all_of_it | fields)


def trade(sequence: int, symbol: str = "AAPL", **fields: Any) -> Said:
    """The trade of that sequence: 10 at 187.12 between the accounts A (maker) and B."""
    message: m.Trade = {
        "trade_id": f"{symbol}-{sequence}",
        "symbol": symbol,
        "sequence": sequence,
        "price": 18_712_000_000,
        "quantity": 10 * ONE,
        "aggressor_side": "sell",
        "maker_account": "A",
        "maker_client_order_id": f"m{sequence}",
        "maker_order_id": order_id("A", f"m{sequence}", START_US),
        "taker_account": "B",
        "taker_client_order_id": f"t{sequence}",
        "taker_order_id": order_id("B", f"t{sequence}", START_US),
        "at_us": START_US + sequence,
    }
    return "Trade", {**message, **fields}


def position(account: str, asset: str, version: int, total: int, **fields: Any) -> Said:
    """What an account has of an asset, `total` in whole units."""
    message: m.Position = {
        "account": account,
        "asset": asset,
        "kind": "holding",
        "total": total * ONE,
        "reserved": 0,
        "version": version,
        "at_us": START_US + version,
    }
    return "Position", {**message, **fields}


def round_trips(sequences: Iterable[int], symbols: int = 8) -> Iterator[Said]:
    """For each sequence two orders that meet: two accepted, two filled, one trade, two positions."""
    for n in sequences:
        symbol, sequence = f"S{n % symbols}", n // symbols + 1
        for account, side in (("A", "buy"), ("B", "sell")):
            name = f"{account}{n}"
            order = {"account": account, "symbol": symbol, "side": side}
            yield accepted(name, **order)
            yield filled(name, f"{symbol}-{sequence}", **order)
            yield position(account, symbol, sequence, sequence)
        yield trade(sequence, symbol)
