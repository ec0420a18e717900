"""The registry's rules: what may be registered, deleted and configured, and what each question is answered.

Every change is made from a state that has all former ones, one at a time, and is answered when the log
has it. Known limitations: Avro only; no contexts, metadata, rules or import mode (refused, never dropped
silently).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from app.registry import refusals
from app.registry.avro import InvalidSchema, Reference, Schema
from app.registry.compatibility import LEVELS, violations
from app.registry.kafka_log import SchemaLog
from app.registry.state import (
    DEFAULT_LEVEL,
    DEFAULT_MODE,
    State,
    Version,
    last_id_change,
    level_change,
    mode_change,
    schema_change,
    schema_removal,
)

Json = Any
MODES = ("READWRITE", "READONLY")
_VERSION_MAX = 2**31 - 1
_NOT_KEPT = ("metadata", "ruleSet")


class Service:
    """Questions and changes, in the words of Confluent's REST interface. All raise Refusal."""

    def __init__(self, state: State, log: SchemaLog) -> None:
        self._state = state
        self._log = log
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def _changing(self, subject: str | None = None) -> AsyncIterator[None]:
        """Within, the state is the newest and nobody else changes it."""
        async with self._one_at_a_time:
            await self._log.ready()
            if subject is not None and self._state.mode(subject) != "READWRITE":
                raise refusals.not_permitted(f"Subject '{subject}' is in read-only mode")
            yield

    # Subjects and versions.

    def subjects(self, prefix: str = "", deleted: bool = False, only_deleted: bool = False) -> list[str]:
        """Names of subjects that have a live version; with `deleted` all."""
        return [
            subject
            for subject in self._state.subjects()
            if subject.startswith(prefix)
            and (bool(self._state.versions(subject)) != only_deleted if not deleted or only_deleted else True)
        ]

    def versions(self, subject: str, deleted: bool = False) -> list[Version]:
        """Versions of a subject, oldest first."""
        versions = self._state.versions(subject, deleted)
        if not versions:
            raise refusals.subject_not_found(subject)
        return versions

    def version(self, subject: str, version: str, deleted: bool = False) -> Version:
        """One version, by number or `latest`."""
        number = _version_number(version)
        versions = self.versions(subject, deleted)
        if number is None:
            return versions[-1]
        found = next((candidate for candidate in versions if candidate.version == number), None)
        if found is None:
            raise refusals.version_not_found(version)
        return found

    def referenced_by(self, subject: str, version: str) -> list[int]:
        """Ids of the schemas that refer to a version."""
        found = self.version(subject, version, deleted=True)
        return sorted({r.id for r in self._state.referrers(subject, found.version, deleted=False)})

    def schema(self, schema_id: int) -> Version:
        """A version that has the id."""
        versions = self._state.of_id(schema_id)
        if not versions:
            raise refusals.schema_not_found(schema_id)
        return versions[0]

    def versions_of_id(self, schema_id: int, deleted: bool = False) -> list[Version]:
        """Where the id is registered."""
        self.schema(schema_id)
        return [version for version in self._state.of_id(schema_id) if deleted or not version.deleted]

    # Registration.

    def look_up(self, subject: str, body: dict[str, Json], deleted: bool = False) -> Version:
        """The version of a subject that is this schema."""
        self.versions(subject, deleted)
        schema, _ = self._parse(body)
        found = self._state.find(subject, schema.identity, deleted)
        if found is None:
            raise refusals.schema_not_found()
        return found

    async def register(self, subject: str, body: dict[str, Json]) -> Version:
        """The version of a subject that is this schema, registered now if it was not."""
        schema, _ = self._parse(body)
        found = self._state.find(subject, schema.identity, deleted=False)
        if found is not None:
            return found
        async with self._changing(subject):
            # Once more: the state may have moved while this waited.
            schema, references = self._parse(body)
            found = self._state.find(subject, schema.identity, deleted=False)
            if found is not None:
                return found
            version = self._next_version(subject, schema, references)
            await self._log.write([schema_change(version)])
        return version

    def _next_version(self, subject: str, schema: Schema, references: tuple[Reference, ...]) -> Version:
        level = self._state.level(subject)
        why = self._violations(schema, self._state.versions(subject), level)
        if why:
            raise refusals.incompatible(subject, level, why)
        former = self._state.versions(subject, deleted=True)
        known = self._state.id_of(schema.identity)
        return Version(
            subject=subject,
            version=former[-1].version + 1 if former else 1,
            id=self._state.last_id + 1 if known is None else known,
            text=schema.text,
            references=references,
        )

    def _violations(self, schema: Schema, former: Sequence[Version], level: str) -> list[str]:
        try:
            return violations(schema, [(v.version, self._state.parsed(v)) for v in former], level)
        except InvalidSchema as error:
            raise refusals.invalid_schema(str(error)) from error

    def _parse(self, body: dict[str, Json]) -> tuple[Schema, tuple[Reference, ...]]:
        """Schema and references of a request's body."""
        kind = body.get("schemaType") or "AVRO"
        if kind != "AVRO":
            raise refusals.invalid_schema(f"schemaType {kind!r} is not kept here: this registry takes AVRO")
        for name in _NOT_KEPT:
            if body.get(name):
                raise refusals.invalid_schema(f"{name} is not kept here: register the schema without it")
        if any(isinstance(body.get(name), int) and body[name] > 0 for name in ("id", "version")):
            raise refusals.not_permitted(
                "Ids and versions are given by this registry: leave id and version out"
            )
        text = body.get("schema")
        if not isinstance(text, str):
            raise refusals.unprocessable("The body needs a schema: the Avro schema as a JSON string")
        references = _references(body.get("references") or [])
        try:
            return self._state.parse(text, references), references
        except InvalidSchema as error:
            raise refusals.invalid_schema(str(error)) from error

    def incompatibilities(self, subject: str, version: str | None, body: dict[str, Json]) -> list[str]:
        """Why a schema could not follow one version, or all of a subject (None), at the subject's level."""
        schema, _ = self._parse(body)
        former = self._state.versions(subject)
        if version is not None and (former or _version_number(version) is not None):
            former = [self.version(subject, version)]
        return self._violations(schema, former, self._state.level(subject))

    # Deletion.

    async def delete_subject(self, subject: str, permanent: bool) -> list[int]:
        """Numbers of the versions that were deleted: softly, or those softly deleted before for good."""
        async with self._changing(subject):
            every = self._state.versions(subject, deleted=True)
            if not every:
                raise refusals.subject_not_found(subject)
            live = self._state.versions(subject)
            if permanent and live:
                raise refusals.subject_not_soft_deleted(subject)
            if not permanent and not live:
                raise refusals.subject_soft_deleted(subject)
            gone = every if permanent else live
            self._refuse_if_referenced(gone, permanent)
            changes = self._deletions(gone, permanent)
            if permanent:
                changes += [level_change(subject, None), mode_change(subject, None)]
            await self._log.write(changes)
        return [version.version for version in gone]

    async def delete_version(self, subject: str, version: str, permanent: bool) -> int:
        """Number of the version that was deleted."""
        async with self._changing(subject):
            found = self.version(subject, version, deleted=_version_number(version) is not None or permanent)
            if permanent and not found.deleted:
                raise refusals.version_not_soft_deleted(subject, found.version)
            if not permanent and found.deleted:
                raise refusals.version_soft_deleted(subject, found.version)
            self._refuse_if_referenced([found], permanent)
            await self._log.write(self._deletions([found], permanent))
        return found.version

    def _deletions(self, versions: Sequence[Version], permanent: bool) -> list[Any]:
        if not permanent:
            return [schema_change(replace(version, deleted=True)) for version in versions]
        return [*map(schema_removal, versions), last_id_change(self._state.last_id)]

    def _refuse_if_referenced(self, versions: Sequence[Version], permanent: bool) -> None:
        for version in versions:
            by = self._state.referrers(version.subject, version.version, deleted=permanent)
            outside = sorted({referrer.id for referrer in by if referrer.subject != version.subject})
            if outside:
                raise refusals.referenced(version.subject, version.version, outside)

    # Levels and modes.

    def level(self, subject: str | None, default: bool = False) -> str:
        """The level set for a subject, or (None) for all; with `default` the one that holds."""
        if subject is None:
            return self._state.levels.get(None, DEFAULT_LEVEL)
        level = self._state.level(subject) if default else self._state.levels.get(subject)
        if level is None:
            raise refusals.level_not_configured(subject)
        return level

    async def set_level(self, subject: str | None, level: object) -> str:
        """Sets the level of a subject or of all."""
        if not isinstance(level, str) or level.upper() not in LEVELS:
            raise refusals.invalid_level(level, LEVELS)
        async with self._changing():
            await self._log.write([level_change(subject, level.upper())])
        return level.upper()

    async def unset_level(self, subject: str | None) -> str:
        """The level that was set before it was unset."""
        async with self._changing():
            former = self._state.levels.get(subject)
            if former is None and subject is not None:
                raise refusals.subject_not_found(subject)
            await self._log.write([level_change(subject, None)])
        return former or DEFAULT_LEVEL

    def mode(self, subject: str | None, default: bool = False) -> str:
        """The mode set for a subject, or (None) for all; with `default` the one that holds."""
        if subject is None:
            return self._state.modes.get(None, DEFAULT_MODE)
        mode = self._state.mode(subject) if default else self._state.modes.get(subject)
        if mode is None:
            raise refusals.mode_not_configured(subject)
        return mode

    async def set_mode(self, subject: str | None, mode: object) -> str:
        """Sets the mode of a subject or of all."""
        if not isinstance(mode, str) or mode.upper() not in MODES:
            raise refusals.invalid_mode(mode, MODES)
        async with self._changing():
            await self._log.write([mode_change(subject, mode.upper())])
        return mode.upper()

    async def unset_mode(self, subject: str) -> str:
        """The mode that was set before it was unset."""
        async with self._changing():
            former = self._state.modes.get(subject)
            if former is None:
                raise refusals.subject_not_found(subject)
            await self._log.write([mode_change(subject, None)])
        return former

    def schemas_count(self) -> int:
        """How many live versions there are."""
        return sum(len(self._state.versions(subject)) for subject in self._state.subjects())


def _version_number(text: str) -> int | None:
    """The number of a version; None: the latest. Raises Refusal for what is neither."""
    if text in ("latest", "-1"):
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= _VERSION_MAX:
        raise refusals.invalid_version(text)
    return int(text)


def _references(given: Json) -> tuple[Reference, ...]:
    try:
        references = tuple(Reference(r["name"], r["subject"], r["version"]) for r in given)
    except (TypeError, KeyError):
        references = (Reference("", "", 0),)
    if not all(
        isinstance(r.name, str) and isinstance(r.subject, str) and type(r.version) is int and r.version > 0
        for r in references
    ):
        raise refusals.unprocessable("Every reference needs a name, a subject and a version above 0")
    return references
