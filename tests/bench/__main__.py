"""`make bench`: every figure that a document names, printed with what is wanted."""

import argparse
import asyncio
import json
import logging
import os

from app.local.program import LocalError
from tests.bench import accounts, book, latency, recovery, rest, verifying, whole_path
from tests.bench.system import bench

PARTS = ("tables", "path", "latency", "rest", "recovery", "verify")


async def main(parts: list[str], runs: int, orders: int) -> dict[str, dict[str, float]]:
    """Runs the parts one after the other."""
    figures: dict[str, dict[str, float]] = {}
    async with bench() as system:
        if "path" in parts:
            figures["path"] = await whole_path.report(system, runs, orders, orders // 25)
        if "latency" in parts:
            figures["latency"] = await latency.report(system, runs, 1000, 6)
        if "rest" in parts:
            figures["rest"] = await rest.report(system, runs, 100)
        if "recovery" in parts:
            figures["recovery"] = await recovery.report(system, runs, 1_000_000)
        if "verify" in parts:
            figures["verify"] = await verifying.report(system, orders)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, default=5, help="interleaved runs, of which the median counts")
    parser.add_argument(
        "--orders",
        type=int,
        default=200_000,
        help="requests per run of the whole path, and orders that are verified",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    print(f"{os.cpu_count()} cores, medians of {arguments.runs} runs", flush=True)
    if "tables" in arguments.parts:
        book.main()
        accounts.main()
    try:
        found = asyncio.run(main(arguments.parts, arguments.runs, arguments.orders))
    except LocalError as error:
        raise SystemExit(str(error)) from error
    if arguments.json:
        print(json.dumps(found, indent=2))
