"""Client of a Confluent-compatible schema registry, as far as readers and writers of our topics need one.

Rule: a failure says which registry, what it answered and what to do next. Known limitation: schemas
that refer to other subjects are returned as they are, their references unresolved.
"""

import asyncio
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from schemas.client import HttpClient
from schemas.codec import schema_text
from schemas.topics import ROWS_OF_TABLE, TOPIC_OF_RECORD, changelog_name, subject

_PARALLEL = 8
_RETRY_S = 0.1
_HEADERS = {
    "Accept": "application/vnd.schemaregistry.v1+json, application/json",
    "Content-Type": "application/vnd.schemaregistry.v1+json",
}


class RegistryError(Exception):
    """The registry did not do what was asked; the text gives its URL and the next step."""


class RegistryUnavailable(RegistryError):
    """No answer, or a server error: the same question may be answered later."""


class UnknownSchema(RegistryError):
    """The registry has no schema of that id."""


class SchemaRefused(RegistryError):
    """The registry did not take a schema: invalid, or incompatible with a former version."""


def subjects(topic_prefix: str, app_id: str) -> list[tuple[str, str]]:
    """Every (subject, record name) of ours: records under their topic, rows under their changelog."""
    records = [(subject(topic.name(topic_prefix), name), name) for name, topic in TOPIC_OF_RECORD.items()]
    rows = [
        (subject(changelog_name(app_id, table), row.__name__), row.__name__)
        for table, classes in ROWS_OF_TABLE.items()
        for row in classes
    ]
    return records + rows


class Registry:
    """A registry by its URL. Use it as an async context manager, or `close()` it."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._http = HttpClient(base_url=self.url, headers=_HEADERS, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def register(self, subject: str, text: str) -> int:
        """Id of an Avro schema (JSON text) under a subject; the id it has already, if it was registered.

        Raises SchemaRefused, RegistryUnavailable.
        """
        answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": text})
        if answer.is_error:
            raise SchemaRefused(
                f"registry {self.url} refused a schema for subject {subject}: {_said(answer)}. "
                "Add fields with defaults instead of changing or removing what exists"
            )
        return int(answer.json()["id"])

    async def schema(self, schema_id: int) -> str:
        """The schema (JSON text) of an id. Raises UnknownSchema, RegistryUnavailable."""
        answer = await self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer.is_error:
            raise UnknownSchema(
                f"registry {self.url} has no schema {schema_id}: {_said(answer)}. "
                "Register it there, or point the producer at this registry"
            )
        return str(answer.json()["schema"])

    async def register_all(self, topic_prefix: str, app_id: str, wait_s: float = 30.0) -> dict[str, int]:
        """Id of every record name, after registering all of them; waits up to `wait_s` for the registry.

        Raises SchemaRefused, RegistryUnavailable.
        """
        await self._wait_until_up(wait_s)
        parallel = asyncio.Semaphore(_PARALLEL)

        async def register(name: str, record: str) -> tuple[str, int]:
            async with parallel:
                return record, await self.register(name, schema_text(record))

        pairs = subjects(topic_prefix, app_id)
        return dict(await asyncio.gather(*(register(name, record) for name, record in pairs)))

    async def _wait_until_up(self, wait_s: float) -> None:
        end = time.monotonic() + wait_s
        while True:
            try:
                await self._ask("GET", "/subjects")
            except RegistryUnavailable:
                if time.monotonic() >= end:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__} {error}".strip()
        else:
            # 429 comes from proxies of hosted registries: like 5xx, it is about now, not about the schema.
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
            problem = _said(answer)
        raise RegistryUnavailable(
            f"registry {self.url} does not answer {method} {path}: {problem}. "
            "Check OMS_REGISTRY, or start one with `oms registry`"
        )


def _said(answer: httpx.Response) -> str:
    """The registry's own words, shortened."""
    try:
        text = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = answer.text
    return f"{answer.status_code} {text}"[:1000].rstrip(". ")
