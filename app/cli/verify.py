"""`oms verify`: what the topics say of the system's promises."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

GREEN, RED, UNCHECKED = 0, 1, 2


def verify(
    storage: Annotated[
        bool, typer.Option("--storage", help="Compare PostgreSQL with the topics as well.")
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Longest wait for answers that are under way, seconds.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compute the invariants from the topics alone. Exit code 0: green, 1: red, 2: could not be checked."""
    import uvloop

    from app.settings import Settings
    from app.verify.check import Check
    from app.verify.log import CannotVerify
    from app.verify.report import as_dict, show, verdict

    try:
        with _progress() as progress:
            outcome = uvloop.run(Check(Settings(), grace, progress).run(storage))
    except CannotVerify as error:
        _unchecked(str(error), as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(as_dict(outcome)))
    else:
        from rich.console import Console

        # Into a file or pipe nothing is cut.
        show(outcome, Console(width=None if sys.stdout.isatty() else 240))
    raise typer.Exit(GREEN if verdict(outcome.findings) == "green" else RED)


def _unchecked(text: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"verdict": "unchecked", "error": text}))
    else:
        print(text, file=sys.stderr)
    raise typer.Exit(UNCHECKED)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr when it is a terminal; hears (stage, records read, records in all)."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} records"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=1)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
