"""`evolving-ai audit`: who changed what, and whether that record is whole.

The running platform is asked; when none runs, the log in the home is read as it lies there.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from evolving_ai._common.canonical import canonical_bytes
from evolving_ai.cli.connection import BASE_URL_VARIABLE
from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.errors import PlatformError, UsageError
from evolving_ai.home import resolve_home
from evolving_ai.security.audit_kinds import AuditKind
from evolving_ai.stores.ports import AuditHead, AuditLog
from evolving_ai.wiring.audit_file import audit_path, open_audit_to_read

__all__ = ["app"]

app = new_app("Show who changed what, and verify that record.")

_HASH_DIGITS = 64


@app.command()
def log(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Show the newest so many.")] = 50,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind, such as key_created.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List entries, oldest first."""
    if kind is not None and kind not in set(AuditKind):
        raise UsageError(f"there is no kind {kind!r}: expected {', '.join(AuditKind)}")
    params: dict[str, str | int] = {"limit": limit} if kind is None else {"limit": limit, "kind": kind}
    answer = _asked_or_read(
        resolve_home(home),
        lambda client: client.request("GET", "/api/v1/audit/entries", params=params),
        lambda audit: _entries(audit, limit, kind),
    )
    if json:
        print_json(answer)
        return
    columns = ("entry", "time", "kind", "actor", "subject", "detail")
    print_table(columns, [_row(entry) for entry in answer["entries"]])


@app.command()
def verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="N:HASH", help="A head that was kept: the log must contain it.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check the chain of hashes; exit 1 when an entry was changed, removed, inserted or moved.

    Keep the head that is printed in another place: given with --head, it also tells whether the end was cut off.
    """
    expected = None if head is None else _parse_head(head)
    params: dict[str, str | int] | None = None
    if expected is not None:
        params = {"sequence": expected.sequence, "hash": expected.hash}
    verdict = _asked_or_read(
        resolve_home(home),
        lambda client: client.request("GET", "/api/v1/audit/verify", params=params),
        lambda audit: _verdict(audit, expected),
    )
    if json:
        print_json(verdict)
    else:
        found = verdict["head"]
        print_text("ok" if verdict["ok"] else str(verdict["problem"]))
        print_text(f"head {found['sequence']}:{found['hash']}")
    if not verdict["ok"]:
        raise typer.Exit(1)


def _asked_or_read(
    home: Path, ask: Callable[[PlatformClient], dict[str, Any]], read: Callable[[AuditLog], dict[str, Any]]
) -> dict[str, Any]:
    try:
        return ask(PlatformClient(home))
    except PlatformError as exc:
        is_elsewhere = bool(os.environ.get(BASE_URL_VARIABLE))
        if is_elsewhere or not audit_path(home).is_file():
            raise
        note(f"reading {audit_path(home)} itself, because {exc}")
    with closing(open_audit_to_read(home)) as audit:
        return read(audit)


def _entries(audit: AuditLog, limit: int, kind: str | None) -> dict[str, Any]:
    found = audit.entries(kind=kind)[-limit:]
    names = ("sequence", "time", "kind", "actor", "subject", "detail", "previous", "hash")
    entries = [{name: getattr(entry, name) for name in names} for entry in found]
    return {"entries": entries, "last": audit.head().sequence}


def _verdict(audit: AuditLog, expected: AuditHead | None) -> dict[str, Any]:
    head, problem = audit.head(), audit.verify(expected_head=expected)
    return {"ok": problem is None, "problem": problem, "head": {"sequence": head.sequence, "hash": head.hash}}


def _parse_head(text: str) -> AuditHead:
    number, _, entry_hash = text.partition(":")
    if not number.isascii() or not number.isdigit() or len(entry_hash) != _HASH_DIGITS:
        raise UsageError(f"--head {text!r}: expected NUMBER:HASH, as `audit verify` prints it")
    return AuditHead(int(number), entry_hash)


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    time = entry["time"][:19].replace("T", " ")
    detail = canonical_bytes(entry["detail"]).decode()
    return entry["sequence"], time, entry["kind"], entry["actor"], entry["subject"], detail
