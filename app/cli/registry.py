"""`oms registry`: the schema registry."""


def registry() -> None:
    """Serve schemas: Confluent's REST interface over a compacted topic."""
    from app.registry import run
    from app.settings import Settings

    run(Settings())
