"""The code once as it lies there and once compiled: what figures are printed of both.

The compiled one is a copy of the packages in `var/native`, made by mypyc from the modules of `make compiled`
and kept until a source changes. Without a C compiler there is only the other.
"""

import json
import shutil
import subprocess
import sys
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from app.settings import ROOT

_PACKAGES = ("app", "agents", "tables", "schemas", "tests")
# What drives the engine there, compiled too.
_LOOPS = ("tests/bench/steps.py", "tests/bench/others.py")
_HOME = ROOT / "var" / "native"


@cache
def kinds() -> dict[str, Path]:
    """Where to run what, by `interpreted` and `compiled`; a process started there has that code."""
    if any((ROOT / "tables").rglob("*.so")):
        return {"compiled": ROOT}
    found = {"interpreted": ROOT}
    compiled = _compiled()
    return found if compiled is None else {**found, "compiled": compiled}


def answer(home: Path, module: str, function: str, *arguments: Any) -> Any:
    """What a function of the bench answers in a process of its own; all of it as JSON."""
    code = f"import json, {module} as m; print(json.dumps(m.{function}(*{arguments!r})))"
    made = subprocess.run([sys.executable, "-c", code], cwd=home, stdout=subprocess.PIPE, check=True)
    return json.loads(made.stdout.splitlines()[-1])


def _compiled() -> Path | None:
    """The copy with native modules; None where it cannot be made."""
    home = _HOME / _digest()
    done = home / "done"
    if done.exists():
        return home
    print("compiling a copy for the bench (a minute)", flush=True)
    shutil.rmtree(_HOME, ignore_errors=True)
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", home)
    told = ["make", "-s", "--eval", "modules: ; @echo $(COMPILED)", "modules"]
    make = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True)
    mypyc = [sys.executable, "-W", "ignore", str(Path(sys.executable).with_name("mypyc"))]
    log = home / "mypyc.log"
    with log.open("wb") as out:
        built = subprocess.run([*mypyc, *make.stdout.split(), *_LOOPS], cwd=home, stdout=out, stderr=out)
    if built.returncode:
        print(f"no figures of compiled code: {log} says why (is there a C compiler?)", flush=True)
        return None
    done.touch()
    return home


def _digest() -> str:
    """What stands for the state of all sources."""
    digest = blake2b(sys.version.encode(), digest_size=8)
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    digest.update((ROOT / "Makefile").read_bytes())
    return digest.hexdigest()
