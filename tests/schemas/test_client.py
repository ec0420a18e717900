"""The HTTP client, against a server that ends each connection as it begins."""

import asyncio
import socket
import struct
import threading

import httpx
import pytest
import uvloop

from schemas.client import HttpClient

AT_ONCE = struct.pack("ii", 1, 0)


def _refuse_all(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        connection.close()


async def _ask(url: str, times: int) -> None:
    async with HttpClient() as http:
        for _ in range(times):
            with pytest.raises(httpx.TransportError):
                await http.get(url)


async def test_a_connection_that_ends_as_it_begins_is_an_error_of_transport() -> None:
    """One in fifty of httpx's own requests fails with an AttributeError here, on uvloop."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_refuse_all, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        await asyncio.to_thread(uvloop.run, _ask(url, 500))
        server.shutdown(socket.SHUT_RDWR)
