"""`oms watch`: what the topics say, live."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.console import fail, failures, run
from app.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from app.watch import BookRows, Only, Rows, Subject

_REFRESH_PER_S = 4


class What(StrEnum):
    """What can be watched."""

    EVENTS = "events"
    TRADES = "trades"
    QUOTES = "quotes"
    BOOK = "book"
    POSITIONS = "positions"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command()(watch)


def watch(
    what: Annotated[What, typer.Argument(help="What to watch.")],
    instrument: Annotated[str, typer.Argument(metavar="[SYMBOL]", help="Symbol; a book needs one.")] = "",
    account: Annotated[str, typer.Option(help="Only this account.")] = "",
    symbol: Annotated[str, typer.Option(help="Only this instrument.")] = "",
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="What was said before as well.")
    ] = False,
    count: Annotated[int, typer.Option(min=0, help="End after so many records; 0: never.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Watch live: a table on a terminal, else one line a record. Ctrl-C ends it."""
    from app.watch import SUBJECTS, Only

    only = Only(account, instrument or symbol)
    if what is What.BOOK and not only.symbol:
        fail("which book? `oms watch book SYMBOL`")
    subject = SUBJECTS[what.value]
    try:
        with failures():
            if as_json or not sys.stdout.isatty():
                run(_lines(subject, only, from_beginning, count, as_json))
            else:
                run(_table(subject, only, from_beginning, count))
    except typer.Exit as ended:
        # Ctrl-C is how a watch ends.
        raise typer.Exit(0 if ended.exit_code == 130 else ended.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()


async def _lines(
    subject: "Subject", only: "Only", from_beginning: bool, count: int, json_lines: bool
) -> None:
    from app.watch import as_json, as_line, records

    seen = 0
    async for read in records(Settings(), subject, only, from_beginning):
        if read is None:
            sys.stdout.flush()
            continue
        print(json.dumps(as_json(read)) if json_lines else as_line(subject, read))
        seen += 1
        if seen == count:
            return


async def _table(subject: "Subject", only: "Only", from_beginning: bool, count: int) -> None:
    from rich.console import Console
    from rich.live import Live

    from app.watch import BookRows, Rows, records

    console = Console()
    most = max(console.height - 5, 5)
    rows = BookRows(only.symbol, most) if subject.short == "books" else Rows(subject, most)
    seen = 0
    with Live(_drawn(subject, rows), console=console, refresh_per_second=_REFRESH_PER_S) as live:
        async for read in records(Settings(), subject, only, from_beginning):
            if read is None:
                live.update(_drawn(subject, rows))
                continue
            rows.take(read)
            seen += 1
            if seen == count:
                live.update(_drawn(subject, rows))
                return


def _drawn(subject: "Subject", rows: "BookRows | Rows") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(rows.title()))
    for column in subject.columns:
        numeric = column.endswith(("quantity", "price", "size", "orders")) or column in _NUMBERS
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", no_wrap=True)
    for row in rows.rows():
        table.add_row(*map(Text, row))
    return table


_NUMBERS: frozenset[Any] = frozenset({"bid", "ask", "last", "total", "reserved", "version"})
