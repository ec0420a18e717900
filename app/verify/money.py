"""I8: what accounts have is what was moved in and traded; what is reserved is what live orders need.

Cash of a trade is price x quantity x multiplier, rounded down, the same for both sides, so that cash is
conserved. Buyers hold limit price x open quantity, sellers the open quantity; the members of an OCO, and the
exits of a bracket, hold of an asset what the one of them needs that needs most. An exit that sells needs no
more than what its entry has bought. A Position follows its trades by a cycle or two: for an asset that moved
after verifying began, each state on the way is right, and its reserve is not compared. Also I10: cash is
never below what is reserved, holdings neither, unless the account may sell short.
"""

from collections.abc import Iterator, Mapping

from app.verify.findings import Findings
from app.verify.markets import Markets
from app.verify.orders import Order
from app.verify.records import Message, Place, Seen, Snapshot, Source
from schemas.numbers import format_e8

# Account, kind ("cash", "holding"), currency or symbol.
Asset = tuple[str, str, str]


class _Sum:
    """What one asset should be: the sum of the snapshot, and what came later as (at_us, amount, place)."""

    __slots__ = ("last", "later", "total_e8")

    def __init__(self) -> None:
        self.total_e8 = 0
        self.later: list[tuple[int, int, Place]] = []
        self.last: Place | None = None

    def states(self) -> Iterator[int]:
        """Every total that is right, the latest last."""
        total_e8 = self.total_e8
        yield total_e8
        for _, amount_e8, _ in sorted(self.later):
            total_e8 += amount_e8
            yield total_e8


class Money:
    """Sums trades and movements per asset, and holds positions against them."""

    def __init__(self, findings: Findings, markets: Markets, snapshot: Snapshot) -> None:
        self._findings = findings
        self._markets = markets
        self._snapshot = snapshot
        self._sums: dict[Asset, _Sum] = {}
        self._positions: dict[Asset, Seen] = {}
        self._may_short: set[str] = set()
        # Accounts of which something happened after verifying began, and where that is told last.
        self.moving: dict[str, dict[Source, Place]] = {}
        self._wrong_assets: set[Asset] = set()
        # Of orders for which accounts hold another price than the order's limit, that price.
        self.held: dict[str, int] = {}

    def touch(self, account: str, place: Place) -> None:
        """Notes that something happened to an account."""
        if not self._snapshot.has(place):
            self.moving.setdefault(account, {})[place[:2]] = place

    def settle(self) -> None:
        """The snapshot moved on: what it has now moves no longer."""
        for account, places in list(self.moving.items()):
            if all(self._snapshot.has(place) for place in places.values()):
                del self.moving[account]
        for sum_ in self._sums.values():
            if sum_.later:
                sum_.total_e8 += sum(
                    amount_e8 for _, amount_e8, place in sum_.later if self._snapshot.has(place)
                )
                sum_.later = [each for each in sum_.later if not self._snapshot.has(each[2])]

    def trade(self, seen: Seen, taker_side: str) -> None:
        """Takes a Trade: what it costs and brings to both sides."""
        trade = seen.message
        symbol, quantity_e8 = trade["symbol"], trade["quantity"]
        cost_e8 = self._markets.notional_e8(symbol, trade["price"], quantity_e8)
        sign = 1 if taker_side == "buy" else -1
        for account, buys in ((trade["taker_account"], sign), (trade["maker_account"], -sign)):
            self._move((account, "holding", symbol), buys * quantity_e8, seen)
            self._move((account, "cash", self._markets.currency(symbol)), -buys * cost_e8, seen)

    def control(self, control: Message, kind: str, report: Seen) -> None:
        """Takes an applied control of an account."""
        account = control["account"]
        if kind == "MoveCash":
            self._move((account, "cash", control["currency"]), control["amount"], report)
        elif kind == "MoveHolding":
            self._move((account, "holding", control["symbol"]), control["quantity"], report)

    def _move(self, asset: Asset, amount_e8: int, by: Seen) -> None:
        sum_ = self._sums.get(asset)
        if sum_ is None:
            sum_ = self._sums[asset] = _Sum()
        sum_.last = by.place
        if self._snapshot.has(by.place):
            sum_.total_e8 += amount_e8
        else:
            sum_.later.append((by.message["at_us"], amount_e8, by.place))
            self.touch(asset[0], by.place)

    def taken(self, command: Message, word: Message) -> None:
        """Takes a command that matching took, and what it said: at which price accounts hold.

        That is what they cleared: the worst price of an order without a limit, the limit that a post-only
        order had before it was repriced. A replaced limit they know by what matching said.
        """
        limited = command["order_type"] in ("limit", "stop_limit")
        cleared_e8 = (
            word["limit_price"] if limited and word["event"] == "replaced" else command["limit_price"]
        )
        if cleared_e8 not in (0, word["limit_price"]):
            self.held[command["order_id"]] = cleared_e8
        elif limited:
            self.held.pop(command["order_id"], None)

    def ended(self, order_id: str) -> None:
        """An order holds nothing any more."""
        self.held.pop(order_id, None)

    def may_short(self, account: str) -> None:
        """Notes that the account was ever allowed to sell short, applied or not."""
        self._may_short.add(account)

    def position(self, seen: Seen) -> None:
        """Takes a Position."""
        position = seen.message
        asset = (position["account"], position["kind"], position["asset"])
        before = self._positions.get(asset)
        if before is not None and position["version"] <= before.message["version"]:
            text = f"{_named(asset)} has version {position['version']} after {before.message['version']}"
            self._findings.wrong("I8", text, [before.place, seen.place])
            return
        self._positions[asset] = seen
        self.touch(position["account"], seen.place)
        self._findings.check("I10")
        free_e8 = position["total"] - position["reserved"]
        short = position["kind"] == "holding" and position["account"] in self._may_short
        if position["reserved"] < 0 or (free_e8 < 0 and not short):
            reserved = format_e8(position["reserved"])
            text = f"{_named(asset)} has {format_e8(position['total'])}, reserved {reserved}"
            self._findings.wrong("I10", text, [seen.place])

    # The end.

    def waiting(self) -> Iterator[Asset]:
        """Assets whose positions are not what they should be, of accounts that do not move."""
        return (asset for asset in self._sums if asset[0] not in self.moving and not self._fits(asset))

    def _fits(self, asset: Asset) -> bool:
        position = self._positions.get(asset)
        total_e8 = 0 if position is None else position.message["total"]
        sum_ = self._sums.get(asset)
        return total_e8 == 0 if sum_ is None else total_e8 in sum_.states()

    def positions(self) -> dict[Asset, Seen]:
        """The latest Position of each asset."""
        return self._positions

    def overdue(self, live: Mapping[str, Order]) -> int:
        """Holds positions against sums and live orders; how many could not be, for their accounts move."""
        needs = self._needs(live)
        moving = 0
        for asset in {**dict.fromkeys(self._sums), **dict.fromkeys(self._positions), **dict.fromkeys(needs)}:
            if asset[0] in self.moving:
                moving += not self._fits(asset)
                self._findings.check("I8", self._fits(asset))
            elif asset not in self._wrong_assets:
                self._findings.check("I8")
                self._check_total(asset)
                self._check_reserved(asset, needs.get(asset, 0))
        return moving

    def finish(self, live: Mapping[str, Order]) -> None:
        """Holds every position against sums and live orders."""
        moving = self.overdue(live)
        if moving:
            self._findings.notes.append(f"I8: {moving} positions moved meanwhile and were not compared")

    def _check_total(self, asset: Asset) -> None:
        if self._fits(asset):
            return
        position, sum_ = self._positions.get(asset), self._sums.get(asset)
        told = "no position" if position is None else format_e8(position.message["total"])
        right_e8 = 0 if sum_ is None else sum_.total_e8
        places = [None if sum_ is None else sum_.last, None if position is None else position.place]
        self._wrong_assets.add(asset)
        text = f"{_named(asset)} has {told}, fills and movements sum to {format_e8(right_e8)}"
        self._findings.wrong("I8", text, places)

    def _check_reserved(self, asset: Asset, need_e8: int) -> None:
        position = self._positions.get(asset)
        reserved_e8 = 0 if position is None else position.message["reserved"]
        if reserved_e8 != need_e8:
            self._wrong_assets.add(asset)
            places = [] if position is None else [position.place]
            told = f"reserves {format_e8(reserved_e8)}, live orders need {format_e8(need_e8)}"
            self._findings.wrong("I8", f"{_named(asset)} {told}", places)

    def _needs(self, live: Mapping[str, Order]) -> dict[Asset, int]:
        needs: dict[Asset, int] = {}
        shared: dict[tuple[Asset, str, tuple[str, str]], int] = {}
        for order_id, order in live.items():
            symbol = order.symbol
            if order.side == "buy":
                asset = (order.account, "cash", self._markets.currency(symbol))
                price_e8 = self.held.get(order_id, order.limit_price_e8)
                need_e8 = self._markets.notional_e8(symbol, price_e8, order.leaves_e8)
            else:
                asset, need_e8 = (order.account, "holding", symbol), order.leaves_e8
                need_e8 -= _awaited_e8(order, live)
            if order.exclusive:
                key = asset, symbol, order.exclusive
                shared[key] = max(shared.get(key, 0), need_e8)
            else:
                needs[asset] = needs.get(asset, 0) + need_e8
        for (asset, _, _), need_e8 in shared.items():
            needs[asset] = needs.get(asset, 0) + need_e8
        return needs

    def cash(self) -> dict[str, tuple[int, int]]:
        """By currency: the sum of all positions, and the sum of all movements (trades cancel out)."""
        sums: dict[str, tuple[int, int]] = {}
        for (_, kind, name), position in self._positions.items():
            if kind == "cash":
                total_e8, moved_e8 = sums.get(name, (0, 0))
                sums[name] = total_e8 + position.message["total"], moved_e8
        for (_, kind, name), sum_ in self._sums.items():
            if kind == "cash":
                total_e8, moved_e8 = sums.get(name, (0, 0))
                sums[name] = total_e8, moved_e8 + list(sum_.states())[-1]
        return sums


def _awaited_e8(order: Order, live: Mapping[str, Order]) -> int:
    """What of an exit its bracket's entry, where that still lives, has yet to buy."""
    entry = live.get(order.parent_id)
    if entry is None or entry.side != "buy":
        return 0
    return max(0, order.quantity_e8 - entry.cum_e8)


def _named(asset: Asset) -> str:
    return f"{asset[1]} {asset[2]} of {asset[0]}"
