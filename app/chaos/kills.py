"""kill -9 of workers, one after the other, and the totals of an undisturbed run as the measure.

The same requests are sent twice, each time to a fresh system: first in peace, then with a kill after every
portion. What comes of them does not depend on time (see `alone` in app.chaos.workload), so all figures that
`oms verify` calls totals must be the same.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from app.chaos.plan import Options
from app.chaos.run import Done, Result, Run
from app.chaos.sometimes import Seen
from app.chaos.workload import Flow

_PORTION = 60
_READY_S = 30.0
# What a cycle's size changes is how often positions and books are told, not what happens to orders.
COMPARED = (
    "orders",
    "live_orders",
    "filled_quantity",
    "trades",
    "traded_quantity",
    "notional",
    "orders_hash",
    "trades_hash",
)


class Kills(Run):
    """Kills workers `kills` times."""

    def __init__(
        self,
        options: Options,
        kills: int,
        required: Sequence[str],
        home: Path,
        jars: Path,
        write: Callable[[str], None],
    ) -> None:
        super().__init__(options, required, home, jars, write)
        self._kills = kills

    async def run(self) -> Result:
        """Both runs, and what differs. Raises LocalError, NotReady when one cannot even start."""
        self.say(f"{self._kills * _PORTION} requests, undisturbed")
        await self.phase(self._calm, list)
        undisturbed = self.result.verify.get("totals", {})
        self.seen = Seen()
        self.say(f"the same with {self._kills} times kill -9")
        await self.phase(self._storm, list)
        self.demand()
        self.result.kills, self.result.undisturbed = self._kills, undisturbed
        self.result.reasons += differences(undisturbed, self.result.verify.get("totals", {}))
        return self.result

    async def _calm(self) -> None:
        flow = Flow(self.options.seed, alone=True)
        for _ in range(self._kills):
            await self.producer.send(flow.take(_PORTION))

    async def _storm(self) -> None:
        flow, chance = Flow(self.options.seed, alone=True), Random(self.options.seed)
        began_s = self.say.elapsed()
        for number in range(self._kills):
            await self.producer.send(flow.take(_PORTION))
            await asyncio.sleep(chance.uniform(0, 0.3))
            worker = chance.choice(self.system.workers)
            await worker.kill()
            self.say(f"kill -9 {number + 1} of {self._kills}: {worker.name}")
            at_s = round(self.say.elapsed() - began_s, 1)
            self.result.faults.append(Done(at_s, at_s, "worker-kill", 0.0, worker.name))
            # Half of them in the middle of what the one before brought about.
            if chance.random() < 0.5:
                await worker.ready(_READY_S)
            await asyncio.sleep(chance.uniform(0, 1.0))


def differences(undisturbed: dict[str, Any], disturbed: dict[str, Any]) -> list[str]:
    """Totals that two runs do not share, in words."""
    return [
        f"{name} is {disturbed.get(name)}, undisturbed {undisturbed.get(name)}"
        for name in COMPARED
        if disturbed.get(name) != undisturbed.get(name) or name not in undisturbed
    ]
