"""What the control deployment owns: every database of an installation, opened, and the services over them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai.optimizer.budgets import BudgetBook
from evolving_ai.security.admin_token import ensure_admin_token
from evolving_ai.security.api_keys import KeyService
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.outcome_archive import OutcomeArchive
from evolving_ai.stores.ports import AuditLog, OutcomeStore
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog
from evolving_ai.stores.sqlite.key_store import SqliteKeyStore
from evolving_ai.stores.sqlite.outcome_store import SqliteOutcomeStore
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore
from evolving_ai.wiring.live_dna import LiveDna
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.snapshots import SnapshotLibrary
from evolving_ai.wiring.stores import open_dna_store

__all__ = ["ControlServices", "open_control"]


@dataclass(frozen=True)
class ControlServices:
    """The services of one installation, over stores that one process writes."""

    home: Path
    clock: Clock
    history: DnaHistory
    live: LiveDna
    keys: KeyService
    audit: AuditLog
    outcomes: OutcomeStore
    budgets: BudgetBook
    snapshots: SnapshotLibrary


@contextlib.contextmanager
def open_control(home: Path, clock: Clock) -> Iterator[ControlServices]:
    """Open everything; closed when the block ends. LockedError while another process has it open."""
    with contextlib.ExitStack() as stack:
        dna = stack.enter_context(open_dna_store(home))
        audit = stack.enter_context(contextlib.closing(SqliteAuditLog.open(home / "audit.db", clock)))
        keys = stack.enter_context(contextlib.closing(SqliteKeyStore.open(home / "keys.db")))
        outcomes = stack.enter_context(
            contextlib.closing(SqliteOutcomeStore.open(home / "outcomes.db", OutcomeArchive(home / "outcomes")))
        )
        spend = stack.enter_context(contextlib.closing(SqliteSpendStore.open(home / "spend.db")))
        history = DnaHistory(dna, search_space(), clock)
        history.ensure_main()
        yield ControlServices(
            home=home,
            clock=clock,
            history=history,
            live=LiveDna(home, history, audit, clock),
            keys=KeyService(keys, clock, ensure_admin_token(home)),
            audit=audit,
            outcomes=outcomes,
            budgets=BudgetBook(spend, clock),
            snapshots=SnapshotLibrary(home),
        )
