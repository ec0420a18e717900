"""Reads tables from files: CSV, JSON lines (both also as .gz) and Parquet, row by row, all values as text.

Rule: a bad line never ends the reading by itself; it is reported with file, line and field, and the
reader goes on with the next one. Numbers stay text until `parse_e8` makes them exact; the one
exception are floating-point columns of Parquet, which are rounded to 8 decimals.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from schemas.numbers import SCALE

_E8 = Decimal(1).scaleb(-SCALE)


class BadLine(Exception):
    """A line that cannot be used: where it is, which field (or "") and why."""

    def __init__(self, path: str, line: int, field: str, text: str) -> None:
        self.path, self.line, self.field, self.text = path, line, field, text
        super().__init__(f"{path}:{line}: {f'{field}: ' if field else ''}{text}")


class FileError(Exception):
    """A file that cannot be read at all; the text says what to do."""


class Row(NamedTuple):
    """One line: its number from 1 as in the file (of Parquet: the row), and its values by column."""

    line: int
    values: dict[str, Any]


class RowFile:
    """An open file of rows. Iterating gives a Row, or a BadLine (not raised) for a line that is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror}") from error
        self._size = max(path.stat().st_size, 1)
        self._read_share = 0.0
        self.kind = _kind(path)
        self.columns: list[str] = []
        with self._readable():
            self._rows = self._open()

    def __iter__(self) -> Iterator[Row | BadLine]:
        with self._readable():
            yield from self._rows

    def share_read(self) -> float:
        """How much of the file was read so far, 0 to 1."""
        if self.kind == "parquet":
            return self._read_share
        # The reader of text closes the file at its end.
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Closes the file."""
        self._raw.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(f"cannot read {self.path} to its end: {error}. Is it complete?") from error

    def _open(self) -> Iterator[Row | BadLine]:
        if self.kind == "parquet":
            return self._parquet()
        gzipped = self.path.suffix == ".gz"
        plain = cast(IO[bytes], gzip.GzipFile(fileobj=self._raw)) if gzipped else self._raw
        text = io.TextIOWrapper(plain, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return self._csv(text) if self.kind == "csv" else _json_lines(str(self.path), text)

    def _csv(self, text: IO[str]) -> Iterator[Row | BadLine]:
        reader = csv.reader(text)
        self.columns = next(reader, [])
        return self._csv_rows(reader)

    def _csv_rows(self, reader: Any) -> Iterator[Row | BadLine]:
        width = len(self.columns)
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadLine(str(self.path), reader.line_num, "", str(error))
                continue
            if not _is_utf8("".join(values)):
                yield BadLine(str(self.path), reader.line_num, "", "is not UTF-8")
            elif len(values) == width:
                yield Row(reader.line_num, dict(zip(self.columns, values, strict=True)))
            elif values:
                text = f"has {len(values)} fields, the header {width}"
                yield BadLine(str(self.path), reader.line_num, "", text)

    def _parquet(self) -> Iterator[Row | BadLine]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        try:
            table = ParquetFile(self._raw)
        except (ArrowException, OSError) as error:
            raise FileError(f"{self.path} is not a Parquet file: {error}") from error
        self.columns = list(table.schema_arrow.names)
        return self._parquet_rows(table)

    def _parquet_rows(self, table: Any) -> Iterator[Row | BadLine]:
        line = 0
        total = max(table.metadata.num_rows, 1)
        for batch in table.iter_batches(batch_size=8192):
            columns = [_texts(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                line += 1
                yield Row(line, dict(zip(self.columns, values, strict=True)))
            self._read_share = line / total


def _kind(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    for kind, suffixes in (
        ("csv", (".csv",)),
        ("json", (".jsonl", ".json", ".ndjson")),
        ("parquet", (".parquet", ".pq")),
    ):
        if name.endswith(suffixes) and not (kind == "parquet" and path.suffix == ".gz"):
            return kind
    raise FileError(f"{path}: name must end in .csv, .jsonl (both also .gz) or .parquet")


def _json_lines(path: str, text: IO[str]) -> Iterator[Row | BadLine]:
    """Rows of JSON objects, one a line; numbers keep their text. Empty lines are passed over."""
    for line, words in enumerate(text, start=1):
        if not words.strip():
            continue
        if not _is_utf8(words):
            yield BadLine(path, line, "", "is not UTF-8")
            continue
        try:
            values = json.loads(words, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            yield BadLine(path, line, "", f"no JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Row(line, values)
        else:
            yield BadLine(path, line, "", "must be a JSON object")


def _is_utf8(text: str) -> bool:
    """Whether no byte had to be smuggled into the text as a lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(column: Any) -> list[str]:
    """The values of a Parquet column as text; times as nanoseconds since the epoch, absent ones as ""."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("ns", column.type.tz)).cast(pyarrow.int64())
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        exact = Decimal(repr(value))
        return str(exact.quantize(_E8)) if exact.is_finite() and abs(exact) < 10**15 else repr(value)
    return str(value)


def parse_time_us(text: str, unit_ns: int) -> int:
    """Microseconds since the epoch of an integer count of `unit_ns` nanoseconds, or of an ISO 8601 time.

    A time without zone is UTC. Raises ValueError.
    """
    if text.isdigit() and len(text) < 20:
        return int(text) * unit_ns // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:64]!r} is neither a whole number nor an ISO 8601 time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
