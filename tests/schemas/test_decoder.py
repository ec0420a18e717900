"""Compiled decoders read what fastavro reads, from any bytes at all."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import decoder
from schemas.codec import HEADER, Codec, DecodeError, record_names, schema
from schemas.decoder import NotCompiled, compiled
from schemas.encoder import zigzag
from tests.schemas.samples import ALL_IDS, messages, sample

CODEC = Codec(ALL_IDS)
LEFT_TO_FASTAVRO = {"BookUpdate", "DeadLetter", "Instrument"}
COMPILED = sorted(set(record_names()) - LEFT_TO_FASTAVRO)


def by_fastavro(value: bytes) -> Any:
    """What fastavro makes of framed bytes: record name and message, or the reason of the error."""
    try:
        return CODEC._writers[Codec.schema_id(value)]._read(value)
    except DecodeError as error:
        return error.reason


def by_codec(value: bytes) -> Any:
    """The same by the codec as it is used."""
    try:
        return CODEC.decode(value)
    except DecodeError as error:
        return error.reason


@pytest.mark.parametrize("record", COMPILED)
@given(data=st.data())
def test_a_message_is_read_as_by_fastavro(record: str, data: st.DataObject) -> None:
    message: dict[str, Any] = data.draw(messages(record))
    value = CODEC.encode(record, message)
    assert CODEC.decode(value) == by_fastavro(value) == (record, message)


@pytest.mark.parametrize("bits", range(63))
@pytest.mark.parametrize("sign", [1, -1])
def test_longs_of_every_length_are_read_without_fastavro(bits: int, sign: int) -> None:
    for more in (-1, 0, 1):
        message = {**sample("NewOrder"), "entered_us": sign * (1 << bits) + more}
        assert compiled(schema("NewOrder"), HEADER)(CODEC.encode("NewOrder", message)) == message


@pytest.mark.parametrize("record", COMPILED)
def test_the_common_case_is_read_without_fastavro(record: str) -> None:
    value = CODEC.encode(record, sample(record))
    assert compiled(schema(record), HEADER)(value) == sample(record)


@pytest.mark.parametrize("record", COMPILED)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 4))
def test_spoiled_bytes_are_read_or_refused_as_by_fastavro(record: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    value = bytearray(CODEC.encode(record, sample(record)))
    for _ in range(changes):
        at = chance.randrange(HEADER, len(value) + 1)
        how = chance.randrange(4)
        if how == 0:
            value[at:] = b""
        elif how == 1:
            value[at : at + 1] = bytes([chance.choice((0, 1, 2, 3, 127, 128, 255, chance.randrange(256)))])
        elif how == 2:
            value[at:at] = chance.randbytes(chance.randrange(1, 12))
        else:
            del value[at : at + chance.randrange(1, 4)]
    assert by_codec(bytes(value)) == by_fastavro(bytes(value))


@pytest.mark.parametrize("record", ["NewOrder", "AccountOrderRow"])
def test_any_byte_in_any_place_is_read_or_refused_as_by_fastavro(record: str) -> None:
    value = CODEC.encode(record, sample(record))
    for at in range(HEADER, len(value)):
        for byte in range(256):
            spoiled = value[:at] + bytes([byte]) + value[at + 1 :]
            assert by_codec(spoiled) == by_fastavro(spoiled), spoiled


@pytest.mark.parametrize("record", sorted(LEFT_TO_FASTAVRO))
def test_what_has_arrays_or_bytes_is_left_to_fastavro(record: str) -> None:
    with pytest.raises(NotCompiled):
        compiled(schema(record), HEADER)


def test_a_number_without_end_is_refused_at_once() -> None:
    value = CODEC.encode("CancelOrder", sample("CancelOrder"))[:HEADER] + b"\xff" * 60_000
    assert by_codec(value) == by_fastavro(value)
    with pytest.raises(ValueError, match="common case"):
        decoder._long_at(b"\xff" * 60_000, 0)


@pytest.mark.parametrize(("read", "most"), [(decoder._int_at, 2**31 - 1), (decoder._long_at, 2**63 - 1)])
def test_numbers_are_read_as_far_as_their_type_reaches(read: Any, most: int) -> None:
    for number in (0, most, -most - 1):
        assert read(zigzag(number) + b"?", 0) == (number, len(zigzag(number)))
    for number in (most + 1, -most - 2):
        with pytest.raises(ValueError, match="common case"):
            read(_any_zigzag(number), 0)


def _any_zigzag(number: int) -> bytes:
    """Zigzag of a number of any size."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    groups = [rest >> shift & 0x7F for shift in range(0, rest.bit_length(), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def test_looked_up_values_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "MEMO_MAX", 10)
    decoder._GIVEN["decimals"].clear()
    for number in range(100):
        message = {**sample("NewOrder"), "quantity": number}
        assert CODEC.decode(CODEC.encode("NewOrder", message)) == ("NewOrder", message)
    assert len(decoder._GIVEN["decimals"]) <= 10 + 1
