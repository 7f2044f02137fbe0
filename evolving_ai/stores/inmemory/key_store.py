"""API keys in memory: for tests. Durable only as long as the process."""

import threading
from collections.abc import Sequence

from evolving_ai.stores.ports.keys import KeyRecord, KeyTable

__all__ = ["InMemoryKeyStore"]


class InMemoryKeyStore:
    """A `KeyStore` of a dictionary; threads may share it."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._revision = 0
        self._turn = threading.Lock()

    def load(self) -> KeyTable:
        with self._turn:
            return KeyTable(self._revision, tuple(self._records[key_id] for key_id in sorted(self._records)))

    def commit(self, records: Sequence[KeyRecord]) -> int:
        with self._turn:
            self._records |= {record.key_id: record for record in records}
            self._revision += 1
            return self._revision
