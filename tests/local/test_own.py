"""How the supervisor asks its own processes whether they do their work."""

import asyncio

from app.local.own import Readyz
from app.local.ports import HOST


async def answered(reply: bytes) -> str:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return (await Readyz(f"http://{HOST}:{port}/readyz")()).replace(str(port), "PORT")


async def test_a_ready_process_waits_for_nothing() -> None:
    assert await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n") == ""


async def test_a_process_that_is_not_ready_says_what_it_waits_for() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\n\r\nlanes are not open yet\n"
    assert await answered(refusal) == "lanes are not open yet"


async def test_a_process_that_hangs_up_is_not_ready() -> None:
    assert await answered(b"") == f"http://{HOST}:PORT/readyz does not answer yet (ValueError)"
