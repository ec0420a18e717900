"""A desk at either engine: what the tests here ask of one, they ask of both."""

from collections.abc import Callable

import pytest

from app.naive import Engine as NaiveEngine
from tables.engine import Engine as FastEngine
from tests.naive.desk import AnyEngine, Desk

ENGINES: dict[str, Callable[..., AnyEngine]] = {"naive": NaiveEngine, "fast": FastEngine}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[..., AnyEngine]:
    """The class of an engine."""
    return ENGINES[request.param]


@pytest.fixture
def desk(engine: Callable[..., AnyEngine]) -> Desk:
    """A desk at an engine without instruments."""
    return Desk(engine())
