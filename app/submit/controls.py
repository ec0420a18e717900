"""Sends controls and waits until they are applied: what opens accounts and instruments for others."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from app.reader import Read
from app.settings import Settings
from app.submit.answers import Answers
from app.writer import TopicWriter
from schemas.records import Said

# A worker that has not read a new instrument yet refuses what names it; refused controls may be sent again.
_TOO_EARLY = frozenset({"ACCOUNTS_UNKNOWN_SYMBOL", "RISK_UNKNOWN_SYMBOL"})
_APPLIED_BEFORE = frozenset({"ACCOUNTS_DUPLICATE_CONTROL", "RISK_DUPLICATE_CONTROL"})
_AGAIN_S = 0.3

Name = tuple[str, str]


class ControlsError(Exception):
    """Controls that were not applied; the text names the first of them and why."""


async def apply_controls(settings: Settings, controls: Sequence[Said], timeout_s: float = 30.0) -> None:
    """Sends controls, which must have control ids, until each is applied or was before.

    Raises ControlsError when one is refused, or when time runs out first.
    """
    reports: dict[Name, Mapping[str, Any]] = {}

    def heard(read: Read) -> None:
        reports[_name(read.message)] = read.message

    end = time.monotonic() + timeout_s
    waiting = list(controls)
    async with TopicWriter(settings) as writer, Answers(settings, heard=heard) as answers:
        while waiting:
            answers.expect(waiting)
            answers.sent(waiting, await writer.send_many(waiting))
            if not await answers.settled(max(0.0, end - time.monotonic())):
                raise ControlsError(
                    f"{answers.unanswered} of {len(waiting)} controls are not answered after "
                    f"{timeout_s:g} s: is a worker running? (`oms status`)"
                )
            waiting = [control for control in waiting if not _applied(reports[_name(control[1])], end)]
            if waiting:
                await asyncio.sleep(_AGAIN_S)


def _name(message: Mapping[str, Any]) -> Name:
    return message.get("account") or message["symbol"], message["control_id"]


def _applied(report: Mapping[str, Any], end: float) -> bool:
    """Whether the control took effect; False when it should be sent again. Raises ControlsError."""
    if report["outcome"] == "applied" or report["reason"] in _APPLIED_BEFORE:
        return True
    if report["reason"] in _TOO_EARLY and time.monotonic() < end:
        return False
    owner, control_id = _name(report)
    raise ControlsError(
        f"{report['control']} {control_id} of {owner} was refused: {report['reason']} {report['text']}"
    )
