"""Who asks: API keys with a role and a scope of accounts, and how often each may ask.

Rules: a key is stored only as its SHA-256; what PostgreSQL said of a key holds for five seconds, and for
as long as PostgreSQL is away. A limit counts per key in this process.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Literal, NamedTuple

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from app.gateway.problems import Problem

log = logging.getLogger(__name__)

Role = Literal["admin", "trader", "read_only"]
KEPT_S = 5.0
_KNOWN_MAX = 10_000
_CALLERS_MAX = 10_000


class Caller(NamedTuple):
    """Whom a key belongs to; `accounts` None is all accounts."""

    name: str
    role: Role
    accounts: frozenset[str] | None

    def has(self, account: str) -> bool:
        """Whether the account is in the scope."""
        return self.accounts is None or account in self.accounts

    def need(self, account: str) -> None:
        """Raises Problem FORBIDDEN_ACCOUNT when the account is outside the scope."""
        if not self.has(account):
            raise Problem("FORBIDDEN_ACCOUNT", f"account {account} is not in the scope of key {self.name}")

    def scope(self, account: str | None) -> list[str] | None:
        """The accounts that a question is about: the one it names, else all of the scope (None: all)."""
        if account is not None:
            self.need(account)
            return [account]
        return None if self.accounts is None else sorted(self.accounts)


# Finds the caller of a key's hash; None: no such key. Raises Problem NOT_READY when it cannot tell.
Find = Callable[[str], Awaitable[Caller | None]]


def hash_of(key: str) -> str:
    """How a key is stored."""
    return sha256(key.encode()).hexdigest()


class Keys:
    """Callers by their keys."""

    def __init__(self, find: Find, admin_key: str) -> None:
        self._find = find
        self._admin_hash = hash_of(admin_key) if admin_key else ""
        self._known: OrderedDict[str, tuple[float, Caller | None]] = OrderedDict()

    async def caller(self, key: str) -> Caller:
        """The caller of a key. Raises Problem UNAUTHORIZED, or NOT_READY when it cannot be checked."""
        if not key:
            raise Problem("UNAUTHORIZED", "no API key was sent", headers={"WWW-Authenticate": "Bearer"})
        hashed = hash_of(key)
        if compare_digest(hashed, self._admin_hash):
            return Caller("admin", "admin", None)
        caller = await self._looked_up(hashed)
        if caller is None:
            raise Problem(
                "UNAUTHORIZED", "the API key is unknown or revoked", headers={"WWW-Authenticate": "Bearer"}
            )
        return caller

    def forget(self) -> None:
        """Asks PostgreSQL again for every key, as after a key was made or revoked."""
        self._known.clear()

    async def _looked_up(self, hashed: str) -> Caller | None:
        since, caller = self._known.get(hashed, (0.0, None))
        if since and time.monotonic() - since < KEPT_S:
            return caller
        try:
            caller = await self._find(hashed)
        except Problem:
            if caller is None:
                raise
            log.warning("PostgreSQL is away: key of %s is taken as last known", caller.name)
        self._known[hashed] = (time.monotonic(), caller)
        self._known.move_to_end(hashed)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return caller


class Limits:
    """A bucket per caller: `per_second` requests refill each second, as many may come at once."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Counts a request; raises Problem RATE_LIMITED when there is no room for it."""
        if not self._per_second:
            return
        now = time.monotonic()
        left, at = self._buckets.pop(name, (float(self._per_second), now))
        left = min(self._per_second, left + (now - at) * self._per_second)
        room = left >= 1
        self._buckets[name] = (left - room, now)
        if len(self._buckets) > _CALLERS_MAX:
            self._buckets.popitem(last=False)
        if not room:
            raise Problem(
                "RATE_LIMITED",
                f"key {name} may make {self._per_second} requests a second",
                headers={"Retry-After": "1"},
            )


def key_of(connection: HTTPConnection) -> str:
    """The API key in the headers, or ""."""
    key = connection.headers.get("x-api-key", "")
    if not key:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else ""
    return key


async def _reader(request: Request) -> Caller:
    caller: Caller = await request.app.state.parts.keys.caller(key_of(request))
    request.app.state.parts.limits.take(caller.name)
    return caller


async def _trader(request: Request) -> Caller:
    caller = await _reader(request)
    need_trader(caller)
    return caller


def need_trader(caller: Caller) -> None:
    """Raises Problem FORBIDDEN when the caller may only read."""
    if caller.role == "read_only":
        raise Problem("FORBIDDEN", f"key {caller.name} is read_only; a trader key is wanted")


async def _admin(request: Request) -> Caller:
    caller = await _reader(request)
    if caller.role != "admin":
        raise Problem("FORBIDDEN", f"key {caller.name} is {caller.role}; an admin key is wanted")
    return caller


# What a handler asks for: anyone with a key, one who may trade, one who may do everything.
Reader = Annotated[Caller, Depends(_reader)]
Trader = Annotated[Caller, Depends(_trader)]
Admin = Annotated[Caller, Depends(_admin)]
