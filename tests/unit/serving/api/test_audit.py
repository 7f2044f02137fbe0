"""`/api/v1/audit`: entries by page, kind and tenant, and the verdict on the chain."""

import asyncio

import httpx
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Role
from evolving_ai.security.audit_kinds import AuditKind
from tests.unit.serving.api.keys_app import ADMIN_SECRET, Services, keys_app


@pytest.fixture
def services() -> Services:
    services = Services.in_memory(ManualClock())
    for number in range(1, 10):
        tenant = "acme" if number % 3 else "other"
        kind = AuditKind.KEY_CREATED if number % 2 else AuditKind.KEY_REVOKED
        services.audit.append(kind, actor="ann", subject=f"key-{number}", detail={"tenant": tenant})
    services.audit.append(AuditKind.DNA_PROMOTED, actor="bob", subject="live", detail={"dna_hash": "0" * 64})
    services.audit.append(AuditKind.CONFIG_CHANGED, actor="bob", subject="pool", detail={"aliases": {}})
    return services


def ask(services: Services, path: str, secret: str = ADMIN_SECRET) -> httpx.Response:
    async def send() -> httpx.Response:
        headers = {"authorization": f"Bearer {secret}"}
        transport = httpx.ASGITransport(keys_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
            return await client.get(f"/api/v1/audit/{path}")

    return asyncio.run(send())


def numbers(answer: httpx.Response) -> list[int]:
    return [entry["sequence"] for entry in answer.json()["entries"]]


def test_entries_are_shown_whole(services: Services) -> None:
    shown = ask(services, "entries?after=0&limit=1").json()["entries"][0]
    entry = services.audit.entries(limit=1)[0]

    assert shown == {name: getattr(entry, name) for name in shown}
    assert shown["hash"] == entry.hash


def test_pages_cover_the_log(services: Services) -> None:
    after, seen = 0, []
    while True:
        answer = ask(services, f"entries?after={after}&limit=4")
        if not numbers(answer):
            break
        seen += numbers(answer)
        after = answer.json()["last"]

    assert seen == list(range(1, 12))


def test_without_a_place_the_newest_are_shown(services: Services) -> None:
    answer = ask(services, "entries?limit=2")

    assert numbers(answer) == [10, 11]
    assert answer.json()["last"] == 11


def test_entries_of_one_kind(services: Services) -> None:
    assert numbers(ask(services, "entries?kind=key_revoked")) == [2, 4, 6, 8]
    assert numbers(ask(services, "entries?kind=key_revoked&after=2&limit=2")) == [4, 6]
    assert ask(services, "entries?kind=unheard_of").status_code == 422


def test_an_administrator_of_a_tenant_sees_what_concerns_it(services: Services) -> None:
    secret = services.keys.create("k", "acme", Role.ADMIN).secret

    assert numbers(ask(services, "entries", secret)) == [1, 2, 4, 5, 7, 8, 10]
    assert numbers(ask(services, "entries?after=2&limit=3", secret)) == [4, 5, 7]
    assert ask(services, "entries?after=2&limit=3", secret).json()["last"] == 7
    assert numbers(ask(services, "entries?after=8", secret)) == [10]
    assert ask(services, "entries?after=8", secret).json()["last"] == 11


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_read_the_log(services: Services, role: Role) -> None:
    secret = services.keys.create("k", "local", role).secret

    assert ask(services, "entries", secret).status_code == 403
    assert ask(services, "verify", secret).status_code == 403


def test_a_whole_chain_is_ok_and_shows_its_head(services: Services) -> None:
    head = services.audit.head()

    verdict = ask(services, "verify").json()

    assert verdict == {"ok": True, "problem": None, "head": {"sequence": 11, "hash": head.hash}}
    assert ask(services, f"verify?sequence=11&hash={head.hash}").json()["ok"]


def test_a_head_that_was_kept_and_is_gone_is_a_problem(services: Services) -> None:
    verdict = ask(services, f"verify?sequence=12&hash={'0' * 64}").json()

    assert not verdict["ok"]
    assert "its end was cut off" in verdict["problem"]


@pytest.mark.parametrize("query", ["sequence=1", f"hash={'0' * 64}"])
def test_half_a_head_is_refused(services: Services, query: str) -> None:
    assert ask(services, f"verify?{query}").json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("query", ["sequence=-1&hash=" + "0" * 64, "sequence=1&hash=xyz"])
def test_what_is_no_head_is_refused(services: Services, query: str) -> None:
    assert ask(services, f"verify?{query}").status_code == 422
