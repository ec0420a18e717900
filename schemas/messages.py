"""The messages and rows of every topic as typed dictionaries: what is written and what is read.

One class per `.avsc` file, field by field (a test holds them together). A decimal is an
integer scaled by 10^8, a time is microseconds since the epoch in UTC. An optional record (`instructions`,
`changes`, `terms`, `state`, `market`) may be left out when a message is written; read it is None.
"""

from typing import Literal, NotRequired, TypedDict

from schemas.reasons import Reason

Side = Literal["unknown", "buy", "sell"]
OrderType = Literal[
    "unknown",
    "limit",
    "market",
    "market_to_limit",
    "stop",
    "stop_limit",
    "trailing_stop",
    "market_if_touched",
    "pegged",
]
TimeInForce = Literal[
    "unknown", "day", "gtc", "ioc", "fok", "gtd", "at_open", "at_close", "auction", "crossing"
]
Peg = Literal["unknown", "none", "bid", "ask", "mid"]
PostOnly = Literal["unknown", "none", "reject", "reprice"]
SelfTradePrevention = Literal[
    "unknown", "unset", "none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"
]
LinkType = Literal["unknown", "none", "oco", "oto", "bracket"]
Session = Literal[
    "unknown",
    "pre_open",
    "opening_auction",
    "continuous",
    "volatility_auction",
    "closing_auction",
    "halt",
    "closed",
]
Place = Literal["unknown", "book", "triggers", "contingent", "parked", "held"]
ListStage = Literal["unknown", "open", "released", "ended"]
Allocation = Literal["unknown", "price_time", "pro_rata"]
Door = Literal["unknown", "rest", "kafka", "ws", "fix", "ui", "replay", "system"]
OrderEventType = Literal[
    "unknown",
    "accepted",
    "rejected",
    "trade",
    "canceled",
    "cancel_rejected",
    "replaced",
    "replace_rejected",
    "expired",
    "order_status",
    "triggered",
]
OrderStatus = Literal[
    "unknown",
    "new",
    "partially_filled",
    "filled",
    "canceled",
    "replaced",
    "rejected",
    "expired",
    "pending_new",
]
ExecutionType = Literal[
    "unknown", "fill", "canceled", "expired", "rejected", "replaced", "replace_rejected", "status_unknown"
]
AccountStatus = Literal["unknown", "active", "suspended", "closed"]
SymbolState = Literal["unknown", "open", "halted", "closed"]
InstrumentStatus = Literal["unknown", "active", "delisted"]
AssetKind = Literal["unknown", "cash", "holding"]
Outcome = Literal["unknown", "applied", "rejected"]


class BookLevel(TypedDict):
    """One price level."""

    price: int
    quantity: int
    orders: int


class TickStep(TypedDict):
    """One step of a tick table."""

    from_price: int
    tick_size: int


class OrderInstructions(TypedDict):
    """What an order may carry beyond type, price and time in force; 0, none, unset, False, "": not used."""

    stop_price: int
    trail_amount: int
    trail_percent: int
    peg: Peg
    peg_offset: int
    expire_at_us: int
    display_quantity: int
    hidden: bool
    min_quantity: int
    all_or_none: bool
    post_only: PostOnly
    reduce_only: bool
    stp: SelfTradePrevention
    stp_group: str
    link_id: str
    link_type: LinkType
    link_parent: str


class OrderChanges(TypedDict):
    """What a replace may change beyond quantity and limit price; None stays."""

    stop_price: int | None
    display_quantity: int | None
    time_in_force: TimeInForce | None
    expire_at_us: int | None


class OrderTerms(TypedDict):
    """What an order is after a replace changed more than quantity and limit price."""

    instructions: OrderInstructions | None
    time_in_force: TimeInForce


class OrderState(TypedDict):
    """Where an order is that does not simply rest, and how far it has come."""

    entry: int
    shown: int
    stop: int
    triggered: bool
    price: int
    place: Place


class MarketState(TypedDict):
    """What a market knows beyond its book."""

    low: int
    high: int
    last: int
    last_us: int
    bid: int
    ask: int
    static_reference: int
    limit_since_us: int
    entries: int
    indicative_price: int
    indicative_quantity: int
    indicative_imbalance: int
    session: Session
    interrupted: Session


class NewOrder(TypedDict):
    """A request to enter an order."""

    account: str
    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    limit_price: int | None
    time_in_force: TimeInForce
    entered_us: int
    entered_by: str
    door: Door
    instructions: NotRequired[OrderInstructions | None]


class CancelOrder(TypedDict):
    """A request to cancel what is left of an order."""

    account: str
    order: str
    client_order_id: str
    symbol: str
    entered_us: int
    entered_by: str
    door: Door


class ReplaceOrder(TypedDict):
    """A request to change an order."""

    account: str
    order: str
    client_order_id: str
    symbol: str
    quantity: int | None
    limit_price: int | None
    entered_us: int
    entered_by: str
    door: Door
    changes: NotRequired[OrderChanges | None]


class MassCancel(TypedDict):
    """A request to cancel every live order of an account, or those of one symbol or side."""

    account: str
    client_order_id: str
    symbol: str
    side: Side
    entered_us: int
    entered_by: str
    door: Door


class CancelAllAfter(TypedDict):
    """A dead-man switch: all live orders of the account are canceled unless it comes again in time."""

    account: str
    client_order_id: str
    timeout_ms: int
    entered_us: int
    entered_by: str
    door: Door


class SetAccount(TypedDict):
    """Opens an account or changes its status."""

    account: str
    control_id: str
    status: AccountStatus
    name: str
    cancel_orders: bool
    entered_us: int
    entered_by: str
    door: Door


class SetLimits(TypedDict):
    """Sets all limits of an account."""

    account: str
    control_id: str
    max_order_quantity: int
    max_order_notional: int
    allow_short: bool
    entered_us: int
    entered_by: str
    door: Door


class MoveCash(TypedDict):
    """Moves cash into an account (positive) or out of it (negative)."""

    account: str
    control_id: str
    currency: str
    amount: int
    text: str
    entered_us: int
    entered_by: str
    door: Door


class MoveHolding(TypedDict):
    """Moves holdings into an account (positive) or out of it (negative)."""

    account: str
    control_id: str
    symbol: str
    quantity: int
    text: str
    entered_us: int
    entered_by: str
    door: Door


class SetSymbolState(TypedDict):
    """Opens, halts or closes an instrument."""

    symbol: str
    control_id: str
    state: SymbolState
    cancel_orders: bool
    entered_us: int
    entered_by: str
    door: Door


class SetPriceBand(TypedDict):
    """Overrides an instrument's price band and quote age for risk until set again."""

    symbol: str
    control_id: str
    band_bps: int
    max_quote_age_ms: int
    entered_us: int
    entered_by: str
    door: Door


class CancelSymbol(TypedDict):
    """Cancels every resting order of an instrument."""

    symbol: str
    control_id: str
    entered_us: int
    entered_by: str
    door: Door


class ExpireDay(TypedDict):
    """End of day for an instrument: its day orders expire."""

    symbol: str
    control_id: str
    entered_us: int
    entered_by: str
    door: Door


class SetSession(TypedDict):
    """Changes the trading session of an instrument; leaving a call phase uncrosses the book first."""

    symbol: str
    control_id: str
    session: Session
    entered_us: int
    entered_by: str
    door: Door


class Uncross(TypedDict):
    """Trades what crosses in a call phase, which goes on afterwards."""

    symbol: str
    control_id: str
    entered_us: int
    entered_by: str
    door: Door


class SetTradingBand(TypedDict):
    """Sets the prices between which an instrument trades."""

    symbol: str
    control_id: str
    low: int
    high: int
    entered_us: int
    entered_by: str
    door: Door


class Quote(TypedDict):
    """Top of an outside market's book, and its last trade."""

    symbol: str
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    last: int
    last_size: int
    venue: str
    at_us: int


class ClearedOrder(TypedDict):
    """An order whose money or holding is reserved, on its way to risk and matching."""

    account: str
    client_order_id: str
    order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    limit_price: int
    time_in_force: TimeInForce
    request_offset: int
    entered_us: int
    entered_by: str
    door: Door
    instructions: NotRequired[OrderInstructions | None]


class ClearedCancel(TypedDict):
    """A cancel on its way to matching."""

    account: str
    client_order_id: str
    order_id: str
    symbol: str
    request_id: str
    reason: Reason
    request_offset: int


class ClearedReplace(TypedDict):
    """A replace whose additional money or holding is reserved, on its way to risk and matching.

    A `limit_price` of an order that has none of its own is the protection that goes with its new stop price.
    """

    account: str
    client_order_id: str
    order_id: str
    symbol: str
    request_id: str
    quantity: int
    limit_price: int
    request_offset: int
    latest_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    status: OrderStatus
    version: int
    current_quantity: int
    current_limit_price: int
    cum_quantity: int
    average_price: int
    entered_by: str
    door: Door
    instructions: NotRequired[OrderInstructions | None]
    changes: NotRequired[OrderChanges | None]


class ClearedStatusRequest(TypedDict):
    """Asks matching for the state of an order that was sent again."""

    account: str
    client_order_id: str
    order_id: str
    symbol: str
    request_offset: int


class Execution(TypedDict):
    """What an account must know of one of its orders: what was filled, or why it ended or was not changed.

    `replaced` with a reason answers no request: self-trade prevention lowered the quantity
    (MATCHING_SELF_TRADE), or the entry of a bracket that of its exit (MATCHING_LINKED).
    """

    account: str
    client_order_id: str
    execution_type: ExecutionType
    last_quantity: int
    last_price: int
    leaves_quantity: int
    quantity: int
    limit_price: int
    request_id: str
    reason: Reason
    version: int
    request_offset: int
    text: str
    terms: NotRequired[OrderTerms | None]


class OrderEvent(TypedDict):
    """One step in the life of an order (FIX ExecutionReport or OrderCancelReject)."""

    event: OrderEventType
    status: OrderStatus
    account: str
    client_order_id: str
    order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    version: int
    quantity: int
    limit_price: int
    cum_quantity: int
    leaves_quantity: int
    average_price: int
    last_quantity: int
    last_price: int
    trade_id: str
    reason: Reason
    text: str
    request_offset: int
    request_id: str
    entered_by: str
    door: Door
    at_us: int
    instructions: NotRequired[OrderInstructions | None]


class MassCancelReport(TypedDict):
    """The one answer to a MassCancel (FIX OrderMassCancelReport); each order's cancel is an OrderEvent."""

    account: str
    request_id: str
    symbol: str
    side: Side
    outcome: Outcome
    reason: Reason
    text: str
    orders: int
    request_offset: int
    entered_by: str
    door: Door
    at_us: int


class ControlReport(TypedDict):
    """The one answer to a control."""

    control: str
    account: str
    symbol: str
    control_id: str
    outcome: Outcome
    reason: Reason
    text: str
    control_offset: int
    entered_by: str
    door: Door
    at_us: int


class QuoteTaken(TypedDict):
    """A quote as a market took it, before what follows from it.

    Risk hands Quote records on to matching only for markets that need them: every one while the symbol is
    in `Matching.watched` (it has triggers or pegs, is in a call phase, or its instrument has a dynamic
    collar), and its latest before a record that may begin that (an order of such a type, SetSession,
    Uncross). Matching says this for each that changes what it knows; `last` counts only if the quote was
    logged after the market's own last trade. So whoever replays needs no quotes, only these.
    """

    symbol: str
    bid: int
    ask: int
    last: int
    at_us: int


class Trade(TypedDict):
    """One trade between a resting order (maker) and an incoming one (taker), at the maker's price."""

    trade_id: str
    symbol: str
    sequence: int
    price: int
    quantity: int
    aggressor_side: Side
    maker_account: str
    maker_client_order_id: str
    maker_order_id: str
    taker_account: str
    taker_client_order_id: str
    taker_order_id: str
    at_us: int


class SelfTradePrevented(TypedDict):
    """Two orders of one owner met and did not trade; what became of each follows as an OrderEvent."""

    symbol: str
    price: int
    quantity: int
    maker_account: str
    maker_client_order_id: str
    maker_order_id: str
    taker_account: str
    taker_client_order_id: str
    taker_order_id: str
    at_us: int


class BookUpdate(TypedDict):
    """Price levels of a book that changed, or all of them."""

    symbol: str
    sequence: int
    snapshot: bool
    bids: list[BookLevel]
    asks: list[BookLevel]
    checksum: int
    at_us: int


class SessionChange(TypedDict):
    """The session that a market is in from now on."""

    symbol: str
    session: Session
    reason: Reason
    at_us: int


class AuctionIndication(TypedDict):
    """What an uncross would do now, published during a call whenever it changes."""

    symbol: str
    price: int
    quantity: int
    imbalance: int
    at_us: int


class Position(TypedDict):
    """What an account has of one asset after a change."""

    account: str
    asset: str
    kind: AssetKind
    total: int
    reserved: int
    version: int
    at_us: int


class Instrument(TypedDict):
    """Reference data of one instrument."""

    symbol: str
    name: str
    asset_class: str
    currency: str
    ticks: list[TickStep]
    lot_size: int
    multiplier: int
    sector: str
    status: InstrumentStatus
    lane: int | None
    band_bps: int
    max_quote_age_ms: int
    at_us: int
    odd_lots: bool
    min_price: int
    max_price: int
    stp: SelfTradePrevention
    allocation: Allocation
    pro_rata_min: int
    top_order: bool
    static_collar_bps: int
    dynamic_collar_bps: int


class ReferencePrice(TypedDict):
    """The price that limits and the reservations of market orders use; at most one a second per symbol."""

    symbol: str
    price: int
    at_us: int


class DeadLetter(TypedDict):
    """A record that could not be taken, with its bytes."""

    topic: str
    partition: int
    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None
    reason: Reason
    text: str
    at_us: int


class AccountRow(TypedDict):
    """Changelog row of an account."""

    account: str
    status: AccountStatus
    name: str
    max_order_quantity: int
    max_order_notional: int
    allow_short: bool
    cancel_at_us: int
    cancel_id: str


class AssetRow(TypedDict):
    """Changelog row of one asset of an account."""

    account: str
    asset: str
    kind: AssetKind
    total: int
    reserved: int
    version: int


class AccountOrderRow(TypedDict):
    """Changelog row of an order as its account knows it."""

    account: str
    client_order_id: str
    order_id: str
    body: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price: int
    cum_quantity: int
    cum_notional: int
    reserved: int
    status: OrderStatus
    reason: Reason
    version: int
    latest_id: str
    replacing: int | None
    finished_us: int
    entered_us: int
    entered_by: str
    door: Door
    text: str
    instructions: NotRequired[OrderInstructions | None]


class AliasRow(TypedDict):
    """Changelog row of an id that a replace gave to an order, or of a control id that was applied."""

    account: str
    id: str
    client_order_id: str
    at_us: int


class RiskRow(TypedDict):
    """Changelog row of a symbol as risk knows it."""

    symbol: str
    state: SymbolState
    band_bps: int
    max_quote_age_ms: int
    bid: int
    ask: int
    last: int
    quoted_us: int
    reference_us: int
    reference_price: int


class BookRow(TypedDict):
    """Changelog row of a book's counters."""

    symbol: str
    trades: int
    updates: int
    arrivals: int
    market: NotRequired[MarketState | None]


class BookOrderRow(TypedDict):
    """Changelog row of a resting order."""

    symbol: str
    account: str
    client_order_id: str
    entry_id: str
    order_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price: int
    cum_quantity: int
    cum_notional: int
    arrival: int
    version: int
    entered_by: str
    door: Door
    instructions: NotRequired[OrderInstructions | None]
    state: NotRequired[OrderState | None]


class ListRow(TypedDict):
    """Changelog row of a list of linked orders."""

    symbol: str
    account: str
    link_id: str
    link_type: LinkType
    parent: str
    stage: ListStage
    parent_quantity: int
