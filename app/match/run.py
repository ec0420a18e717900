"""One run of the filter: bytes in, bytes out, bad lines reported on the way.

What came together is answered together: a whole file in large pieces, one line through a pipe at once.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from app import garbage
from app.files import BadLine
from app.match.filter import Filter
from app.match.lines import LINE_MAX, LineError

_CHUNK = 1 << 18


class Source(Protocol):
    """A file that gives what is there, and waits only where nothing is; `b""` at its end."""

    def read(self, size: int, /) -> bytes | None:
        """At most so many bytes."""


def lines_of(source: Source) -> Iterator[tuple[list[bytes], int]]:
    """The lines of a file in the pieces that they come in, and how many bytes were read by then."""
    rest, read = b"", 0
    while piece := source.read(_CHUNK):
        read += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        # A line that is too long in any case need not be kept.
        rest = rest[: LINE_MAX + 1]
        yield lines, read
    if rest:
        yield [rest], read


def run(
    matcher: Filter,
    source: Source,
    write: Callable[[bytes], object],
    *,
    name: str,
    report: Callable[[BadLine], None],
    progress: Callable[[int, int], None] = lambda read, lines: None,
    book_at_end: bool = False,
) -> None:
    """Runs a source to its end; `report` may raise to stop there, after what was answered is written."""
    for lines, read in lines_of(source):
        said: list[bytes] = []
        try:
            for line in lines:
                try:
                    said += matcher.take(line)
                except LineError as error:
                    report(BadLine(name, matcher.lines, error.field, error.text))
        finally:
            _write(said, write)
        garbage.collect()
        progress(read, matcher.lines)
    if book_at_end:
        _write(list(matcher.resting()), write)


def _write(said: list[bytes], write: Callable[[bytes], object]) -> None:
    if said:
        write(b"\n".join(said) + b"\n")
