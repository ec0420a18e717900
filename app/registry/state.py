"""What the log of the registry says: subjects with their versions, levels, modes. Made from it alone.

Keys and values of the records have the form of Confluent's own registry (`keytype` SCHEMA, CONFIG,
MODE), so that tools that know its topic know ours. One key is ours: LAST_ID holds the highest id ever
given, because the records of permanently deleted schemas are compacted away, and an id must never come back
for another schema.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.registry.avro import InvalidSchema, Reference, Schema, parse

Json = Any
DEFAULT_LEVEL = "FULL_TRANSITIVE"
DEFAULT_MODE = "READWRITE"


@dataclass(frozen=True)
class Version:
    """One version of a subject."""

    subject: str
    version: int
    id: int
    text: str
    references: tuple[Reference, ...] = ()
    deleted: bool = False


Change = tuple[dict[str, Json], dict[str, Json] | None]


def schema_change(version: Version) -> Change:
    """The record that puts a version."""
    value: dict[str, Json] = {
        "subject": version.subject,
        "version": version.version,
        "id": version.id,
        "schema": version.text,
        "deleted": version.deleted,
    }
    if version.references:
        value["references"] = [reference._asdict() for reference in version.references]
    return _schema_key(version), value


def schema_removal(version: Version) -> Change:
    """The record that removes a version for good."""
    return _schema_key(version), None


def level_change(subject: str | None, level: str | None) -> Change:
    """The record that sets the level of a subject (None: of all); level None: unsets it."""
    key = {"keytype": "CONFIG", "subject": subject, "magic": 0}
    return key, None if level is None else {"compatibilityLevel": level}


def mode_change(subject: str | None, mode: str | None) -> Change:
    """The record that sets the mode of a subject (None: of all); mode None: unsets it."""
    key = {"keytype": "MODE", "subject": subject, "magic": 0}
    return key, None if mode is None else {"mode": mode}


def last_id_change(last_id: int) -> Change:
    """The record that remembers the highest id given."""
    return {"keytype": "LAST_ID", "magic": 0}, {"id": last_id}


def _schema_key(version: Version) -> dict[str, Json]:
    return {"keytype": "SCHEMA", "subject": version.subject, "version": version.version, "magic": 1}


class State:
    """The registry's content. Only `apply` changes it."""

    def __init__(self) -> None:
        self.levels: dict[str | None, str] = {}
        self.modes: dict[str | None, str] = {}
        self.last_id = 0
        self._subjects: dict[str, dict[int, Version]] = {}
        self._parsed: dict[tuple[str, tuple[Reference, ...]], Schema] = {}

    def apply(self, key: dict[str, Json], value: dict[str, Json] | None) -> bool:
        """Takes one record of the log; False for a kind that is not known."""
        kind = key.get("keytype")
        if kind == "SCHEMA":
            self._apply_schema(key, value)
        elif kind == "CONFIG":
            _put(self.levels, key["subject"], value["compatibilityLevel"] if value else None)
        elif kind == "MODE":
            _put(self.modes, key["subject"], value["mode"] if value else None)
        elif kind == "LAST_ID":
            self.last_id = max(self.last_id, value["id"] if value else 0)
        else:
            return False
        return True

    def _apply_schema(self, key: dict[str, Json], value: dict[str, Json] | None) -> None:
        subject, number = key["subject"], key["version"]
        versions = self._subjects.setdefault(subject, {})
        if value is None:
            versions.pop(number, None)
        else:
            references = tuple(
                Reference(r["name"], r["subject"], r["version"]) for r in value.get("references") or ()
            )
            versions[number] = Version(
                subject, number, value["id"], value["schema"], references, bool(value.get("deleted"))
            )
            self.last_id = max(self.last_id, value["id"])
        if not versions:
            del self._subjects[subject]

    def subjects(self) -> list[str]:
        """Names of all subjects, also of those whose versions are all soft deleted, in order."""
        return sorted(self._subjects)

    def versions(self, subject: str, deleted: bool = False) -> list[Version]:
        """Versions of a subject, oldest first; with `deleted` also the soft deleted ones."""
        versions = self._subjects.get(subject, {})
        return [versions[n] for n in sorted(versions) if deleted or not versions[n].deleted]

    def of_id(self, schema_id: int) -> list[Version]:
        """Every version of any subject that has the id, soft deleted ones too, in order."""
        return [version for version in self._all() if version.id == schema_id]

    def referrers(self, subject: str, version: int, deleted: bool) -> list[Version]:
        """Versions that refer to one; with `deleted` also the soft deleted ones."""
        return [
            referrer
            for referrer in self._all()
            if (deleted or not referrer.deleted)
            and any((r.subject, r.version) == (subject, version) for r in referrer.references)
        ]

    def _all(self) -> Iterator[Version]:
        for subject in sorted(self._subjects):
            yield from self.versions(subject, deleted=True)

    def parse(self, text: str, references: tuple[Reference, ...]) -> Schema:
        """A schema with its references resolved here. Raises InvalidSchema."""
        known = self._parsed.get((text, references))
        return known or parse(text, references, self._resolve)

    def parsed(self, version: Version) -> Schema:
        """The schema of a version; remembered, for it never changes."""
        schema = self.parse(version.text, version.references)
        self._parsed[version.text, version.references] = schema
        return schema

    def _resolve(self, reference: Reference) -> Schema:
        version = self._subjects.get(reference.subject, {}).get(reference.version)
        if version is None:
            raise InvalidSchema(
                f"reference {reference.name}: subject '{reference.subject}' has no version "
                f"{reference.version}; register it before"
            )
        return self.parsed(version)

    def id_of(self, identity: str) -> int | None:
        """Id of a schema that was registered under any subject."""
        return next((version.id for version in self._all() if self._identity(version) == identity), None)

    def find(self, subject: str, identity: str, deleted: bool) -> Version | None:
        """The newest version of a subject with that schema."""
        versions = reversed(self.versions(subject, deleted))
        return next((version for version in versions if self._identity(version) == identity), None)

    def _identity(self, version: Version) -> str:
        try:
            return self.parsed(version).identity
        except InvalidSchema:
            # Written by another registry that takes more than we do: equal to nothing but itself.
            return version.text

    def level(self, subject: str) -> str:
        """The level that holds for a subject."""
        return self.levels.get(subject) or self.levels.get(None, DEFAULT_LEVEL)

    def mode(self, subject: str) -> str:
        """The mode that holds for a subject."""
        return self.modes.get(subject) or self.modes.get(None, DEFAULT_MODE)


def _put(table: dict[str | None, str], subject: str | None, value: str | None) -> None:
    if value is None:
        table.pop(subject, None)
    else:
        table[subject] = value
