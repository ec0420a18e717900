"""What all lists have: a limit, a cursor, and an envelope that names the next page."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.gateway.replies import reply
from app.gateway.store import Page
from app.resources import parse_time

LIMIT_MAX = 1000


def _moment(value: object) -> object:
    # A "+" of an offset that was not escaped arrives as a space.
    return parse_time(value.replace(" ", "+")) if isinstance(value, str) else value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Listing(BaseModel):
    """Parameters of a list; one with another name is refused, because its filter would be missed."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(100, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=256, description="`next_cursor` of the page before.")


def as_page(page: Page) -> Response:
    """`{"items": [...], "next_cursor": ...}`; the cursor is null on the last page."""
    return reply({"items": page.rows, "next_cursor": page.next_cursor})
