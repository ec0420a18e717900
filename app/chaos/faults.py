"""What each kind of fault does. Each function does its fault, holds it, undoes it, and says what came of it.

None waits for the system to be well again: another track may be keeping it down.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.chaos import poison
from app.chaos.clients import RestClient
from app.chaos.plan import POISONS, Fault
from app.chaos.process import Process
from app.chaos.proxy import Mode
from app.chaos.sometimes import Seen, fenced, read_log
from app.chaos.system import SESSION_S, System
from app.chaos.workload import Flow
from app.lanes import clock, crash_points
from schemas.registry import RegistryError

_REACHED_S = 40.0
_FENCED_S = 12.0
_BATCH_S = 8.0
# Cycles before a crash at a point of a cycle.
_CYCLES_MAX = 20
_STEP_S_MAX = 5.0
_DELAY_S = (0.02, 0.25)
_PROBE_S = 4.0
_RETRY_S = 15.0


class Faults:
    """Does faults to a system; `seen` counts what they brought about, `wrong` tells what must never be."""

    def __init__(self, system: System, seed: int, rest: RestClient, seen: Seen) -> None:
        self.wrong: list[str] = []
        # Names of faults that came to the point that they are meant for.
        self.reached: set[str] = set()
        self._system = system
        self._rest = rest
        self._seen = seen
        self._flow = Flow(seed, "p")

    async def do(self, fault: Fault) -> str:
        """Does a fault; what came of it, in words."""
        return await self._work(fault.name)(fault)

    def _work(self, name: str) -> Callable[[Fault], Awaitable[str]]:
        if name.startswith("worker-crash-"):
            return self._crash
        if name.startswith("poison-"):
            return self._poison
        found: Callable[[Fault], Awaitable[str]] = getattr(self, f"_{name.replace('-', '_')}")
        return found

    def _worker(self, fault: Fault) -> Process:
        workers = self._system.workers
        return workers[fault.target % len(workers)]

    def _broker(self, fault: Fault) -> Process:
        brokers = self._system.brokers
        return brokers[fault.target % len(brokers)]

    # -- workers -------------------------------------------------------------------------------

    async def _worker_kill(self, fault: Fault) -> str:
        worker = self._worker(fault)
        await worker.kill()
        return worker.name

    async def _worker_term(self, fault: Fault) -> str:
        worker, began_s = self._worker(fault), time.monotonic()
        worker.send(signal.SIGTERM)
        death = await worker.dies(15)
        if death is None:
            return f"{worker.name} did not end"
        return f"{worker.name} ended with {death.code} after {time.monotonic() - began_s:.1f} s"

    async def _crash(self, fault: Fault) -> str:
        """Starts the worker again with a point of its death."""
        worker, point = self._worker(fault), fault.name.removeprefix("worker-crash-")
        # At its first assignment a worker has nothing that could be revoked.
        at_once = {"recovery": 1, "rebalance": 2}
        count = at_once.get(point, 1 + int(fault.value * _CYCLES_MAX))
        await worker.down()
        worker.up({crash_points.VARIABLE: f"{point}:{count}"})
        dying = asyncio.create_task(worker.dies(_REACHED_S))
        if point == "rebalance":
            await worker.ready(_REACHED_S)
            await self._rebalance()
        death = await dying
        if death is None:
            # Else it would die at some later time of its own.
            await worker.kill()
            return f"{worker.name} did not come to {point}"
        if death.code != -signal.SIGKILL:
            return f"{worker.name} ended with {death.code} before it came to {point}"
        self.reached.add(fault.name)
        return f"{worker.name} at {point}, time {count}"

    async def _rebalance(self) -> None:
        """Lets the spare join and leave."""
        self._system.spare.up()
        await self._system.spare.ready(10)
        await self._system.spare.down()

    async def _worker_zombie(self, fault: Fault) -> str:
        """Stopped with a transaction open, replaced, and continued: its commit must be refused."""
        worker = self._worker(fault)
        self._system.spare.up()
        await worker.down()
        count = 1 + int(fault.value * _CYCLES_MAX)
        worker.up({crash_points.VARIABLE: f"before-commit:{count}:stop"})
        if not await worker.stops(_REACHED_S):
            await worker.kill()
            await self._system.spare.down()
            return f"{worker.name} did not come to a commit"
        said = await self._thaw(fault, SESSION_S + 2.5)
        await self._system.spare.down()
        return said

    async def _worker_freeze(self, fault: Fault) -> str:
        worker = self._worker(fault)
        self._system.spare.up()
        worker.send(signal.SIGSTOP)
        said = await self._thaw(fault, SESSION_S + fault.hold_s)
        await self._system.spare.down()
        return said

    async def _thaw(self, fault: Fault, after_s: float) -> str:
        """Continues a stopped worker; whether Kafka refused it, or it joined again."""
        worker = self._worker(fault)
        await asyncio.sleep(after_s)
        log = self._system.home / "log" / f"{worker.name}.log"
        refusals = fenced(read_log(log))
        worker.resume()
        death = await worker.dies(_FENCED_S)
        if death is None:
            self._seen.count("zombie joined again")
            return f"{worker.name} was stopped for {after_s:.1f} s and joined again"
        if fenced(read_log(log)) > refusals:
            self.reached.add(fault.name)
            self._seen.count("zombie refused")
        return f"{worker.name} was stopped for {after_s:.1f} s and ended with {death.code}"

    async def _workers_churn(self, fault: Fault) -> str:
        """The spare joins and leaves, now and then before it has recovered."""
        chance, spare = Random(fault.target), self._system.spare
        end_s, times = time.monotonic() + fault.hold_s, 0
        while time.monotonic() < end_s:
            spare.up()
            if chance.random() < 0.6:
                await spare.ready(6)
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            await spare.down(polite=chance.random() < 0.5)
            times += 1
        return f"{times} times"

    async def _worker_clock_step(self, fault: Fault) -> str:
        worker = self._worker(fault)
        step_s = (fault.value * 2 - 1) * _STEP_S_MAX
        await worker.down()
        worker.up({clock.VARIABLE: f"{step_s:.3f}@4"})
        await worker.ready(15)
        await asyncio.sleep(fault.hold_s)
        await worker.kill()
        return f"{worker.name} by {step_s:+.2f} s"

    # -- brokers and the network ---------------------------------------------------------------

    async def _broker_restart(self, fault: Fault) -> str:
        broker = self._broker(fault)
        await broker.down()
        await asyncio.sleep(fault.hold_s)
        broker.up()
        return broker.name

    async def _broker_kill(self, fault: Fault) -> str:
        broker = self._broker(fault)
        await broker.down(polite=False)
        await asyncio.sleep(fault.hold_s)
        broker.up()
        await broker.ready(30)
        return broker.name

    async def _broker_leader_kill(self, fault: Fault) -> str:
        lane = fault.target % self._system.partitions
        leader = await self._leader(lane)
        if leader is None:
            return f"lane {lane} has no leader"
        broker = self._system.brokers[leader - 1]
        await broker.down(polite=False)
        await asyncio.sleep(fault.hold_s)
        follower = await self._leader(lane)
        broker.up()
        await broker.ready(30)
        if follower not in (None, leader):
            self._seen.count("another leader")
        return f"{broker.name}, leader of lane {lane}; then {follower}"

    async def _leader(self, lane: int) -> int | None:
        """Node id of a lane's leader on the topic of requests."""
        settings = self._system.settings
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=5000)
        try:
            async with asyncio.timeout(8):
                await admin.start()
                (topic,) = await admin.describe_topics([settings.topic("orders")])
        except (KafkaError, OSError, TimeoutError):
            return None
        finally:
            with suppress(KafkaError, OSError):
                await admin.close()
        found = {int(p["partition"]): int(p["leader"]) for p in topic["partitions"]}
        return found[lane] if found.get(lane, -1) > 0 else None

    async def _brokers_majority_down(self, fault: Fault) -> str:
        """Two of three brokers die; the third must confirm nothing."""
        brokers = self._system.brokers
        left = fault.target % len(brokers)
        dead = [broker for i, broker in enumerate(brokers) if i != left]
        # It knows the partitions before the others die: one alone need not tell.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._system.url_of(left), acks="all", request_timeout_ms=int(_PROBE_S * 1000)
        )
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_PROBE_S):
                await producer.start()
                await producer.partitions_for(self._system.settings.topic("orders"))
        await asyncio.gather(*(broker.down(polite=False) for broker in dead))
        confirmed, _ = await asyncio.gather(self._probe(producer), asyncio.sleep(fault.hold_s))
        if confirmed:
            self.wrong.append(f"{brokers[left].name} alone confirmed {confirmed}")
        for broker in dead:
            broker.up()
        await asyncio.gather(*(broker.ready(40) for broker in dead))
        return f"{brokers[left].name} alone confirmed {', '.join(confirmed) or 'nothing'}"

    async def _probe(self, producer: AIOKafkaProducer) -> list[str]:
        """Partitions in which one broker alone confirms a request with acks=all; ends the producer."""
        settings = self._system.settings
        try:
            async with asyncio.timeout(2 * _PROBE_S):
                sent = [
                    await producer.send(settings.topic("orders"), b"unconfirmed", partition=lane)
                    for lane in range(settings.partitions)
                ]
                self._seen.count("minority asked")
                done, _ = await asyncio.wait(sent, timeout=_PROBE_S)
            return [str(future.result()) for future in done if future.exception() is None]
        except (KafkaError, OSError, TimeoutError):
            return []
        finally:
            # It would wait for confirmations that cannot come.
            if producer._sender.sender_task is not None:
                producer._sender.sender_task.cancel()
            with suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(2):
                    await producer.stop()

    async def _link(self, fault: Fault, mode: Mode, delay_s: float = 0.0) -> str:
        worker = self._worker(fault)
        links = self._system.links(worker.name)
        for link in links:
            link.set(mode, delay_s)
        await asyncio.sleep(fault.hold_s)
        for link in links:
            link.set("open")
        return worker.name

    async def _link_cut(self, fault: Fault) -> str:
        return await self._link(fault, "cut")

    async def _link_delay(self, fault: Fault) -> str:
        low, high = _DELAY_S
        delay_s = low + fault.value * (high - low)
        return f"{await self._link(fault, 'delay', delay_s)} by {delay_s * 1000:.0f} ms"

    async def _link_half_open(self, fault: Fault) -> str:
        return await self._link(fault, "half-open")

    async def _broker_disk_full(self, fault: Fault) -> str:
        return await self._disk_full(self._broker(fault), fault)

    async def _disk_full(self, process: Process, fault: Fault) -> str:
        disk, deaths = self._system.disks[process.name], len(process.deaths)
        written = await asyncio.to_thread(disk.fill)
        await asyncio.sleep(fault.hold_s)
        await asyncio.to_thread(disk.empty)
        self._seen.count("disk full")
        ends = len(process.deaths) - deaths
        return f"{process.name}, after {written >> 20} MB; it ended {ends} times"

    # -- around them ---------------------------------------------------------------------------

    async def _gateway_kill(self, fault: Fault) -> str:
        """While it waits for the end of orders that Kafka has; their client asks again."""
        gateway = self._system["gateway"]
        orders = [self._flow.order(time_in_force="gtc") for _ in range(4)]
        asking = [self._rest.ask(order, "terminal") for order in orders]
        await asyncio.sleep(0.4 + fault.value)
        await gateway.kill()
        done, _ = await asyncio.wait(asking, timeout=_RETRY_S)
        return f"{len(done)} of {len(orders)} clients have their answer, the others ask on"

    async def _storage_kill(self, fault: Fault) -> str:
        """Killed while a transaction of it is open, as PostgreSQL sees it."""
        storage = self._system["storage"]
        caught = await self._stop_in_batch(storage)
        await storage.kill()
        if caught:
            self.reached.add(fault.name)
            self._seen.count("storage killed in a batch")
        return "in a batch" if caught else "between two batches"

    async def _stop_in_batch(self, storage: Process) -> bool:
        end_s = time.monotonic() + _BATCH_S
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'oms storage'"
            " AND state IN ('active', 'idle in transaction') AND xact_start IS NOT NULL"
        )
        try:
            async with await psycopg.AsyncConnection.connect(
                self._system.settings.postgres, autocommit=True, connect_timeout=5
            ) as connection:
                while time.monotonic() < end_s:
                    storage.send(signal.SIGSTOP)
                    # What it had sent is worked off; what is left waits for a process that stands still.
                    await asyncio.sleep(0.02)
                    row: Any = await (await connection.execute(query)).fetchone()
                    if row[0]:
                        return True
                    storage.resume()
                    await asyncio.sleep(0.013)
        except psycopg.Error:
            storage.resume()
        return False

    async def _restart(self, name: str, fault: Fault, polite: bool) -> str:
        process = self._system[name]
        await process.down(polite)
        await asyncio.sleep(fault.hold_s)
        process.up()
        return f"away for {fault.hold_s:.1f} s"

    async def _postgres_restart(self, fault: Fault) -> str:
        return await self._restart("postgres", fault, polite=True)

    async def _postgres_kill(self, fault: Fault) -> str:
        return await self._restart("postgres", fault, polite=False)

    async def _postgres_disk_full(self, fault: Fault) -> str:
        return await self._disk_full(self._system["postgres"], fault)

    async def _redis_kill(self, fault: Fault) -> str:
        return await self._restart("redis", fault, polite=False)

    async def _redis_flush(self, fault: Fault) -> str:
        client: Redis = Redis.from_url(self._system.settings.redis, socket_timeout=5)
        try:
            keys = await client.dbsize()
            await client.flushall()
        except (RedisError, OSError) as error:
            return f"not there: {error}"
        finally:
            await client.aclose()
        return f"{keys} keys"

    async def _registry_down(self, fault: Fault) -> str:
        return await self._restart("registry", fault, polite=False)

    async def _registry_down_at_start(self, fault: Fault) -> str:
        """The spare starts when nobody can tell it the schemas."""
        registry, spare = self._system["registry"], self._system.spare
        await registry.down(polite=False)
        early = spare.runs
        if not early:
            spare.up()
        await asyncio.sleep(fault.hold_s)
        registry.up()
        waiting = await spare.ready(20)
        if not early:
            await spare.down()
        return f"the spare {'is ready after all' if not waiting else 'waits: ' + waiting}"

    async def _poison(self, fault: Fault) -> str:
        name = fault.name.removeprefix("poison-")
        assert name in POISONS
        order = self._flow.order(time_in_force="gtc")
        try:
            async with asyncio.timeout(15):
                return await poison.send(self._system.settings, name, Random(fault.target), order)
        except (KafkaError, RegistryError, OSError, TimeoutError) as error:
            return f"not sent: {error!r}"
