"""The gateway's ASGI app and its process."""

import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway import admin, docs, metrics, orders, problems, reads, stream
from app.gateway.answers import Answers
from app.gateway.auth import Keys, Limits
from app.gateway.hub import Hub
from app.gateway.instruments import Instruments
from app.gateway.latest import Latest
from app.gateway.link import Link
from app.gateway.parts import Parts
from app.gateway.problems import Problem
from app.gateway.replies import reply
from app.gateway.store import Store
from app.logs import configure
from app.settings import Settings

log = logging.getLogger(__name__)

VERSION = "v1"
_FIRST_PORT = 8000
_PORTS = 100
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build(settings: Settings) -> Parts:
    """The parts of a gateway, not started yet."""
    answers, instruments = Answers(), Instruments()
    store = Store(settings.endpoint("postgres"))
    admin_key = settings.admin_key or settings.local.get("admin_key", "")
    return Parts(
        settings=settings,
        link=Link(settings, answers, instruments),
        answers=answers,
        instruments=instruments,
        store=store,
        latest=Latest(settings.endpoint("redis")),
        keys=Keys(store.caller, admin_key),
        limits=Limits(settings.gateway_requests_per_s),
        hub=Hub(settings.endpoint("redis")),
    )


def create(settings: Settings) -> FastAPI:
    """The app; it connects when it is started, and serves whatever is there."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        parts = app.state.parts = build(settings)
        await parts.store.start()
        parts.link.start()
        parts.hub.start()
        yield
        await parts.hub.stop()
        await parts.link.stop()
        await parts.latest.stop()
        await parts.store.stop()

    app = FastAPI(
        title="Order management",
        version="1",
        lifespan=running,
        max_body_size=settings.request_bytes_max,
        redoc_url=None,
    )
    app.include_router(health)
    for part in (orders, reads, admin, stream):
        app.include_router(part.router, prefix=f"/api/{VERSION}")
    app.include_router(root)
    app.add_middleware(Timed)
    problems.install(app)
    docs.install(app)
    return app


health = APIRouter(tags=["health"])


@health.get("/livez")
async def livez() -> Response:
    """Whether the process serves at all."""
    return reply({"status": "ok"})


@health.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when orders can be taken. Redis and PostgreSQL are told, but only reads need them."""
    parts: Parts = request.app.state.parts
    missing = parts.link.missing()
    document = {
        "status": f"waiting for {missing}" if missing else "ok",
        "kafka": not missing,
        "postgres": await parts.store.alive(),
        "redis": await parts.latest.alive(),
    }
    return reply(document, 503 if missing else 200)


@health.get("/metrics")
async def prometheus() -> Response:
    """Metrics in the format of Prometheus."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


root = APIRouter(include_in_schema=False)


@root.get("/")
async def index() -> Response:
    """A person who types the address wants to see what there is."""
    return RedirectResponse("/docs")


@root.get("/api/v1/problems/{code}")
async def problem(code: str) -> Response:
    """What the `type` of a problem leads to: its meaning and what to do next."""
    try:
        status, title, what_next = problems.kind(code)
    except KeyError:
        raise Problem("NOT_FOUND", f"problem {code}") from None
    return reply({"code": code, "status": status, "title": title, "next": what_next})


@root.api_route("/api/{path:path}", methods=_METHODS)
async def current_version(path: str, request: Request) -> Response:
    """`/api/orders` leads to the same of the current version, with its method, body and query."""
    if path == VERSION or path.startswith(f"{VERSION}/"):
        raise Problem("NOT_FOUND", f"{request.method} {request.url.path}")
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/api/{VERSION}/{path}{query}", 307)


class Timed:
    """ASGI middleware: measures every HTTP request by the pattern of its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and remembers the status that is sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            labels = (scope["method"], route, str(status))
            metrics.REQUEST_SECONDS.labels(*labels).observe(time.monotonic() - began)


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens on the port; for 0, on the first free one from 8000 up."""
    for candidate in [port] if port else [*range(_FIRST_PORT, _FIRST_PORT + _PORTS), 0]:
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, candidate))
        except OSError as error:
            found.close()
            if port:
                raise SystemExit(
                    f"{host}:{port} is taken ({error}): set OMS_GATEWAY_PORT to another"
                ) from None
        else:
            return found
    raise SystemExit(f"no free port on {host}: set OMS_GATEWAY_PORT")


def server(settings: Settings, **options: Any) -> uvicorn.Server:
    """The HTTP server of a gateway."""
    config = uvicorn.Config(
        create(settings),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=settings.request_bytes_max,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
        **options,
    )
    return uvicorn.Server(config)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    configure(settings)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    found = listener(settings.gateway_host, settings.gateway_port)
    host, port = found.getsockname()[:2]
    log.info("gateway at http://%s:%d", host, port)
    server(settings).run(sockets=[found])
