"""The audit log of an installation whose platform does not run: only to look at it."""

from pathlib import Path

from evolving_ai._common.clock import SystemClock
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog

__all__ = ["audit_path", "open_audit_to_read"]


def audit_path(home: Path) -> Path:
    """Where the audit log of an installation lies."""
    return home / "audit.db"


def open_audit_to_read(home: Path) -> SqliteAuditLog:
    """The audit log of `home`, without the means to change it; close it. Raises what `Database.open_to_read` raises."""
    return SqliteAuditLog.open_to_read(audit_path(home), SystemClock())
