"""`oms topics create`, `oms topics list`, `oms topics tail`."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import fail, failures, run
from app.settings import Settings

if TYPE_CHECKING:
    from app.tail import Tailed

topics = typer.Typer(help="Create, list and read the topics.", no_args_is_help=True)

_DAY_MS = 86_400_000


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.add_typer(topics, name="topics")


@topics.command()
def create() -> None:
    """Make every topic and register every schema; what is there stays as it is."""
    from app.logs import configure
    from app.topics import TopicsError, prepare, wanted

    settings = Settings()
    configure(settings)
    try:
        with failures():
            ids = run(prepare(settings))
    except TopicsError as error:
        fail(str(error))
    print(f"{len(wanted(settings))} topics and {len(ids)} schemas are there")


@topics.command("list")
def list_topics(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Partitions, records, end offsets and retention of every topic."""
    from app.topics import facts

    with failures():
        found = run(facts(Settings()))
    if as_json:
        print(json.dumps([topic._asdict() for topic in found]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "kept", box=None)
    for heading in ("partitions", "records", "end offsets"):
        table.add_column(heading, justify="right")
    for topic in found:
        ends = " ".join(map(str, topic.ends))
        kept = _kept(topic.cleanup, topic.retention_ms)
        table.add_row(topic.name, kept, str(topic.partitions), str(topic.records), ends)
    Console().print(table)
    if not found:
        print("no topics yet; `oms topics create` makes them", file=sys.stderr)


def _kept(cleanup: str, retention_ms: int | None) -> str:
    if cleanup == "compact":
        return "last per key"
    if retention_ms is None:
        return "for ever"
    return f"{retention_ms / _DAY_MS:g} d"


@topics.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Short name (orders) or full (oms-accounts-changelog).")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="What is there already as well.")
    ] = False,
    count: Annotated[int, typer.Option("--max", min=0, help="End after so many records; 0: never.")] = 0,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show records as they come, decoded; what cannot be decoded as hex, with the reason. Ctrl-C ends it."""
    from app.topics import TopicsError

    try:
        with failures():
            run(_tail(topic, from_beginning, count, partition, as_json))
    except TopicsError as error:
        fail(str(error))
    except typer.Exit as ended:
        # Ctrl-C is how it ends.
        raise typer.Exit(0 if ended.exit_code == 130 else ended.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()


async def _tail(topic: str, from_beginning: bool, count: int, partition: int | None, as_json: bool) -> None:
    from contextlib import aclosing

    from app.tail import tail

    seen = 0
    records = tail(Settings(), topic, from_beginning=from_beginning, partition=partition)
    async with aclosing(records):
        async for record in records:
            print(json.dumps(record._asdict()) if as_json else _line(record), flush=True)
            seen += 1
            if seen == count:
                return


def _line(record: "Tailed") -> str:
    """A record in one line: where, when, key, and what it says."""
    if record.error:
        said = f"{record.error} | {record.hex}"
    elif record.message is None:
        said = "(deleted)"
    else:
        said = f"{record.record} {json.dumps(record.message, ensure_ascii=False)}"
    line = f"{record.partition}:{record.offset} {record.at} {record.key or '-'} {said}"
    # What a producer wrote must not steer the terminal.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
