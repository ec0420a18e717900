"""Topics to PostgreSQL."""
