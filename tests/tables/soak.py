"""Random commands to the fast and the naive engine until they disagree: `python -m tests.tables.soak --help`.

Every block of commands has a seed of its own, counted up from `--seed`, and rules of its own. A failure is
shrunk to few commands, which are printed with the seed; `--seed N --commands BLOCK` runs that block again.
"""

import argparse
import json
import sys
from itertools import islice
from time import monotonic

from tests.tables.differential import Restored, TwoEngines, failure, shrunk
from tests.tables.random_commands import Commands, rules

BLOCK = 5_000
RESTORE_EVERY = 97


def main() -> int:
    """Runs as many commands as asked for; 1 where engines disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first block (default 1)")
    parser.add_argument("--commands", type=int, default=1_000_000, help="how many (default 1,000,000)")
    asked = parser.parse_args()
    began_s, done = monotonic(), 0
    while done < asked.commands:
        seed = asked.seed + done // BLOCK
        count = min(BLOCK, asked.commands - done)
        if not _block(seed, count):
            return 1
        done += count
        rate = done / (monotonic() - began_s)
        print(f"seed {seed}: {done:,} of {asked.commands:,} commands agree, {rate:,.0f}/s", flush=True)
    return 0


def _block(seed: int, count: int) -> bool:
    """One block; whether both engines agree on it, and a restored one with the one that lived on."""
    engines, restored = TwoEngines(rules(seed)), Restored(rules(seed))
    steps = list(islice(Commands(seed), count))
    for number, step in enumerate(steps):
        try:
            engines.apply(step)
            restored.apply(step)
            if number % RESTORE_EVERY == 0:
                restored.restore()
        except Exception as error:
            print(f"seed {seed}, command {number}: {type(error).__name__}: {error}", file=sys.stderr)
            _print_shrunk(seed, steps[: number + 1])
            return False
    return True


def _print_shrunk(seed: int, steps: list[tuple[dict[str, object], int]]) -> None:
    """Prints the shortest commands on which the engines disagree, as lines of `oms match`."""
    if not failure(steps, rules(seed)):
        print("a restored engine parted from the one that lived on", file=sys.stderr)
        return
    short = shrunk(steps, lambda part: bool(failure(part, rules(seed))))
    for command, at_us in short:
        print(json.dumps(command | {"at_us": at_us}), file=sys.stderr)
    print(failure(short, rules(seed)), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
