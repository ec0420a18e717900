"""The data folder: one supervisor at a time; ports, keys and jars that stay."""

import socket
import stat
from pathlib import Path

import pytest

from app.local import home
from app.local.ports import HOST, PREFERRED, Ports, any_free, is_free


def test_a_second_supervisor_is_told_how_to_see_and_end_the_first(tmp_path: Path) -> None:
    with home.held(tmp_path):
        home.write_private(tmp_path / "state.json", {"pid": 4711})
        with (
            pytest.raises(home.AlreadyUp, match=r"supervisor 4711.*oms status.*oms down"),
            home.held(tmp_path),
        ):
            pass
    assert not home.is_held(tmp_path)


def test_down_without_anything_up_ends_nothing(tmp_path: Path) -> None:
    home.write_private(tmp_path / "state.json", {"pid": 1, "started": 0.0})
    assert home.stop(tmp_path) == []
    assert not (tmp_path / "state.json").exists()


def test_keys_stay_and_are_private(tmp_path: Path) -> None:
    made = home.Secrets(tmp_path).made("admin_key")
    assert home.Secrets(tmp_path).made("admin_key") == made
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_a_fresh_start_keeps_the_jars_and_nothing_of_the_data(tmp_path: Path) -> None:
    for name in ("kafka", "postgres", "jars"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    home.Secrets(tmp_path).made("admin_key")
    home.empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["jars"]


def test_a_port_stays_over_restarts_while_it_is_free(tmp_path: Path) -> None:
    port = any_free()
    Ports(tmp_path).take("worker-1-metrics", asked=port)
    assert Ports(tmp_path).take("worker-1-metrics") == port
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()
        assert not is_free(port)
        assert Ports(tmp_path).take("worker-1-metrics") != port


def test_two_parts_never_get_the_same_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path)
    names = [*PREFERRED, "worker-1-metrics", "worker-2-metrics", "storage-metrics"]
    assert len({ports.take(name) for name in names}) == len(names)
