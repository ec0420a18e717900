"""Orders through a book that stays as large as it is, however many there are."""

from collections.abc import Iterator

from schemas.numbers import ONE
from schemas.records import Said
from tests.bench.workload import ACCOUNTS, ENTERED, MID_E8, SYMBOLS, TICK_E8


def steady(count: int, live: int, first: int = 0) -> Iterator[Said]:
    """`count` orders, the first numbered `first`, through a book of at most `live`: 4 in 9 requests rest,
    1 takes one of those, and 4 cancel what came `live` before, which is too late where it was taken.
    """
    for number in range(first, first + count):
        takes = _takes(number)
        yield (
            "NewOrder",
            {
                "account": _account(number),
                "client_order_id": f"steady-{number}",
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "side": "sell" if takes else "buy",
                "order_type": "limit",
                "quantity": ONE,
                "limit_price": MID_E8 - (50 if takes else 1 + number % 50) * TICK_E8,
                "time_in_force": "ioc" if takes else "gtc",
                **ENTERED,
            },
        )
        gone = number - live
        if gone >= 0 and not _takes(gone):
            cancel = {"account": _account(gone), "order": f"steady-{gone}"}
            yield "CancelOrder", {**cancel, "client_order_id": "", "symbol": "", **ENTERED}


def _takes(number: int) -> bool:
    # With 200 accounts no account both rests and takes; with 16 symbols every one has both.
    return number % 5 == 4


def _account(number: int) -> str:
    return ACCOUNTS[number % len(ACCOUNTS)]
