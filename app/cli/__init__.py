"""`oms`: one command for every process and every user."""

import typer

from app.cli import chaos, dead_letters, local, market, match, sinks, submit, topics, watch
from app.cli.gateway import gateway
from app.cli.registry import registry
from app.cli.verify import verify
from app.cli.worker import worker

cli = typer.Typer(
    name="oms",
    help="An event-driven order management system on Faust and Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

cli.command()(registry)
local.register(cli)

for part in (market, sinks, submit, topics, dead_letters, watch):
    part.register(cli)

cli.command()(worker)
cli.command()(gateway)
cli.command()(verify)
match.register(cli)
chaos.register(cli)


def main() -> None:
    """Entry point of the `oms` command."""
    cli()
