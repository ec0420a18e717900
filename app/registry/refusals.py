"""What the registry refuses, with Confluent's error codes, so that its clients understand."""


class Refusal(Exception):
    """An answer that is an error: HTTP status, Confluent error code, and words for the caller."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


def subject_not_found(subject: str) -> Refusal:
    """40401."""
    return Refusal(404, 40401, f"Subject '{subject}' not found.")


def version_not_found(version: object) -> Refusal:
    """40402."""
    return Refusal(404, 40402, f"Version {version} not found.")


def schema_not_found(schema_id: int | None = None) -> Refusal:
    """40403, by id or by text."""
    return Refusal(404, 40403, "Schema not found" if schema_id is None else f"Schema {schema_id} not found")


def subject_soft_deleted(subject: str) -> Refusal:
    """40404."""
    return Refusal(
        404, 40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"
    )


def subject_not_soft_deleted(subject: str) -> Refusal:
    """40405."""
    return Refusal(404, 40405, f"Subject '{subject}' was not deleted first before being permanently deleted")


def version_soft_deleted(subject: str, version: int) -> Refusal:
    """40406."""
    return Refusal(
        404,
        40406,
        f"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently",
    )


def version_not_soft_deleted(subject: str, version: int) -> Refusal:
    """40407."""
    return Refusal(
        404,
        40407,
        f"Subject '{subject}' Version {version} was not deleted first before being permanently deleted",
    )


def level_not_configured(subject: str) -> Refusal:
    """40408."""
    return Refusal(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")


def mode_not_configured(subject: str) -> Refusal:
    """40409."""
    return Refusal(404, 40409, f"Subject '{subject}' does not have subject-level mode configured")


def incompatible(subject: str, level: str, why: list[str]) -> Refusal:
    """409: names every field that stands in the way."""
    return Refusal(
        409,
        409,
        f"Schema being registered is incompatible with an earlier schema for subject '{subject}' "
        f"({level}): {'; '.join(why)}",
    )


def invalid_schema(text: str) -> Refusal:
    """42201."""
    return Refusal(422, 42201, f"Invalid schema: {text}")


def invalid_version(version: str) -> Refusal:
    """42202."""
    return Refusal(
        422,
        42202,
        f"The specified version '{version}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def invalid_level(level: object, levels: tuple[str, ...]) -> Refusal:
    """42203."""
    return Refusal(422, 42203, f"Invalid compatibility level {level!r}. Valid values are {', '.join(levels)}")


def invalid_mode(mode: object, modes: tuple[str, ...]) -> Refusal:
    """42204."""
    return Refusal(422, 42204, f"Invalid mode {mode!r}. Valid values here are {', '.join(modes)}")


def not_permitted(text: str) -> Refusal:
    """42205."""
    return Refusal(422, 42205, text)


def referenced(subject: str, version: int, by: list[int]) -> Refusal:
    """42206."""
    ids = ", ".join(map(str, by))
    return Refusal(422, 42206, f"Subject '{subject}' Version {version} is referenced by schemas {ids}")


def too_large(text: str) -> Refusal:
    """42209."""
    return Refusal(422, 42209, text)


def unprocessable(text: str) -> Refusal:
    """422: the request itself has not the right form."""
    return Refusal(422, 422, text)


def store_failed(text: str) -> Refusal:
    """50001."""
    return Refusal(500, 50001, f"Error in the backend data store: {text}")


def store_slow(text: str) -> Refusal:
    """50002."""
    return Refusal(500, 50002, f"Operation timed out: {text}")


def not_leader() -> Refusal:
    """50004."""
    return Refusal(
        500, 50004, "Another registry has taken over writing this topic; write there, or restart this one"
    )
