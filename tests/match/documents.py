"""What docs/match.md and docs/fix-lifecycle.md show: made by running it."""

from tables.engine import Engine
from tables.orders import PRECEDENCE, TERMINAL, TRANSITIONS
from tests.docs.tables import table
from tests.match import fix_lifecycle
from tests.match.example import EXAMPLE, matched
from tests.match.fix_scenarios import SCENARIOS


def example() -> str:
    """The worked example: lines in, lines out."""
    return f"```text\n{EXAMPLE}```\n\n```text\n{matched(EXAMPLE, Engine())}```"


def scenarios() -> str:
    """Every scenario: whether it passes, and what to know of it."""
    found = {outcome.scenario.id: outcome for outcome in fix_lifecycle.outcomes(Engine)}
    lines = []
    for scenario in SCENARIOS:
        outcome = found.get(scenario.id)
        passes = "no" if outcome is None else "fails" if outcome.wrong else "passes"
        lines.append(
            (scenario.id, scenario.title, scenario.known, passes, scenario.missing or scenario.remark)
        )
    return "\n\n".join((fix_lifecycle.summary(Engine)[0], table(("id", "", "table", "here", ""), lines)))


def statuses() -> str:
    """Every status with its precedence and the steps that lead out of it."""
    lines = [
        (
            f"`{status}`",
            str(PRECEDENCE[status]),
            ", ".join(f"{step} → `{after}`" for step, after in TRANSITIONS[status].items()),
            "yes" if status in TERMINAL else "",
        )
        for status in TRANSITIONS
    ]
    return table(("status", "precedence", "steps", "ends the order"), lines)
