"""Ids that anyone can compute: the same words give the same id on every machine, before anything is asked."""

from hashlib import blake2b

DAY_US = 86_400_000_000

# FIX leaves the format of ids open; ours are printable so that they survive logs, URLs and CSV.
CLIENT_ORDER_ID_MAX = 64
# Longest text of an outsider that is echoed.
TEXT_MAX = 256


def order_id(account: str, client_order_id: str, entered_us: int) -> str:
    """Twenty hexadecimal digits that name the order of an account, a client's id and a UTC day of entry."""
    day = entered_us // DAY_US
    words = f"{account}\0{client_order_id}\0{day}".encode()
    return blake2b(words, digest_size=10).hexdigest()


def body_hash(*parts: object) -> int:
    """A 48-bit fingerprint of a request's body, to tell a repeat from another order."""
    words = "\0".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(words, digest_size=6).digest(), "big")


def valid_client_order_id(text: str) -> bool:
    """Whether the text may be a client_order_id: 1 to 64 printable ASCII characters."""
    return 0 < len(text) <= CLIENT_ORDER_ID_MAX and text.isascii() and text.isprintable()


def printable(text: str) -> str:
    """Text of an outsider as it may be echoed: at most 256 characters, with `?` for what cannot be printed.

    A NUL, for one, passes Avro but no PostgreSQL column.
    """
    if len(text) <= TEXT_MAX and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text[:TEXT_MAX])
