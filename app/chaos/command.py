"""`oms chaos` as a function: holds the folder, runs, keeps the report, prints the verdict."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiokafka.errors import KafkaError

from app.chaos import sometimes
from app.chaos.kills import Kills
from app.chaos.plan import Options
from app.chaos.run import Result, Run
from app.chaos.system import NotReady
from app.local import home, leftovers
from app.local.program import LocalError
from app.settings import Settings
from app.submit.controls import ControlsError
from app.topics import TopicsError

# What is thrown away after a run; logs and reports stay.
_DATA = ("kafka-*", "postgres", "redis", "faust", "run")


@dataclass(frozen=True)
class Asked:
    """What the command was asked for; `required` None: the four of app.chaos.sometimes."""

    options: Options
    kills: int
    required: tuple[str, ...] | None
    home: Path | None
    keep: bool
    write: Callable[[str], None]


def execute(settings: Settings, asked: Asked) -> dict[str, Any] | str:
    """The report of a run, or why it could not be run."""
    folder = (asked.home or settings.data_dir / "chaos").resolve()
    usual = sometimes.REQUIRED_OF_KILLS if asked.kills else sometimes.REQUIRED
    required = usual if asked.required is None else asked.required
    unknown = [name for name in required if name not in sometimes.KNOWN]
    if unknown:
        return f"nothing is counted as {', '.join(unknown)}; there are: {', '.join(sometimes.KNOWN)}"
    try:
        with home.held(folder):
            ended = leftovers.clean(folder / "system")
            if ended:
                asked.write(f"ended what a former run left: {', '.join(ended)}")
            jars = settings.data_dir.resolve() / "jars"
            result = uvloop.run(_run(asked, required, folder / "system", jars).run())
    except (LocalError, NotReady, ControlsError, TopicsError, KafkaError) as error:
        return str(error) or repr(error)
    found = result.as_dict()
    _keep(found, folder, asked)
    _tell(result, asked.write)
    return found


def _run(asked: Asked, required: Sequence[str], folder: Path, jars: Path) -> Run:
    if asked.kills:
        return Kills(asked.options, asked.kills, required, folder, jars, asked.write)
    return Run(asked.options, required, folder, jars, asked.write)


def _keep(found: dict[str, Any], folder: Path, asked: Asked) -> None:
    """Writes the report; removes data unless they are wanted."""
    name = f"kills-{asked.kills}" if asked.kills else f"seed-{asked.options.seed}"
    path = folder / "reports" / f"{name}-{asked.options.nodes}-nodes.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    asked.write(f"report: {path}; logs: {folder / 'system' / 'log'}")
    if not asked.keep:
        for pattern in _DATA:
            for each in (folder / "system").glob(pattern):
                shutil.rmtree(each, ignore_errors=True)


def _tell(result: Result, write: Callable[[str], None]) -> None:
    """The verdict and what it rests on."""
    for name, count in result.seen.items():
        write(f"  {count:6d}  {name}")
    for text in (*result.reasons, *result.weak):
        write(f"  {text}")
    totals = result.verify.get("totals", {})
    orders, trades = totals.get("orders", {}).get("all", 0), totals.get("trades", 0)
    write(
        f"{result.verdict}: seed {result.options.seed}, {len(result.faults)} faults, {orders} orders, "
        f"{trades} trades, longest pause {result.longest_pause_s} s, after {result.seconds} s"
    )
