"""`oms up`, `down`, `status`, `doctor`: the whole system on this machine."""

import asyncio
import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    for command in (up, down, status, doctor):
        cli.command()(command)


def up(
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    market: Annotated[bool, typer.Option(help="Generate quotes and demo orders.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove all data first.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when ready; `oms down` ends it.")] = False,
) -> None:
    """Start the whole system: Kafka, PostgreSQL, Redis, registry, workers, sinks, gateway, market data."""
    from app.local import detached, home
    from app.local.program import LocalError
    from app.local.screen import Screen
    from app.local.supervisor import Options, Supervisor
    from app.settings import Settings

    settings = Settings()
    folder = settings.data_dir.resolve()
    options = Options(workers=workers, market=market, fresh=fresh)
    try:
        if detach:
            detached.start(folder, _arguments(options), typer.echo)
            return
        with home.held(folder):
            asyncio.run(Supervisor(settings, options, Screen()).run())
    except LocalError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _arguments(options: Any) -> list[str]:
    """The options of `oms up` again, for its detached self."""
    arguments = ["--workers", str(options.workers), "--market" if options.market else "--no-market"]
    return [*arguments, "--fresh"] if options.fresh else arguments


def down(as_json: Json = False) -> None:
    """End the local system, or what a killed one left behind."""
    from app.local import home
    from app.local.program import LocalError
    from app.settings import Settings

    try:
        ended = home.stop(Settings().data_dir.resolve())
    except LocalError as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps({"ended": ended}))
    else:
        typer.echo(f"ended {', '.join(ended)}" if ended else "nothing was running")


def status(as_json: Json = False) -> None:
    """Show every endpoint, key and process, and how far the workers are behind. Exit code 1: not ready."""
    from app.local.status import status as find
    from app.settings import Settings

    found = asyncio.run(find(Settings()))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        from app.local.screen import show_status

        show_status(found)
    if not found["ready"]:
        raise typer.Exit(1)


def doctor(as_json: Json = False) -> None:
    """Check what can be wrong with this machine, and say how to mend it. Exit code 1: something must be."""
    from app.local.doctor import as_dicts, examine
    from app.settings import Settings

    findings = examine(Settings())
    if as_json:
        typer.echo(json.dumps(as_dicts(findings), indent=1))
    else:
        from app.local.screen import show_findings

        show_findings(findings)
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


def _fail(text: str) -> None:
    print(text, file=sys.stderr)
    raise typer.Exit(1)
