"""What a request's body must look like. Shapes only: whether it may be done is for the pipeline to say.

Rules: an unknown field is refused by name; snake_case as in Avro, camelCase taken as well; a decimal is a
string or a JSON number whose digits are taken as written, with at most 8 decimals; enums in any case.
"""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from schemas import messages as m
from schemas.codec import defaults
from schemas.ids import CLIENT_ORDER_ID_MAX, valid_client_order_id
from schemas.numbers import format_e8, parse_e8

# Other names that producers use; the `.avsc` files know the same ones.
_ALSO = {"limit_price": ("price",), "order_type": ("type",)}
# What a decimal of precision 38 can carry on the wire.
_WIRE_MAX_E8 = 10**38 - 1


def _names(field: str) -> AliasChoices:
    return AliasChoices(field, to_camel(field), *_ALSO.get(field, ()))


def _to_e8(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('must be a decimal string, as in "187.12"')
    scaled = parse_e8(str(value))
    if abs(scaled) > _WIRE_MAX_E8:
        raise ValueError("is beyond 38 digits")
    return scaled


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    return value


def _client_order_id(value: str) -> str:
    if not valid_client_order_id(value):
        raise ValueError(f"must be 1 to {CLIENT_ORDER_ID_MAX} printable ASCII characters")
    return value


E8 = Annotated[
    int,
    BeforeValidator(_to_e8),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "decimal"}, {"type": "number"}]}),
]
Name = Annotated[str, AfterValidator(_encodable), Field(min_length=1, max_length=64)]
NewName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Text = Annotated[str, AfterValidator(_encodable), Field(max_length=256)]
ClientOrderId = Annotated[str, AfterValidator(_client_order_id)]
ControlId = Annotated[str, AfterValidator(_encodable), Field(max_length=64)]
Side = Annotated[Literal["buy", "sell"], BeforeValidator(_lower)]
OrderType = Annotated[
    Literal[
        "limit",
        "market",
        "market_to_limit",
        "stop",
        "stop_limit",
        "trailing_stop",
        "market_if_touched",
        "pegged",
    ],
    BeforeValidator(_lower),
]
TimeInForce = Annotated[
    Literal["day", "gtc", "ioc", "fok", "gtd", "at_open", "at_close", "auction", "crossing"],
    BeforeValidator(_lower),
]
Peg = Annotated[Literal["bid", "ask", "mid"], BeforeValidator(_lower)]
Prevention = Annotated[
    Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"], BeforeValidator(_lower)
]
Session = Annotated[
    Literal[
        "pre_open",
        "opening_auction",
        "continuous",
        "volatility_auction",
        "closing_auction",
        "halt",
        "closed",
    ],
    BeforeValidator(_lower),
]
Micros = Annotated[int, Field(ge=0, lt=2**63)]
AccountStatus = Annotated[Literal["active", "suspended", "closed"], BeforeValidator(_lower)]
SymbolState = Annotated[Literal["open", "halted", "closed"], BeforeValidator(_lower)]
InstrumentStatus = Annotated[Literal["active", "delisted"], BeforeValidator(_lower)]
Role = Annotated[Literal["admin", "trader", "read_only"], BeforeValidator(_lower)]
Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class Shape(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        alias_generator=AliasGenerator(validation_alias=_names),
        loc_by_alias=False,
    )


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _post_only(value: object) -> object:
    """True is the same as reject, false as nothing."""
    if isinstance(value, bool):
        return "reject" if value else None
    return _lower(value)


class LinkBody(Shape):
    """The list that an order belongs to: one cancels the others, one triggers the others, or both."""

    type: Annotated[Literal["oco", "oto", "bracket"], BeforeValidator(_lower)]
    id: ClientOrderId


class OrderBody(Shape):
    """A new order. What goes with which type: docs/matching.md."""

    model_config = _example(
        account="demo-1",
        client_order_id="my-1",
        symbol="AAPL",
        side="buy",
        order_type="limit",
        quantity="10",
        limit_price="187.12",
        time_in_force="day",
    )
    account: Name
    client_order_id: ClientOrderId | None = Field(
        None,
        description="Your own id, made when absent. The same id with the same body is the same order.",
    )
    symbol: Name
    side: Side
    order_type: OrderType = "limit"
    quantity: E8
    limit_price: E8 | None = Field(
        None, description="For limit and stop_limit orders; of a pegged one the worst price."
    )
    time_in_force: TimeInForce = "day"
    stop_price: E8 | None = Field(None, description="The price that triggers a stop.")
    trail_amount: E8 | None = Field(None, description="Distance of a trailing stop.")
    trail_percent: E8 | None = Field(None, description="The same in per cent.")
    peg: Peg | None = Field(None, description="What a pegged order follows.")
    peg_offset: E8 | None = Field(None, description="Added to that; may be negative.")
    expire_at_us: Micros | None = Field(None, description="End of a gtd order, microseconds since 1970, UTC.")
    display_quantity: E8 | None = Field(None, description="How much is shown at a time (iceberg).")
    hidden: bool = False
    min_quantity: E8 | None = Field(None, description="Trades only if at least so much of it does.")
    all_or_none: bool = False
    post_only: Annotated[Literal["reject", "reprice"] | None, BeforeValidator(_post_only)] = Field(
        None, description="May rest, must not take; true is reject."
    )
    reduce_only: bool = False
    stp: Prevention | None = Field(None, description="Self-trade prevention; absent: the instrument's.")
    stp_group: ClientOrderId | None = Field(None, description="Accounts of one group are one owner.")
    link: LinkBody | None = None

    def message(self) -> dict[str, Any]:
        """Its fields as in a NewOrder, all but the stamp."""
        plain = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        used = {name: value for name in _CARRIED if (value := getattr(self, name))}
        if self.link is not None:
            used |= {"link_type": self.link.type, "link_id": self.link.id}
        return plain | {"instructions": {**defaults("NewOrder", "instructions"), **used} if used else None}


_PLAIN_FIELDS = (
    *("account", "client_order_id", "symbol", "side", "order_type", "quantity", "limit_price"),
    "time_in_force",
)
_CARRIED = tuple(name for name in defaults("NewOrder", "instructions") if not name.startswith("link_"))


class ReplaceBody(Shape):
    """What to change of an order; what is absent stays."""

    model_config = _example(quantity="5", limit_price="187.10")
    client_order_id: ClientOrderId | None = Field(
        None, description="A new client_order_id for the order; absent: it keeps its own."
    )
    quantity: E8 | None = Field(None, description="New total quantity, what is filled included.")
    limit_price: E8 | None = None
    stop_price: E8 | None = None
    display_quantity: E8 | None = None
    time_in_force: TimeInForce | None = Field(None, description="day, gtc or gtd.")
    expire_at_us: Micros | None = None

    def changes(self) -> m.OrderChanges | None:
        """What changes beyond quantity and limit price; None: nothing."""
        made = m.OrderChanges(
            stop_price=self.stop_price,
            display_quantity=self.display_quantity,
            time_in_force=self.time_in_force,
            expire_at_us=self.expire_at_us,
        )
        return None if all(value is None for value in made.values()) else made


class CancelAllAfterBody(Shape):
    """A dead-man switch: send it again before the time is over, or every order is canceled; 0 ends it."""

    model_config = _example(account="demo-1", timeout_ms=10_000)
    account: Name
    timeout_ms: int = Field(ge=0, le=86_400_000)


class ControlBody(Shape):
    """A control; the same `control_id` is applied once."""

    control_id: ControlId = ""


class AccountBody(ControlBody):
    """Opens an account or changes its status; `cancel_orders` with it is the kill switch."""

    model_config = _example(account="demo-1", status="active", name="Demo account")
    account: NewName
    status: AccountStatus = "active"
    name: Text = ""
    cancel_orders: bool = False


class LimitsBody(ControlBody):
    """All limits of an account; 0: no limit."""

    model_config = _example(max_order_quantity="1000", max_order_notional="250000", allow_short=False)
    max_order_quantity: E8
    max_order_notional: E8
    allow_short: bool = False


class CashBody(ControlBody):
    """Cash into an account (positive) or out of it (negative)."""

    model_config = _example(currency="USD", amount="100000", text="deposit")
    currency: NewName
    amount: E8
    text: Text = ""


class HoldingBody(ControlBody):
    """Holdings into an account (positive) or out of it (negative)."""

    model_config = _example(symbol="AAPL", quantity="100", text="transfer")
    symbol: Name
    quantity: E8
    text: Text = ""


class StateBody(ControlBody):
    """Opens, halts or closes an instrument."""

    model_config = _example(state="halted", cancel_orders=False)
    state: SymbolState
    cancel_orders: bool = False


class BandBody(ControlBody):
    """Price band and quote age of an instrument; -1: back to the instrument's own, 0: none."""

    model_config = _example(band_bps=500, max_quote_age_ms=10_000)
    band_bps: Int32
    max_quote_age_ms: Int32


class SessionBody(ControlBody):
    """The session of a market; leaving a call phase uncrosses its book first."""

    model_config = _example(session="opening_auction")
    session: Session


class TradingBandBody(ControlBody):
    """The prices between which a market trades; 0: none."""

    model_config = _example(low="150", high="200")
    low: E8 = 0
    high: E8 = 0


class TickBody(Shape):
    """One step of a tick table."""

    from_price: E8
    tick_size: E8


class InstrumentBody(Shape):
    """Reference data of an instrument; replaces what was there, all but its lane."""

    model_config = _example(
        symbol="AAPL",
        name="Apple Inc.",
        currency="USD",
        ticks=[{"from_price": "0", "tick_size": "0.01"}],
        lot_size="1",
    )
    symbol: NewName
    name: Text = ""
    asset_class: Text = "equity"
    currency: NewName
    ticks: list[TickBody] = Field(min_length=1, max_length=100)
    lot_size: E8
    multiplier: E8 = 10**8
    sector: Text = ""
    status: InstrumentStatus = "active"
    lane: int | None = Field(
        None, ge=0, description="Partition of its symbol topics; never changed once set."
    )
    band_bps: Int32 = Field(1000, ge=0)
    max_quote_age_ms: Int32 = Field(10_000, ge=0)
    odd_lots: bool = Field(False, description="Whether quantities need not be multiples of the lot.")
    min_price: E8 = Field(0, ge=0)
    max_price: E8 = Field(0, ge=0)
    stp: Prevention = Field("none", description="Self-trade prevention where the taker says none.")
    allocation: Annotated[Literal["price_time", "pro_rata"], BeforeValidator(_lower)] = "price_time"
    pro_rata_min: E8 = Field(0, ge=0)
    top_order: bool = False
    static_collar_bps: Int32 = Field(0, ge=0)
    dynamic_collar_bps: Int32 = Field(0, ge=0)

    @model_validator(mode="after")
    def _ticks_rise_from_zero(self) -> "InstrumentBody":
        """A tick table with a hole or a zero step has no answer for some prices."""
        steps = [(tick.from_price, tick.tick_size) for tick in self.ticks]
        prices = [price for price, _ in steps]
        if prices[0] != 0 or prices != sorted(set(prices)) or any(size <= 0 for _, size in steps):
            raise ValueError("ticks must rise from from_price 0, each with a tick_size above 0")
        if self.lot_size <= 0 or self.multiplier <= 0:
            raise ValueError(f"lot_size {format_e8(self.lot_size)} and multiplier must be above 0")
        if self.max_price and self.max_price < self.min_price:
            raise ValueError("max_price must be 0 (none) or at least min_price")
        return self

    def message(self, at_us: int) -> m.Instrument:
        """The instrument as it is written to `oms.instruments.v1`."""
        return cast(m.Instrument, self.model_dump() | {"at_us": at_us})


class QuoteBody(Shape):
    """A quote of an outside market; 0: none."""

    model_config = _example(symbol="AAPL", bid="187.10", bid_size="300", ask="187.12", ask_size="200")
    symbol: Name
    bid: E8 = 0
    bid_size: E8 = 0
    ask: E8 = 0
    ask_size: E8 = 0
    last: E8 = 0
    last_size: E8 = 0
    venue: Text = ""


class KeyBody(Shape):
    """A new API key; `accounts` is its scope, ["*"]: all."""

    model_config = _example(name="alice", role="trader", accounts=["demo-1"])
    name: NewName
    role: Role = "trader"
    accounts: list[Name] = Field(max_length=1000)


def _no_constant(text: str) -> None:
    raise json.JSONDecodeError(f"{text} is no JSON number", text, 0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise json.JSONDecodeError(f"field {twice[:64]} is given twice", "", 0)
    return made


def exact_json(text: bytes | str) -> Any:
    """JSON whose numbers keep their digits: no float is ever made of a price.

    Raises JSONDecodeError also for a name given twice, NaN, and what is no UTF-8.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object)
    except (UnicodeDecodeError, RecursionError) as error:
        raise json.JSONDecodeError(type(error).__name__, "", 0) from None


class ExactRequest(Request):
    """A request of bounded size with exact JSON."""

    async def body(self) -> bytes:
        """The body; raises HTTPException 413 as soon as it is too large."""
        if not hasattr(self, "_body"):
            limit: int = self.app.state.parts.settings.request_bytes_max
            received = bytearray()
            async for chunk in self.stream():
                received += chunk
                if len(received) > limit:
                    raise HTTPException(413, f"the limit is {limit} bytes")
            self._body = bytes(received)
        return self._body

    async def json(self) -> Any:
        """The body; raises JSONDecodeError."""
        if not hasattr(self, "_exact"):
            self._exact = exact_json(await self.body())
        return self._exact


class ExactRoute(APIRoute):
    """Routes whose handlers get ExactRequests."""

    def get_route_handler(self) -> Any:
        """The handler, given an ExactRequest."""
        handle = super().get_route_handler()

        async def exact(request: Request) -> Any:
            return await handle(ExactRequest(request.scope, request.receive))

        return exact
