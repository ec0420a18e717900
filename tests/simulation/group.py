"""Kafka's group in memory: members join anew whenever one comes, goes or is not heard of any more.

Kept of the real one: everybody gives up everything before anybody gets anything (eager); who does not join in
time is left out; who is silent for the session timeout is left out; members hear of a rebalance with their
next heartbeat, also those that were left out meanwhile.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.broker import Later, Reply
from tests.simulation.loop import Process

SESSION_S = 6.0
REBALANCE_S = 10.0
HEARTBEAT_S = 0.4


class Group:
    """Members, the generation, and who has which lanes in it."""

    def __init__(self, lanes: int, later: Later, chance: Random) -> None:
        self._lanes = lanes
        self._later = later
        self._chance = chance
        self._hears: dict[Process, Callable[[], None]] = {}
        self._joined: dict[Process, Reply] = {}
        self.members: set[Process] = set()
        self.generation = 0
        self.owners: dict[int, Process] = {}
        self._round = 0
        self._preparing = False
        self.on_rebalance: Callable[[], None] = lambda: None
        self.note: Callable[[str], None] = lambda text: None

    @property
    def stable(self) -> bool:
        """Whether no rebalance is under way."""
        return not self._preparing

    def join(self, reply: Reply, process: Process, hears: Callable[[], None]) -> None:
        """JoinGroup and SyncGroup: replies generation and lanes once everybody has joined."""
        self._hears[process] = hears
        self.members.add(process)
        self._joined[process] = reply
        if not self._preparing:
            self.rebalance()
        self._complete_if_all()

    def leave(self, process: Process) -> None:
        """LeaveGroup, or a session that ran out."""
        if process in self.members:
            self.note(f"{process.name} leaves the group")
            self.members.discard(process)
            self._joined.pop(process, None)
            self.rebalance()

    def silent(self, process: Process) -> None:
        """No heartbeat comes from a process from now on; unless it is back, its session runs out."""
        self._later(SESSION_S, self._session_ends, process)

    def _session_ends(self, process: Process) -> None:
        # Who waits for the others to join need not be heard of; it is counted from then on.
        if (not process.alive or process.frozen) and process not in self._joined:
            self.leave(process)

    def back(self, process: Process) -> None:
        """A frozen process goes on; it learns with its next heartbeat what happened."""
        if process not in self.members or self._preparing:
            self._tell(process)

    def rebalance(self) -> None:
        """Everybody is to join anew."""
        self._round += 1
        self._preparing = True
        self.on_rebalance()
        for process in sorted(self.members, key=lambda process: process.name):
            if process not in self._joined:
                self._tell(process)
        self._later(REBALANCE_S, self._too_late, self._round)
        self._complete_if_all()

    def _tell(self, process: Process) -> None:
        hears = self._hears.get(process)
        if hears is not None:
            self._later(HEARTBEAT_S * self._chance.random() ** 2, hears, context=process.context)

    def _too_late(self, round_: int) -> None:
        if self._preparing and round_ == self._round:
            for process in self.members - self._joined.keys():
                self.members.discard(process)
            self._complete_if_all()

    def _complete_if_all(self) -> None:
        if self._preparing and self.members and self.members == self._joined.keys():
            # A moment, in which others may join as well.
            self._later(0.003 * self._chance.random(), self._complete, self._round)

    def _complete(self, round_: int) -> None:
        if not self._preparing or round_ != self._round or self.members != self._joined.keys():
            return
        self._preparing = False
        self.generation += 1
        self._assign()
        self.note(f"generation {self.generation}: {self.assignment()}")
        joined, self._joined = self._joined, {}
        for process, reply in joined.items():
            if process.frozen or not process.alive:
                self.silent(process)
            reply((self.generation, [n for n, owner in self.owners.items() if owner is process]))

    def _assign(self) -> None:
        """Mostly lanes stay where they are; else they move without need."""
        members = sorted(self.members, key=lambda process: process.name)
        stays = self._chance.random() < 0.6
        self._chance.shuffle(members)
        most = -(-self._lanes // len(members))
        owners: dict[int, Process] = {}
        count = dict.fromkeys(members, 0)
        for lane in range(self._lanes):
            owner = self.owners.get(lane)
            if not (stays and owner in count and count[owner] < most):
                owner = min(members, key=count.__getitem__)
            count[owner] += 1
            owners[lane] = owner
        self.owners = owners

    def assignment(self) -> dict[str, Any]:
        """Lanes by the names of their owners."""
        names = sorted({owner.name for owner in self.owners.values()})
        return {name: [n for n, owner in self.owners.items() if owner.name == name] for name in names}
