"""Which DNA is live: promotion, rollback, and the exchange of its snapshot. The one writer of the live record.

The rule kept here: the record is durable before anybody is told, and every change of DNA stands in the audit log; one
that a crash left out is added when the platform starts again, or before the next one.
"""

from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai.domain.dna import Commit
from evolving_ai.errors import DataError, UsageError
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.ports import AuditLog
from evolving_ai.wiring.live_record import CanaryVersion, LiveRecord, LiveVersion, genome_json, load_live, save_live

__all__ = ["LiveDna"]

_SUBJECT = "live"


class LiveDna:
    """The live DNA of an installation. Not for several threads at once."""

    def __init__(self, home: Path, history: DnaHistory, audit: AuditLog, clock: Clock) -> None:
        self._home = home
        self._history = history
        self._audit = audit
        self._clock = clock

    @property
    def record(self) -> LiveRecord:
        """What is live; DataError when nothing is."""
        record = load_live(self._home)
        if record is None:
            raise DataError("no DNA is live: `evolving-ai up` makes the seed live")
        return record

    def begin(self, commit: Commit, snapshot_hash: str) -> LiveRecord:
        """Make the first DNA live, before the platform starts."""
        version = self._version(commit, snapshot_hash, 1, "evolving-ai", "the first DNA of this installation")
        record = LiveRecord(version, genome_json(commit.genome))
        save_live(self._home, record)
        return record

    def promote(self, commit: Commit, snapshot_hash: str, *, actor: str, reason: str) -> LiveRecord:
        """Make `commit` live with a snapshot fitted for it; UsageError when its DNA is live already."""
        before = self.record
        if before.current.dna_hash == commit.genome.hash:
            raise UsageError(f"DNA {commit.genome.hash[:12]} is live already")
        self.reconcile()
        record = self._exchange(before, commit, snapshot_hash, actor, reason)
        self._audit_change(AuditKind.DNA_PROMOTED, before, record)
        return record

    def roll_back(self, commit: Commit, snapshot_hash: str, *, actor: str, reason: str) -> LiveRecord:
        """Make an earlier DNA live again; the caller found it by `LiveRecord.rollback_target`."""
        before = self.record
        self.reconcile()
        record = self._exchange(before, commit, snapshot_hash, actor, reason)
        self._audit_change(AuditKind.DNA_ROLLED_BACK, before, record)
        return record

    def refit(self, snapshot_hash: str, *, reason: str) -> LiveRecord:
        """Give the live DNA another snapshot."""
        record = self.record.refitted(snapshot_hash, self._clock.now().isoformat(), reason)
        save_live(self._home, record)
        return record

    def let_decide(self, canary: CanaryVersion | None) -> LiveRecord:
        """Let a rollout's candidate decide its share of the requests beside the live DNA; None: no candidate any more.

        The audit log tells of rollouts by itself.
        """
        record = self.record.with_canary(canary)
        save_live(self._home, record)
        return record

    def reconcile(self) -> None:
        """Add to the audit log the last change of DNA, where a crash came between the record and the entry."""
        record = self.record
        changes = [
            entry
            for kind in (AuditKind.DNA_PROMOTED, AuditKind.DNA_ROLLED_BACK)
            for entry in self._audit.entries(after=0, limit=None, kind=kind)
        ]
        newest = max(changes, key=lambda entry: entry.sequence, default=None)
        audited = None if newest is None else newest.detail["dna_hash"]
        if record.previous and audited != record.current.dna_hash:
            before = LiveRecord(record.rollback_target(), {})
            self._audit_change(AuditKind.DNA_PROMOTED, before, record)

    def _exchange(self, before: LiveRecord, commit: Commit, snapshot_hash: str, actor: str, reason: str) -> LiveRecord:
        version = self._version(commit, snapshot_hash, before.current.generation + 1, actor, reason)
        record = before.followed_by(version, commit.genome)
        save_live(self._home, record)
        return record

    def _version(self, commit: Commit, snapshot_hash: str, generation: int, actor: str, reason: str) -> LiveVersion:
        since = self._clock.now().isoformat()
        return LiveVersion(generation, commit.hash, commit.genome.hash, snapshot_hash, since, actor, reason)

    def _audit_change(self, kind: AuditKind, before: LiveRecord, after: LiveRecord) -> None:
        detail = {
            "generation": after.current.generation,
            "commit": after.current.commit,
            "dna_hash": after.current.dna_hash,
            "snapshot_hash": after.current.snapshot_hash,
            "before": before.current.dna_hash,
            "reason": after.current.reason,
        }
        self._audit.append(kind, actor=after.current.actor, subject=_SUBJECT, detail=detail)
