"""What a mutant is: a rule that it breaks, the invariants that must be red, and how it patches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from schemas.records import Said

# Gives the original, takes what stands in for it.
Make = Callable[[Any], Any]
Spoil = Callable[["Patches"], None]
Change = Callable[[dict[str, Any]], dict[str, Any]]


class Patches:
    """Names that something else stands in for, until they are taken away."""

    def __init__(self) -> None:
        self._kept: list[tuple[Any, str, Any]] = []

    def __call__(self, owner: Any, name: str, make: Make) -> None:
        """Puts what `make` makes of the original in its place."""
        original = owner.__dict__[name]
        self._kept.append((owner, name, original))
        setattr(owner, name, make(original))

    def ignoring(self, owner: Any, name: str, *reasons: str) -> None:
        """A check that no longer refuses for these reasons (for any, when none is given)."""

        def make(original: Any) -> Any:
            def check(*arguments: Any, **more: Any) -> Any:
                refusal = original(*arguments, **more)
                if refusal is not None and (not reasons or refusal.reason in reasons):
                    return None
                return refusal

            return check

        self(owner, name, make)

    def saying(self, owner: Any, name: str, change: Callable[[list[Said]], list[Said]]) -> None:
        """A method that says something else than it did."""

        def make(original: Any) -> Any:
            def say(*arguments: Any, **more: Any) -> Any:
                said = original(*arguments, **more)
                return None if said is None else change(said)

            return say

        self(owner, name, make)

    def unchecked(self) -> None:
        """Takes away what the system itself would end a worker for, so that only the verifier is left."""
        from tables import accounts
        from tables.engine import rows
        from tables.settlement import Settlement

        self(accounts, "check", lambda original: lambda *arguments: None)
        self(rows, "check_uncrossed", lambda original: lambda *arguments: None)
        self(rows, "restore_orders", _however_late)
        self(Settlement, "apply", _without_assertions)

    def take_away(self) -> None:
        """Puts the originals back."""
        while self._kept:
            setattr(*self._kept.pop())


def _without_assertions(original: Any) -> Any:
    def apply(settlement: Any, execution: Any, at_us: int) -> Any:
        try:
            return original(settlement, execution, at_us)
        except AssertionError:
            return []

    return apply


def _however_late(original: Any) -> Any:
    def restore(markets: Any, orders: list[Any]) -> None:
        for order in orders:
            market = markets[order.symbol]
            market.arrivals = max(market.arrivals, order.arrival)
        original(markets, orders)

    return restore


@contextmanager
def patched(spoil: Spoil) -> Iterator[None]:
    """Everything as a mutant has it, within the block."""
    patches = Patches()
    try:
        spoil(patches)
        yield
    finally:
        patches.take_away()


@dataclass(frozen=True)
class Mutant:
    """One broken rule; `expected` are invariants that must be among the red ones."""

    name: str
    part: str
    expected: frozenset[str]
    spoil: Any


@dataclass
class Mutants:
    """The mutants of one part, in the order in which they are written."""

    part: str
    all: list[Mutant] = field(default_factory=list)

    def __call__(self, name: str, *expected: str) -> Callable[[Any], Any]:
        """Registers a function as the mutant that breaks a rule."""

        def register(spoil: Any) -> Any:
            self.all.append(Mutant(name, self.part, frozenset(expected), spoil))
            return spoil

        return register


def nth(count: int) -> Callable[[], bool]:
    """A question that is answered with yes the `count`th time only."""
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        return asked == count

    return ask


def each(
    kind: str, change: Change, when: Callable[[dict[str, Any]], bool]
) -> Callable[[list[Said]], list[Said]]:
    """Changes every message of a kind for which `when` is true."""

    def changed(said: list[Said]) -> list[Said]:
        return [
            (name, change(dict(message)) if name == kind and when(dict(message)) else message)
            for name, message in said
        ]

    return changed


def without(kind: str, when: Callable[[dict[str, Any]], bool]) -> Callable[[list[Said]], list[Said]]:
    """Leaves out the messages of a kind for which `when` is true."""
    return lambda said: [(name, message) for name, message in said if name != kind or not when(dict(message))]


def twice(kind: str, when: Callable[[dict[str, Any]], bool]) -> Callable[[list[Said]], list[Said]]:
    """Says messages of a kind for which `when` is true a second time."""

    def doubled(said: list[Said]) -> list[Said]:
        out: list[Said] = []
        for name, message in said:
            out += [(name, message)] * (2 if name == kind and when(dict(message)) else 1)
        return out

    return doubled
