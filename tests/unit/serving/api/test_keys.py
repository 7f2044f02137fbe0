"""`/api/v1/keys`: who may manage whose keys, what is shown, and that every change is told and audited."""

import asyncio
from typing import Any

import httpx
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Role
from evolving_ai.errors import StorageError
from evolving_ai.security.api_keys import HashedKeyRing, KeyService
from evolving_ai.stores.inmemory.key_store import InMemoryKeyStore
from tests.unit.serving.api.keys_app import ADMIN_SECRET, Services, keys_app

ACME = {"tenant": "acme", "role": "viewer"}


@pytest.fixture
def services() -> Services:
    return Services.in_memory(ManualClock())


def ask(services: Services, method: str, path: str, body: Any = None, *, secret: str = ADMIN_SECRET) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(keys_app(services))
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
            return await client.request(method, path, json=body)

    return asyncio.run(send())


def secret_of(services: Services, tenant: str, role: Role) -> str:
    return services.keys.create("k", tenant, role).secret


def kinds(services: Services) -> list[str]:
    return [entry.kind for entry in services.audit.entries()]


def test_a_created_key_is_shown_once_and_works(services: Services) -> None:
    answer = ask(services, "POST", "/api/v1/keys", {**ACME, "name": "ci", "requests_per_minute": 60})

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()
    assert (key["name"], key["tenant"], key["role"], key["requests_per_minute"]) == ("ci", "acme", "viewer", 60)
    assert key["expires"] is None
    principal = HashedKeyRing(services.told[-1], services.clock).principal(key["secret"])
    assert principal is not None
    assert principal.tenant == "acme"
    listed = ask(services, "GET", "/api/v1/keys").json()["keys"]
    assert {shown["id"] for shown in listed} == {"local-admin", key["id"]}
    assert all("secret" not in field and "hash" not in field for shown in listed for field in shown)


def test_every_change_stands_in_the_audit_log_and_is_told(services: Services) -> None:
    key = ask(services, "POST", "/api/v1/keys", ACME).json()
    path = f"/api/v1/keys/{key['id']}"
    ask(services, "POST", f"{path}/rotate", {"grace_s": 5})
    ask(services, "DELETE", path)
    ask(services, "DELETE", path)

    entries = services.audit.entries()
    assert [entry.kind for entry in entries] == ["key_created", "key_rotated", "key_revoked"]
    assert {(entry.actor, entry.subject, entry.detail["tenant"]) for entry in entries} == {
        ("local-admin", key["id"], "acme")
    }
    assert key["secret"] not in repr(entries)
    assert [len(told["keys"]) for told in services.told] == [2, 2, 1, 1]


def test_rotation_needs_no_body_and_keeps_the_former_secret_for_an_hour(services: Services) -> None:
    key = ask(services, "POST", "/api/v1/keys", ACME).json()

    rotated = ask(services, "POST", f"/api/v1/keys/{key['id']}/rotate").json()

    assert rotated["id"] == key["id"]
    assert rotated["secret"] != key["secret"]
    assert rotated["former_until"] == "2026-01-01T01:00:00Z"


def test_a_key_can_be_made_to_expire(services: Services) -> None:
    key = ask(services, "POST", "/api/v1/keys", {**ACME, "expires_in_days": 0.5}).json()

    assert key["expires"] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("POST", "/api/v1/keys/local-admin/rotate"),
        ("DELETE", "/api/v1/keys/local-admin"),
    ],
)
def test_only_administrators_manage_keys(services: Services, role: Role, method: str, path: str) -> None:
    secret = secret_of(services, "local", role)
    before = services.keys.snapshot()

    answer = ask(services, method, path, ACME if path.endswith("keys") else None, secret=secret)

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "permission_denied"
    assert services.keys.snapshot() == before
    assert kinds(services) == []


@pytest.mark.parametrize("secret", ["", "evai_key-0000000000_" + "x" * 43])
def test_without_a_valid_key_nothing_is_shown(services: Services, secret: str) -> None:
    answer = ask(services, "GET", "/api/v1/keys", secret=secret)

    assert answer.status_code == 401
    assert answer.json()["error"]["request_id"] == "req-1"


def test_an_administrator_of_a_tenant_manages_the_keys_of_that_tenant_alone(services: Services) -> None:
    foreign = services.keys.create("k", "other", Role.VIEWER).record.key_id
    secret = secret_of(services, "acme", Role.ADMIN)

    own = ask(services, "POST", "/api/v1/keys", ACME, secret=secret)
    listed = ask(services, "GET", "/api/v1/keys", secret=secret).json()["keys"]
    by_name = ask(services, "GET", "/api/v1/keys?tenant=other", secret=secret).json()["keys"]

    assert own.status_code == 201
    assert {key["tenant"] for key in listed} == {"acme"}
    assert by_name == []
    for tenant in ("other", "local"):
        answer = ask(services, "POST", "/api/v1/keys", {"tenant": tenant, "role": "admin"}, secret=secret)
        assert answer.status_code == 403
    unknown = ask(services, "DELETE", "/api/v1/keys/key-unknown", secret=secret)
    for method, path in (("DELETE", foreign), ("POST", f"{foreign}/rotate"), ("DELETE", "local-admin")):
        answer = ask(services, method, f"/api/v1/keys/{path}", secret=secret)
        key_id = path.split("/")[0]
        assert answer.status_code == unknown.status_code == 404
        assert answer.text == unknown.text.replace("key-unknown", key_id)
    assert kinds(services) == ["key_created"]


def test_keys_are_listed_by_tenant(services: Services) -> None:
    for tenant in ("a", "b"):
        services.keys.create("k", tenant, Role.VIEWER)

    assert [key["tenant"] for key in ask(services, "GET", "/api/v1/keys?tenant=b").json()["keys"]] == ["b"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant": "acme"},
        {**ACME, "role": "root"},
        {**ACME, "tenant": "Acme!"},
        {**ACME, "tenant": "acme\n"},
        {**ACME, "name": ""},
        {**ACME, "name": "x" * 101},
        {**ACME, "expires_in_days": 0},
        {**ACME, "expires_in_days": 1e9},
        {**ACME, "requests_per_minute": 0},
        {**ACME, "max_concurrent": 1.5},
        {**ACME, "unheard_of": 1},
        [],
        "x",
    ],
)
def test_a_body_that_cannot_be_is_refused(services: Services, body: Any) -> None:
    assert ask(services, "POST", "/api/v1/keys", body).status_code == 422
    assert kinds(services) == []


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "\u202e"])
def test_a_name_that_could_deceive_a_reader_is_refused(services: Services, name: str) -> None:
    answer = ask(services, "POST", "/api/v1/keys", {**ACME, "name": name})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert kinds(services) == []


def test_an_unknown_key_is_told(services: Services) -> None:
    assert ask(services, "DELETE", "/api/v1/keys/key-x").json()["error"]["code"] == "not_found"
    assert ask(services, "POST", "/api/v1/keys/key-x/rotate").status_code == 404


def test_the_file_of_the_administrator_is_not_managed_here(services: Services) -> None:
    assert ask(services, "DELETE", "/api/v1/keys/local-admin").status_code == 409
    assert kinds(services) == []


def test_a_change_that_cannot_be_audited_does_not_happen() -> None:
    class FullDisk:
        def append(self, kind: str, **_: Any) -> Any:
            raise StorageError("no disk space left")

    clock = ManualClock()
    services = Services(clock, FullDisk(), KeyService(InMemoryKeyStore(), clock, ADMIN_SECRET))  # type: ignore[arg-type]

    with pytest.raises(StorageError):
        ask(services, "POST", "/api/v1/keys", ACME)

    assert len(services.keys.list_keys()) == 1
    assert services.told == []
