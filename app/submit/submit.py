"""Submits requests through Kafka, in their order, and counts what became of them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from app.files import BadLine, RowFile
from app.reader import Read
from app.settings import Settings
from app.submit.answers import Answers
from app.submit.lines import message_of
from app.writer import Stream, TopicWriter
from schemas.records import Said

Wait = Literal["none", "accepted", "terminal"]
Report = Callable[[BadLine], None]

_CHUNK = 2000
_TICK_S = 0.01


@dataclass
class Summary:
    """What was sent and what was answered. `seconds` is the time of sending, answers not included."""

    sent: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    bad_lines: int = 0
    seconds: float = 0.0
    answered: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    unfinished: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; figures on answers only where they were waited for."""
        rate = round(self.sent / self.seconds) if self.seconds else 0
        figures: dict[str, Any] = {
            "sent": self.sent,
            "by_type": dict(self.kinds),
            "bad_lines": self.bad_lines,
            "seconds": round(self.seconds, 3),
            "per_second": rate,
        }
        if self.answered:
            figures |= {
                "answers": dict(self.outcomes),
                "rejected_by_reason": dict(self.reasons),
                "unanswered": self.unanswered,
                "unfinished": self.unfinished,
            }
        return figures


def messages_of(file: RowFile, defaults: Mapping[str, str], report: Report) -> Iterator[Said]:
    """The good lines of a file as messages; bad ones go to `report`."""
    path = str(file.path)
    for row in file:
        try:
            if isinstance(row, BadLine):
                raise row
            yield message_of(path, row.line, row.values, defaults)
        except BadLine as bad:
            report(bad)


async def submit(
    settings: Settings,
    chunks: AsyncIterator[Sequence[Said]],
    *,
    wait: Wait = "none",
    timeout_s: float = 30.0,
    progress: Callable[[int], None] = lambda sent: None,
    heard: Callable[[Read], None] | None = None,
) -> Summary:
    """Sends chunks of messages in order as they come, then waits for answers.

    `timeout_s` runs from the last send. `heard` is told every answer. Raises KafkaError, RegistryError:
    then the outcome of what was not confirmed is unknown, and sending the same again is safe.
    """
    summary = Summary(answered=wait != "none")
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(TopicWriter(settings))
        answers = None
        if wait != "none":
            answers = Answers(settings, terminal=wait == "terminal", heard=heard)
            await stack.enter_async_context(answers)
        await _send(writer, chunks, answers, summary, progress)
        if answers is not None:
            await answers.settled(timeout_s)
            summary.outcomes, summary.reasons = answers.outcomes, answers.reasons
            summary.unanswered, summary.unfinished = answers.unanswered, answers.unfinished
    return summary


async def _send(
    writer: TopicWriter,
    chunks: AsyncIterator[Sequence[Said]],
    answers: Answers | None,
    summary: Summary,
    progress: Callable[[int], None],
) -> None:
    stream = Stream(writer, answers.sent if answers is not None else None)
    started = time.monotonic()
    async for chunk in chunks:
        if answers is not None:
            answers.expect(chunk)
        await stream.post(chunk)
        summary.sent += len(chunk)
        summary.kinds.update(kind for kind, _ in chunk)
        progress(summary.sent)
    await stream.finish()
    summary.seconds = time.monotonic() - started


async def chunked(messages: Iterable[Said], rate: float = 0.0) -> AsyncIterator[list[Said]]:
    """Messages in chunks, at most `rate` messages a second (0: as fast as they are taken)."""
    size = max(1, min(_CHUNK, int(rate * _TICK_S))) if rate else _CHUNK
    source = iter(messages)
    started, sent = time.monotonic(), 0
    while chunk := list(islice(source, size)):
        if rate:
            await asyncio.sleep(max(0.0, sent / rate - (time.monotonic() - started)))
        yield chunk
        sent += len(chunk)
