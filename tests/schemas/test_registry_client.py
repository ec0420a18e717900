"""The registry's client: what it says when there is no answer."""

import asyncio

import pytest

from schemas.codec import record_names
from schemas.registry import Registry, RegistryUnavailable, subjects


def test_every_record_has_its_subjects() -> None:
    pairs = subjects("oms", "desk")
    assert {record for _, record in pairs} == set(record_names())
    assert ("oms.orders.v1-oms.NewOrder", "NewOrder") in pairs
    assert ("desk-matching-changelog-oms.BookOrderRow", "BookOrderRow") in pairs
    assert len({subject for subject, _ in pairs}) == len(pairs)


async def test_an_absent_registry_is_named_with_the_next_step() -> None:
    async with Registry("http://127.0.0.1:1") as registry:
        with pytest.raises(RegistryUnavailable, match=r"http://127.0.0.1:1 .* OMS_REGISTRY"):
            await registry.schema(1)


async def test_registering_all_gives_up_after_a_while() -> None:
    async with Registry("http://127.0.0.1:1") as registry:
        async with asyncio.timeout(5):
            with pytest.raises(RegistryUnavailable):
                await registry.register_all("oms", "oms", wait_s=0.3)


async def test_a_server_s_trouble_is_no_verdict_on_the_schema() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 503 x\r\nContent-Length: 17\r\n\r\n{"message":"busy"}')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Registry(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as registry:
        with pytest.raises(RegistryUnavailable, match="503"):
            await registry.register("s", '"string"')
