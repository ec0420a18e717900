"""Decoding with schemas that are learned as they are met."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from schemas.codec import Codec, DecodeError
from schemas.registry import Registry, RegistryUnavailable, UnknownSchema

log = logging.getLogger("oms.lanes")

# A schema id that the registry does not know is asked for again after so long.
UNKNOWN_AGAIN_S = 10.0
# A registry that does not answer is waited for so long before the records become dead letters: those of one
# cycle together, so that no cycle takes long because many of its schemas are new.
REGISTRY_PATIENCE_S = 5.0


class Raw(Protocol):
    """A record as it was fetched; `timestamp` in milliseconds."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Decoder:
    """The worker's codec, with the registry behind it for schemas of other producers."""

    def __init__(self, codec: Codec, registry: Registry) -> None:
        self.codec = codec
        self._registry = registry
        self._unknown: dict[int, float] = {}

    async def decode(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        """Record name and message; raises DecodeError. Waits only for a schema never met before."""
        try:
            return self.codec.decode(value)
        except KeyError:
            await self.learn(self.codec.schema_id(value))
            return self.codec.decode(value)

    async def learn_all(self, values: Iterable[bytes | None]) -> dict[int, DecodeError]:
        """Fetches the schemas that these bytes name; why not, by the id of each that there is not."""
        refused: dict[int, DecodeError] = {}
        deadline_s = time.monotonic() + REGISTRY_PATIENCE_S
        for schema_id in self.codec.unknown(values):
            try:
                await self.learn(schema_id, deadline_s)
            except DecodeError as error:
                refused[schema_id] = error
        return refused

    async def learn(self, schema_id: int, deadline_s: float | None = None) -> None:
        """Fetches the schema of an id; raises DecodeError when there is none to be had by the deadline."""
        asked_s = self._unknown.get(schema_id)
        if asked_s is not None and time.monotonic() - asked_s < UNKNOWN_AGAIN_S:
            raise self._no_such(schema_id)
        if deadline_s is None:
            deadline_s = time.monotonic() + REGISTRY_PATIENCE_S
        why = "others took all the time that there was to ask the registry"
        while time.monotonic() < deadline_s:
            try:
                self.codec.learn(schema_id, await self._registry.schema(schema_id))
                return
            except UnknownSchema:
                # Bounded: whoever sends random ids must not fill the memory.
                if len(self._unknown) > 10_000:
                    self._unknown.clear()
                self._unknown[schema_id] = time.monotonic()
                raise self._no_such(schema_id) from None
            except RegistryUnavailable as error:
                why = str(error)
                await asyncio.sleep(0.25)
        raise DecodeError(
            "DECODE_REGISTRY_UNAVAILABLE",
            f"schema id {schema_id} is new here and {why}; replay this record later",
        )

    @staticmethod
    def _no_such(schema_id: int) -> DecodeError:
        return DecodeError(
            "DECODE_UNKNOWN_SCHEMA", f"the registry has no schema {schema_id}; register it, then send again"
        )
