"""Verdicts on what a home keeps: its databases, the chain of its audit log, what is live. It is read, never changed."""

from contextlib import closing
from pathlib import Path

from evolving_ai.doctor.finding import Finding, Verdict
from evolving_ai.errors import EvolvingAIError
from evolving_ai.stores.sqlite.file_damage import file_damage
from evolving_ai.wiring.audit_file import audit_path, open_audit_to_read
from evolving_ai.wiring.live_record import load_live
from evolving_ai.wiring.snapshots import SnapshotLibrary

__all__ = ["state_findings"]

_RESTORE = "end the platform, then restore it from a backup"


def state_findings(home: Path) -> tuple[Finding, ...]:
    """A finding each for the databases, the audit log and what is live."""
    return (_databases(home), _audit(home), _live(home))


def _databases(home: Path) -> Finding:
    paths = sorted(home.rglob("*.db")) if home.is_dir() else []
    if not paths:
        return Finding("databases", Verdict.OK, "none yet")
    damaged = [(path, problem) for path in paths if (problem := file_damage(path)) is not None]
    if damaged:
        path, problem = damaged[0]
        more = f" (and {len(damaged) - 1} more are damaged)" if len(damaged) > 1 else ""
        return Finding("databases", Verdict.FAILED, f"{path.relative_to(home)}: {problem}{more}", _RESTORE)
    return Finding("databases", Verdict.OK, f"{len(paths)} are whole")


def _audit(home: Path) -> Finding:
    if not audit_path(home).exists():
        return Finding("audit log", Verdict.OK, "none yet")
    try:
        with closing(open_audit_to_read(home)) as log:
            problem, last = log.verify(), log.head().sequence
    except EvolvingAIError as exc:
        return Finding("audit log", Verdict.FAILED, str(exc), _RESTORE)
    if problem is not None:
        return Finding("audit log", Verdict.FAILED, problem, "find out who could write it, then restore it")
    return Finding("audit log", Verdict.OK, f"{last} entries, each matches its hash")


def _live(home: Path) -> Finding:
    try:
        record = load_live(home)
        if record is None:
            return Finding("live DNA", Verdict.OK, "none yet: `evolving-ai up` makes the first one live")
        record.read_genome()
        SnapshotLibrary(home).get(record.current.snapshot_hash)
    except EvolvingAIError as exc:
        return Finding("live DNA", Verdict.FAILED, str(exc), _RESTORE)
    current = record.current
    detail = f"generation {current.generation}: dna {current.dna_hash[:12]}, snapshot {current.snapshot_hash[:12]}"
    return Finding("live DNA", Verdict.OK, detail)
