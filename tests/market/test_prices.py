"""Generated quotes: the same for a seed, always tradable, and moving together."""

from itertools import pairwise
from statistics import correlation

import pytest

from app.market.demo_instruments import PROFILES, demo_instruments, tick_at
from app.market.prices import Market
from schemas.messages import Quote, TickStep

INSTRUMENTS = demo_instruments(4)


def quotes(count: int, seed: int = 7, rate: float = 50.0, **more: dict[str, int]) -> list[Quote]:
    market = Market(INSTRUMENTS.values(), PROFILES, seed=seed, rate=rate, start_e8=more.get("start_e8"))
    return [market.next_quote(at_us) for at_us in range(count)]


def test_the_same_seed_gives_the_same_quotes_and_another_gives_others() -> None:
    assert quotes(2000) == quotes(2000)
    assert quotes(2000) != quotes(2000, seed=8)


@pytest.mark.parametrize("rate", [10.0, 50_000.0])
def test_no_quote_is_crossed_off_tick_or_off_lot(rate: float) -> None:
    for quote in quotes(20_000, rate=rate):
        instrument = INSTRUMENTS[quote["symbol"]]
        assert 0 < quote["bid"] < quote["ask"]
        for price in (quote["bid"], quote["ask"], quote["last"]):
            assert price % tick_at(instrument["ticks"], price) == 0
        for size in (quote["bid_size"], quote["ask_size"]):
            assert size > 0
            assert size % instrument["lot_size"] == 0


def test_a_price_at_the_edge_of_a_tick_step_stays_on_tick_and_uncrossed() -> None:
    steps = [TickStep(from_price=0, tick_size=10_000), TickStep(from_price=10**8, tick_size=10**6)]
    market = Market(
        [{**INSTRUMENTS["AAPL"], "ticks": steps}], PROFILES, seed=3, rate=0.01, start_e8={"AAPL": 10**8}
    )
    bids = set()
    for _ in range(3000):
        quote = market.next_quote(0)
        bids.add(quote["bid"] >= 10**8)
        assert quote["bid"] < quote["ask"]
        assert quote["bid"] % tick_at(steps, quote["bid"]) == 0
        assert quote["ask"] % tick_at(steps, quote["ask"]) == 0
    assert bids == {True, False}


def test_symbols_move_with_the_market() -> None:
    last: dict[str, int] = {}
    rows: list[tuple[int, int]] = []
    for i, quote in enumerate(quotes(200_000, rate=0.2)):
        last[quote["symbol"]] = quote["bid"]
        if i % 500 == 499:
            rows.append((last["NVDA"], last["TSLA"]))
    moves = [(b[0] / a[0] - 1, b[1] / a[1] - 1) for a, b in pairwise(rows)]
    assert correlation(*zip(*moves, strict=True)) > 0.1


def test_a_market_may_start_where_the_last_one_ended() -> None:
    first = next(quote for quote in quotes(100, start_e8={"AAPL": 777 * 10**8}) if quote["symbol"] == "AAPL")
    assert abs(first["bid"] - 777 * 10**8) < 2 * 10**8


def test_spreads_are_about_as_wide_as_the_profile_says() -> None:
    spreads = [(q["ask"] - q["bid"]) / 10**6 for q in quotes(50_000) if q["symbol"] == "META"]
    usual = PROFILES["META"].spread_ticks
    assert 0.7 * usual < sum(spreads) / len(spreads) < 1.5 * usual
