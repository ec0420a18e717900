"""`/metrics`, `/livez` and `/readyz` of a process that has no other web server."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest


async def serve(host: str, port: int, ready: Callable[[], str]) -> web.AppRunner:
    """Serves on `host:port` (0: a free one) in the running loop; `await runner.cleanup()` ends it.

    `ready` returns "" when the process does its work, else what it waits for (answered with 503).
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = ready()
        return web.Response(status=503 if waiting else 200, text=f"{waiting or 'ok'}\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
