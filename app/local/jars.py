"""The jars of Apache Kafka, resolved from Maven once into `{data_dir}/jars` (55 MB), by jgo.

Rule: the folder of jars appears whole or not at all: they are collected beside it and renamed. Run as a
program (`python -m app.local.jars FOLDER`) it prints a line per jar; so the supervisor can show progress
and end it at any time.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local.program import LocalError, Program

KAFKA_VERSION = "4.1.1"
_LOG4J = "2.24.3"
# kafka-clients is named because jgo would take the older one that another dependency asks for;
# the logging jars because the broker's POM has none.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",
    f"org.apache.logging.log4j:log4j-core:{_LOG4J}",
    f"org.apache.logging.log4j:log4j-1.2-api:{_LOG4J}",
)
_DIGEST = hashlib.sha256("+".join(COORDINATES).encode()).hexdigest()[:8]


def folder(cache: Path) -> Path:
    """Where the jars of this version lie in the cache, present or not."""
    return cache / f"kafka-{KAFKA_VERSION}-{_DIGEST}"


def classpath(cache: Path) -> str:
    """Java classpath of the broker, its tools and its client. Raises LocalError when there are no jars."""
    if not folder(cache).is_dir():
        raise LocalError(
            f"no Kafka jars in {cache}: run `make setup` or `oms up` with access to Maven Central"
        )
    return f"{folder(cache)}/*"


async def ensure(cache: Path, say: Callable[[str], None] = print) -> None:
    """Fetches the jars unless they are there; `say` gets each line of progress. Raises LocalError."""
    if folder(cache).is_dir():
        return
    fetcher = Program("jars", [sys.executable, "-m", "app.local.jars", str(cache)])
    process = await asyncio.create_subprocess_exec(
        *fetcher.launched(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[str] = []
    try:
        assert process.stdout
        async for line in process.stdout:
            lines.append(line.decode(errors="replace").rstrip())
            say(lines[-1])
        if await process.wait() != 0:
            raise LocalError("Kafka's jars could not be fetched:\n  " + "\n  ".join(lines[-5:]))
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def fetch(cache: Path) -> None:
    """Resolves the jars into the cache; one process at a time, the others wait and find them."""
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        if folder(cache).is_dir():
            return
        partial = cache / "partial"
        # A download that was cut short leaves a broken jar, which jgo would take for a whole one.
        shutil.rmtree(partial, ignore_errors=True)
        resolved = _resolve(partial)
        whole = partial / "whole"
        whole.mkdir()
        for jar in resolved:
            _check(jar)
            shutil.copyfile(jar, whole / jar.name)
        whole.rename(folder(cache))
        shutil.rmtree(partial, ignore_errors=True)


def _resolve(partial: Path) -> list[Path]:
    """All jars, downloaded below `partial`; prints a line for each."""
    # Else it would leave its downloads in the user's ~/.m2 and ~/.cache.
    os.environ["M2_REPO"] = str(partial / "m2")
    from jgo import build
    from jgo.maven import PythonResolver

    fetched = 0

    @contextmanager
    def progress(name: str, size: int) -> Iterator[Callable[[int], None]]:
        nonlocal fetched
        yield lambda _: None
        fetched += 1
        print(f"{fetched} {name} {size / 1e6:.1f} MB", flush=True)

    built = build(
        "+".join(COORDINATES), cache_dir=partial, resolver=PythonResolver(progress_callback=progress)
    )
    return sorted(Path(built.path).rglob("*.jar"))


def _check(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        broken = archive.testzip()
    if broken:
        raise LocalError(f"{jar.name} arrived damaged ({broken}): run the same command again")


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """`python -m app.local.jars [FOLDER]`: fetches into the folder, or into the data folder's cache."""
    from app.settings import Settings

    cache = Path(sys.argv[1]) if len(sys.argv) > 1 else Settings().data_dir / "jars"
    try:
        fetch(cache)
    except Exception as error:  # whatever the network or the disk said, in one line
        sys.exit(
            f"{type(error).__name__}: {error}. Check the network and the proxy (HTTPS_PROXY), then try again"
        )


if __name__ == "__main__":
    main()
