"""`oms match`: the matching engine as a filter for files, without Kafka."""

import gzip
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import BadLines, fail, progress
from app.files import BadLine, FileError

if TYPE_CHECKING:
    from app.match.filter import Filter, MatchingEngine
    from app.match.instruments import MatchInstrument
    from app.match.run import Source

# What a shell says of a program that wrote into a pipe that nobody read.
_BROKEN_PIPE = 128 + 13


class Book(StrEnum):
    """The two engines."""

    FAST = "fast"
    NAIVE = "naive"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command()(match)


def match(
    file: Annotated[
        Path | None, typer.Argument(help="JSON lines or CSV (also .gz); none: standard input.")
    ] = None,
    instruments: Annotated[
        Path | None,
        typer.Option(help="Rules of the instruments, JSON lines or CSV; none: every symbol, no rules."),
    ] = None,
    book: Annotated[Book, typer.Option(help="The pipeline's engine, or the plain one.")] = Book.FAST,
    risk: Annotated[bool, typer.Option("--risk", help="The pipeline's price bands before matching.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Print this event only; may be repeated.")] = None,
    book_at_end: Annotated[
        bool, typer.Option("--book-at-end", help="Print every live order at the end, by priority.")
    ] = False,
    books: Annotated[bool, typer.Option("--books", help="Print the depth after every line.")] = False,
    generate: Annotated[
        int, typer.Option(min=0, metavar="LINES", help="Write a file of commands instead, by --seed.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 1,
) -> None:
    """Match a file of commands without Kafka: events on standard output. Exit code 1: a bad line."""
    try:
        if generate:
            _generate(generate, seed)
        else:
            matcher, name = _filter(book, instruments, risk, only or [], books), str(file or "stdin")
            if _match(matcher, file, BadLines(strict), name, book_at_end):
                raise typer.Exit(1)
    except BrokenPipeError:
        # Python would try again to write what nobody reads, and complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None
    except (BadLine, FileError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _generate(count: int, seed: int) -> None:
    from app.match.generate import commands

    with progress("lines", count) as bar:
        for written, line in enumerate(commands(count, seed), start=1):
            sys.stdout.buffer.write(line)
            if written % 1000 == 0:
                bar(written, written)
    sys.stdout.buffer.flush()


def _filter(book: Book, path: Path | None, risk: bool, only: list[str], books: bool) -> "Filter":
    from app.match.filter import Filter
    from app.match.instruments import read_instruments
    from app.match.risk import RiskChecks
    from app.match.show import EVENTS

    for event in only:
        if event not in EVENTS:
            fail(f"--only {event}: must be one of {', '.join(EVENTS)}")
    if risk and path is None:
        fail("--risk needs --instruments: the price bands (band_bps) are theirs")
    known = read_instruments(path) if path is not None else None
    checks = RiskChecks(known) if risk and known is not None else None
    return Filter(_engine(book, known), risk=checks, only=frozenset(only), books=books)


def _engine(book: Book, known: "dict[str, MatchInstrument] | None") -> "MatchingEngine":
    rules = {symbol: instrument.rules for symbol, instrument in known.items()} if known is not None else None
    if book is Book.NAIVE:
        from app.naive import Engine as NaiveEngine

        return NaiveEngine(rules)
    from tables.engine import Engine

    return Engine(rules)


def _match(matcher: "Filter", file: Path | None, report: BadLines, name: str, book_at_end: bool) -> int:
    """How many lines were bad."""
    from app import garbage
    from app.match.run import run

    garbage.tune()
    source, size = _source(file)
    out = sys.stdout.buffer

    def write(said: bytes) -> None:
        out.write(said)
        out.flush()

    with progress("lines", float(size) if size else None) as bar:
        run(matcher, source, write, name=name, report=report, progress=bar, book_at_end=book_at_end)
    return report.count


def _source(file: Path | None) -> "tuple[Source, int]":
    """Where to read, and how many bytes there are; 0: that is not known."""
    try:
        raw = open(file or 0, "rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error
    if file is not None and file.suffix == ".gz":
        return gzip.open(raw), 0
    return raw, os.fstat(raw.fileno()).st_size
