"""Problems (RFC 9457): what the gateway answers when it does not do what was asked.

Rule: 400 is a request that was not understood, 422 one that was understood and refused by the pipeline
(its code is the reason, as on `oms.events.v1`), 503 one that was certainly not passed on, 504 one whose
outcome is unknown. Codes are stable; `next` says what to do.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from schemas.reasons import EXPLANATIONS, Reason

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PATH = "/api/v1/problems/"


class Kind(NamedTuple):
    """HTTP status of a code, its title, and what to do next."""

    status: int
    title: str
    next: str


KINDS: dict[str, Kind] = {
    "INVALID_JSON": Kind(400, "The body is not JSON", "Send one JSON object; see `detail` for the place."),
    "INVALID_FIELD": Kind(
        400, "A field is not as it must be", "Mend the fields in `errors`, then send again."
    ),
    "UNAUTHORIZED": Kind(
        401, "No valid API key", "Send the key as `X-API-Key: ...` or `Authorization: Bearer ...`."
    ),
    "FORBIDDEN": Kind(403, "The role of this key does not allow it", "Use a key with the role in `detail`."),
    "FORBIDDEN_ACCOUNT": Kind(
        403, "The account is outside the scope of this key", "Use a key that has the account in its scope."
    ),
    "NOT_FOUND": Kind(404, "No such resource", "See /docs for the paths of this API."),
    "UNKNOWN_ORDER": Kind(
        404,
        "No such order",
        "Check the id; an order entered a moment ago may take a second to show: ask again.",
    ),
    "UNKNOWN_ACCOUNT": Kind(404, "No such account", "See GET /api/v1/accounts."),
    "UNKNOWN_SYMBOL": Kind(404, "No such instrument", "See GET /api/v1/instruments."),
    "UNKNOWN_KEY": Kind(404, "No such API key", "See GET /api/v1/keys."),
    "NO_QUOTE": Kind(404, "No quote for the instrument yet", "Ask again once its market data runs."),
    "METHOD_NOT_ALLOWED": Kind(405, "The resource has no such method", "See /docs for its methods."),
    "LANE_CHANGE": Kind(
        409,
        "The lane of an instrument never changes once set",
        "Leave `lane` out, or send the one that it has.",
    ),
    "NAME_TAKEN": Kind(409, "The name belongs to another API key", "Choose another name."),
    "TOO_LARGE": Kind(
        413, "The body is too large", "Send one request at a time, below the limit in `detail`."
    ),
    "RATE_LIMITED": Kind(429, "Too many requests with this key", "Wait for `Retry-After` seconds."),
    "INTERNAL": Kind(500, "The gateway failed", "Look up the outcome before sending again; report the time."),
    "NOT_READY": Kind(
        503,
        "A part that is needed does not answer",
        "Nothing was done. Send again in a moment; GET /readyz says which part is away.",
    ),
    "OVERLOADED": Kind(
        503,
        "More is under way than the system answers in time",
        "Nothing was done. Send the same again after `Retry-After` seconds.",
    ),
    "OUTCOME_UNKNOWN": Kind(
        504,
        "Kafka did not confirm in time: it may or may not have been taken",
        "Look it up at `lookup`, or send exactly the same again: the same id and body is never done twice.",
    ),
}
REFUSED = Kind(422, "Refused by the pipeline", "")


def kind(code: str) -> Kind:
    """What stands behind a code; a reason of the pipeline is a 422 with its own words. Raises KeyError."""
    if code in get_args(Reason):
        meaning, remedy = EXPLANATIONS[cast(Reason, code)]
        return Kind(REFUSED.status, meaning, remedy)
    return KINDS[code]


class FieldError(NamedTuple):
    """One field of a request, and what is wrong with it."""

    field: str
    message: str


class Problem(Exception):
    """Ends a request with a problem document; `members` are added to it as they are."""

    def __init__(
        self,
        code: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members

    def document(self) -> dict[str, Any]:
        """The problem as JSON-able members."""
        status, title, what_next = kind(self.code)
        document: dict[str, Any] = {
            "type": PATH + self.code,
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
            "next": what_next,
        }
        if self.errors:
            document["errors"] = [error._asdict() for error in self.errors]
        if self.headers is not None and "Retry-After" in self.headers:
            document["retry_after_s"] = int(self.headers["Retry-After"])
        return document | self.members

    def response(self) -> Response:
        """The problem as an HTTP answer."""
        body = orjson.dumps(self.document())
        return Response(body, kind(self.code).status, self.headers, MEDIA_TYPE)


def invalid(field: str, message: str) -> Problem:
    """The problem of one field."""
    return Problem("INVALID_FIELD", f"{field}: {message}", [FieldError(field, message)])


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        return Problem("INVALID_JSON", f"{found[0]['ctx']['error']} at character {found[0]['loc'][-1]}")
    # Without the leading body, query or path.
    return _of_fields([{**item, "loc": item["loc"][1:]} for item in found], "body")


def of_shape(error: ValidationError) -> Problem:
    """The problem of a message that came by another way than HTTP."""
    return _of_fields(error.errors(), "message")


def _of_fields(found: Sequence[Mapping[str, Any]], whole: str) -> Problem:
    """`limit_price` or `ticks.0.tick_size` is wrong, or the `whole` of it."""
    errors = [FieldError(".".join(map(str, item["loc"])) or whole, _message(item)) for item in found]
    return Problem("INVALID_FIELD", f"{errors[0].field}: {errors[0].message}", errors)


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "is no field of this request"
    if item["type"] == "missing":
        return "is required"
    return str(item["msg"]).removeprefix("Value error, ")


def _of_http(error: HTTPException) -> Problem:
    code = {400: "INVALID_JSON", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}.get(
        error.status_code, "NOT_FOUND"
    )
    return Problem(code, str(error.detail), headers=error.headers)


def install(app: FastAPI) -> None:
    """Makes every refusal and failure of the app a problem document."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> Response:
        return _of_validation(error).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        problem = _of_http(error)
        if problem.code == "NOT_FOUND":
            problem.detail = f"{request.method} {request.url.path}"
        return problem.response()

    @app.exception_handler(Exception)
    async def failure(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Problem("INTERNAL", f"{request.method} {request.url.path}").response()
