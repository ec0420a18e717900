"""`oms dead-letters list`, `show` and `replay`."""

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.console import fail, failures, run
from app.settings import Settings

if TYPE_CHECKING:
    from app.dead_letters import Letter, LetterId, Plan
    from app.writer import Place

dead_letters = typer.Typer(
    help="What workers could not take: look at it, and send it again.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="The letter, as in the list.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.add_typer(dead_letters, name="dead-letters")


@dead_letters.command("list")
def list_letters(
    topic: Annotated[str, typer.Option(help="Only from this topic: orders, control, quotes.")] = "",
    reason: Annotated[str, typer.Option(help="Only with this reason, as in docs/reasons.md.")] = "",
    since: Annotated[str, typer.Option(help="Only set aside at this time or later, RFC 3339.")] = "",
    until: Annotated[str, typer.Option(help="Only set aside before this time, RFC 3339.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Only the latest so many.")] = 1000,
    as_json: Json = False,
) -> None:
    """List dead letters, the latest last."""
    from app.dead_letters import Only

    only = Only(topic, _reason(reason), _time("--since", since), _time("--until", until))
    found = _run(_listed(only, limit))
    if as_json:
        print(json.dumps(found))
    else:
        _print(found)


def _reason(text: str) -> str:
    """A reason in any case; ends the command when there is no such."""
    from schemas.reasons import EXPLANATIONS

    known = [reason for reason in EXPLANATIONS if reason.startswith(("DECODE_", "LANE_"))]
    if text and text.upper() not in known:
        fail(f"--reason {text}: no dead letter has it; they have {', '.join(known)}")
    return text.upper()


def _time(option: str, text: str) -> datetime | None:
    from app.resources import parse_time

    try:
        return parse_time(text) if text else None
    except ValueError as error:
        fail(f"{option} {text}: {error}")


async def _listed(only: Any, limit: int) -> list[dict[str, Any]]:
    from collections import deque

    from app.dead_letters import letters

    # Not the letters themselves: each may be a megabyte.
    found: deque[dict[str, Any]] = deque(maxlen=limit * Settings().partitions)
    async for letter in letters(Settings(), only):
        found.append(letter.summary())
    return sorted(found, key=lambda summary: summary["at"])[-limit:]


def _print(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not found:
        print("no dead letters", file=sys.stderr)
        return
    table = Table("letter", "at", "reason", "found at", "key", "bytes", "text", box=None)
    for one in found:
        place = f"{one['topic']} {one['partition']}@{one['offset']}"
        cells = (
            one["id"],
            one["at"],
            one["reason"],
            place,
            one["key"] or "-",
            str(one["bytes"]),
            one["text"],
        )
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(table)


def _plain(text: str) -> str:
    """What a producer wrote must not steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dead_letters.command()
def show(letter: Name, as_json: Json = False) -> None:
    """Show one dead letter whole: whence it came, why, its bytes, what they say, where it was replayed to."""
    shown = _run(_shown(letter))
    if as_json:
        print(json.dumps(shown))
        return
    for name, value in shown.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            print(f"{name:<14} {_plain(text)}")


async def _shown(name: str) -> dict[str, Any]:
    from app.dead_letters import Judge, LetterId, find, replays
    from app.resources import rfc3339, shown
    from schemas.codec import DecodeError

    settings = Settings()
    letter = await find(settings, LetterId.parse(name))
    message = letter.message
    record, decoded, problem = None, None, None
    async with Judge(settings) as judge:
        try:
            record, fields = await judge.decoded(letter)
            decoded = shown(record, fields)
        except (DecodeError, OverflowError) as error:
            problem = str(error)
    place = (await replays(settings, [letter])).get(letter.id)
    return letter.summary() | {
        "logged_at": rfc3339(message["timestamp_us"]),
        "hex": None if message["value"] is None else message["value"].hex(),
        "record": record,
        "message": decoded,
        "problem": problem,
        "replayed_to": None if place is None else place._asdict(),
    }


@dead_letters.command()
def replay(
    names: Annotated[list[str], typer.Argument(metavar="PARTITION:OFFSET...", help="The letters.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters through the front door again, as they were; says what it will do, and asks.

    Exit code 1: at least one cannot be replayed, and none was sent.
    """
    settings = Settings()
    plans = _run(_planned(settings, names, again))
    for plan in plans:
        print(_plain_lines(plan.words(settings)), file=sys.stderr)
    if not yes:
        typer.confirm(
            f"Replay {len(plans)} dead letter{'s' if len(plans) > 1 else ''}?", abort=True, err=True
        )
    places = _run(_replayed(settings, plans))
    for plan, place in zip(plans, places, strict=True):
        _say(plan.letter.id, place, as_json)


def _plain_lines(text: str) -> str:
    return "\n".join(map(_plain, text.split("\n")))


async def _planned(settings: Settings, names: list[str], again: bool) -> "list[Plan]":
    """A plan for each letter. Raises DeadLetterError with all that stands in the way."""
    from app.dead_letters import DeadLetterError, Judge, LetterId, find, replays

    some = [await find(settings, LetterId.parse(name)) for name in dict.fromkeys(names)]
    before = {} if again else await replays(settings, some)
    plans, refusals = (
        [],
        [_replayed_before(letter, before[letter.id]) for letter in some if letter.id in before],
    )
    async with Judge(settings) as judge:
        for letter in some:
            try:
                plans.append(await judge.plan(letter))
            except DeadLetterError as error:
                refusals.append(str(error))
    if refusals:
        raise DeadLetterError("\n".join([*refusals, "Nothing was sent."]))
    return plans


def _replayed_before(letter: "Letter", place: "Place") -> str:
    return (
        f"{letter.id} was replayed before, to {place.topic} {place.partition}@{place.offset}; "
        "--again sends it once more"
    )


async def _replayed(settings: Settings, plans: "list[Plan]") -> "list[Place]":
    from app.dead_letters import replay

    return await replay(settings, plans)


def _say(letter: "LetterId", place: "Place", as_json: bool) -> None:
    if as_json:
        print(json.dumps({"id": str(letter), "replayed_to": place._asdict()}))
    else:
        print(f"{letter} is at {place.topic} {place.partition}@{place.offset}")


def _run(coroutine: Any) -> Any:
    from app.dead_letters import DeadLetterError

    try:
        with failures():
            return run(coroutine)
    except DeadLetterError as error:
        fail(str(error))
