"""Free ports of 127.0.0.1, remembered in the data folder so that URLs stay the same over restarts."""

import json
import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
# Well-known ones first: a newcomer's tools find them without being told.
PREFERRED = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "postgres": 5432,
    "redis": 6379,
    "registry": 8081,
    "gateway": 8000,
}
_METRICS_FROM = 9100
# Below the range that Linux gives to outgoing connections, which would take a port between choice and use.
_ANY = range(20_000, 30_000)


def is_free(port: int) -> bool:
    """Whether a server can listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """A free port at a random place, for servers whose address nobody remembers."""
    while True:
        port = random.choice(_ANY)
        if is_free(port):
            return port


class Ports:
    """Ports by name: the remembered one if still free, else the preferred one, else the next free."""

    def __init__(self, home: Path) -> None:
        self._path = home / "ports.json"
        try:
            self._known: dict[str, int] = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self._known = {}
        self._taken: set[int] = set()

    def take(self, name: str, asked: int = 0) -> int:
        """The port of a part; `asked` (from the settings) is taken as it is."""
        port = asked or self._choose(name)
        self._taken.add(port)
        self._known[name] = port
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        return port

    def _choose(self, name: str) -> int:
        known = self._known.get(name)
        if known and self._usable(known):
            return known
        others = {port for other, port in self._known.items() if other != name}
        port = PREFERRED.get(name, _METRICS_FROM)
        while port in others or not self._usable(port):
            port += 1
        return port

    def _usable(self, port: int) -> bool:
        return port not in self._taken and is_free(port)
