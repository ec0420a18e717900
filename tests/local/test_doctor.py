"""What `oms doctor` finds on machines that lack something."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.local import jars
from app.local.doctor import Finding, examine
from app.local.program import Child, Program
from app.settings import Settings


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings)}


def test_a_machine_that_runs_the_tests_has_nothing_to_mend(tmp_path: Path) -> None:
    checks = found(Settings(data_dir=tmp_path))
    assert [check for check, finding in checks.items() if finding.verdict == "fail"] == []
    assert "25" in checks["java"].found
    assert "(PostgreSQL) 18" in checks["postgres"].found


def test_missing_jars_are_fetched_by_the_command_it_names(tmp_path: Path) -> None:
    finding = found(Settings(data_dir=tmp_path))["kafka jars"]
    assert finding.verdict == "warn"
    assert finding.mend.endswith(f"-m app.local.jars {tmp_path}/jars")
    jars.folder(tmp_path / "jars").mkdir(parents=True)
    assert found(Settings(data_dir=tmp_path))["kafka jars"].verdict == "ok"


def test_leftovers_are_ended_by_the_command_it_names(tmp_path: Path) -> None:
    child = Child(Program("sleep", [sys.executable, "-c", "import time; time.sleep(60)"]), tmp_path)
    finding = found(Settings(data_dir=tmp_path))["leftovers"]
    child.kill()
    assert (finding.verdict, finding.found, finding.mend) == ("warn", "of a killed run: sleep", "oms down")
    assert found(Settings(data_dir=tmp_path))["leftovers"].verdict == "ok"


def test_a_clock_that_went_back_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "log" / "kafka.log"
    log.parent.mkdir()
    log.touch()
    os.utime(log, (time.time() + 3600,) * 2)
    assert found(Settings(data_dir=tmp_path))["clock"].verdict == "fail"


@pytest.mark.parametrize("setting", ["kafka", "postgres", "redis"])
def test_a_server_of_the_users_own_needs_no_program(tmp_path: Path, setting: str) -> None:
    checks = found(Settings(data_dir=tmp_path, **dict[str, Any]({setting: "elsewhere:1"})))
    name = "java" if setting == "kafka" else setting
    assert checks[name].found == f"not needed: OMS_{setting.upper()} is set"
