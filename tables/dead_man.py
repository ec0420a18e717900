"""CancelAllAfter: an account's live orders are canceled unless the request comes again in time.

Kept in the account's row, so that a lane that takes over goes on counting. Time is that of the lane's cycles:
a lane whose input stops wakes at `due_us`.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Any

from tables.changes import Changes
from tables.controls import Refusal
from tables.holdings import Account

TIMEOUT_MS_MAX = 86_400_000


class DeadMen:
    """The accounts of a lane by when their orders are canceled."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        # Entries whose account was set anew are passed over when they come up.
        self._due: list[tuple[int, str]] = []
        self._accounts: dict[str, Account] = {}

    def set(
        self, account: Account, message: Mapping[str, Any], request_id: str, at_us: int
    ) -> Refusal | None:
        """Sets, renews or (timeout 0) ends an account's deadline, or says why not."""
        timeout_ms = message["timeout_ms"]
        if not 0 <= timeout_ms <= TIMEOUT_MS_MAX:
            text = f"field=timeout_ms least=0 most={TIMEOUT_MS_MAX} asked={timeout_ms}"
            return Refusal("ACCOUNTS_INVALID_INSTRUCTION", text)
        account.cancel_at_us = at_us + timeout_ms * 1000 if timeout_ms else 0
        account.cancel_id = request_id if timeout_ms else ""
        self._changes.touch(account)
        self.remember(account)
        return None

    def remember(self, account: Account) -> None:
        """Counts an account's deadline, if it has one."""
        if account.cancel_at_us:
            self._accounts[account.account] = account
            heappush(self._due, (account.cancel_at_us, account.account))
        else:
            self._accounts.pop(account.account, None)
        if len(self._due) > 2 * len(self._accounts) + 100:
            self._due = [(each.cancel_at_us, name) for name, each in self._accounts.items()]
            heapify(self._due)

    def due_us(self) -> int:
        """When the next deadline comes; 0: there is none."""
        while self._due and not self._holds(*self._due[0]):
            heappop(self._due)
        return self._due[0][0] if self._due else 0

    def fired(self, at_us: int) -> list[tuple[Account, str]]:
        """Accounts whose deadline has come, with the id of the request that set it; it is over now."""
        fired = []
        while 0 < self.due_us() <= at_us:
            account = self._accounts.pop(heappop(self._due)[1])
            fired.append((account, account.cancel_id))
            account.cancel_at_us, account.cancel_id = 0, ""
            self._changes.touch(account)
        return fired

    def _holds(self, due_us: int, name: str) -> bool:
        account = self._accounts.get(name)
        return account is not None and account.cancel_at_us == due_us
