"""The gateway's ASGI app and its process."""

import asyncio
import logging
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway import admin, docs, metrics, orders, problems, reads, stream
from app.gateway.answers import Answers
from app.gateway.auth import Keys, Limits
from app.gateway.flow import Flows
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
from schemas.partitioning import lane_of

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
_VERSION = re.compile(r"/api/v\d+(/|$)")
_ALIVE_S = 0.5
_FIRST_PORT = 8000
_PORTS = 100


def build(settings: Settings) -> Parts:
    """The parts of a gateway, not started yet."""
    instruments = Instruments()
    answers = Answers(
        Flows(
            settings.gateway_latency_target_ms / 1000,
            settings.gateway_in_flight_min,
            settings.gateway_age_max_s,
            partial(_way, settings.partitions, instruments),
        )
    )
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


def _way(partitions: int, instruments: Instruments, message: Mapping[str, Any]) -> tuple[int, int]:
    """The lanes of a request's account and symbol; -1: it names no symbol, as some cancels."""
    symbol = message.get("symbol", "")
    instrument = instruments.get(symbol)
    own = None if instrument is None else instrument["lane"]
    place = -1 if not symbol else lane_of(symbol, partitions) if own is None else own
    return lane_of(message["account"], partitions), place


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
        redoc_url=None,
    )
    app.include_router(health)
    for part in (orders, reads, admin, stream):
        app.include_router(part.router, prefix=PREFIX)
    app.include_router(root)
    app.add_middleware(Timed)
    app.add_middleware(CurrentVersion)
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
    postgres, redis = await asyncio.gather(_alive(parts.store.alive()), _alive(parts.latest.alive()))
    document = {
        "status": f"waiting for {missing}" if missing else "ok",
        "kafka": not missing,
        "postgres": postgres,
        "redis": redis,
    }
    return reply(document, 503 if missing else 200)


async def _alive(answer: Awaitable[bool]) -> bool:
    """Whether it answers at once: who asks for health does not wait."""
    try:
        async with asyncio.timeout(_ALIVE_S):
            return await answer
    except TimeoutError:
        return False


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


class CurrentVersion:
    """ASGI middleware: `/api/orders` leads to `/api/v1/orders`, with its method, body and query.

    A WebSocket cannot be sent elsewhere: it is served as if it had asked for the current version.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirects a path without a version; passes on what has one."""
        path: str = scope.get("path", "")
        if not path.startswith("/api/") or _VERSION.match(path):
            await self._app(scope, receive, send)
            return
        current = f"{PREFIX}/{path.removeprefix('/api/')}"
        if scope["type"] == "websocket":
            await self._app({**scope, "path": current}, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        target = f"{quote(current)}?{query}" if query else quote(current)
        await RedirectResponse(target, 307)(scope, receive, send)


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
    # uvicorn raises the signal again after its shutdown: that, too, is a clean exit.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    server(settings).run(sockets=[found])


def _leave(*_: object) -> None:
    raise SystemExit(0)
