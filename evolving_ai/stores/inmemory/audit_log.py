"""The audit log in memory: for tests. Durable only as long as the process."""

import itertools
import threading
from collections.abc import Mapping
from typing import Any

from evolving_ai._common.clock import Clock
from evolving_ai.stores.hash_chain import EMPTY_HEAD, StoredEntry, first_problem, read_entry, seal
from evolving_ai.stores.ports.audit import AuditEntry, AuditHead

__all__ = ["InMemoryAuditLog"]


class InMemoryAuditLog:
    """An `AuditLog` of a list. It keeps bytes, as a real log does, not live objects."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: list[StoredEntry] = []
        self._turn = threading.RLock()

    def append(self, kind: str, *, actor: str, subject: str, detail: Mapping[str, Any]) -> AuditEntry:
        with self._turn:
            time = self._clock.now()
            stored = seal(self.head(), time=time, kind=kind, actor=actor, subject=subject, detail=detail)
            self._stored.append(stored)
        return read_entry(stored)

    def entries(self, *, after: int = 0, limit: int | None = None, kind: str | None = None) -> tuple[AuditEntry, ...]:
        with self._turn:
            wanted = [stored for stored in self._stored if stored.sequence > after and kind in (None, stored.kind)]
        return tuple(read_entry(stored) for stored in itertools.islice(wanted, limit))

    def head(self) -> AuditHead:
        with self._turn:
            return AuditHead(self._stored[-1].sequence, self._stored[-1].hash) if self._stored else EMPTY_HEAD

    def verify(self, *, expected_head: AuditHead | None = None) -> str | None:
        with self._turn:
            return first_problem(tuple(self._stored), expected_head)
