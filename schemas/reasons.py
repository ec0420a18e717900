"""Why something was refused or ended: every reason, what it means and what to do about it.

The stage that says it comes first (`ACCOUNTS_...`, `RISK_...`, `MATCHING_...`; `DECODE_...` and
`LANE_...` go with dead letters). docs/reasons.md is made from this table.
"""

from typing import Literal, NamedTuple

Reason = Literal[
    "NONE",
    "UNKNOWN",
    "DECODE_FAILED",
    "DECODE_NOT_FRAMED",
    "DECODE_UNKNOWN_SCHEMA",
    "DECODE_REGISTRY_UNAVAILABLE",
    "DECODE_WRONG_RECORD",
    "DECODE_TOO_LARGE",
    "LANE_MISROUTED",
    "ACCOUNTS_INVALID_CLIENT_ORDER_ID",
    "ACCOUNTS_INVALID_SIDE",
    "ACCOUNTS_INVALID_ORDER_TYPE",
    "ACCOUNTS_INVALID_TIME_IN_FORCE",
    "ACCOUNTS_INVALID_QUANTITY",
    "ACCOUNTS_INVALID_LIMIT_PRICE",
    "ACCOUNTS_UNKNOWN_ACCOUNT",
    "ACCOUNTS_SUSPENDED",
    "ACCOUNTS_UNKNOWN_SYMBOL",
    "ACCOUNTS_INSTRUMENT_NOT_ACTIVE",
    "ACCOUNTS_DUPLICATE_ORDER",
    "ACCOUNTS_MAX_QUANTITY",
    "ACCOUNTS_MAX_NOTIONAL",
    "ACCOUNTS_INSUFFICIENT_CASH",
    "ACCOUNTS_INSUFFICIENT_HOLDING",
    "ACCOUNTS_NO_REFERENCE_PRICE",
    "ACCOUNTS_UNKNOWN_ORDER",
    "ACCOUNTS_TOO_LATE",
    "ACCOUNTS_PENDING_REPLACE",
    "ACCOUNTS_NOTHING_TO_REPLACE",
    "ACCOUNTS_NOT_REPLACEABLE",
    "ACCOUNTS_INVALID_CONTROL",
    "ACCOUNTS_DUPLICATE_CONTROL",
    "RISK_HALTED",
    "RISK_CLOSED",
    "RISK_OFF_TICK",
    "RISK_OFF_LOT",
    "RISK_NO_QUOTE",
    "RISK_STALE_QUOTE",
    "RISK_PRICE_BAND",
    "RISK_UNKNOWN_SYMBOL",
    "RISK_INVALID_CONTROL",
    "RISK_DUPLICATE_CONTROL",
    "MATCHING_UNKNOWN_ORDER",
    "MATCHING_NO_LIQUIDITY",
    "MATCHING_NOT_FILLABLE",
    "MATCHING_CANCELED_BY_REQUEST",
    "MATCHING_MASS_CANCELED",
    "MATCHING_KILL_SWITCH",
    "MATCHING_CANCELED_BY_OPERATOR",
    "MATCHING_END_OF_DAY",
    "ACCOUNTS_INVALID_INSTRUCTION",
    "ACCOUNTS_REDUCE_ONLY",
    "MATCHING_EXPIRED",
    "MATCHING_POST_ONLY",
    "MATCHING_SELF_TRADE",
    "MATCHING_LINKED",
    "MATCHING_LINK",
    "MATCHING_LINK_ENDED",
    "MATCHING_HALTED",
    "MATCHING_CLOSED",
    "MATCHING_TIME_IN_FORCE",
    "MATCHING_DUPLICATE_ORDER",
    "MATCHING_INVALID_QUANTITY",
    "MATCHING_INVALID_PRICE",
    "MATCHING_INVALID_INSTRUCTION",
    "MATCHING_PRICE_BAND",
    "MATCHING_LIMIT_STATE",
    "MATCHING_COLLAR",
    "MATCHING_NOTHING_TO_REPLACE",
    "MATCHING_NOT_REPLACEABLE",
    "MATCHING_REDUCE_ONLY",
    "MATCHING_CANCEL_ALL_AFTER",
]


class Explanation(NamedTuple):
    """What a reason means, and what to do about it."""

    meaning: str
    remedy: str


EXPLANATIONS: dict[Reason, Explanation] = {
    "NONE": Explanation(
        "Nothing was refused.",
        "",
    ),
    "UNKNOWN": Explanation(
        "A reason newer than this reader.",
        "Update the reader's schema.",
    ),
    "DECODE_FAILED": Explanation(
        "The bytes are not what their schema says.",
        "Encode with the registered schema; nothing may follow the record.",
    ),
    "DECODE_NOT_FRAMED": Explanation(
        "The bytes do not begin with a zero byte and a schema id.",
        "Use a Confluent-compatible Avro serializer.",
    ),
    "DECODE_UNKNOWN_SCHEMA": Explanation(
        "The registry knows no schema with that id.",
        "Register the schema, then send again.",
    ),
    "DECODE_REGISTRY_UNAVAILABLE": Explanation(
        "The schema is new here and the registry did not answer.",
        "Replay the dead letter once the registry is back.",
    ),
    "DECODE_WRONG_RECORD": Explanation(
        "The record is not one that this topic carries.",
        "See docs/kafka.md for the records of each topic.",
    ),
    "DECODE_TOO_LARGE": Explanation(
        "The value is larger than a request can be.",
        "Send requests below 64 KiB.",
    ),
    "LANE_MISROUTED": Explanation(
        "The record was forwarded once and is still in a wrong partition.",
        "Check that writers and workers agree on partitions and instrument lanes.",
    ),
    "ACCOUNTS_INVALID_CLIENT_ORDER_ID": Explanation(
        "The client_order_id is empty, longer than 64 characters or not printable ASCII.",
        "Choose an id of 1 to 64 printable ASCII characters.",
    ),
    "ACCOUNTS_INVALID_SIDE": Explanation(
        "The side is neither buy nor sell.",
        "Set side to buy or sell.",
    ),
    "ACCOUNTS_INVALID_ORDER_TYPE": Explanation(
        "The order type is not one that is offered.",
        "Set order_type to one of docs/matching.md.",
    ),
    "ACCOUNTS_INVALID_TIME_IN_FORCE": Explanation(
        "The time in force is not one that is offered.",
        "Set time_in_force to one of docs/matching.md.",
    ),
    "ACCOUNTS_INVALID_QUANTITY": Explanation(
        "The quantity is not above 0, or beyond what can be counted.",
        "Send a quantity between 0.00000001 and 90 billion.",
    ),
    "ACCOUNTS_INVALID_LIMIT_PRICE": Explanation(
        "A limit order lacks a price above 0, or a market order has one.",
        "Send limit_price with limit, stop_limit and pegged orders only, above 0 and below 90 billion.",
    ),
    "ACCOUNTS_UNKNOWN_ACCOUNT": Explanation(
        "No such account.",
        "Open the account first (control SetAccount).",
    ),
    "ACCOUNTS_SUSPENDED": Explanation(
        "The account is suspended or closed.",
        "Ask risk to activate the account.",
    ),
    "ACCOUNTS_UNKNOWN_SYMBOL": Explanation(
        "No such instrument.",
        "See GET /api/v1/instruments.",
    ),
    "ACCOUNTS_INSTRUMENT_NOT_ACTIVE": Explanation(
        "The instrument is not active.",
        "Trade another instrument.",
    ),
    "ACCOUNTS_DUPLICATE_ORDER": Explanation(
        "The client_order_id belongs to another order with another body.",
        "Choose a fresh client_order_id.",
    ),
    "ACCOUNTS_MAX_QUANTITY": Explanation(
        "The quantity is above the account's limit for one order.",
        "Send a smaller order, or have the limit raised.",
    ),
    "ACCOUNTS_MAX_NOTIONAL": Explanation(
        "Price x quantity is above the account's limit for one order.",
        "Send a smaller order, or have the limit raised.",
    ),
    "ACCOUNTS_INSUFFICIENT_CASH": Explanation(
        "The free cash does not cover the order.",
        "Deposit, cancel other orders, or send a smaller one.",
    ),
    "ACCOUNTS_INSUFFICIENT_HOLDING": Explanation(
        "The free holding does not cover the order, and the account may not sell short.",
        "Send a smaller order, or cancel other sells.",
    ),
    "ACCOUNTS_NO_REFERENCE_PRICE": Explanation(
        "A market order needs a reference price and there is none.",
        "Wait for a quote, or send a limit order.",
    ),
    "ACCOUNTS_UNKNOWN_ORDER": Explanation(
        "The account has no such order.",
        "Check the client_order_id.",
    ),
    "ACCOUNTS_TOO_LATE": Explanation(
        "The order is finished, or a fill of another order of its OCO has ended it.",
        "Nothing is left to cancel or replace.",
    ),
    "ACCOUNTS_PENDING_REPLACE": Explanation(
        "A replace of the order is under way.",
        "Wait for its answer, then send again.",
    ),
    "ACCOUNTS_NOTHING_TO_REPLACE": Explanation(
        "The replace changes nothing.",
        "Give a quantity, a limit_price or another field with a new value.",
    ),
    "ACCOUNTS_NOT_REPLACEABLE": Explanation(
        "A market order cannot be replaced.",
        "Cancel it instead.",
    ),
    "ACCOUNTS_INVALID_CONTROL": Explanation(
        "A value of the control is out of range.",
        "See docs/kafka.md for the control's fields.",
    ),
    "ACCOUNTS_DUPLICATE_CONTROL": Explanation(
        "A control with that control_id was applied before.",
        "Nothing to do: it was applied once.",
    ),
    "RISK_HALTED": Explanation(
        "The instrument is halted.",
        "Wait until it is open again; cancels pass.",
    ),
    "RISK_CLOSED": Explanation(
        "The instrument is closed.",
        "Wait until it is open again; cancels pass.",
    ),
    "RISK_OFF_TICK": Explanation(
        "The price is not a multiple of the tick size.",
        "Round the price to the tick.",
    ),
    "RISK_OFF_LOT": Explanation(
        "The quantity is not a multiple of the lot size.",
        "Round the quantity to the lot.",
    ),
    "RISK_NO_QUOTE": Explanation(
        "There is no quote to hold the price against.",
        "Wait for a quote.",
    ),
    "RISK_STALE_QUOTE": Explanation(
        "The latest quote is too old to hold the price against.",
        "Wait for a fresh quote.",
    ),
    "RISK_PRICE_BAND": Explanation(
        "The price is outside the band round the reference price.",
        "Send a price inside the band.",
    ),
    "RISK_UNKNOWN_SYMBOL": Explanation(
        "No such instrument.",
        "Add the instrument first.",
    ),
    "RISK_INVALID_CONTROL": Explanation(
        "A value of the control is out of range.",
        "See docs/kafka.md for the control's fields.",
    ),
    "RISK_DUPLICATE_CONTROL": Explanation(
        "A control with that control_id was applied before.",
        "Nothing to do: it was applied once.",
    ),
    "MATCHING_UNKNOWN_ORDER": Explanation(
        "The order is not in the book.",
        "It is finished; see its last event.",
    ),
    "MATCHING_NO_LIQUIDITY": Explanation(
        "Nothing to trade with within the price, and the order may not rest.",
        "Send a limit order that may rest.",
    ),
    "MATCHING_NOT_FILLABLE": Explanation(
        "A fill-or-kill order cannot be filled at once in full.",
        "Send a smaller order or another time in force.",
    ),
    "MATCHING_CANCELED_BY_REQUEST": Explanation(
        "Canceled by its owner.",
        "",
    ),
    "MATCHING_MASS_CANCELED": Explanation(
        "Canceled by a mass cancel.",
        "",
    ),
    "MATCHING_KILL_SWITCH": Explanation(
        "Canceled because the account was suspended or closed.",
        "",
    ),
    "MATCHING_CANCELED_BY_OPERATOR": Explanation(
        "Canceled with all orders of the symbol.",
        "",
    ),
    "MATCHING_END_OF_DAY": Explanation(
        "A day order at the end of its day.",
        "",
    ),
    "ACCOUNTS_INVALID_INSTRUCTION": Explanation(
        "A field does not go with the order's type or time in force, or is out of range; the text names it.",
        "Leave the field out, or send it as docs/matching.md says.",
    ),
    "ACCOUNTS_REDUCE_ONLY": Explanation(
        "A reduce-only order is larger than what the account has free, or is short of.",
        "Send a smaller order, or one without reduce_only.",
    ),
    "MATCHING_EXPIRED": Explanation(
        "Its time has come: expire_at_us, the end of its auction, or one that it must not see.",
        "",
    ),
    "MATCHING_POST_ONLY": Explanation(
        "A post-only order would have traded at once.",
        "Send a price that rests, or post_only reprice.",
    ),
    "MATCHING_SELF_TRADE": Explanation(
        "The order met one of the same owner, and self-trade prevention ended it.",
        "Choose another stp instruction if they may trade.",
    ),
    "MATCHING_LINKED": Explanation(
        "Another order of its list was filled or ended; of an exit that was replaced: its entry filled less.",
        "",
    ),
    "MATCHING_LINK": Explanation(
        "The list of that id is of another type.",
        "Choose a fresh list id.",
    ),
    "MATCHING_LINK_ENDED": Explanation(
        "The list of that id is over, or the order that this one waits for was refused.",
        "Choose a fresh list id.",
    ),
    "MATCHING_HALTED": Explanation(
        "The market is halted.",
        "Wait for another session; cancels pass.",
    ),
    "MATCHING_CLOSED": Explanation(
        "The market is closed.",
        "Wait for another session; cancels pass.",
    ),
    "MATCHING_TIME_IN_FORCE": Explanation(
        "The time in force is not taken in the present session.",
        "Send another time in force, or wait for the session.",
    ),
    "MATCHING_DUPLICATE_ORDER": Explanation(
        "A live order of the account has the id.",
        "Choose a fresh client_order_id.",
    ),
    "MATCHING_INVALID_QUANTITY": Explanation(
        "The quantity is not above 0, not a multiple of the lot, or more than its bracket's entry filled.",
        "Round the quantity to the lot; ask for no more than was filled.",
    ),
    "MATCHING_INVALID_PRICE": Explanation(
        "A price is missing, not above 0, off tick, or beyond the instrument's lowest or highest.",
        "Send prices on tick and within the instrument's range.",
    ),
    "MATCHING_INVALID_INSTRUCTION": Explanation(
        "A field does not go with the order's type or time in force.",
        "See docs/matching.md for what goes with what.",
    ),
    "MATCHING_PRICE_BAND": Explanation(
        "The price is outside the trading band.",
        "Send a price inside the band.",
    ),
    "MATCHING_LIMIT_STATE": Explanation(
        "The market stood at its band for 15 seconds.",
        "Trading begins again after five minutes, with an auction; orders are taken meanwhile.",
    ),
    "MATCHING_COLLAR": Explanation(
        "The next trade would have been too far from the last.",
        "Wait for the end of the volatility auction.",
    ),
    "MATCHING_NOTHING_TO_REPLACE": Explanation(
        "The replace changes nothing.",
        "Give a field with a new value.",
    ),
    "MATCHING_NOT_REPLACEABLE": Explanation(
        "The order has no such field to replace, or not now.",
        "Cancel it and enter another.",
    ),
    "MATCHING_REDUCE_ONLY": Explanation(
        "The order would have done more than reduce the position.",
        "Send a smaller order, or one without reduce_only.",
    ),
    "MATCHING_CANCEL_ALL_AFTER": Explanation(
        "Canceled because CancelAllAfter was not repeated in time.",
        "",
    ),
}
