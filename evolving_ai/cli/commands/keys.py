"""`evolving-ai keys`: create, list, rotate and revoke API keys of the running platform."""

import re
from typing import Annotated, Any

import typer

from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json, print_table, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.errors import UsageError
from evolving_ai.home import resolve_home

__all__ = ["app"]

app = new_app("Create, list, rotate and revoke API keys. The platform must be running.")

_ROLES = ("viewer", "operator", "admin")
_KEYS = "/api/v1/keys"
_ID = re.compile("[a-z0-9-]{1,64}")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose requests, data and money: a-z, 0-9, -.")],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="viewer (uses models), operator (DNA too), admin (all).")
    ],
    name: Annotated[str | None, typer.Option("--name", help="What it is for.")] = None,
    expires: Annotated[float | None, typer.Option("--expires", metavar="DAYS", help="End it after so long.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option("--requests-per-minute", min=1)] = None,
    max_concurrent: Annotated[int | None, typer.Option("--max-concurrent", min=1, help="Requests at once.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Create a key and print its secret, which is shown this once."""
    if role not in _ROLES:
        raise UsageError(f"there is no role {role!r}: expected {', '.join(_ROLES)}")
    asked = {
        "tenant": tenant,
        "role": role,
        "name": name,
        "expires_in_days": expires,
        "requests_per_minute": requests_per_minute,
        "max_concurrent": max_concurrent,
    }
    body = {field: value for field, value in asked.items() if value is not None}
    _print_secret(PlatformClient(resolve_home(home)).request("POST", _KEYS, body), json)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List keys, also those that are no longer valid."""
    params = None if tenant is None else {"tenant": tenant}
    answer = PlatformClient(resolve_home(home)).request("GET", _KEYS, params=params)
    if json:
        print_json(answer)
        return
    columns = ("id", "name", "tenant", "role", "state", "created", "expires", "per minute", "at once")
    print_table(columns, [_row(key) for key in answer["keys"]])


@app.command()
def rotate(
    key_id: IdArgument,
    grace_s: Annotated[
        float, typer.Option("--grace-s", min=0, help="Seconds for which the former secret stays valid.")
    ] = 3600.0,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Give a key a new secret; its id, its limits and its budgets stay."""
    path = f"{_KEYS}/{_segment(key_id)}/rotate"
    _print_secret(PlatformClient(resolve_home(home)).request("POST", path, {"grace_s": grace_s}), json)


@app.command()
def revoke(key_id: IdArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """End a key for ever, on every replica within seconds."""
    key = PlatformClient(resolve_home(home)).request("DELETE", f"{_KEYS}/{_segment(key_id)}")
    if json:
        print_json(key)
    else:
        print_text(f"revoked {key['id']} ({key['name']}, tenant {key['tenant']})")


def _segment(key_id: str) -> str:
    """An id as part of a path. What is none is not repeated: it may be a secret that was pasted by mistake."""
    if not _ID.fullmatch(key_id):
        raise UsageError("ID is not that of a key: expected one such as key-0123456789, as `keys list` shows it")
    return key_id


def _print_secret(key: dict[str, Any], json: bool) -> None:
    note("keep the secret now: it is not stored and will not be shown again")
    if json:
        print_json(key)
        return
    print_text(f"id      {key['id']}")
    print_text(f"tenant  {key['tenant']}, role {key['role']}, expires {_minute(key['expires']) or 'never'}")
    if key["former_until"] is not None:
        print_text(f"former  the secret before is valid until {_minute(key['former_until'])} UTC")
    print_text(f"secret  {key['secret']}")


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    return (
        key["id"],
        key["name"],
        key["tenant"],
        key["role"],
        "valid" if key["is_valid"] else "revoked" if key["revoked"] else "expired",
        _minute(key["created"]),
        _minute(key["expires"]),
        key["requests_per_minute"],
        key["max_concurrent"],
    )


def _minute(time: str | None) -> str | None:
    """ISO 8601 without seconds: `2026-01-31 12:00`."""
    return None if time is None else time[:16].replace("T", " ")
