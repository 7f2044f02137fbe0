"""Where the record of who changed what lies: entries that are only ever added, each holding the hash before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

__all__ = ["AuditEntry", "AuditHead", "AuditLog"]


class AuditHead(NamedTuple):
    """Where a log ends: the number of its last entry (0: it is empty) and that entry's hash.

    Whoever keeps one elsewhere can tell later whether the log up to there is still what it was.
    """

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `sequence` counts from 1, `time` is ISO 8601 in UTC; `hash` is the SHA-256, in hexadecimal, of the
    canonical JSON of the other fields, `previous` the hash of the entry before.
    """

    sequence: int
    time: str
    kind: str
    actor: str
    subject: str
    detail: Mapping[str, Any]
    previous: str
    hash: str


class AuditLog(Protocol):
    """An append-only log, chained by hashes. One writer process; threads may share it.

    Guarantees: an entry is durable when `append` returns, and no method changes or removes one; numbers have no gaps.
    """

    def append(self, kind: str, *, actor: str, subject: str, detail: Mapping[str, Any]) -> AuditEntry:
        """Add an entry. `detail` is JSON without secrets: ValueError when JSON has no form for it."""
        ...

    def entries(self, *, after: int = 0, limit: int | None = None, kind: str | None = None) -> tuple[AuditEntry, ...]:
        """The first `limit` entries (None: all) behind number `after`, of one kind or of all, oldest first.

        CorruptionError when one of them does not match its hash.
        """
        ...

    def head(self) -> AuditHead:
        """Where the log ends."""
        ...

    def verify(self, *, expected_head: AuditHead | None = None) -> str | None:
        """The first problem in a line; None when the chain is whole.

        An entry that was changed, removed, inserted or moved is always found. That the end was cut off, or that the
        whole chain was written anew, can only be told against a head that was kept elsewhere.
        """
        ...
