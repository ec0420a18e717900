"""Market data and order files through a real worker, by the modules and by the commands."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.files import RowFile
from app.lookup import read_to_end
from app.market.demo import Demo
from app.market.generator import generate
from app.market.order_flow import OrderFlow, open_for
from app.market.pace import paced
from app.market.seed import MAKER_ACCOUNTS, seed
from app.reader import TopicReader
from app.settings import Settings
from app.submit.controls import ControlsError, apply_controls
from app.submit.generate import write_orders
from app.submit.submit import chunked, messages_of, submit
from tests.conftest import run
from tests.market.conftest import Trading, environment, launch
from tests.market.l3_expectations import (
    DATA,
    EVENTS,
    L3_EXPECTED,
    L3_REQUESTS,
    L3_UNKNOWN_CANCELS,
    SNAPSHOT,
    needs_data,
    tops_of_topics,
)


def oms(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


async def quoted(settings: Settings) -> None:
    """Fresh quotes of every demo instrument, where the bands of generated orders hold."""
    await generate(settings, rate=0, seed=7, count=200, progress=lambda done: None)


async def test_seeding_is_over_once_a_worker_has_applied_it(trading: Settings) -> None:
    await seed(trading, 30)
    assert await seed(trading, 30) == []
    found = {(r.message["account"], r.message["asset"]) async for r in read_to_end(trading, "positions")}
    assert {("DEMO-1", "USD"), ("MM-4", "BTC-USD")} <= found


async def test_a_control_that_is_refused_is_an_error(trading: Settings) -> None:
    control = {
        "account": "NOBODY",
        "control_id": "c1",
        "currency": "USD",
        "amount": 1,
        "text": "",
        "entered_us": 0,
        "entered_by": "",
        "door": "system",
    }
    with pytest.raises(ControlsError, match="c1 of NOBODY was refused: ACCOUNTS_UNKNOWN_ACCOUNT"):
        await apply_controls(trading, [("MoveCash", control)], 30)


@needs_data
async def test_the_real_order_flow_leaves_its_books_in_the_real_worker(trading: Settings) -> None:
    flow = OrderFlow(SNAPSHOT, EVENTS, "L3", lambda bad: pytest.fail(str(bad)))
    await open_for(trading, flow, 60)
    summary = await submit(trading, paced(flow.steps, 0), wait="accepted", timeout_s=60)
    assert summary.sent == L3_REQUESTS
    assert summary.unanswered == 0
    assert summary.reasons == {"ACCOUNTS_UNKNOWN_ORDER": L3_UNKNOWN_CANCELS}
    tops = await tops_of_topics(trading)
    assert {symbol: tops[symbol] for symbol in L3_EXPECTED} == L3_EXPECTED
    trades = [r async for r in read_to_end(trading, "trades") if r.message["symbol"] in L3_EXPECTED]
    assert trades == []


@needs_data
def test_real_quotes_drive_the_bands_of_their_symbols(trading: Settings) -> None:
    folder = DATA / "ticks_bybit_2021-04-17"
    files = (str(folder / "quotes.csv.gz"), str(folder / "trades.csv.gz"))
    done = oms(trading, "market", "replay", *files, "--speed", "0", "--create-instruments", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["quotes"], result["symbols"], result["bad_lines"]) == (2216, 10, 0)
    far = oms(trading, "submit", "--account", "MM-1", "--symbol", "BCHUSDT", "--side", "sell",
              "--quantity", "1", "--limit-price", "500", "--json")  # fmt: skip
    assert far.returncode == 1
    assert json.loads(far.stdout)["reason"] == "RISK_PRICE_BAND"


async def test_every_line_of_a_generated_file_is_answered_once(trading: Settings, tmp_path: Path) -> None:
    write_orders(tmp_path / "orders.jsonl.gz", 3000, 7, lambda written: None)
    await quoted(trading)
    file = RowFile(tmp_path / "orders.jsonl.gz")
    messages = messages_of(file, {}, lambda bad: pytest.fail(str(bad)))
    summary = await submit(trading, chunked(messages), wait="accepted", timeout_s=60)
    assert summary.sent == summary.outcomes.total() == 3000
    assert summary.unanswered == 0
    assert summary.outcomes["accepted"] > 2000
    invalid = {
        "ACCOUNTS_UNKNOWN_ACCOUNT",
        "ACCOUNTS_UNKNOWN_SYMBOL",
        "ACCOUNTS_INVALID_QUANTITY",
        "ACCOUNTS_INVALID_LIMIT_PRICE",
        "ACCOUNTS_INVALID_CLIENT_ORDER_ID",
        "RISK_OFF_TICK",
        "RISK_OFF_LOT",
        "RISK_PRICE_BAND",
    }
    assert invalid <= set(summary.reasons)
    assert summary.outcomes["order_status"] > 0


def test_one_order_by_options_is_seen_to_its_end(trading: Settings) -> None:
    run(quoted(trading))
    order = ("--symbol", "XOM", "--quantity", "3", "--json")
    rests = oms(trading, "submit", "--account", "MM-1", "--side", "buy", "--limit-price", "118.5", *order)
    assert rests.returncode == 0, rests.stderr
    assert json.loads(rests.stdout)["event"] == "accepted"
    takes = oms(trading, "submit", "--account", "MM-2", "--side", "sell", "--wait", "terminal", *order)
    assert takes.returncode == 0, takes.stderr
    filled = json.loads(takes.stdout)
    assert (filled["status"], filled["cum_quantity"], filled["order_type"]) == ("filled", "3", "market")
    stop = ("--account", "MM-1", "--side", "sell", "--type", "stop_limit", "--limit-price", "90")
    waits = oms(trading, "submit", *stop, "--field", "stop_price=95", "--field", "link=oco:7", *order)
    shown = json.loads(waits.stdout)
    assert (shown["event"], shown["stop_price"], shown["time_in_force"]) == ("accepted", "95", "day")
    assert shown["link"] == {"type": "oco", "id": "7"}
    refused = oms(trading, "submit", "--account", "NOBODY", "--side", "sell", *order)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["reason"] == "ACCOUNTS_UNKNOWN_ACCOUNT"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--field", "stop_price"), "--field stop_price: must be NAME=VALUE"),
        (("--field", "side=buy"), "--field side: is given twice, or has an option of its own"),
        (("--field", "client_order_id=a"), "--field client_order_id: is given twice, or has an option"),
        (("--field", "stp_price=1"), "--field stp_price: is no field of this type"),
        (("--tif", "never"), "--tif: 'never' is not offered"),
        (("--type", "stopp"), "--type: 'stopp' is not offered"),
    ],
)
def test_a_wrong_option_is_named(trading: Settings, options: tuple[str, ...], said: str) -> None:
    order = ("--account", "MM-1", "--symbol", "XOM", "--side", "sell", "--quantity", "3")
    answer = oms(trading, "submit", *order, *options)
    assert answer.returncode == 1
    assert said in answer.stderr


def test_a_file_with_bad_lines_is_sent_but_for_those(trading: Settings, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "client_order_id,symbol,side,quantity,limit_price\n"
        "f1,JPM,buy,1,245\n"
        "f2,JPM,buy,one,245\n"
        "f3,JPM,buy,1,244\n"
    )
    run(quoted(trading))
    done = oms(trading, "submit", str(path), "--account", "MM-3", "--wait", "accepted", "--json")
    assert done.returncode == 1
    assert f"{path}:3: quantity: 'one' is not a decimal number" in done.stderr
    result = json.loads(done.stdout)
    assert (result["sent"], result["bad_lines"], result["answers"]) == (2, 1, {"accepted": 2})
    strict = oms(trading, "submit", str(path), "--account", "MM-3", "--strict")
    assert (strict.returncode, strict.stdout) == (1, "")


def test_watching_tells_what_was_said(trading: Settings) -> None:
    run(quoted(trading))
    told = oms(trading, "watch", "quotes", "--symbol", "TSLA", "--from-beginning", "--count", "3", "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["symbol"] for line in lines] == ["TSLA"] * 3
    plain = oms(trading, "watch", "positions", "--account", "DEMO-1", "--symbol", "USD", "--count", "1")
    assert plain.stdout.startswith("Position account=DEMO-1 asset=USD kind=cash total=")
    assert oms(trading, "watch", "book").returncode == 1


async def test_the_demo_makes_a_live_book_and_goes_on_after_a_worker_is_killed(desk: Trading) -> None:
    demo = asyncio.create_task(Demo(desk.settings, rate=40, seed=3).run())
    try:
        await makers_quote(desk.settings)
        await more_trades(desk.settings, 3)
        desk.worker.kill()
        await asyncio.sleep(1)
        desk.worker = launch(desk.settings, "market-worker", "worker")
        await desk.worker.until_ready(60)
        await more_trades(desk.settings, 3)
        assert not demo.done()
    finally:
        demo.cancel()
        await asyncio.gather(demo, return_exceptions=True)


async def makers_quote(settings: Settings) -> None:
    """Returns when every market maker had an order accepted on both sides."""
    wanted = {(maker, side) for maker in MAKER_ACCOUNTS for side in ("buy", "sell")}
    async with asyncio.timeout(60), TopicReader(settings, ["events"]) as reader:
        async for batch in reader.batches():
            for read in batch:
                message = read.message
                if message.get("event") == "accepted" and message["client_order_id"].startswith("demo-"):
                    wanted.discard((message["account"], message["side"]))
            if not wanted:
                return


async def more_trades(settings: Settings, count: int) -> None:
    """Returns when so many trades were made from now on."""
    async with asyncio.timeout(60), TopicReader(settings, ["trades"], "end") as reader:
        async for batch in reader.batches():
            count -= len(batch)
            if count <= 0:
                return


def test_the_market_process_stops_cleanly(trading: Settings) -> None:
    child = launch(trading, "market-demo", "market", "demo")
    run(child.until_ready(60))
    run(child.stop())
    assert child.code == 0
