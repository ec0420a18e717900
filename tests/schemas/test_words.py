"""Numbers, ids and lanes: the small exact things everything else stands on."""

from collections import Counter

import pytest
from aiokafka.partitioner import murmur2 as clients_murmur2
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.ids import DAY_US, body_hash, order_id, valid_client_order_id
from schemas.numbers import ONE, average_price_e8, format_e8, notional_e8, parse_e8
from schemas.partitioning import lane_of, murmur2


@given(st.integers(1 - 10**38, 10**38 - 1))
@example(12345678901234567890123456789012345678)
def test_a_number_is_written_and_read_without_loss(number: int) -> None:
    assert parse_e8(format_e8(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("187.12", 18_712_000_000),
        ("-0.5", -ONE // 2),
        ("1e-8", 1),
        (".5", ONE // 2),
        ("+3.", 3 * ONE),
        ("1E3", 1000 * ONE),
    ],
)
def test_decimal_strings_are_exact(text: str, number: int) -> None:
    assert parse_e8(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1,5",
        "NaN",
        "Infinity",
        "0x10",
        "1_000",
        " 1",
        "1e999",
        "1.123456789",
        "1e-9",
        "9" * 65,
        "9" * 31,
        "١",
    ],
)
def test_what_is_no_exact_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\d|'"):
        parse_e8(text)


def test_a_notional_is_rounded_down_and_its_parts_never_cost_more() -> None:
    assert notional_e8(parse_e8("0.00000001"), parse_e8("0.5")) == 0
    assert notional_e8(parse_e8("187.12"), parse_e8("3")) == parse_e8("561.36")
    assert notional_e8(parse_e8("4000.25"), parse_e8("2"), parse_e8("50")) == parse_e8("400025")


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**14), max_size=5))
def test_parts_of_an_order_cost_at_most_the_whole(price: int, parts: list[int]) -> None:
    assert sum(notional_e8(price, part) for part in parts) <= notional_e8(price, sum(parts))


@pytest.mark.parametrize(
    ("total", "quantity", "average"), [(0, 0, 0), (5, 2, 2), (7, 2, 4), (7, 3, 2), (8, 3, 3)]
)
def test_an_average_price_is_rounded_half_to_even(total: int, quantity: int, average: int) -> None:
    assert average_price_e8(total, quantity) == average


def test_an_order_id_is_the_same_everywhere_and_another_the_next_day() -> None:
    noon = 20_000 * DAY_US + DAY_US // 2
    assert order_id("A-1", "c-1", noon) == order_id("A-1", "c-1", noon + 1) == "04ec6c09eaa9ea608129"
    assert order_id("A-1", "c-1", noon) != order_id("A-1", "c-1", noon + DAY_US)
    assert order_id("A-1", "c-1", noon) != order_id("A-", "1c-1", noon)


def test_a_body_s_fingerprint_fits_a_long() -> None:
    hashes = [body_hash("buy", number, None) for number in range(1000)]
    assert all(0 <= number < 2**63 for number in hashes)
    assert len(set(hashes)) == 1000


@pytest.mark.parametrize(
    ("text", "valid"),
    [("c-1", True), ("x" * 64, True), ("", False), ("x" * 65, False), ("ö", False), ("a\n", False)],
)
def test_client_order_ids_are_printable_ascii(text: str, valid: bool) -> None:
    assert valid_client_order_id(text) is valid


@given(st.binary(max_size=40))
def test_murmur2_is_that_of_kafka_s_clients(key: bytes) -> None:
    assert murmur2(key) & 0x7FFFFFFF == clients_murmur2(key) & 0x7FFFFFFF


def test_lanes_are_used_evenly() -> None:
    lanes = Counter(lane_of(f"ACC-{number}", 4) for number in range(4000))
    assert set(lanes) == set(range(4))
    assert max(lanes.values()) < 1200
