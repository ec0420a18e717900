"""OpenAPI: resources are described by the `.avsc` files that they are made from, problems by their table."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.gateway.problems import KINDS, MEDIA_TYPE
from app.resources import FLAT, ORDER_FIELDS, shown_name
from schemas.codec import schema, schema_text

Json = dict[str, Any]
# Records that the API shows as they are.
_RECORDS = ("OrderEvent", "MassCancelReport", "ControlReport", "Trade", "Position", "Instrument", "Quote")
Responses = dict[int | str, Json]

DESCRIPTION = """
Orders in, their life and their trades out.

* Send your key as `X-API-Key`, or as `Authorization: Bearer`.
* Decimals are strings with at most 8 decimals, times RFC 3339 in UTC.
* `202` means that the request is safely in Kafka. Add `?wait=accepted` or `?wait=terminal` to be answered
  with what became of it: `201`/`200` with the order, `422` with the reason when it was refused, and still
  `202` when `timeout_ms` was over first.
* A refusal is a problem document (RFC 9457) with a stable `code` and what to do `next`.
* Repeating a POST with the same `client_order_id` and body is safe: it is the same order.
* `/api/v1/stream` is a WebSocket with orders, trades, quotes and books; it takes orders, too: docs/rest.md.
"""
_DECIMAL: Json = {"type": "string", "format": "decimal", "examples": ["187.12"]}
_TIME: Json = {"type": "string", "format": "date-time", "examples": ["2026-11-21T12:00:00.000000Z"]}
_PLAIN = {"string": "string", "int": "integer", "long": "integer", "boolean": "boolean"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, schema: Json, example: Any = None) -> Json:
    content: Json = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}


def page(name: str) -> Responses:
    """The answer of a list of a resource."""
    schema: Json = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": _ref(name)},
            "next_cursor": {"type": ["string", "null"]},
        },
    }
    return {200: _answer("A page.", schema)}


_EXAMPLE_ORDER: Json = {
    "order_id": "3569352b7754ba17bb2f",
    "account": "demo-1",
    "client_order_id": "my-1",
    "symbol": "AAPL",
    "side": "buy",
    "order_type": "limit",
    "time_in_force": "day",
    "status": "new",
    "version": 1,
    "quantity": "10",
    "limit_price": "187.12",
    "cum_quantity": "0",
    "leaves_quantity": "10",
    "average_price": "0",
    "reason": "NONE",
    "text": "",
    "entered_by": "alice",
    "door": "rest",
    "updated_at": "2026-11-21T12:00:00.000000Z",
}
_REFUSED: Json = {
    "description": "Refused by the pipeline; `code` is the reason.",
    "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
}
_UNKNOWN: Json = {
    "description": "Kafka did not confirm in time: look it up at `lookup`, or send the same again.",
    "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
}
_PENDING = _EXAMPLE_ORDER | {"status": "pending_new", "version": 0}
ORDER: Responses = {200: _answer("The order.", _ref("Order"), _EXAMPLE_ORDER)}
ORDER_ENTRY: Responses = {
    200: _answer("A repeat: the order as it is.", _ref("Order"), _EXAMPLE_ORDER),
    201: _answer("Accepted, or finished if that was waited for.", _ref("Order"), _EXAMPLE_ORDER),
    202: _answer("Kafka has it.", _ref("Order"), _PENDING),
    422: _REFUSED,
    504: _UNKNOWN,
}
ORDER_CHANGE: Responses = {
    200: _answer("Done.", _ref("Order"), _EXAMPLE_ORDER),
    202: _answer("Kafka has the request; the order as last known.", _ref("Order"), _EXAMPLE_ORDER),
    422: _REFUSED,
    504: _UNKNOWN,
}
MASS_CANCEL: Responses = {
    200: _answer("Cancels are under way.", _ref("MassCancelReport")),
    202: _answer("Kafka has the request.", _ref("MassCancelReport")),
    422: _REFUSED,
    504: _UNKNOWN,
}
CONTROL: Responses = {
    200: _answer("Applied.", _ref("ControlReport")),
    202: _answer("Kafka has it; no report yet.", _ref("ControlReport")),
    422: _REFUSED,
    504: _UNKNOWN,
}
ACCOUNT: Responses = {200: _answer("The account.", _ref("Account"))}
INSTRUMENT: Responses = {200: _answer("The instrument.", _ref("Instrument"))}
QUOTE: Responses = {200: _answer("The quote.", _ref("Quote"))}
BOOK: Responses = {200: _answer("The book.", _ref("Book"))}
KEY: Responses = {201: _answer("The key, shown this once.", _ref("ApiKey"))}


def _type(kind: Any, named: dict[str, Json]) -> Json:
    """JSON schema of an Avro type."""
    if isinstance(kind, list):
        inner = _type(next(branch for branch in kind if branch != "null"), named)
        return {"anyOf": [inner, {"type": "null"}]}
    if isinstance(kind, str):
        known = named.get(kind.rpartition(".")[2])
        return known if known is not None else {"type": _PLAIN[kind]}
    if kind.get("logicalType") == "decimal":
        return _DECIMAL
    if kind["type"] == "array":
        return {"type": "array", "items": _type(kind["items"], named)}
    named[kind["name"]] = _record(kind, named) if kind["type"] == "record" else _enum(kind)
    return named[kind["name"]]


def _enum(kind: Json) -> Json:
    return {"type": "string", "enum": kind["symbols"]}


def _record(schema: Json, named: dict[str, Json]) -> Json:
    properties = {
        shown_name(field["name"]): {
            **(_TIME if field["name"].endswith("_us") else _type(field["type"], named)),
            "description": field.get("doc", ""),
        }
        for field in schema["fields"]
        if field["name"] not in FLAT
    }
    if any(field["name"] == "instructions" for field in schema["fields"]):
        properties |= _carried()
    return {"type": "object", "description": schema.get("doc", ""), "properties": properties}


def _carried() -> Json:
    """What an order carries beyond its type, beside its other fields; only what is used is there."""
    field = next(field for field in schema("OrderEvent")["fields"] if field["name"] == "instructions")
    properties: Json = {}
    for part in field["type"][1]["fields"]:
        if not part["name"].startswith("link_"):
            properties[part["name"]] = {**_type(part["type"], {}), "description": part["doc"]}
    link = _object("The list that the order belongs to.", type=_TEXT, id=_TEXT, parent=_TEXT)
    return properties | {"link": link}


def _object(description: str, **properties: Json) -> Json:
    return {"type": "object", "description": description, "properties": properties}


_TEXT: Json = {"type": "string"}


def _resources() -> dict[str, Json]:
    """Every resource of the API by name."""
    made = {name: _record(json.loads(schema_text(name)), {}) for name in _RECORDS}
    event = made["OrderEvent"]["properties"]
    order = {name: event[name] for name in ORDER_FIELDS} | {"updated_at": _TIME, "entered_at": _TIME}
    order |= _carried()
    made["Order"] = _object("An order in its latest state.", **order)
    made["Account"] = _account()
    made["Book"] = _book()
    made["ApiKey"] = _api_key()
    made["Problem"] = _problem()
    return made


def _account() -> Json:
    positions: Json = {"type": "array", "items": _ref("Position")}
    return _object(
        "An account with its limits (0: none).",
        account=_TEXT,
        status=_TEXT,
        name=_TEXT,
        max_order_quantity=_DECIMAL,
        max_order_notional=_DECIMAL,
        allow_short={"type": "boolean"},
        updated_at=_TIME,
        cash=positions,
        holdings=positions,
    )


def _book() -> Json:
    level: Json = {"type": "array", "prefixItems": [_DECIMAL, _DECIMAL, {"type": "integer"}]}
    levels: Json = {"type": "array", "items": level}
    return _object(
        "Price levels, best first: [price, quantity, number of orders].",
        symbol=_TEXT,
        sequence={"type": "integer"},
        bids=levels,
        asks=levels,
        checksum={"type": "integer"},
        stale={"type": "boolean", "description": "True: an update was missed; wait for the next snapshot."},
        at=_TIME,
    )


def _api_key() -> Json:
    return _object(
        "An API key; `api_key` only when it is made.",
        name=_TEXT,
        role=_TEXT,
        accounts={"type": "array", "items": _TEXT},
        created_at=_TIME,
        revoked_at=_TIME,
        api_key=_TEXT,
    )


def _problem() -> Json:
    return _object(
        "RFC 9457. Codes: " + ", ".join(KINDS) + ", or a reason of the pipeline.",
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        code=_TEXT,
        next=_TEXT,
        errors={"type": "array", "items": _object("A field.", field=_TEXT, message=_TEXT)},
    )


def _with_problems(operation: Json) -> None:
    """Replaces FastAPI's own validation answer by the problems that any request may meet."""
    responses = operation["responses"]
    if "HTTPValidationError" in json.dumps(responses.get("422", "")):
        del responses["422"]
    for status in ("400", "401", "403", "429", "503"):
        titles = [kind.title for kind in KINDS.values() if str(kind.status) == status]
        responses.setdefault(
            status,
            {"description": "; ".join(titles), "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}},
        )
    operation["security"] = [{"X-API-Key": []}, {"Bearer": []}]


def _built(app: FastAPI) -> Json:
    spec = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_resources())
    spec["components"]["securitySchemes"] = {
        "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in spec["paths"].items():
        if path.startswith("/api/v1/"):
            for operation in operations.values():
                _with_problems(operation)
    return spec


def install(app: FastAPI) -> None:
    """Makes `/openapi.json` and `/docs` of the app."""
    built: dict[str, Mapping[str, Any]] = {}

    def openapi() -> Any:
        if "spec" not in built:
            built["spec"] = _built(app)
        return built["spec"]

    app.openapi = openapi  # type: ignore[method-assign]
