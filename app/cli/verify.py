"""`oms verify`: what the topics say of the system's promises."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.verify.check import Asked, Outcome

GREEN, RED, UNCHECKED = 0, 1, 2

Bar = Callable[[str, int, int], None]


def verify(
    storage: Annotated[
        bool, typer.Option("--storage", help="Compare PostgreSQL with the topics as well.")
    ] = False,
    redis: Annotated[bool, typer.Option("--redis", help="Compare Redis with the topics as well.")] = False,
    gateway: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Compare REST and the stream of this gateway with the topics as well; "
            "`local` is the one of `oms up`.",
        ),
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(
            envvar="OMS_API_KEY",
            show_default=False,
            help="API key for --gateway, whose accounts are compared; OMS_ADMIN_KEY where none is given.",
        ),
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep verifying a live system; Ctrl-C ends it with the verdict.")
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Longest wait for answers that are under way, seconds.")
    ] = 15.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON; with --follow one object a line.")
    ] = False,
) -> None:
    """Compute the invariants from the topics alone. Exit code 0: green, 1: red, 2: could not be checked."""
    from app.settings import Settings
    from app.verify.check import Asked
    from app.verify.log import CannotVerify
    from app.verify.report import verdict

    settings = Settings()
    if gateway == "local":
        gateway = settings.endpoint("gateway")
    if gateway and not gateway.startswith(("http://", "https://")):
        _unchecked(f"--gateway must be a URL such as http://127.0.0.1:8000, not {gateway}", as_json)
    asked = Asked(storage, redis, gateway, api_key or settings.admin_key)
    if gateway and not asked.api_key:
        _unchecked("--gateway needs --api-key (or OMS_API_KEY); `oms status` shows keys", as_json)
    try:
        outcome = _followed(settings, grace, asked, as_json) if follow else _checked(settings, grace, asked)
    except CannotVerify as error:
        _unchecked(str(error), as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _tell(outcome, as_json, follow)
    raise typer.Exit(GREEN if verdict(outcome.findings) == "green" else RED)


def _checked(settings: Any, grace_s: float, asked: "Asked") -> "Outcome":
    import uvloop

    from app.verify.check import Check

    with _progress() as progress:
        return uvloop.run(Check(settings, grace_s, progress).run(asked=asked))


def _tell(outcome: "Outcome", as_json: bool, follow: bool) -> None:
    from rich.console import Console

    from app.verify.report import as_dict, show

    if as_json:
        typer.echo(json.dumps(({"type": "result"} if follow else {}) | as_dict(outcome)))
    else:
        # Into a file or pipe nothing is cut.
        show(outcome, Console(width=None if sys.stdout.isatty() else 240))


def _unchecked(text: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"verdict": "unchecked", "error": text}))
    else:
        print(text, file=sys.stderr)
    raise typer.Exit(UNCHECKED)


def _followed(settings: Any, grace_s: float, asked: "Asked", as_json: bool) -> "Outcome":
    """Follows until Ctrl-C or SIGTERM; a second Ctrl-C ends without a verdict."""
    import uvloop
    from rich.console import Console

    from app.verify import live
    from app.verify.follow import Follow

    if as_json:
        telling = live.as_json(lambda line: print(line, flush=True))
    elif sys.stdout.isatty():
        telling = live.on_terminal(Console())
    else:
        telling = live.as_lines(Console(width=240))
    with telling as tell:
        following = Follow(settings, grace_s, *tell)
        return uvloop.run(_until_interrupted(following, asked))


async def _until_interrupted(following: Any, asked: "Asked") -> "Outcome":
    import asyncio
    import signal

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        if following.stopping:
            task.cancel()
        following.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        outcome: Outcome = await following.run(asked=asked)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return outcome


@contextmanager
def _progress() -> Iterator[Bar]:
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
