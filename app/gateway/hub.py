"""One Redis subscription for all stream clients of this process.

Rule: `add` returns when Redis has confirmed the subscription, so that a snapshot taken after it misses
nothing. Redis forgets messages that nobody heard: after every loss of the connection each feed is told,
and takes a new snapshot.
"""

import asyncio
import logging
from typing import Any, NamedTuple, Protocol

import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from app.reader import end_if_canceled

log = logging.getLogger(__name__)

_IDLE_S = 5.0
_RETRY_S = 0.5


class Update(NamedTuple):
    """A message of a channel; `sequence` counts those that this process has heard on it."""

    sequence: int
    data: dict[str, Any]


class Listener(Protocol):
    """Who hears a channel."""

    def hear(self, update: Update) -> None:
        """Takes an update; must not block."""

    def lost(self) -> None:
        """Updates may have been missed, or will be."""

    def restored(self) -> None:
        """The subscription stands again: time for a new snapshot."""


class Hub:
    """Listeners by Redis channel."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._listeners: dict[str, set[Listener]] = {}
        self._heard: dict[str, int] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._keep_listening())

    async def stop(self) -> None:
        """Ends the subscription."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def heard(self, channel: str) -> int:
        """Number of the last update of a channel."""
        return self._heard.get(channel, 0)

    async def add(self, channel: str, listener: Listener) -> bool:
        """Subscribes; False when Redis is away: then `restored` follows once it is back."""
        self._listeners.setdefault(channel, set()).add(listener)
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        if self._pubsub is None:
            return False
        try:
            if not confirmed.is_set():
                await self._pubsub.subscribe(channel)
                self._subscribed.set()
            async with asyncio.timeout(_IDLE_S):
                await confirmed.wait()
        except (RedisError, OSError, TimeoutError):
            end_if_canceled()
            return False
        end_if_canceled()
        return True

    async def remove(self, channel: str, listener: Listener) -> None:
        """Ends a listener's subscription, and with the last one that of the channel."""
        listeners = self._listeners.get(channel, set())
        listeners.discard(listener)
        if listeners or channel not in self._listeners:
            return
        del self._listeners[channel], self._confirmed[channel]
        self._heard.pop(channel, None)
        if self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except (RedisError, OSError) as error:
                log.debug("unsubscribe %s: %s", channel, error)

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("stream: Redis is away: %r", error)
            except Exception:
                log.exception("stream: listening failed")
            self._tell_lost()
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        """Hears all channels until the connection fails."""
        async with Redis.from_url(self._url, socket_connect_timeout=2, protocol=2) as redis:
            await redis.ping()
            async with redis.pubsub() as pubsub:
                self._subscribed.clear()
                if self._listeners:
                    await pubsub.subscribe(*self._listeners)
                    self._subscribed.set()
                self._pubsub = pubsub
                try:
                    await self._hear_all(pubsub)
                finally:
                    self._pubsub = None

    async def _hear_all(self, pubsub: PubSub) -> None:
        silent = 0
        while True:
            end_if_canceled()
            # redis-py refuses to read before the first subscription.
            await self._subscribed.wait()
            message = await pubsub.get_message(timeout=_IDLE_S)
            silent = silent + 1 if message is None else 0
            if silent > 1:
                raise TimeoutError("no answer to a ping")
            if message is None:
                await pubsub.ping()
            else:
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        channel = (message["channel"] or b"").decode()
        if message["type"] == "subscribe":
            self._confirm(channel)
        elif message["type"] == "message" and channel in self._listeners:
            self._heard[channel] = self.heard(channel) + 1
            update = Update(self._heard[channel], orjson.loads(message["data"]))
            for listener in list(self._listeners[channel]):
                listener.hear(update)

    def _confirm(self, channel: str) -> None:
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            return
        if confirmed.is_set():
            # A second confirmation means that the client library has reconnected on its own.
            self._tell(channel, lost=True)
        first = not confirmed.is_set() and self.heard(channel) == 0
        confirmed.set()
        if not first:
            self._tell(channel, lost=False)

    def _tell_lost(self) -> None:
        for channel in list(self._listeners):
            # So that the confirmation on return is known as one after a loss.
            self._heard[channel] = self.heard(channel) + 1
            self._confirmed[channel].clear()
            self._tell(channel, lost=True)

    def _tell(self, channel: str, *, lost: bool) -> None:
        for listener in list(self._listeners.get(channel, ())):
            if lost:
                listener.lost()
            else:
                listener.restored()
