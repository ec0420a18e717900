"""Messages of any record, made from its schema."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from schemas.codec import record_names, schema
from schemas.wire import expand

Json = Any
# Precision 38 at scale 8.
DECIMAL_MAX = 10**38 - 1

_LONGS = st.integers(-(2**63), 2**63 - 1)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": _LONGS,
    "boolean": st.booleans(),
    "bytes": st.binary(max_size=20),
}
ALL_IDS = {record: number for number, record in enumerate(record_names(), 1)}


def messages(record: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any message of a record."""
    return _values(expand(schema(record)))


def _values(node: Json) -> st.SearchStrategy[Any]:
    if isinstance(node, str):
        return _PLAIN[node]
    if isinstance(node, list):
        return st.none() | _values(next(branch for branch in node if branch != "null"))
    if node.get("logicalType") == "decimal":
        return st.integers(-DECIMAL_MAX, DECIMAL_MAX)
    if node["type"] == "enum":
        return st.sampled_from(node["symbols"])
    if node["type"] == "array":
        return st.lists(_values(node["items"]), max_size=4)
    return st.fixed_dictionaries({field["name"]: _values(field["type"]) for field in node["fields"]})


def sample(record: str) -> dict[str, Any]:
    """One message of a record, always the same; no field has its type's zero or its default."""
    made: dict[str, Any] = sample_of(expand(schema(record)))
    return made


def sample_of(node: Json) -> Any:
    """A value of an expanded type."""
    if isinstance(node, list):
        return sample_of(next(branch for branch in node if branch != "null"))
    kind = node if isinstance(node, str) else node["type"]
    plain: dict[str, Callable[[], Any]] = {
        "string": lambda: "AAPL",
        "int": lambda: 7,
        "long": lambda: 1_700_000_000_000_000,
        "float": lambda: 0.5,
        "double": lambda: 0.5,
        "boolean": lambda: True,
        "bytes": lambda: 18_712_000_000 if isinstance(node, dict) else b"\x00\xff",
        "enum": lambda: node["symbols"][-1],
        "fixed": lambda: b"x" * node["size"],
        "array": lambda: [sample_of(node["items"])],
        "map": lambda: {"k": sample_of(node["values"])},
        "record": lambda: {field["name"]: sample_of(field["type"]) for field in node["fields"]},
    }
    return plain[kind]()
