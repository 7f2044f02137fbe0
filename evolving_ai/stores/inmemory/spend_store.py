"""The books of money in memory: for tests and for runs that leave nothing behind."""

import threading
from collections import Counter

from evolving_ai.stores.ports.spend import SpendChange, SpendLine, SpendQuery, SpendState

__all__ = ["InMemorySpendStore"]


class InMemorySpendStore:
    """A `SpendStore` of dictionaries; durable only in the sense that the object remembers. Threads may share it."""

    def __init__(self) -> None:
        self._state = SpendState()
        self._attempts: Counter[tuple[str, str, str, str]] = Counter()
        self._amounts: Counter[tuple[str, str, str, str]] = Counter()
        self._turn = threading.Lock()

    def load(self) -> SpendState:
        with self._turn:
            state, copy = self._state, SpendState()
            for records in (state.budgets, state.accounts, state.leases, state.marks):
                copy.put(records.values())
            return copy

    def commit(self, change: SpendChange) -> None:
        with self._turn:
            self._state.apply(change)
            for line in change.lines:
                columns = (line.day, line.tenant, line.key_id, line.target)
                self._attempts[columns] += line.attempts
                self._amounts[columns] += line.amount_nano_usd

    def spend(self, query: SpendQuery) -> tuple[SpendLine, ...]:
        attempts: Counter[tuple[str, str, str, str]] = Counter()
        amounts: Counter[tuple[str, str, str, str]] = Counter()
        with self._turn:
            for columns, amount in self._amounts.items():
                if not _is_asked_for(columns, query):
                    continue
                group = _group(columns, query.by)
                attempts[group] += self._attempts[columns]
                amounts[group] += amount
        return tuple(SpendLine(*group, attempts[group], amounts[group]) for group in sorted(amounts))

    def close(self) -> None:
        """Nothing is held."""


def _group(columns: tuple[str, str, str, str], by: frozenset[str]) -> tuple[str, str, str, str]:
    day, tenant, key_id, target = columns
    return (
        day if "day" in by else "",
        tenant if "tenant" in by else "",
        key_id if "key_id" in by else "",
        target if "target" in by else "",
    )


def _is_asked_for(columns: tuple[str, str, str, str], query: SpendQuery) -> bool:
    day, tenant, key_id, _ = columns
    return (
        (query.since is None or day >= query.since)
        and (query.until is None or day <= query.until)
        and query.tenant in (None, tenant)
        and query.key_id in (None, key_id)
    )
