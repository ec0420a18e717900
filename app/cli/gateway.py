"""`oms gateway`: REST and WebSocket."""

from app.settings import Settings


def gateway() -> None:
    """Serve REST and the WebSocket stream."""
    from app.gateway.server import run

    run(Settings())
