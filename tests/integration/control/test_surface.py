"""The surface as a whole: every route documented, allowed by the one table, and every error in the one form."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from evolving_ai.domain.identity import Role
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.security.access import access_rule
from evolving_ai.serving.api.system import SystemHealth
from tests.doubles.installation import Installation, Replica
from tests.integration.control.conftest import World

REQUIRED = {
    ("post", "/api/v1/evolution/start"),
    ("get", "/api/v1/evolution/status/{campaign_id}"),
    ("post", "/api/v1/evolution/rollback/{campaign_id}"),
    ("post", "/api/v1/ai/chat"),
    ("post", "/api/v1/ai/completion"),
    ("get", "/api/v1/ai/providers"),
    ("post", "/api/v1/ai/route"),
    ("get", "/api/v1/system/health"),
    ("get", "/api/v1/system/metrics"),
    ("post", "/api/v1/system/config"),
}
ROLES = (None, *Role)


async def operations(replica: Replica) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation of the OpenAPI document by method and template."""
    answer = await replica.client.get("/api/v1/openapi.json", headers={"authorization": ""})
    assert answer.status_code == 200
    paths = answer.json()["paths"]
    return {(method, path): operation for path, methods in paths.items() for method, operation in methods.items()}


def assert_error(answer: httpx.Response, *codes: str) -> None:
    """The error form of `/api/v1`, with the status that the table gives."""
    assert set(answer.json()) == {"error"}, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "request_id"}
    assert answer.status_code == PROBLEMS[error["code"]].status
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in error["message"]
    assert "Traceback" not in answer.text
    assert answer.headers["x-should-retry"] in ("true", "false")
    assert not codes or error["code"] in codes, answer.text


def test_health_is_as_documented(world: World) -> None:
    async def test(it: Installation) -> None:
        answer = await it.replicas[0].ask("GET", "/api/v1/system/health", secret="")
        assert SystemHealth.model_validate(answer.json(), strict=True).status == "ok"
        assert set(answer.json()) == set(SystemHealth.model_fields)

    world.run(test)


def test_the_openapi_document_has_every_route_that_is_required(world: World) -> None:
    async def test(it: Installation) -> None:
        found = await operations(it.replicas[0])
        assert set(found) >= REQUIRED
        for (method, path), operation in found.items():
            assert operation.get("description"), (method, path)
            success = next(code for code in operation["responses"] if code.startswith("2"))
            assert operation["responses"][success].get("content") or success == "204", (method, path)
            assert access_rule(method.upper(), path) is not None, f"nobody may {method} {path}"

    world.run(test)


def test_every_route_answers_each_role_as_the_table_says(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        secrets = {role: (await it.key("acme", role.name.lower()))["secret"] for role in Role}
        for method, template in await operations(replica):
            path = re.sub(r"{\w+}", "nothing", template)
            rule = access_rule(method.upper(), path)
            assert rule is not None
            for role in ROLES:
                secret = "" if role is None else secrets[role]
                answer = await replica.ask(
                    method.upper(), path, None if method == "get" else {"more": 1}, secret=secret
                )
                is_allowed = rule.least is None or (role is not None and role >= rule.least)
                if is_allowed:
                    assert answer.status_code not in (401, 403, 500), (method, path, role, answer.text)
                else:
                    assert_error(answer, "missing_api_key" if role is None else "permission_denied")

    world.run(test)


BODIES: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"\xff\xfe",
    b"[" * 5000,
    b'{"a":' * 3000,
    b'{"unknown_field": 1}',
    b'{"reason": 5, "ref": [], "scope": {}, "aliases": "x", "decision_id": 1, "tenant": 7, "prompt": 9, "messages": 3}',
    b'{"ref": "\\ud800", "scope": "\\ud800aaaaa", "cap_usd": "1", "decision_id": "\\ud800", "score": 1}',
    b'{"score": NaN, "decision_id": "a"}',
    b'{"aliases": {"auto": ["small"]}}',
    b'{"aliases": {"x": []}}',
    b'{"aliases": {"x": ["nobody/nothing"]}}',
    b'{"tenant": "acme", "role": "emperor"}',
    b'{"messages": [{"role": "user", "content": "x"}], "auto_optimize": "perhaps"}',
    b'{"messages": [{"role": "user", "content": "x"}], "model": 5}',
    b'{"messages": [{"role": "user", "content": {"a": 1}}]}',
    b'{"prompt": "x", "stream": true}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:24].decode("latin-1"))
def test_no_body_whatever_it_holds_is_answered_but_as_a_fault_of_the_caller(world: World, body: bytes) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        for method, template in await operations(replica):
            if method in ("get", "delete"):
                continue
            path = re.sub(r"{\w+}", "nothing", template)
            headers = {"content-type": "application/json"}
            answer = await replica.ask(method.upper(), path, content=body, headers=headers)
            assert_error(answer, "invalid_json", "invalid_request", "not_found", "decision_not_found", "conflict")

    world.run(test)


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("GET", "/api/v1/nothing", ("not_found",)),
        ("GET", "/api/v1/ai/decisions", ("not_found",)),
        ("PUT", "/api/v1/ai/chat", ("method_not_allowed",)),
        ("PUT", "/api/v1/dna/live", ("not_found",)),
        ("GET", "/api/v1/dna/nothing", ("not_found",)),
        ("POST", "/api/v1/dna/live", ("method_not_allowed",)),
        ("GET", "/api/v1/budgets/cost?since=yesterday", ("invalid_request",)),
        ("GET", "/api/v1/budgets/cost?by=colour", ("invalid_request",)),
        ("GET", "/api/v1/audit/entries?limit=-1", ("invalid_request",)),
        ("GET", "/api/v1/ai/decisions/" + "x" * 3000, ("decision_not_found",)),
        ("GET", "/api/v1/ai/decisions/%00%ff%F0%9F", ("decision_not_found",)),
        ("DELETE", "/api/v1/budgets/nonsense", ()),
    ],
)
def test_what_is_not_there_is_refused_in_the_error_form(
    world: World, method: str, path: str, codes: tuple[str, ...]
) -> None:
    async def test(it: Installation) -> None:
        answer = await it.replicas[0].ask(method, path)
        if codes:
            assert_error(answer, *codes)
        else:
            assert answer.status_code == 200

    world.run(test)


def test_models_are_only_read(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        assert (await replica.ask("GET", "/v1/models/small")).status_code == 200
        refused = await replica.ask("DELETE", "/v1/models/small")
        assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed")
        unknown = await replica.ask("GET", "/v1/models/nobody")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")

    world.run(test)


def test_metrics_are_json_or_the_text_format_with_every_name_in_one_piece(world: World) -> None:
    async def test(it: Installation) -> None:
        for replica in it.replicas:
            await replica.chat()
            await replica.gateway.state.ask()
        await it.recorded(2)
        found = (await it.replicas[0].ask("GET", "/api/v1/system/metrics")).json()
        assert {each["replica"] for each in found["replicas"]} == {"gw-1", "gw-2"}
        assert found["totals"]["answered"] == sum(each["stats"]["answered"] for each in found["replicas"]) >= 2
        assert (found["generation"], found["outcomes"]["recent"]) == (1, 2)

        answer = await it.replicas[0].ask("GET", "/api/v1/system/metrics", headers={"accept": "text/plain"})
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        sample = re.compile(r'[a-z_]+(\{replica="gw-\d"\})? [0-9.e+-]+')
        lines = answer.text.splitlines()
        names = [line.split()[2] if line.startswith("# TYPE") else re.split(r"[{ ]", line)[0] for line in lines]
        assert all(line.startswith("# TYPE ") or sample.fullmatch(line) for line in lines), answer.text
        pieces = [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
        assert len(pieces) == len(set(pieces)), "a name stands in two pieces"
        assert "evolving_ai_outcomes_recent 2" in lines

    world.run(test, replicas=2)


def test_a_configuration_is_changed_on_every_replica_or_not_at_all(world: World) -> None:
    async def test(it: Installation) -> None:
        first, second = it.replicas
        before = (await first.ask("GET", "/api/v1/system/config")).json()
        refused: tuple[dict[str, list[str]], ...] = (
            {"new": ["nobody"]},
            {"new": []},
            {"auto": ["small"]},
            {"small": ["large"]},
            {"a/b": ["small"]},
        )
        for aliases in refused:
            assert_error(await first.ask("POST", "/api/v1/system/config", {"aliases": aliases}), "invalid_request")
        assert (await second.ask("GET", "/api/v1/system/config")).json() == before
        assert await it.audited("config_changed") == []
        assert (await second.ask("POST", "/api/v1/system/config", {})).json() == before

        changed = await first.ask("POST", "/api/v1/system/config", {"aliases": {"new": ["replay/small"]}})
        assert changed.json() == {**before, "version": before["version"] + 1, "aliases": {"new": ["replay/small"]}}
        for replica in it.replicas:
            assert (await replica.chat(model="new")).headers["x-evolving-target"] == "replay/small"
            assert (await replica.chat(model="cheap")).status_code == 404
        (entry,) = await it.audited("config_changed")
        assert (entry["actor"], entry["detail"]["aliases"]) == ("local-admin", {"new": ["replay/small"]})

    world.run(test, replicas=2)


def test_changes_of_the_configuration_at_once_lose_none(world: World) -> None:
    async def test(it: Installation) -> None:
        changes = [{"aliases": {f"a{place}": ["small"]}} for place in range(6)]
        before = it.replicas[0].gateway.state.versions["pool"]
        asked = [
            it.replicas[place % 2].ask("POST", "/api/v1/system/config", body) for place, body in enumerate(changes)
        ]
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
        config = (await it.replicas[0].ask("GET", "/api/v1/system/config")).json()
        assert config["version"] == before + 6
        entries = await it.audited("config_changed")
        assert [entry["detail"]["version"] for entry in entries] == [before + place for place in range(1, 7)]
        assert entries[-1]["detail"]["aliases"] == config["aliases"]
        for replica in it.replicas:
            assert dict(replica.gateway.app.path.catalog.aliases) == {
                alias: tuple(members) for alias, members in config["aliases"].items()
            }

    world.run(test, replicas=2)
