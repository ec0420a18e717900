"""What an operation of accounts and of risk costs, and a live order: `python -m tests.bench.accounts`."""

import gc
import tracemalloc
from statistics import median
from time import process_time_ns

from schemas.records import Record
from tables.accounts import Accounts
from tables.risk import Risk
from tests.tables.words import NOON_US, cancel_order, fill, market, move_cash, new_order, set_account

ORDERS = 10_000
RUNS = 5


def opened() -> Accounts:
    """Accounts with one account that can pay for everything."""
    accounts = Accounts(0, *market("AAPL"), 86_400_000_000, 500)
    for record in (set_account(), move_cash("alice", "9000000000")):
        accounts.apply(record, NOON_US)
    return accounts


def timed(table: Accounts | Risk, records: list[Record]) -> float:
    """Microseconds per record."""
    apply = table.apply
    started_ns = process_time_ns()
    for record in records:
        apply(record, NOON_US)
    return (process_time_ns() - started_ns) / len(records) / 1000


def cleared(records: list[Record]) -> list[Record]:
    """What accounts let through of these, as risk hears it."""
    accounts = opened()
    said = [words for record in records for words in accounts.apply(record, NOON_US)]
    return [Record(kind, dict(message), 0, NOON_US) for kind, message in said]


def quotes(count: int) -> list[Record]:
    """Quotes of AAPL."""
    price_e8 = 100 * 10**8
    message = {"symbol": "AAPL", "last": 0}
    return [
        Record("Quote", message | {"bid": price_e8 - i, "ask": price_e8 + i}, i, NOON_US)
        for i in range(count)
    ]


def run() -> dict[str, float]:
    """Microseconds per operation, one run."""
    ids = [f"order-{number:08d}" for number in range(ORDERS)]
    orders = [new_order(id) for id in ids]
    to_risk = cleared(orders)
    accounts, risk, us = opened(), Risk(0, market("AAPL")[0]), {}
    us["NewOrder that passes"] = timed(accounts, orders)
    us["CancelOrder that passes"] = timed(accounts, [cancel_order(id) for id in ids])
    us["Execution: partial fill"] = timed(accounts, [fill(id, "4 @ 99.5", "6") for id in ids])
    us["Execution: last fill"] = timed(accounts, [fill(id, "6 @ 100", "0", 3) for id in ids])
    us["NewOrder that is repeated"] = timed(accounts, orders)
    started_ns = process_time_ns()
    rows = list(accounts.changed_rows())
    us["row of an order"] = (process_time_ns() - started_ns) / len(rows) / 1000
    us["Quote"] = timed(risk, quotes(ORDERS))
    us["ClearedOrder"] = timed(risk, to_risk)
    return us


def bytes_per_order() -> float:
    """Memory of a live order once its messages and rows are gone."""
    accounts = opened()
    accounts.apply(new_order("first"), NOON_US)
    gc.collect()
    tracemalloc.start()
    for number in range(ORDERS):
        accounts.apply(new_order("order-" + str(number), offset=number, entered_by="api-" + str(1)), NOON_US)
    accounts.end_cycle(NOON_US)
    list(accounts.changed_rows())
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / ORDERS


def main() -> None:
    """Prints medians."""
    runs = [run() for _ in range(RUNS)]
    for name in runs[0]:
        print(f"{name:28} {median(us[name] for us in runs):7.2f} us")
    print(f"{'live order in memory':28} {bytes_per_order():7.0f} bytes")


if __name__ == "__main__":
    main()
