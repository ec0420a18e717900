"""`oms submit` and `oms generate-orders`: one order, or a file of them."""

import json
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from app.cli.console import BadLines, fail, failures, progress, run
from app.settings import Settings

if TYPE_CHECKING:
    from app.reader import Read
    from app.submit.submit import Summary

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


# What is told of an order on one line, where there is anything to tell.
_TOLD = (
    "event",
    "status",
    "order_id",
    "client_order_id",
    "cum_quantity",
    "average_price",
    "code",
    "reason",
    "detail",
    "text",
)
_NOTHING = (None, "", "0", "NONE")


class Via(StrEnum):
    """The door that orders go in by."""

    KAFKA = "kafka"
    REST = "rest"


class Until(StrEnum):
    """What to wait for."""

    NONE = "none"
    ACCEPTED = "accepted"
    TERMINAL = "terminal"


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command()(submit)
    cli.command("generate-orders")(generate_orders)


def submit(
    file: Annotated[
        Path | None,
        typer.Argument(help="JSON lines or CSV (also .gz) or Parquet; none: one order by options."),
    ] = None,
    account: Annotated[str, typer.Option(help="Account; of a file, where a line names none.")] = "",
    symbol: Annotated[str, typer.Option(help="Instrument.")] = "",
    side: Annotated[str, typer.Option(help="buy or sell.")] = "",
    quantity: Annotated[str, typer.Option(help="Quantity, a decimal number.")] = "",
    limit_price: Annotated[str, typer.Option(help="Limit price; none: a market order.")] = "",
    order_type: Annotated[
        str,
        typer.Option("--type", help="limit, market, stop, …; none: limit with a limit price, else market."),
    ] = "",
    time_in_force: Annotated[
        str, typer.Option("--tif", help="day, gtc, ioc, …; none: ioc of a market order, else day.")
    ] = "",
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="Any other field of a line, such as stop_price=95 or link=oco:7; as often as needed."
        ),
    ] = None,
    client_order_id: Annotated[str, typer.Option(help="Your own id; none: one is made.")] = "",
    key: Annotated[
        str, typer.Option(envvar="OMS_API_KEY", help="API key for --via rest; none: the demo's.")
    ] = "",
    via: Annotated[Via, typer.Option(help="The door to go in by.")] = Via.KAFKA,
    wait: Annotated[
        Until | None, typer.Option(help="Wait for answers; one order waits for accepted.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Longest wait after the last send, seconds.")] = 30.0,
    rate: Annotated[float, typer.Option(min=0, help="Most a second; 0: as fast as they go.")] = 0.0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    as_json: Json = False,
) -> None:
    """Submit one order by options, or a file with lines of new_order, cancel_order, replace_order, ...

    Exit code 1: a bad line, an order refused (of one order), or no answer in time.
    """
    one = {
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "limit_price": limit_price,
        "order_type": order_type or ("limit" if limit_price else "market"),
        "client_order_id": client_order_id or f"cli-{uuid4().hex[:16]}",
    }
    one["time_in_force"] = time_in_force or ("ioc" if one["order_type"] == "market" else "day")
    one |= _more_fields(field or [], one)
    door = Door(via, key, timeout, one["client_order_id"])
    if file is None:
        _submit_one({**one, "account": account}, door, wait or Until.ACCEPTED, as_json)
    elif any((symbol, side, quantity, limit_price, order_type, time_in_force, client_order_id, field)):
        fail("give either a file or the options of one order; with a file only --account applies")
    else:
        _submit_file(file, account, door, wait or Until.NONE, rate, strict, as_json)


def _more_fields(given: list[str], known: dict[str, str]) -> dict[str, str]:
    """What `--field` gives of an order."""
    fields: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            fail(f"--field {each}: must be NAME=VALUE, as in stop_price=95")
        if name in known or name in fields or name in ("account", "type"):
            fail(f"--field {name}: is given twice, or has an option of its own")
        fields[name] = value
    return fields


def _option(field: str) -> str:
    """The option by which a field of an order is given."""
    known = ("account", "symbol", "side", "quantity", "limit_price", "client_order_id")
    return {"order_type": "--type", "time_in_force": "--tif"}.get(
        field, f"--{field.replace('_', '-')}" if field in known else f"--field {field}"
    )


def _submit_one(values: dict[str, str], door: "Door", wait: Until, as_json: bool) -> None:
    from app.submit.lines import FieldError, parse
    from app.submit.submit import chunked

    try:
        said = parse(values)
    except FieldError as error:
        fail(f"{_option(error.field)}: {error.text}")
    with failures():
        summary = run(door.send(chunked([said]), wait, lambda sent: None))
    answer = door.answer() or {"client_order_id": values["client_order_id"]}
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(" ".join(f"{name}={answer[name]}" for name in _TOLD if answer.get(name) not in _NOTHING))
        if summary.unanswered:
            typer.echo("no answer yet: look it up by its client_order_id")
    if summary.unanswered or summary.reasons:
        raise typer.Exit(1)


def _submit_file(
    file: Path, account: str, door: "Door", wait: Until, rate: float, strict: bool, as_json: bool
) -> None:
    from app.files import RowFile
    from app.submit.submit import chunked, messages_of

    report = BadLines(strict)
    with failures(), progress("orders") as bar:
        rows = RowFile(file)
        messages = messages_of(rows, {"account": account} if account else {}, report)
        summary = run(door.send(chunked(messages, rate), wait, lambda sent: bar(rows.share_read(), sent)))
        rows.close()
    summary.bad_lines = report.count
    _show(summary.as_dict(), as_json)
    if summary.unanswered or summary.bad_lines:
        raise typer.Exit(1)


class Door:
    """Kafka or REST; remembers the latest that was said of the order `client_order_id`."""

    def __init__(self, via: Via, key: str, timeout_s: float, client_order_id: str) -> None:
        self._via = via
        self._client_order_id = client_order_id
        self._key = key
        self._timeout_s = timeout_s
        self._latest: Read | None = None
        self._body: dict[str, Any] = {}

    def answer(self) -> dict[str, Any]:
        """What was last said; empty: nothing yet."""
        from app.resources import shown

        return shown(self._latest.kind, self._latest.message) if self._latest else self._body

    async def send(
        self, chunks: AsyncIterator[list[Any]], wait: Until, progress: Callable[[int], None]
    ) -> "Summary":
        """Sends chunks of messages; what came of them."""
        from app.submit import rest, submit

        settings = Settings()
        if self._via is Via.REST:
            key = self._key or settings.local.get("demo_key", "")
            return await rest.submit(
                settings,
                chunks,
                key=key,
                wait=wait.value,
                timeout_s=self._timeout_s,
                progress=progress,
                heard=self._heard,
            )
        return await submit.submit(
            settings,
            chunks,
            wait=wait.value,
            timeout_s=self._timeout_s,
            progress=progress,
            heard=self._read,
        )

    def _read(self, read: "Read") -> None:
        event, latest = read.message, self._latest
        if event.get("client_order_id") != self._client_order_id:
            return
        # The end of an order may be read before its acceptance is known to be ours.
        if latest is None or event["version"] >= latest.message["version"]:
            self._latest = read

    def _heard(self, body: dict[str, Any]) -> None:
        self._body = body


def _show(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            for key, number in sorted(value.items(), key=lambda item: -item[1]):
                typer.echo(f"  {key:<36}{number:>12,}")
        else:
            typer.echo(f"{name.replace('_', ' '):<38}{value:>12,}")


def generate_orders(
    out: Annotated[Path, typer.Option(help="File to write: .jsonl or .jsonl.gz.")],
    count: Annotated[int, typer.Option(min=1, help="Number of lines.")] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 1,
) -> None:
    """Write a file of orders for the demo's instruments and accounts; a few per cent must be rejected."""
    from app.submit.generate import write_orders

    if not out.name.endswith((".jsonl", ".jsonl.gz")):
        fail(f"--out {out}: the name must end in .jsonl or .jsonl.gz")
    with failures(), progress("lines", count) as bar:
        write_orders(out, count, seed, lambda written: bar(written, written))
    typer.echo(f"{count:,} lines in {out}")
