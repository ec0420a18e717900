"""Market data: demo reference data, a quote generator, a replayer of files, and demo traders."""

from app.settings import Settings


def run(settings: Settings) -> None:
    """The market process: the generator at a modest rate and demo traders, until SIGTERM or SIGINT."""
    from app.market.demo import run_demo

    run_demo(settings)
