"""`python -m tests.mutants`: runs every mutant, prints what caught it, and writes docs/mutants.md."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.local.postgres import LocalPostgres
from app.local.redis import LocalRedis
from app.storage.schema import migrate
from tests.mutants.proof import DOCUMENT, Caught, line, run_all
from tests.mutants.stores import in_postgres, in_redis, run_in_postgres, run_in_redis

_MADE = ("<!-- mutants -->\n", "<!-- mutants end -->")


async def _in_stores(home: Path) -> list[Caught]:
    """What became of the mutants of storage and cache, on servers of their own."""
    postgres, redis = LocalPostgres(home, "mutants", durable=False), LocalRedis(home)
    try:
        await postgres.start()
        await redis.start()
        await asyncio.to_thread(migrate, postgres.url)
        caught = [await run_in_postgres(mutant, postgres.url) for mutant in in_postgres.all]
        return caught + [await run_in_redis(mutant, redis.url) for mutant in in_redis.all]
    finally:
        await redis.stop()
        await postgres.stop()


def _tables(caught: list[Caught]) -> Iterator[str]:
    """One table for each part of the system."""
    for part in dict.fromkeys(each.mutant.part for each in caught):
        yield f"### {part.capitalize()}\n\n| mutant | must be red | red as well | what is said first |\n"
        yield "| --- | --- | --- | --- |\n"
        yield "".join(f"{line(each)}\n" for each in caught if each.mutant.part == part)
        yield "\n"


def main() -> int:
    """Exit code 0: all mutants caught."""
    with tempfile.TemporaryDirectory(prefix="oms-mutants-") as home:
        caught = [*run_all(), *asyncio.run(_in_stores(Path(home)))]
    for each in caught:
        mark = "caught" if each.rightly else "MISSED"
        print(f"{mark}  {','.join(sorted(each.mutant.expected)):8}  {each.mutant.name}: {each.words}")
    missed = sum(not each.rightly for each in caught)
    verdict = (
        f"All {len(caught)} mutants caught." if not missed else f"{missed} of {len(caught)} mutants missed."
    )
    print(verdict)
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_MADE[0])
    after = rest.partition(_MADE[1])[2]
    made = f"{before}{_MADE[0]}**{verdict}**\n\n{''.join(_tables(caught))}{_MADE[1]}{after}"
    if made != text:
        DOCUMENT.write_text(made, encoding="utf-8")
        print(f"{DOCUMENT.name} changed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
