"""`oms`: one command for every process and every user."""

import typer

from app.cli.worker import worker

from app.cli.registry import registry

cli = typer.Typer(
    name="oms",
    help="An event-driven order management system on Faust and Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

cli.command()(registry)

cli.command()(worker)


def main() -> None:
    """Entry point of the `oms` command."""
    cli()
