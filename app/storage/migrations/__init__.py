"""Alembic migrations, run by `app.storage.schema`. A new one is a copy of the last with the next number."""
