"""What the market and order commands share: progress on a terminal, bad lines, one-line failures."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

from app.files import BadLine, FileError

T = TypeVar("T")
_BAD_LINES_SHOWN = 20


@contextmanager
def failures() -> Iterator[None]:
    """Turns what can go wrong with files, Kafka and the registry into one line and exit code 1."""
    from aiokafka.errors import KafkaError

    from app.market.generator import MarketError
    from app.submit.controls import ControlsError
    from app.submit.rest import RestError
    from schemas.registry import RegistryError

    try:
        yield
    except KafkaError as error:
        fail(
            f"Kafka does not confirm: {error}. What was not confirmed may be written or not; "
            "the same may be sent again. See `oms status`"
        )
    except (BadLine, FileError, MarketError, ControlsError, RestError, RegistryError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(text: str) -> NoReturn:
    """Ends the command with a line on stderr and exit code 1."""
    print(text, file=sys.stderr)
    raise typer.Exit(1)


class BadLines:
    """Reports bad lines on stderr, the first twenty in full, and counts them; `strict` raises the first."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.count = 0

    def __call__(self, bad: BadLine) -> None:
        if self._strict:
            raise bad
        self.count += 1
        if self.count <= _BAD_LINES_SHOWN:
            print(bad, file=sys.stderr)
        elif self.count == _BAD_LINES_SHOWN + 1:
            print("more bad lines are only counted", file=sys.stderr)


@contextmanager
def progress(what: str, total: float | None = 1.0) -> Iterator[Callable[[float, int], None]]:
    """A bar on stderr when it is a terminal; call with how far of `total` it is, and the count so far."""
    if not sys.stderr.isatty():
        yield lambda done, count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.fields[count]:,}"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, count=0, rate=0.0)

        def advance(done: float, count: int) -> None:
            elapsed_s = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=done, count=count, rate=count / elapsed_s if elapsed_s else 0.0)

        yield advance


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
