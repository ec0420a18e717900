"""The parts of a run, each on its own: the links, the crash points, the clock, the counters, the report."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.chaos import report, segments, sometimes
from app.chaos.clients import Confirmed, Producer, lost
from app.chaos.kills import COMPARED, Kills, differences
from app.chaos.plan import Options
from app.chaos.process import Death
from app.chaos.proxy import Link
from app.chaos.sometimes import Opening
from app.chaos.watcher import Fills, Wait, Watcher
from app.chaos.workload import Flow
from app.lanes import clock
from app.local.kafka import Door, Node
from app.local.ports import HOST, any_free
from app.reader import Read
from app.settings import Settings
from app.topics import prepare
from schemas.partitioning import lane_of
from schemas.records import Said


async def echo() -> tuple[asyncio.Server, int]:
    """A server that says again what it hears."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(100):
            writer.write(chunk)
        writer.close()

    port = any_free()
    return await asyncio.start_server(answer, HOST, port), port


async def test_a_link_passes_cuts_delays_and_goes_deaf() -> None:
    server, port = await echo()
    link = Link(any_free(), port)
    await link.start()
    reader, writer = await asyncio.open_connection(HOST, link.port)

    async def said(text: bytes, within_s: float) -> bool:
        writer.write(text)
        try:
            return await asyncio.wait_for(reader.readexactly(len(text)), within_s) == text
        except TimeoutError:
            return False

    assert await said(b"one", 10)
    link.set("delay", 0.2)
    began_s = time.monotonic()
    assert await said(b"two", 10)
    assert time.monotonic() - began_s >= 0.4
    link.set("half-open")
    assert not await said(b"three", 0.3)
    link.set("open")
    assert await asyncio.wait_for(reader.readexactly(5), 10) == b"three"
    link.set("cut")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    other, _ = await asyncio.open_connection(HOST, link.port)
    assert await asyncio.wait_for(other.read(), 10) == b""
    await link.stop()
    server.close()


def crashed(value: str, points: list[str]) -> subprocess.CompletedProcess[str]:
    """A process that comes to points with the variable set."""
    code = f"from app.lanes.crash_points import reached\nfor p in {points}: reached(p); print(p, flush=True)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMS_CRASH_AT": value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_dies_at_its_crash_point_and_nowhere_without_one() -> None:
    points = ["recovery", "before-commit", "before-commit", "after-commit"]
    done = crashed("before-commit:2", points)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, points[:2])
    assert crashed("", points).stdout.split() == points
    refused = crashed("before-comit", points)
    assert refused.returncode == 1
    assert "POINT[:COUNT[:stop]]" in refused.stderr


def test_a_clock_steps_when_it_should() -> None:
    machine = time.time_ns() // 1000
    assert abs(clock.stepping("-5@0")() - machine + 5_000_000) < 1_000_000
    assert abs(clock.stepping("-5@1000")() - machine) < 1_000_000
    with pytest.raises(SystemExit, match="SECONDS@AFTER"):
        clock.stepping("soon")


def test_openings_and_refusals_are_read_from_a_workers_log() -> None:
    log = (
        "2026-01-02T03:04:05.500Z INFO oms.lanes lanes [0, 3] open in 0.50 s (generation 4, kept [0])\n"
        "2026-01-02T03:04:09.000Z CRITICAL oms.lanes worker ends: lane 3: ProducerFenced('There is')\n"
    )
    (opening,) = sometimes.openings(log)
    assert opening.lanes == {0, 3}
    assert opening.took_s == 0.5
    assert opening.at % 60 == 5.5
    assert sometimes.fenced(log) == 1
    assert sometimes.fenced(log.replace("ProducerFenced", "TimeoutError")) == 0


def test_a_rebalance_counts_only_with_a_request_that_waited_through_it() -> None:
    opened = [Opening(100.0, frozenset({1}), 2.0)]
    assert sometimes.rebalances_in_flight(opened, [Wait(97.0, 101.0)]) == 1
    assert sometimes.rebalances_in_flight(opened, [Wait(99.0, 101.0), Wait(90.0, 99.5)]) == 0


def test_a_partial_fill_counts_only_across_the_death_of_its_own_lanes_worker() -> None:
    opened = {"a": [Opening(10.0, frozenset({1}), 0.1)]}
    fills = [Fills(1, 19.0, 21.0), Fills(2, 19.0, 21.0), Fills(1, 20.5, 21.0)]
    assert sometimes.fills_across_crashes(opened, {"a": [Death(20.0, -9)]}, fills) == 1
    assert sometimes.fills_across_crashes(opened, {"a": [Death(20.0, 0)]}, fills) == 0
    assert sometimes.fills_across_crashes(opened, {"b": [Death(20.0, -9)]}, fills) == 0


async def test_aborted_transactions_are_found_in_a_brokers_files(kafka: str, home: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("chaos-aborts", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="chaos-aborts")
    await producer.start()
    for end in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        await producer.begin_transaction()
        await producer.send_and_wait("chaos-aborts", b"value")
        await end()
    await producer.stop()
    assert len(segments.aborts(home / "kafka" / "data", "chaos-aborts")) == 1


def written(data: Path, partition: str, *batches: tuple[int, int, int | None]) -> None:
    """A log of transactional batches of producer 7: epoch, milliseconds, and for a marker 0 (abort) or 1."""
    log = b""
    for epoch, at_ms, kind in batches:
        attributes = 0x10 if kind is None else 0x30
        record = b"" if kind is None else bytes((0x20, 0, 0, 0, 8)) + struct.pack(">hh", 0, kind)
        rest = struct.pack(">iqqqhii", 0, at_ms, at_ms, 7, epoch, 0, 1) + record.ljust(24, b"\0")
        log += struct.pack(">qiibIh", 0, 9 + 2 + len(rest), 0, 2, 0, attributes) + rest
    (data / partition).mkdir(parents=True)
    (data / partition / "00000000000000000000.log").write_bytes(log)


def test_a_transaction_that_is_committed_in_a_part_of_its_partitions_is_found(tmp_path: Path) -> None:
    whole, given_up = [(2, 10, None), (2, 11, 1)], [(2, 20, None), (3, 30, 0)]
    written(tmp_path, "t.events-0", *whole, *given_up)
    written(tmp_path, "t.trades-0", *given_up)
    # A clock that is behind: two transactions have one time, and only the first was committed.
    written(tmp_path, "t.books-0", (4, 40, None), (4, 41, 1), (4, 40, None), (5, 42, 0))
    written(tmp_path, "t.books-1", (4, 40, None), (4, 41, 1))
    written(tmp_path, "t.books-2", (4, 40, None), (5, 42, 0))
    assert segments.torn([tmp_path], "t") == []
    written(tmp_path, "t.executions-3", (2, 20, None), (2, 25, 1))
    assert segments.torn([tmp_path], "t") == [
        "Kafka tore a transaction of producer 7, epoch 2: "
        "committed in t.executions-3, aborted in t.events-0, t.trades-0"
    ]
    assert len(segments.aborts(tmp_path, "t")) == 2


async def test_what_was_confirmed_and_is_not_there_is_found(settings: Settings) -> None:
    await prepare(settings)
    producer = Producer(settings)
    await producer.send(Flow(1).take(30))
    assert await lost(settings, producer.confirmed) == []
    place, message = producer.confirmed[7]
    changed = Confirmed(place, {**message, "account": "ANOTHER"})
    beyond = Confirmed(place._replace(offset=10_000), message)
    found = await lost(settings, [*producer.confirmed[:7], changed, beyond])
    assert len(found) == 2
    assert f"orders-{place.partition}@{place.offset} was confirmed" in found[0]
    await producer.drop()


def test_the_flow_is_the_same_for_a_seed_and_alone_keeps_a_symbol_with_its_account() -> None:
    def taken(seed: int) -> list[Said]:
        return Flow(seed, now_us=lambda: 7).take(500)

    assert taken(3) == taken(3)
    assert taken(3) != taken(4)
    owners = {
        (message["symbol"], message["account"])
        for _, message in Flow(3, alone=True).take(2000)
        if message["symbol"] != "NOSUCH" and message["account"] != "NOBODY"
    }
    assert len(owners) == len({symbol for symbol, _ in owners}) > 4


def test_alone_no_order_is_replaced_twice_as_the_second_may_be_refused_or_not() -> None:
    asked = [m["order"] for kind, m in Flow(3, alone=True).take(3000) if kind == "ReplaceOrder"]
    assert len(asked) == len(set(asked)) > 50


def test_totals_that_differ_are_named() -> None:
    same = dict.fromkeys(COMPARED, 1)
    assert differences(same, same) == []
    assert differences(same, {**same, "trades": 2}) == ["trades is 2, undisturbed 1"]
    assert len(differences({}, {})) == len(COMPARED)


def test_nodes_of_a_cluster_know_each_other_and_keep_two_copies_at_least() -> None:
    nodes = [Node(i, 9000 + i, 9100 + i, (Door("WORKER1", 9200 + i, 9300 + i),)) for i in (1, 2, 3)]
    text = nodes[1].properties(nodes, Path("data"))
    assert "controller.quorum.voters=1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103\n" in text
    assert "advertised.listeners=PLAINTEXT://127.0.0.1:9002,WORKER1://127.0.0.1:9302\n" in text
    assert "min.insync.replicas=2\n" in text
    alone = Node(1, 9001, 9101)
    assert "default.replication.factor=1\n" in alone.properties([alone], Path("data"))
    assert "min.insync" not in alone.properties([alone], Path("data"))


def a_report(seed: int, verdict: str) -> dict[str, object]:
    """What a run writes, as far as a report needs it."""
    return {
        "verdict": verdict,
        "options": {"seed": seed, "nodes": 3, "workers": 3, "minutes": 2.0},
        "faults": [{}, {}],
        "faults_by_kind": {"worker-kill": 2},
        "seen": {"dead letter": 3},
        "longest_pause_s": 7.5,
        "verify": {"totals": {"orders": {"all": 1234}, "trades": 99}},
    }


def test_reports_become_tables_in_a_document(tmp_path: Path) -> None:
    paths = []
    for seed, verdict in ((2, "red"), (1, "green")):
        paths.append(tmp_path / f"{seed}.json")
        paths[-1].write_text(json.dumps(a_report(seed, verdict)), encoding="utf-8")
    text = report.tables([report.read(path) for path in paths])
    assert text.startswith("1 of 2 runs green, 4 faults.")
    assert "| 1 | 3 | 3 | 2 | 2 | 1,234 | 99 | 7.5 | 0 | 0 | green |" in text
    assert "| `worker-kill` | 4 | kill -9 of a worker at any time |" in text
    assert "| dead letter | 6 | 2 |" in text
    totals = dict.fromkeys(COMPARED, 1) | {"orders": {"all": 5000}}
    killed = a_report(3, "green") | {"kills": 100, "undisturbed": totals, "verify": {"totals": totals}}
    with_kills = report.tables([*map(report.read, paths), killed])
    assert with_kills.startswith(text)
    assert "| 100 | 3 | 3 | 5,000 | 1 | 5,000 | 1 | yes | green |" in with_kills
    document = tmp_path / "page.md"
    document.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n", encoding="utf-8")
    report.into_document(document, text)
    written = document.read_text(encoding="utf-8")
    assert written == f"above\n{report.BEGIN}\n{text}\n{report.END}\nbelow\n"
    with pytest.raises(report.ReportError, match="no report"):
        report.read(document)
    document.write_text("no marks", encoding="utf-8")
    with pytest.raises(report.ReportError, match="no place"):
        report.into_document(document, text)


def test_an_answer_that_is_read_before_its_request_is_its_answer() -> None:
    watcher = Watcher(Settings())
    lane = lane_of("C-01", 4)
    order = {"account": "C-01", "client_order_id": "a"}
    event = {**order, "event": "accepted", "request_offset": 5, "order_id": "x", "leaves_quantity": 1}

    def read(short: str, offset: int, kind: str, message: dict[str, Any]) -> Read:
        return Read(short, lane, offset, 0, None, None, kind, message, None)

    watcher.take([read("events", 9, "OrderEvent", event)])
    watcher.take([read("orders", 5, "NewOrder", order)])
    assert watcher.waiting == 0
    watcher.take([read("orders", 6, "NewOrder", order)])
    assert watcher.waiting == 1
    watcher.take([read("events", 10, "OrderEvent", {**event, "event": "canceled", "request_offset": 6})])
    assert watcher.waiting == 1
    watcher.take([read("events", 11, "OrderEvent", {**event, "request_offset": 6})])
    assert (watcher.waiting, watcher.entered["C-01 a"]) == (0, 2)


async def test_what_must_be_met_is_asked_of_the_kills_and_not_of_the_peace_before(tmp_path: Path) -> None:
    class Acted(Kills):
        met = False

        async def phase(self, work: object, load: object, disks: bool = False) -> None:
            self.result.verify = {"totals": dict.fromkeys(COMPARED, 1)}
            if work == self._storm and self.met:
                self.seen.count("aborted transaction")

    options = Options(seed=1, minutes=1)
    run = Acted(options, 1, ["aborted transaction"], tmp_path, tmp_path, print)
    assert (await run.run()).weak == ["never met: aborted transaction"]
    run = Acted(options, 1, ["aborted transaction"], tmp_path, tmp_path, print)
    run.met = True
    result = await run.run()
    assert (result.weak, result.verdict) == ([], "green")
