"""Which stores an installation has: from its home to opened stores."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from evolving_ai._common.clock import SystemClock
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore
from evolving_ai.wiring.search_space import search_space

__all__ = ["dna_path", "open_dna_store", "open_history"]


def dna_path(home: Path) -> Path:
    """Where the DNA of an installation lies."""
    return home / "dna.db"


def open_dna_store(home: Path) -> SqliteDnaStore:
    """The DNA store of `home`, created when absent; close it."""
    return SqliteDnaStore.open(dna_path(home))


@contextlib.contextmanager
def open_history(home: Path) -> Iterator[DnaHistory]:
    """The history of the DNA of `home`, with its branch `main`; closed when the block ends."""
    with open_dna_store(home) as store:
        history = DnaHistory(store, search_space(), SystemClock())
        history.ensure_main()
        yield history
