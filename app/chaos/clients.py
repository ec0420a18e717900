"""The clients of a run: a Kafka producer, a source of quotes, and one that uses the gateway.

All of them do what a careful client does: what was not confirmed is sent again, the same with the same ids,
until it is. What was confirmed is kept with its place, so that the end of the run can ask for it.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any, NamedTuple

import httpx
from aiokafka.errors import KafkaError

from app.chaos.system import ADMIN_KEY
from app.chaos.workload import Flow, quotes, sessions
from app.gateway.link import Sender
from app.reader import TopicReader
from app.settings import Settings
from app.submit.rest import call_of
from app.writer import Place
from schemas.client import HttpClient
from schemas.records import Said
from schemas.registry import RegistryError

_CONFIRM_S = 12.0
_AGAIN_S = 0.3
_TICK_S = 0.1
_QUOTES_S = 0.5
_SESSION_S = (0.5, 3.0)
_REST_S = 0.25
_REST_TIMEOUT_S = 8.0
# What an HTTP answer says for good; anything else may be asked again.
_DONE = frozenset({200, 201, 422})


class Confirmed(NamedTuple):
    """A request that Kafka confirmed, and where."""

    place: Place
    message: Any


class Producer:
    """Sends chunks in order, again and again until each is confirmed; `retries` counts the repetitions."""

    def __init__(self, settings: Settings) -> None:
        self.confirmed: list[Confirmed] = []
        self.retries = 0
        self._settings = settings
        self._writer: Sender | None = None

    async def send(self, said: Sequence[Said]) -> None:
        """Returns when all is confirmed."""
        while not await self.tries(said, keep=True):
            self.retries += 1
            await asyncio.sleep(_AGAIN_S)

    async def tries(self, said: Sequence[Said], keep: bool = False) -> bool:
        """Sends once; whether all was confirmed. `keep` remembers where."""
        try:
            async with asyncio.timeout(_CONFIRM_S):
                if self._writer is None:
                    writer = Sender(self._settings)
                    await writer.start()
                    self._writer = writer
                places = await self._writer.send_many(said)
        except (KafkaError, RegistryError, OSError, TimeoutError):
            await self.drop()
            return False
        if keep:
            self.confirmed += [
                Confirmed(place, message) for place, (_, message) in zip(places, said, strict=True)
            ]
        return True

    async def drop(self) -> None:
        """Disconnects without sending what waits."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                await writer.drop()


async def produce(producer: Producer, flow: Flow, rate: int) -> None:
    """Requests at a rate a second, until canceled; less while Kafka confirms nothing."""
    due_s = time.monotonic()
    while True:
        await producer.send(flow.take(max(1, int(rate * _TICK_S))))
        due_s = max(due_s + _TICK_S, time.monotonic() - 1.0)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


async def quote(settings: Settings, seed: int) -> None:
    """Quotes twice a second, until canceled; what is not confirmed is old and not sent again."""
    producer, chance = Producer(settings), Random(f"{seed} quotes")
    try:
        while True:
            await producer.tries(list(quotes(chance, time.time_ns() // 1000)))
            await asyncio.sleep(_QUOTES_S)
    finally:
        await producer.drop()


async def change_sessions(settings: Settings, seed: int) -> None:
    """Leads some symbols through auctions, halts and bands, until canceled."""
    producer, chance = Producer(settings), Random(f"{seed} sessions")
    try:
        while True:
            for control in sessions(chance):
                await producer.send([control])
                await asyncio.sleep(chance.uniform(*_SESSION_S))
    finally:
        await producer.drop()


class RestClient:
    """Enters orders by the gateway; one that gets no answer is entered again until it does.

    `wrong` tells of answers that no client should get; `retried` names orders that were asked for again,
    `entered` those of which the gateway said that Kafka has them, each as account and client_order_id.
    """

    def __init__(self, settings: Settings, seed: int) -> None:
        self.answered = 0
        self.retried: set[str] = set()
        self.entered: set[str] = set()
        self.wrong: list[str] = []
        self._asking: dict[asyncio.Task[None], str] = {}
        self._flow = Flow(seed, "r")
        self._orders = f"{settings.gateway}/api/v1/orders"
        limits = httpx.Limits(max_connections=20)
        self._http = HttpClient(headers={"X-API-Key": ADMIN_KEY}, timeout=_REST_TIMEOUT_S, limits=limits)

    async def run(self) -> None:
        """Orders four times a second, until canceled; each waits for its answer beside the others."""
        for turn in count():
            self.ask(self._flow.order() if turn % 3 else self._flow.unusual())
            await asyncio.sleep(_REST_S)

    def ask(self, order: dict[str, Any], until: str = "accepted") -> "asyncio.Task[None]":
        """Begins to enter an order; done when it has an answer for good."""
        task = asyncio.create_task(self._enter(order, until))
        self._asking[task] = order["client_order_id"]
        task.add_done_callback(self._asked)
        return task

    def _asked(self, task: "asyncio.Task[None]") -> None:
        named = self._asking.pop(task, "")
        if not task.cancelled() and (error := task.exception()) is not None:
            self.wrong.append(f"the client of {named} failed: {error!r}")

    async def finish(self, limit_s: float) -> list[str]:
        """Waits for the answers that are still asked for; client_order_ids that got none in time."""
        if self._asking:
            await asyncio.wait(set(self._asking), timeout=limit_s)
        return list(self._asking.values())

    async def _enter(self, order: dict[str, Any], until: str) -> None:
        named = f"{order['account']} {order['client_order_id']}"
        call = call_of("NewOrder", {**order, "door": "rest"})
        while True:
            params = {"wait": until, "timeout_ms": "5000"}
            try:
                answer = await self._http.request(call.method, self._orders, params=params, json=call.body)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code in _DONE:
                self._look(named, order, answer)
                return
            if answer is not None and answer.status_code == 202:
                # Kafka has it; that it is answered is for the verifier to say.
                self.answered += 1
                self.entered.add(named)
                return
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                self.wrong.append(f"{named}: {answer.status_code} {answer.text[:200]}")
                return
            self.retried.add(named)
            await asyncio.sleep(_AGAIN_S)

    def _look(self, named: str, order: dict[str, Any], answer: httpx.Response) -> None:
        self.answered += 1
        body = answer.json()
        if answer.status_code == 422:
            if body.get("code") == "ACCOUNTS_DUPLICATE_ORDER":
                self.wrong.append(f"{order['client_order_id']} entered again was called a duplicate: {body}")
            return
        self.entered.add(named)
        if body.get("client_order_id") != order["client_order_id"] or body.get("symbol") != order["symbol"]:
            self.wrong.append(f"{order['client_order_id']} got the answer of another order: {body}")

    async def close(self) -> None:
        """Gives up what is still asked for, and ends its connections."""
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._http.aclose()


async def lost(
    settings: Settings, confirmed: Sequence[Confirmed], entered: Collection[str] = ()
) -> list[str]:
    """What was confirmed and Kafka does not have, in words.

    `confirmed` must be where Kafka said, `entered` (account and client_order_id of orders) anywhere.
    """
    wanted = {(sent.place.partition, sent.place.offset): sent.message for sent in confirmed}
    unseen = set(entered)
    async with TopicReader(settings, ["orders"]) as reader:
        async for batch in reader.batches():
            for read in batch:
                sent = wanted.get((read.partition, read.offset))
                if sent is not None and all(read.message.get(name) == sent[name] for name in sent):
                    del wanted[read.partition, read.offset]
                if read.kind == "NewOrder":
                    unseen.discard(f"{read.message['account']} {read.message['client_order_id']}")
            if await reader.caught_up():
                break
    places = [f"orders-{lane}@{offset} was confirmed for {sent}" for (lane, offset), sent in wanted.items()]
    return places + [f"{named} was confirmed by the gateway and is not in orders" for named in sorted(unseen)]
