"""Brings the database to the schema of this version, by the migrations that come with the package."""

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

# Any constant: who holds it migrates, whoever else starts meanwhile waits for the end of it.
MIGRATION_LOCK = 0x6F6D735F6D696772


def migrate(postgres_url: str) -> None:
    """Runs the migrations that are missing; blocks. Raises sqlalchemy's OperationalError without a server."""
    _, _, address = postgres_url.partition("://")
    engine = create_engine(f"postgresql+psycopg://{address}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", "app.storage:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
