"""Random commands to the fast and the naive engine until they disagree: `python -m tests.tables.soak --help`.

Every block of commands has a seed and rules of its own, counted up from `--seed`. What the engines
say is compared after every command; the orders that they keep, the depth and that they are whole after every
so many (`--every`), which is what takes the time. A failure is shrunk to few commands, which are printed with
the seed; `--seed N --commands BLOCK` runs that block again.
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
# Between two lines of progress where nobody looks on.
TELL_EVERY_S = 30


def main() -> int:
    """Runs as many commands as asked for; 1 where engines disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first block (default 1)")
    parser.add_argument("--commands", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument(
        "--every", type=int, default=1, help="commands between two whole comparisons (default 1)"
    )
    asked = parser.parse_args()
    progress, done = Progress(asked.commands), 0
    while done < asked.commands:
        seed = asked.seed + done // BLOCK
        count = min(BLOCK, asked.commands - done)
        if not _block(seed, count, asked.every):
            return 1
        done += count
        progress.tell(seed, done)
    return 0


class Progress:
    """How far it is: one line that is written over on a terminal, else a line now and then, and the last."""

    def __init__(self, commands: int) -> None:
        self.commands = commands
        self.began_s = self.told_s = monotonic()

    def tell(self, seed: int, done: int) -> None:
        """Tells that a block is done."""
        now_s, ends, live = monotonic(), done >= self.commands, sys.stdout.isatty()
        if not (ends or live or now_s - self.told_s >= TELL_EVERY_S):
            return
        self.told_s = now_s
        rate = done / (now_s - self.began_s)
        left_s = (self.commands - done) / rate
        line = (
            f"seed {seed}: {done:,} of {self.commands:,} commands agree, {rate:,.0f}/s, {left_s:,.0f} s left"
        )
        print(f"\r{line} " if live else line, end="" if live and not ends else "\n", flush=True)


def _block(seed: int, count: int, every: int) -> bool:
    """One block; whether both engines agree on it, and a restored one with the one that lived on."""
    engines, restored = TwoEngines(rules(seed)), Restored(rules(seed))
    steps = list(islice(Commands(seed), count))
    for number, step in enumerate(steps):
        whole = (number + 1) % every == 0 or number + 1 == count
        try:
            (engines.apply if whole else engines.hear)(step)
            (restored.apply if whole else restored.hear)(step)
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
