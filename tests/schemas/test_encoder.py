"""Compiled encoders write the bytes of fastavro, for every flat record and any message of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import encoder
from schemas.codec import Codec, by_fastavro, record_names, schema
from schemas.encoder import NotFlat, compiled
from tests.schemas.samples import ALL_IDS, messages, sample

CODEC = Codec(ALL_IDS)
# Rare, or large in themselves: nothing would be won.
LEFT_TO_FASTAVRO = {"BookUpdate", "DeadLetter", "Instrument"}


def header(record: str) -> bytes:
    """Confluent framing of a record."""
    return b"\0" + ALL_IDS[record].to_bytes(4, "big")


@pytest.mark.parametrize("record", sorted(set(record_names()) - LEFT_TO_FASTAVRO))
@given(data=st.data())
def test_the_bytes_are_those_of_fastavro(record: str, data: st.DataObject) -> None:
    message: dict[str, Any] = data.draw(messages(record))
    assert CODEC.encode(record, message) == by_fastavro(record, header(record), message)


@pytest.mark.parametrize("bits", range(63))
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_longs_of_every_length_are_those_of_fastavro(bits: int, more: int) -> None:
    message = {**sample("NewOrder"), "entered_us": (1 << bits) + more}
    assert CODEC.encode("NewOrder", message) == by_fastavro("NewOrder", header("NewOrder"), message)


@pytest.mark.parametrize("record", sorted(LEFT_TO_FASTAVRO))
def test_what_is_not_flat_is_left_to_fastavro(record: str) -> None:
    with pytest.raises(NotFlat):
        compiled(schema(record), header(record))
    assert CODEC.encode(record, sample(record)) == by_fastavro(record, header(record), sample(record))


def test_looked_up_values_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "MEMO_MAX", 10)
    encoder._GIVEN["decimals"].clear()
    for number in range(100):
        message = {**sample("NewOrder"), "quantity": number}
        assert CODEC.encode("NewOrder", message) == by_fastavro("NewOrder", header("NewOrder"), message)
    assert len(encoder._GIVEN["decimals"]) <= 10 + 1


@pytest.mark.parametrize(("field", "wrong"), [("version", 2**31), ("at_us", 2**63), ("at_us", "1")])
def test_a_number_that_does_not_fit_is_not_written(field: str, wrong: object) -> None:
    with pytest.raises(ValueError, match="is no int of"):
        CODEC.encode("OrderEvent", {**sample("OrderEvent"), field: wrong})
