"""`python -m app.cli` is `oms`: how the supervisor starts every process of its own."""

from app.cli import main

main()
