"""What matching must know of an instrument: where its prices and quantities may stand, and how it matches.

Prices, quantities and ticks are integers scaled by 10^8. The tick of a price is that of the last step
whose `from_price` is not above it; a price is *on tick* when it is a multiple of that.
"""

from dataclasses import dataclass
from typing import Literal

Prevention = Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
Allocation = Literal["price_time", "pro_rata"]


@dataclass(frozen=True)
class InstrumentRules:
    """The rules of one instrument; 0 is none for prices, quantities and collars.

    `ticks` are (from_price, tick) from the lowest price up, the first from 0.
    """

    symbol: str
    ticks: tuple[tuple[int, int], ...] = ((0, 1),)
    lot_size: int = 1
    odd_lots: bool = False
    min_price: int = 0
    max_price: int = 0
    stp: Prevention = "none"
    allocation: Allocation = "price_time"
    pro_rata_min: int = 0
    top_order: bool = False
    static_collar_bps: int = 0
    dynamic_collar_bps: int = 0

    def tick_at(self, price_e8: int) -> int:
        """Tick that holds at a price."""
        tick_e8 = self.ticks[0][1]
        for from_price_e8, step_e8 in self.ticks:
            if price_e8 >= from_price_e8:
                tick_e8 = step_e8
        return tick_e8

    def on_tick(self, price_e8: int) -> bool:
        """Whether a price is a multiple of its tick."""
        return price_e8 % self.tick_at(price_e8) == 0

    def down(self, price_e8: int) -> int:
        """The price on the tick that holds at it, not above it."""
        return price_e8 - price_e8 % self.tick_at(price_e8)

    def up(self, price_e8: int) -> int:
        """The price on the tick that holds at it, not below it."""
        return price_e8 + -price_e8 % self.tick_at(price_e8)

    def below(self, price_e8: int) -> int:
        """The next price on tick below one; 0 or less: there is none."""
        return self.down(price_e8 - 1)

    def above(self, price_e8: int) -> int:
        """The next price on tick above one."""
        return self.up(price_e8 + 1)
