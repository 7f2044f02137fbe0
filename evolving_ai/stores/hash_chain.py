"""The chain of the audit log: how an entry is sealed, read, and found to be tampered with.

The rule kept here: an entry's hash is the SHA-256 of its stored bytes, and these are the canonical JSON of its number,
time, kind, actor, subject, detail and the hash of the entry before. Nothing here stores anything.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from evolving_ai._common.canonical import canonical_bytes, parse_canonical, sha256_hex
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.ports.audit import AuditEntry, AuditHead

__all__ = ["EMPTY_HEAD", "StoredEntry", "first_problem", "read_entry", "seal"]

EMPTY_HEAD = AuditHead(0, "0" * 64)
"""The head of a log without entries; its hash is what the first entry calls the one before."""

_FIELDS = frozenset({"sequence", "time", "kind", "actor", "subject", "detail", "previous"})


class StoredEntry(NamedTuple):
    """An entry as it is stored; `sequence` and `kind` are repeated beside the body so that they can be searched."""

    sequence: int
    kind: str
    body: bytes
    hash: str


def seal(
    head: AuditHead, *, time: datetime, kind: str, actor: str, subject: str, detail: Mapping[str, Any]
) -> StoredEntry:
    """The entry that follows `head`. ValueError when JSON has no form for it."""
    sequence = head.sequence + 1
    body = canonical_bytes(
        {
            "sequence": sequence,
            "time": time.isoformat(timespec="microseconds"),
            "kind": kind,
            "actor": actor,
            "subject": subject,
            "detail": detail,
            "previous": head.hash,
        }
    )
    return StoredEntry(sequence, str(kind), body, sha256_hex(body))


def read_entry(stored: StoredEntry) -> AuditEntry:
    """What was sealed; CorruptionError when it was changed since."""
    if sha256_hex(stored.body) != stored.hash:
        raise CorruptionError(f"entry {stored.sequence} was changed: it does not match its hash")
    try:
        fields = parse_canonical(stored.body)
    except ValueError as exc:
        raise CorruptionError(f"entry {stored.sequence} was changed: it is not JSON") from exc
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise CorruptionError(f"entry {stored.sequence} was changed: it has not the fields of an entry")
    if (fields["sequence"], fields["kind"]) != (stored.sequence, stored.kind):
        raise CorruptionError(f"entry {stored.sequence} was changed: its number or kind is not what was sealed")
    return AuditEntry(**fields, hash=stored.hash)


def first_problem(entries: Iterable[StoredEntry], expected_head: AuditHead | None = None) -> str | None:
    """The first thing wrong with a log, read from its beginning; see `AuditLog.verify`."""
    head = EMPTY_HEAD
    if expected_head is not None and expected_head.sequence == 0 and expected_head != EMPTY_HEAD:
        return f"no log has the head 0:{expected_head.hash}: expected the head that a log once had"
    for stored in entries:
        problem = _link_problem(stored, head)
        if problem is not None:
            return problem
        head = AuditHead(stored.sequence, stored.hash)
        if expected_head is not None and expected_head.sequence == head.sequence and expected_head != head:
            return f"entry {head.sequence} is another one than the head that was kept: the log was written anew"
    if expected_head is not None and expected_head.sequence > head.sequence:
        return f"the log ends with entry {head.sequence}, it once had {expected_head.sequence}: its end was cut off"
    return None


def _link_problem(stored: StoredEntry, head: AuditHead) -> str | None:
    wanted = head.sequence + 1
    if stored.sequence != wanted:
        return f"entry {wanted} is missing: entry {stored.sequence} stands in its place"
    try:
        entry = read_entry(stored)
    except CorruptionError as exc:
        return str(exc)
    if entry.previous != head.hash:
        return f"entry {wanted} does not follow the one before it: an entry was removed, inserted, moved or rewritten"
    return None
