"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; resources are JSON-able as they are."""
    return Response(orjson.dumps(body), status, headers, "application/json")
