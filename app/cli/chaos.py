"""`oms chaos`: whether the promises hold while everything fails; `oms chaos report`: what many runs found."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

chaos = typer.Typer(
    help="Break a system of its own by a seeded schedule, then verify it; or report what runs found.",
    invoke_without_command=True,
)
GREEN, RED, NOT_RUN = 0, 1, 2


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.add_typer(chaos, name="chaos")


@chaos.callback()
def run_chaos(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="The same seed gives the same schedule and requests.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long faults go on.")] = 2.0,
    nodes: Annotated[int, typer.Option(min=1, max=3, help="Brokers: 1, or 3 with three copies.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 3,
    rate: Annotated[int, typer.Option(min=1, help="Requests a second.")] = 100,
    kills: Annotated[
        int, typer.Option(min=0, help="Instead of a schedule: so often kill -9, totals as without any.")
    ] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Only this kind of fault; may be repeated.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Not this kind of fault; may be repeated.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="What the run must have met to count, instead of the four; `none` for nothing."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the run; unset: `chaos` below the data folder.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the schedule, and do nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data, not only logs and report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Break a system of its own, then verify it. Exit code 0: green, 1: red or too weak, 2: not run."""
    if context.invoked_subcommand is not None:
        return
    from app.chaos.plan import Options, PlanError, schedule

    if nodes == 2:
        _fail("--nodes must be 1 or 3: of two brokers none may be missing")
    options = Options(seed, minutes, nodes, workers, rate, tuple(only or ()), tuple(without or ()))
    try:
        faults = schedule(options)
    except PlanError as error:
        _fail(str(error))
    if plan:
        for fault in faults:
            typer.echo(fault.line())
        return
    from app.chaos.command import Asked, execute
    from app.settings import Settings

    required = None if require is None else tuple(name for name in require if name != "none")
    # A shell that starts a command in the background has it ignore Ctrl-C; here that is the way to end it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = Asked(options, kills, required, home, keep, lambda line: typer.echo(line, err=as_json))
    try:
        result = execute(Settings(), asked)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if isinstance(result, str):
        _fail(result)
    if as_json:
        typer.echo(json.dumps(result))
    raise typer.Exit(GREEN if result["verdict"] == "green" else RED)


@chaos.command("report")
def report(
    files: Annotated[list[Path], typer.Argument(help="Reports of runs, as `oms chaos --json` prints them.")],
    write: Annotated[
        Path | None, typer.Option(help="Document to write the tables into; unset: print them.")
    ] = None,
) -> None:
    """Print what runs found as tables, or write them into a document."""
    from app.chaos.report import ReportError, into_document, read, tables

    try:
        text = tables([read(path) for path in files])
        if write is None:
            typer.echo(text)
        else:
            into_document(write, text)
    except ReportError as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(NOT_RUN)
