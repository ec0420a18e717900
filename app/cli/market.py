"""`oms market ...`: quotes generated or replayed, recorded order flow, and the demo."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.console import BadLines, fail, failures, progress, run
from app.settings import Settings

market = typer.Typer(
    help="Quotes: generated, replayed from files, or the demo with traders.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same quotes.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")]
Speed = Annotated[float, typer.Option(min=0, help="1: as recorded; 10: ten times faster; 0: at once.")]


_KNOWN_WAIT_S = 10.0


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.add_typer(market, name="market")


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in result.items()))


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


@market.command("seed")
def seed_demo(
    wait: Annotated[float, typer.Option(min=0, help="Wait so many seconds for a worker to apply it.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Write the demo's instruments, accounts, cash and holdings; what is there already is left alone."""
    from app.market.seed import seed

    with failures():
        written = run(seed(Settings(), wait))
    _show({"records_written": len(written)}, as_json)


@market.command()
def generate(
    symbols: Annotated[str, typer.Option(help="Symbols, comma-separated; none: the demo's.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Quotes a second in all; 0: as many as go.")] = 1000.0,
    seed: Seed = 1,
    seconds: Annotated[float, typer.Option(min=0, help="End after so long; 0: no end.")] = 0.0,
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0: no end.")] = 0,
    as_json: Json = False,
) -> None:
    """Send generated quotes: seeded, correlated, with jumps, never crossed or off tick."""
    from app.market.generator import Generated, generate

    done = Generated()

    def show(sent: Generated) -> None:
        nonlocal done
        done = sent
        bar(sent.quotes if count else sent.seconds, sent.quotes)

    wanted = [symbol for symbol in symbols.split(",") if symbol]
    with failures(), progress("quotes", float(count or seconds) or None) as bar, suppress(KeyboardInterrupt):
        run(
            generate(
                Settings(), symbols=wanted, rate=rate, seed=seed, seconds=seconds, count=count, progress=show
            )
        )
    rate_reached = round(done.quotes / done.seconds) if done.seconds else 0
    _show({"quotes": done.quotes, "seconds": round(done.seconds, 3), "per_second": rate_reached}, as_json)


@market.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="CSV (also .gz) or Parquet files; several are merged.")],
    speed: Speed = 1.0,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=FIELD, for other column names.")
    ] = None,
    symbol_prefix: Annotated[str, typer.Option(help="Put before every symbol.")] = "",
    create_instruments: Annotated[
        bool,
        typer.Option("--create-instruments", help="Add missing ones, tick and lot derived from the data."),
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Replay recorded quotes and trades."""
    from app.market.replay import FIELDS, replay

    renamed = dict(_pair(text, FIELDS) for text in map_ or [])
    report = BadLines(strict)

    async def replaying() -> dict[str, Any]:
        settings = Settings()
        created = await _create(settings, files, renamed, symbol_prefix) if create_instruments else 0
        sent = await replay(
            settings, files, speed=speed, renamed=renamed, prefix=symbol_prefix, report=report, progress=bar
        )
        return {
            "quotes": sent.quotes,
            "symbols": len(sent.symbols),
            "instruments_created": created,
            "bad_lines": report.count,
            "seconds": round(sent.seconds, 3),
        }

    with failures(), progress("replay") as bar:
        result = run(replaying())
    _show(result, as_json)


def _pair(text: str, fields: tuple[str, ...]) -> tuple[str, str]:
    column, equals, field = text.partition("=")
    if not equals or not column:
        fail(f"--map {text}: write COLUMN=FIELD")
    if field not in fields and not field.startswith(("bid", "ask", "last", "price", "size")):
        fail(f"--map {text}: no field {field}; there are {', '.join(fields)}")
    return column, field


async def _create(settings: Settings, files: list[Path], renamed: dict[str, str], prefix: str) -> int:
    """Adds missing instruments and waits until workers know them, who pass over quotes of unknown ones."""
    from app.market.derive import create_missing, instruments_of_quotes, own_band
    from app.submit.controls import ControlsError, apply_controls

    created = await create_missing(settings, instruments_of_quotes(files, renamed, prefix))
    try:
        await apply_controls(settings, [own_band(symbol) for symbol in created], _KNOWN_WAIT_S)
    except ControlsError as error:
        print(f"{error}; the replay goes on", file=sys.stderr)
    return len(created)


@market.command("replay-orders")
def replay_order_flow(
    snapshot: Annotated[Path, typer.Argument(help="Resting orders at the start.")],
    events: Annotated[Path, typer.Argument(help="Adds and cancels after it.")],
    account: Annotated[
        str, typer.Option(help="Accounts are called so, with a number for each symbol.")
    ] = "L3",
    create: Annotated[
        bool,
        typer.Option("--create", help="Open the accounts without limits, add the instruments without band."),
    ] = False,
    speed: Speed = 0.0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answers and count them.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Longest wait, seconds.")] = 60.0,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Replay recorded order flow (L3) as requests, in its order."""
    from app.market.order_flow import OrderFlow, open_for
    from app.market.pace import paced
    from app.submit.submit import submit

    report = BadLines(strict)

    async def replaying() -> dict[str, Any]:
        settings = Settings()
        flow = OrderFlow(snapshot, events, account, report)
        if create:
            await open_for(settings, flow, timeout)
        total = len(flow.steps)
        summary = await submit(
            settings,
            paced(flow.steps, speed),
            wait="accepted" if wait else "none",
            timeout_s=timeout,
            progress=lambda sent: bar(sent / total, sent),
        )
        extra = {"accounts": flow.accounts, "at_one_tick": flow.at_one_tick, "bad_lines": report.count}
        return summary.as_dict() | extra

    with failures(), progress("orders") as bar:
        result = run(replaying())
    _show(result, as_json)


@market.command()
def demo(
    rate: Annotated[float, typer.Option(min=1, max=1000, help="Quotes a second in all.")] = 25.0,
    seed: Seed = 1,
) -> None:
    """Send quotes at a modest rate and let demo traders trade, until ended."""
    from app.market.demo import run_demo

    run_demo(Settings(), rate=rate, seed=seed)
