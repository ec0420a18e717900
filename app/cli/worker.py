"""`oms worker`: a process of lanes."""


def worker() -> None:
    """Run a worker: Faust agents in lanes. Start more of them and lanes move."""
    from app.settings import Settings
    from app.worker import run

    run(Settings())
