"""What storage and cache keep: right without a mutant, and each mutant is caught and in the document."""

import pytest

from app.local.postgres import LocalPostgres
from app.storage.schema import migrate
from tests.conftest import run
from tests.mutants.break_ import Mutant
from tests.mutants.proof import DOCUMENT, line
from tests.mutants.stores import in_postgres, in_redis, run_in_postgres, run_in_redis

NO_MUTANT = Mutant("none", "none", frozenset(), lambda patches: None)
AGAIN = "run `.venv/bin/python -m tests.mutants` and look at what changed"


@pytest.fixture(scope="module")
def database(postgres_server: LocalPostgres) -> str:
    """URL of a database with our tables."""
    url = run(postgres_server.create("mutants"))
    migrate(url)
    return url


@pytest.fixture(scope="module")
def cache(redis_url: str) -> str:
    """URL of a Redis database that no other test has."""
    return f"{redis_url.removesuffix('/0')}/15"


async def test_without_a_mutant_everything_agrees(database: str, cache: str) -> None:
    for caught in (await run_in_postgres(NO_MUTANT, database), await run_in_redis(NO_MUTANT, cache)):
        assert caught.red == ()


@pytest.mark.parametrize("mutant", in_postgres.all, ids=lambda mutant: mutant.name)
async def test_a_mutant_of_storage_is_caught(mutant: Mutant, database: str) -> None:
    caught = await run_in_postgres(mutant, database)
    assert caught.rightly, caught.red
    assert line(caught) in DOCUMENT.read_text(encoding="utf-8"), AGAIN


@pytest.mark.parametrize("mutant", in_redis.all, ids=lambda mutant: mutant.name)
async def test_a_mutant_of_the_cache_is_caught(mutant: Mutant, cache: str) -> None:
    caught = await run_in_redis(mutant, cache)
    assert caught.rightly, caught.red
    assert line(caught) in DOCUMENT.read_text(encoding="utf-8"), AGAIN
