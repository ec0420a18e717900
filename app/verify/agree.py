"""I11: what a door tells is what the topics say.

A door is asked for everything that it shows. What it tells of a thing is right when it is one of the states
that the thing had since asking began; what is not (yet) is asked for again, until the grace is over. Then
what is still behind the state that the thing had at the beginning is stale, and what says something else
is wrong. Whatever is ahead of what could be read is on the move, and is left out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.verify.contents import Told, difference
from app.verify.findings import Findings
from app.verify.latest import Key, Latest
from app.verify.records import Place

_PAUSE_S = 0.3


class Answer(NamedTuple):
    """What a door tells of a thing, None: it has no such thing; `where` it was asked."""

    key: Key
    told: Told | None
    where: str


@dataclass
class Answers:
    """Everything that a door tells: states, live orders by (account, where), trades by (symbol, where)."""

    states: list[Answer] = field(default_factory=list)
    live: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    trades: dict[tuple[str, str], list[Told]] = field(default_factory=dict)


class Door(Protocol):
    """A source of answers."""

    name: str

    async def ask(self, latest: Latest, wanted: set[Key] | None) -> Answers:
        """Asks for the wanted, for everything when that is None. Raises CannotVerify."""


class Open(NamedTuple):
    """A disagreement; `ahead`: the door knows what was not read yet."""

    text: str
    place: Place | None = None
    order_id: str = ""
    ahead: bool = False


async def agree(
    door: Door, latest: Latest, findings: Findings, grace_s: float, read_new: Callable[[], Awaitable[None]]
) -> None:
    """Compares a door with the topics; `read_new` reads what they got meanwhile. Raises CannotVerify."""
    latest.record()
    deadline_s = time.monotonic() + grace_s
    wanted: set[Key] | None = None
    while True:
        answers = await door.ask(latest, wanted)
        await read_new()
        if wanted is None:
            findings.check("I11", len(answers.states) + len(answers.live) + len(answers.trades))
        found = dict(disagreements(latest, answers))
        if not found or time.monotonic() > deadline_s:
            break
        wanted = {key for key, _ in found}
        # Of an order, the lists are asked again, too.
        wanted |= {
            ("live", latest.known[key].account) for key in wanted if key[0] == "order" and key in latest.known
        }
        await asyncio.sleep(_PAUSE_S)
    for each in found.values():
        if not each.ahead:
            findings.wrong("I11", f"{door.name}: {each.text}", [each.place], each.order_id)
    moving = sum(each.ahead for each in found.values())
    if moving:
        findings.notes.append(f"I11: {moving} things moved meanwhile and were not compared with {door.name}")


def disagreements(latest: Latest, answers: Answers) -> Iterable[tuple[tuple[Key, str], Open]]:
    """What does not agree, by thing and where it was asked."""
    for key, told, where in answers.states:
        each = _state(latest, key, told)
        if each is not None:
            yield (key, where), each._replace(text=f"{where}: {each.text}")
    for (account, where), order_ids in answers.live.items():
        each = _live(latest, account, order_ids)
        if each is not None:
            yield (("live", account), where), each._replace(text=f"{where}: {each.text}")
    for (symbol, where), trades in answers.trades.items():
        each = _trades(latest, symbol, trades)
        if each is not None:
            yield (("trades", symbol), where), each._replace(text=f"{where}: {each.text}")


def _state(latest: Latest, key: Key, told: Told | None) -> Open | None:
    kind, name = key
    known = latest.known.get(key)
    order_id = name if kind == "order" else ""
    if known is None:
        return (
            None if told is None else Open(f"{kind} {name} is not in the topics", None, order_id, ahead=True)
        )
    last = known.last
    if told is None:
        return Open(f"{kind} {name} is not there", known.place, order_id)
    right = known.states.get(told.content if told.number is None else told.number)
    if right is not None:
        if right.content == told.content:
            return None
        text = f"{kind} {name} says {difference(kind, told.content, right.content)}"
        return Open(text, known.place, order_id)
    if told.number is None:
        return Open(f"{kind} {name} says {difference(kind, told.content, last.content)}", known.place)
    text = f"{kind} {name} is at {told.number}, the topics at {last.number}"
    return Open(text, known.place, order_id, ahead=told.number > (last.number or 0))


def _live(latest: Latest, account: str, order_ids: set[str]) -> Open | None:
    for order_id in sorted(latest.live(account) - order_ids):
        known = latest.known["order", order_id]
        # One that was entered since is on its way.
        if known.first >= 0:
            return Open(f"order {order_id} of {account} is not among the live ones", known.place, order_id)
    for order_id in sorted(order_ids - latest.lived.get(account, set())):
        ended = latest.known.get(("order", order_id))
        place = None if ended is None else ended.place
        return Open(
            f"order {order_id} of {account} is among the live ones, and does not live", place, order_id
        )
    return None


def _trades(latest: Latest, symbol: str, told: list[Told]) -> Open | None:
    """The last trades of a symbol, the latest last."""
    right = {trade.number: trade for trade in latest.trades.get(symbol, ())}
    place = latest.trade_places.get(symbol)
    last = max((trade.number or 0 for trade in told), default=0)
    newest = max((number or 0 for number in right), default=0)
    if last < newest:
        return Open(f"trades of {symbol} end at {last}, the topics at {newest}", place)
    numbers = [trade.number or 0 for trade in told]
    if numbers != list(range(last - len(numbers) + 1, last + 1)):
        return Open(f"trades of {symbol} have the sequences {numbers}", place)
    for trade in told:
        ours = right.get(trade.number)
        if ours is not None and ours != trade:
            text = f"trade {symbol}-{trade.number} says {difference('trade', trade.content, ours.content)}"
            return Open(text, place)
    if last > newest:
        return Open(f"trades of {symbol} end at {last}, the topics at {newest}", place, ahead=True)
    return None
