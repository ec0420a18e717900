"""Redis as a door: the keys that the cache writes, read as they are.

order:{order_id}  orders:live:{account}  position:{account}  book:{symbol}  quote:{symbol}
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.verify.agree import Answer, Answers
from app.verify.contents import Told, book_of_json, order_of_json, position_of_json, quote_of_json
from app.verify.latest import Key, Latest
from app.verify.log import CannotVerify

_TIMEOUT_S = 5.0
_AT_ONCE = 500
# Finished orders are kept for an hour; one that is nearly as old may go while it is asked for.
_FINISHED_KEPT_US = 3_300_000_000
_OF_JSON = {"order": order_of_json, "book": book_of_json, "quote": quote_of_json}


class Cached:
    """Asks a Redis; an async context manager."""

    name = "Redis"

    def __init__(self, url: str, now_us: int) -> None:
        self._url = url
        self._now_us = now_us

    async def __aenter__(self) -> "Cached":
        self._redis: Redis = Redis.from_url(
            self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, protocol=2
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._redis.aclose()

    async def ask(self, latest: Latest, wanted: set[Key] | None) -> Answers:
        """Reads the keys of what is wanted. Raises CannotVerify when Redis does not answer."""
        answers = Answers()
        keys = [key for key in latest.known if wanted is None or key in wanted]
        try:
            await self._values(answers, [key for key in keys if self._is_kept(latest, key)])
            await self._positions(answers, [name for kind, name in keys if kind == "position"])
            for account in sorted({known.account for known in latest.known.values()} - {""}):
                if wanted is None or ("live", account) in wanted:
                    members: Any = await self._redis.smembers(f"orders:live:{account}")
                    where = f"orders:live:{account}"
                    answers.live[account, where] = {member.decode() for member in members}
        except (RedisError, OSError) as error:
            text = f"Redis at {self._url} does not answer: {error}. Check OMS_REDIS, or `oms status`"
            raise CannotVerify(text) from error
        return answers

    def _is_kept(self, latest: Latest, key: Key) -> bool:
        known = latest.known[key]
        return key[0] in _OF_JSON and (not known.ended or self._now_us - known.at_us < _FINISHED_KEPT_US)

    async def _values(self, answers: Answers, keys: list[Key]) -> None:
        for some in _chunks(keys):
            found: list[Any] = await self._redis.mget([f"{kind}:{name}" for kind, name in some])
            for key, value in zip(some, found, strict=True):
                told = None if value is None else _OF_JSON[key[0]](json.loads(value))
                answers.states.append(Answer(key, told, f"{key[0]}:{key[1]}"))

    async def _positions(self, answers: Answers, names: list[str]) -> None:
        for account in sorted({name.partition("|")[0] for name in names}):
            found: dict[Any, Any] = await self._redis.hgetall(f"position:{account}")
            told: dict[str, Told] = {}
            for value in found.values():
                position = json.loads(value)
                told[f"{account}|{position['kind']}|{position['asset']}"] = position_of_json(position)
            answers.states += [
                Answer(("position", name), told.get(name), f"position:{account}")
                for name in names
                if name.startswith(f"{account}|")
            ]


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
