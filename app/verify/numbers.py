"""A set of 64-bit numbers in 12 to 24 bytes each, where Python's own takes 90."""

from array import array
from hashlib import blake2b

_BUCKETS = 256
_SLOTS = 16


def number_of(text: str) -> int:
    """64 bits of a text's hash, never 0."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") or 1


class Numbers:
    """Tables with open addressing, so many that growing one takes no time that is noticed."""

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * _SLOTS)) for _ in range(_BUCKETS)]
        self._counts = [0] * _BUCKETS

    def __contains__(self, number: int) -> bool:
        table = self._tables[number % _BUCKETS]
        return table[_slot(table, number)] == number

    def add(self, number: int) -> bool:
        """Adds a number other than 0; whether it is new."""
        bucket = number % _BUCKETS
        table = self._tables[bucket]
        slot = _slot(table, number)
        if table[slot]:
            return False
        table[slot] = number
        self._counts[bucket] += 1
        if 3 * self._counts[bucket] > 2 * len(table):
            self._tables[bucket] = _grown(table)
        return True


def _slot(table: "array[int]", number: int) -> int:
    """Where the number is, or the free slot where it belongs."""
    last = len(table) - 1
    slot = number // _BUCKETS & last
    while table[slot] and table[slot] != number:
        slot = slot + 1 & last
    return slot


def _grown(table: "array[int]") -> "array[int]":
    larger = array("Q", bytes(16 * len(table)))
    for number in table:
        if number:
            larger[_slot(larger, number)] = number
    return larger
