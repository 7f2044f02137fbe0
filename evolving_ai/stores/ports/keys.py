"""Where API keys lie: whose they are and what they may, and of their secrets nothing but hashes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from evolving_ai.domain.identity import Role

__all__ = ["NO_LIMITS", "KeyLimits", "KeyRecord", "KeyStore", "KeyTable"]


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may send: requests per minute, and requests at once. None: as many as there are."""

    requests_per_minute: int | None = None
    max_concurrent: int | None = None


NO_LIMITS = KeyLimits()


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key. `key_id` and `name` are public; times are aware and in UTC.

    `secret_hash` is the SHA-256 of the whole secret, in hexadecimal. A rotated key keeps its id, so that its budgets
    and its history stay with it; `former_hash` is then that of the secret before, which is valid until `former_until`.
    """

    key_id: str
    name: str
    tenant: str
    role: Role
    secret_hash: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    rotated: datetime | None = None
    former_hash: str | None = None
    former_until: datetime | None = None
    limits: KeyLimits = NO_LIMITS


class KeyTable(NamedTuple):
    """Every key, in the order of their ids; `revision` grows with every change, also over restarts."""

    revision: int
    records: tuple[KeyRecord, ...]


class KeyStore(Protocol):
    """Keys by id. One writer process; threads may share it."""

    def load(self) -> KeyTable:
        """Everything, as of one moment; CorruptionError when a stored row is damaged."""
        ...

    def commit(self, records: Sequence[KeyRecord]) -> int:
        """Store records, in place of those with the same ids: all or none, durable on return; the new revision."""
        ...
