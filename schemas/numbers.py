"""Exact numbers: every price, quantity and amount is an integer scaled by 10^8.

`parse_e8("187.12")` is 18_712_000_000; `format_e8` is its inverse. No float is ever made.
"""

import re
from decimal import Context, Decimal

SCALE = 8
ONE: int = 10**SCALE
# Prices and quantities stay below this so that they fit 64 bits: 90 billion.
MAX_E8 = 90 * 10**9 * ONE

# Every decimal on the wire has this precision.
_LIMIT = 10**38

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
# decimal's own context would round to 28 digits without a word.
_EXACT = Context(prec=80)


def parse_e8(text: str) -> int:
    """The scaled integer of a decimal string such as `"187.12"`.

    Raises ValueError when the text is no decimal number, has more than 8 decimals, or more digits than a
    decimal on the wire.
    """
    if len(text) > 64 or not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not a decimal number")
    scaled = Decimal(text).scaleb(SCALE, _EXACT)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{text!r} has more than {SCALE} decimals")
    if not -_LIMIT < whole < _LIMIT:
        raise ValueError(f"{text!r} is out of range")
    return whole


def format_e8(value_e8: int) -> str:
    """The shortest decimal string of a scaled integer: 18_712_000_000 is `"187.12"`."""
    sign = "-" if value_e8 < 0 else ""
    whole, fraction = divmod(abs(value_e8), ONE)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:08d}".rstrip("0")


def notional_e8(price_e8: int, quantity_e8: int, multiplier_e8: int = ONE) -> int:
    """Price x quantity x multiplier, rounded down to 10^-8 units of the currency.

    Buyer and seller of a trade use the same figure, so that cash is conserved; rounding down makes the
    parts of an order never cost more than the whole that was reserved for it.
    """
    if multiplier_e8 == ONE:
        return price_e8 * quantity_e8 // ONE
    return price_e8 * quantity_e8 * multiplier_e8 // (ONE * ONE)


def average_price_e8(sum_e16: int, quantity_e8: int) -> int:
    """Average price of fills: `sum_e16` (sum of price_e8 x quantity_e8) over quantity, half to even."""
    if quantity_e8 == 0:
        return 0
    quotient, remainder = divmod(sum_e16, quantity_e8)
    double = 2 * remainder
    if double > quantity_e8 or (double == quantity_e8 and quotient & 1):
        quotient += 1
    return quotient
