"""`oms storage`, `oms storage report`, `oms cache`."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.settings import Settings

storage = typer.Typer(
    help="Write the topics into PostgreSQL, or report from it.", invoke_without_command=True
)


class ReportName(StrEnum):
    """The reports."""

    ORDERS = "orders"
    TRADES = "trades"
    POSITIONS = "positions"
    DAILY = "daily"


def register(cli: typer.Typer) -> None:
    """Adds the commands of the sinks."""
    cli.add_typer(storage, name="storage")
    cli.command()(cache)


def cache() -> None:
    """Keep the latest orders, books, quotes and positions in Redis."""
    from app.cache import run

    run(Settings())


@storage.callback()
def run_storage(context: typer.Context) -> None:
    """Write the topics into PostgreSQL, each record exactly once; or report from it."""
    if context.invoked_subcommand is None:
        from app.storage import run

        run(Settings())


@storage.command("report")
def report(
    name: Annotated[
        ReportName,
        typer.Argument(
            help="orders: by symbol and status; trades: the latest; positions: of every account; "
            "daily: trading by day and symbol."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 1000,
) -> None:
    """Print what PostgreSQL holds."""
    from psycopg import OperationalError
    from psycopg.errors import UndefinedTable

    from app.storage.reports import report as made

    try:
        table = made(Settings().endpoint("postgres"), name.value, limit)
    except UndefinedTable:
        raise SystemExit("PostgreSQL has no tables yet: `oms storage` makes them") from None
    except OperationalError as error:
        raise SystemExit(
            f"PostgreSQL does not answer: {error}\nCheck OMS_POSTGRES, or `oms status`"
        ) from None
    if as_json:
        print(json.dumps(table.rows))
    else:
        _print(name.value, table.columns, table.rows)


def _print(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{title}: {len(rows)} rows")
    for column in columns:
        numeric = any(_is_number(row[column]) for row in rows[:1])
        shown.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        shown.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    # Into a file or pipe nothing is cut.
    Console(width=None if sys.stdout.isatty() else 240).print(shown)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").replace(".", "").isdigit())
