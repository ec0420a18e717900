"""The REST interface of Confluent's schema registry, as far as its clients use it for Avro.

Source: docs.confluent.io, "Schema Registry API Reference". Query parameters that only matter for what is
not kept here (`normalize`, `format`, `fetchMaxId`, ...) are accepted and change nothing: schemas are always
compared in their normal form.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from starlette.exceptions import HTTPException

from app.registry import refusals
from app.registry.refusals import Refusal
from app.registry.service import Service
from app.registry.state import Version

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_BODY_MAX = 4 * 1024 * 1024

Json = Any


class Answer(JSONResponse):
    """JSON with the registry's own media type."""

    media_type = MEDIA_TYPE


async def _body(request: Request) -> dict[str, Json]:
    """The request's JSON object, whatever its content type says. Raises Refusal."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _BODY_MAX:
            raise Refusal(413, 413, f"The body is larger than {_BODY_MAX} bytes")
    try:
        body = json.loads(bytes(raw))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, 400, f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise refusals.unprocessable("The body must be a JSON object")
    return body


Body = Annotated[dict[str, Json], Depends(_body)]


def build(service: Service) -> FastAPI:
    """The application that answers for a service."""
    app = FastAPI(title="OMS schema registry", default_response_class=Answer, docs_url=None, redoc_url=None)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    _measure(app, service)
    for router in (_subjects(service), _schemas(service), _compatibility(service), _settings(service)):
        app.include_router(router)

    @app.get("/")
    async def root() -> dict[str, str]:
        return {}

    @app.get("/livez")
    async def livez() -> str:
        return "ok"

    @app.get("/readyz")
    async def readyz() -> str:
        # The port opens only after the log was read to its end.
        return "ok"

    return app


def _error(status: int, code: int, text: str) -> Answer:
    return Answer({"error_code": code, "message": text}, status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _error(error.status, error.code, error.text)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.status_code, f"HTTP {error.status_code} {error.detail}")


async def _not_valid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(422, 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _measure(app: FastAPI, service: Service) -> None:
    registry = CollectorRegistry()
    requests = Counter(
        "oms_registry_requests", "Requests by method and status.", ["method", "status"], registry=registry
    )
    schemas = Gauge("oms_registry_schemas", "Live versions of all subjects.", registry=registry)
    schemas.set_function(service.schemas_count)

    @app.middleware("http")
    async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        requests.labels(request.method, str(response.status_code)).inc()
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _shown(version: Version) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "subject": version.subject,
        "version": version.version,
        "id": version.id,
        "schema": version.text,
    }
    if version.references:
        shown["references"] = [reference._asdict() for reference in version.references]
    return shown


def _subjects(service: Service) -> APIRouter:
    router = APIRouter(prefix="/subjects")

    @router.get("")
    async def list_subjects(
        subjectPrefix: str = "",  # noqa: N803
        deleted: bool = False,
        deletedOnly: bool = False,  # noqa: N803
    ) -> list[str]:
        return service.subjects(subjectPrefix, deleted, deletedOnly)

    @router.post("/{subject}")
    async def look_up(subject: str, body: Body, deleted: bool = False) -> dict[str, Json]:
        return _shown(service.look_up(subject, body, deleted))

    @router.delete("/{subject}")
    async def delete_subject(subject: str, permanent: bool = False) -> list[int]:
        return await service.delete_subject(subject, permanent)

    @router.get("/{subject}/versions")
    async def list_versions(subject: str, deleted: bool = False) -> list[int]:
        return [version.version for version in service.versions(subject, deleted)]

    @router.post("/{subject}/versions")
    async def register(subject: str, body: Body) -> dict[str, Json]:
        return _shown(await service.register(subject, body))

    @router.get("/{subject}/versions/{version}")
    async def get_version(subject: str, version: str, deleted: bool = False) -> dict[str, Json]:
        return _shown(service.version(subject, version, deleted))

    @router.delete("/{subject}/versions/{version}")
    async def delete_version(subject: str, version: str, permanent: bool = False) -> int:
        return await service.delete_version(subject, version, permanent)

    @router.get("/{subject}/versions/{version}/schema")
    async def get_text(subject: str, version: str, deleted: bool = False) -> Response:
        return Response(service.version(subject, version, deleted).text, media_type=MEDIA_TYPE)

    @router.get("/{subject}/versions/{version}/referencedby")
    async def referenced_by(subject: str, version: str) -> list[int]:
        return service.referenced_by(subject, version)

    return router


def _schemas(service: Service) -> APIRouter:
    router = APIRouter(prefix="/schemas")

    @router.get("/types")
    async def types() -> list[str]:
        return ["AVRO"]

    @router.get("/ids/{schema_id}")
    async def by_id(schema_id: int) -> dict[str, Json]:
        shown = _shown(service.schema(schema_id))
        return {key: shown[key] for key in ("schema", "references") if key in shown}

    @router.get("/ids/{schema_id}/schema")
    async def text(schema_id: int) -> Response:
        return Response(service.schema(schema_id).text, media_type=MEDIA_TYPE)

    @router.get("/ids/{schema_id}/subjects")
    async def subjects(schema_id: int, deleted: bool = False) -> list[str]:
        return sorted({version.subject for version in service.versions_of_id(schema_id, deleted)})

    @router.get("/ids/{schema_id}/versions")
    async def versions(schema_id: int, deleted: bool = False) -> list[dict[str, Json]]:
        return [
            {"subject": version.subject, "version": version.version}
            for version in service.versions_of_id(schema_id, deleted)
        ]

    return router


def _compatibility(service: Service) -> APIRouter:
    router = APIRouter(prefix="/compatibility/subjects/{subject}/versions")

    def answer(why: list[str], verbose: bool) -> dict[str, Json]:
        return {"is_compatible": not why, **({"messages": why} if verbose else {})}

    @router.post("/{version}")
    async def with_one(subject: str, version: str, body: Body, verbose: bool = False) -> dict[str, Json]:
        return answer(service.incompatibilities(subject, version, body), verbose)

    @router.post("")
    async def with_all(subject: str, body: Body, verbose: bool = False) -> dict[str, Json]:
        return answer(service.incompatibilities(subject, None, body), verbose)

    return router


def _settings(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/config")
    @router.get("/config/{subject}")
    async def level(
        subject: str | None = None,
        defaultToGlobal: bool = False,  # noqa: N803
    ) -> dict[str, str]:
        return {"compatibilityLevel": service.level(subject, defaultToGlobal)}

    @router.put("/config")
    @router.put("/config/{subject}")
    async def set_level(body: Body, subject: str | None = None) -> dict[str, str]:
        return {"compatibility": await service.set_level(subject, body.get("compatibility"))}

    @router.delete("/config")
    @router.delete("/config/{subject}")
    async def unset_level(subject: str | None = None) -> dict[str, str]:
        return {"compatibilityLevel": await service.unset_level(subject)}

    @router.get("/mode")
    @router.get("/mode/{subject}")
    async def mode(
        subject: str | None = None,
        defaultToGlobal: bool = False,  # noqa: N803
    ) -> dict[str, str]:
        return {"mode": service.mode(subject, defaultToGlobal)}

    @router.put("/mode")
    @router.put("/mode/{subject}")
    async def set_mode(body: Body, subject: str | None = None) -> dict[str, str]:
        return {"mode": await service.set_mode(subject, body.get("mode"))}

    @router.delete("/mode/{subject}")
    async def unset_mode(subject: str) -> dict[str, str]:
        return {"mode": await service.unset_mode(subject)}

    return router
