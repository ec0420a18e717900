"""A record as agents and tables see it, and what they say back."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Record(NamedTuple):
    """One decoded record of a lane.

    `kind` is the record name of its schema (`"NewOrder"`), `message` its fields (decimals as integers
    scaled by 10^8), `offset` its place on the lane's partition, `logged_us` its time in the log.
    """

    kind: str
    message: dict[str, Any]
    offset: int
    logged_us: int


# What a table says: the record name, which fixes the topic (schemas.topics), and the message.
Said = tuple[str, Mapping[str, Any]]


class Row(NamedTuple):
    """A changed row of a table for its changelog; `row` is None where the key is gone."""

    key: str
    kind: str
    row: Mapping[str, Any] | None
