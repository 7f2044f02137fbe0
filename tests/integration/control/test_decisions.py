"""Decisions explained, feedback about them, content, and what one tenant gets to see of another: nothing."""

import math
from typing import Any

import pytest

from evolving_ai.domain.outcome import Outcome
from evolving_ai.serving.api.decisions import DecisionView
from tests.doubles.installation import Installation, Replica, eventually
from tests.integration.control.conftest import World

FLOOR = 0.05


async def explained(replica: Replica, decision: str, secret: str | None = None) -> dict[str, Any]:
    answer = await replica.ask("GET", f"/api/v1/ai/decisions/{decision}", secret=secret)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_decision_is_explained_with_every_field_on_any_replica(world: World) -> None:
    async def test(it: Installation) -> None:
        key = await it.key("acme")
        reply = await it.replicas[0].chat(
            "hard 3", secret=key["secret"], headers={"x-evolving-tags": "a,b", "x-evolving-min-quality": "0.1"}
        )
        await it.recorded(1)
        decision = reply.headers["x-request-id"]
        found = await explained(it.replicas[1], decision, key["secret"])
        assert set(found) == set(DecisionView.model_fields)
        assert found == await explained(it.replicas[0], decision)  # the installation's administrator sees it, too
        (chosen,) = [each for each in found["candidates"] if each["is_chosen"]]
        assert f"replay/{chosen['model']}" == found["target"] == reply.headers["x-evolving-target"]
        assert [each["model"] for each in found["candidates"]] == ["large", "medium", "small"]
        assert found["propensity"] == 1.0
        assert found["dna_hash"].startswith(reply.headers["x-evolving-dna"])
        assert found["snapshot_hash"].startswith(reply.headers["x-evolving-snapshot"])
        assert found["cost_usd"] == reply.headers["x-evolving-cost-usd"]
        assert (found["tenant"], found["key_id"], found["tags"]) == ("acme", key["id"], ["a", "b"])
        assert (found["status"], found["content"], found["feedback"]) == (200, None, None)
        (attempt,) = found["attempts"]
        assert (attempt["target"], attempt["result"], attempt["cost_usd"]) == (found["target"], "ok", found["cost_usd"])
        recorded = it.live.services.outcomes.find(decision)
        assert recorded is not None
        stored: Outcome = recorded.outcome
        assert (found["seed"], found["prompt_hash"]) == (stored.seed, stored.prompt_hash)

    world.run(test, replicas=2)


def test_a_decision_of_another_tenant_is_answered_as_one_that_does_not_exist(world: World) -> None:
    async def test(it: Installation) -> None:
        owner, foreign = await it.key("acme"), await it.key("globex", "admin")
        replica = it.replicas[0]
        decision = (await replica.chat(secret=owner["secret"])).headers["x-request-id"]
        await it.recorded(1)

        async def words(method: str, path: str, name: str, body: dict[str, Any] | None) -> tuple[int, str]:
            answer = await replica.ask(method, path, body, secret=foreign["secret"])
            error = answer.json()["error"]
            assert error["code"] == "decision_not_found"
            return answer.status_code, f"{error['message']} {error['hint']}".replace(name, "ID")

        unknown = decision[:-1] + ("x" if decision[-1] != "x" else "y")
        there = await words("GET", f"/api/v1/ai/decisions/{decision}", decision, None)
        assert there == await words("GET", f"/api/v1/ai/decisions/{unknown}", unknown, None)
        assert there[0] == 404
        said = await words("POST", "/api/v1/ai/feedback", decision, {"decision_id": decision, "score": 0})
        assert said == there
        assert (await explained(replica, decision))["feedback"] is None

    world.run(test)


def test_feedback_may_come_again_and_before_its_outcome(world: World) -> None:
    async def test(it: Installation) -> None:
        key, replica = await it.key("acme"), it.replicas[0]

        async def said(decision: str, **fields: Any) -> int:
            body = {"decision_id": decision, **fields}
            return (await replica.ask("POST", "/api/v1/ai/feedback", body, secret=key["secret"])).status_code

        decision = (await replica.chat(secret=key["secret"])).headers["x-request-id"]
        assert await said(decision, score=0.25, comment="early") == 200  # most likely it is not handed over yet
        await it.recorded(1)
        await eventually(lambda: it.live.services.outcomes.counts().with_feedback == 1)
        for _ in range(2):
            assert await said(decision, score=0.75, comment="later") == 200
        found = (await explained(replica, decision))["feedback"]
        assert found == {"decision_id": decision, "score": 0.75, "comment": "later"}
        assert it.live.services.outcomes.counts().with_feedback == 1
        for wrong in ({"score": 2}, {"score": -0.1}, {"score": "good"}, {}, {"score": 1, "more": 1}):
            assert await said(decision, **wrong) == 400, wrong
        assert await said("req-unknown", score=1) == 404

    world.run(test)


def test_content_is_stored_for_tenants_that_switched_it_on_alone(world: World) -> None:
    async def test(it: Installation) -> None:
        found: dict[str, Any] = {}
        for tenant in ("recorded", "acme"):
            key = await it.key(tenant)
            reply = await it.replicas[0].chat("a secret of mine", secret=key["secret"])
            await it.recorded(len(found) + 1)
            found[tenant] = await explained(it.replicas[0], reply.headers["x-request-id"], key["secret"])
        assert "a secret of mine" in found["recorded"]["content"]
        assert "[replay" in found["recorded"]["content"]
        assert found["acme"]["content"] is None
        await it.kill_control()
        files = [path for path in it.home.rglob("*") if path.is_file() and path.name != "outcomes.db"]
        assert not [path for path in files if b"a secret of mine" in path.read_bytes()]

    world.run(test)


def test_a_preview_has_the_propensities_of_the_policy_and_counts_as_a_request(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        it.change_dna(explore__floor=FLOOR)
        assert (await replica.ask("POST", "/api/v1/dna/promote", {"ref": "main"})).status_code == 200
        for _ in range(30):  # whatever is drawn, the rule is the same
            answer = (await replica.ask("POST", "/api/v1/ai/route", {"prompt": "hard 1"})).json()
            shares = {each["model"]: each["propensity"] for each in answer["candidates"]}
            best = max(answer["candidates"], key=lambda each: each["score"])["model"]
            assert shares == {model: pytest.approx(1 - 2 * FLOOR if model == best else FLOOR) for model in shares}
        some = (await replica.ask("POST", "/api/v1/ai/route", {"prompt": "hard 1", "model": "cheap"})).json()
        shares = {each["model"]: each["propensity"] for each in some["candidates"]}
        assert shares["large"] == 0.0
        assert math.isclose(sum(shares.values()), 1.0)
        assert it.live.services.outcomes.counts().recent == 0

        limited = await it.key("acme", requests_per_minute=3)
        codes = [
            (await replica.ask("POST", "/api/v1/ai/route", {"prompt": "x"}, secret=limited["secret"])).status_code
            for _ in range(4)
        ]
        assert codes == [200, 200, 200, 429]
        assert (await replica.chat(secret=limited["secret"])).status_code == 429
        assert replica.gateway.app.path.in_flight == 0

    world.run(test)


def test_nothing_of_one_tenant_is_in_any_answer_to_another(world: World) -> None:
    canary = "canary-7f3a"

    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        owner = await it.key("recorded", "viewer", name=canary)
        reply = await replica.chat(canary, secret=owner["secret"], headers={"x-evolving-tags": canary})
        decision = reply.headers["x-request-id"]
        body = {"decision_id": decision, "score": 1, "comment": canary}
        await replica.ask("POST", "/api/v1/ai/feedback", body, secret=owner["secret"])
        await replica.ask("POST", "/api/v1/budgets", {"scope": f"key:{owner['id']}", "cap_usd": "1.234567"})
        await replica.ask("POST", "/api/v1/budgets", {"scope": "tenant:recorded", "cap_usd": "1.234567"})
        await it.recorded(1)

        foreign = (await it.key("globex", "admin"))["secret"]
        marks = [canary, owner["id"], owner["secret"], "1.234567", "1234567000", '"recorded"', "tenant:recorded"]
        asked = [
            ("GET", f"/api/v1/ai/decisions/{decision}"),
            ("GET", "/api/v1/keys"),
            ("GET", "/api/v1/keys?tenant=recorded"),
            ("DELETE", f"/api/v1/keys/{owner['id']}"),
            ("GET", "/api/v1/budgets"),
            ("GET", "/api/v1/budgets/cost"),
            ("GET", "/api/v1/budgets/cost?tenant=recorded"),
            ("GET", f"/api/v1/budgets/cost?key_id={owner['id']}"),
            ("GET", "/api/v1/audit/entries"),
            ("GET", "/api/v1/audit/entries?after=0"),
            ("GET", "/api/v1/system/metrics"),
            ("GET", "/api/v1/system/config"),
            ("GET", "/api/v1/dna/history"),
            ("GET", "/api/v1/ai/providers"),
            ("GET", "/v1/models"),
        ]
        for method, path in asked:
            text = (await replica.ask(method, path, secret=foreign)).text
            for own in (decision, owner["id"]):  # what the request itself says may be said back
                text = text.replace(f"'{own}'", "") if own in path else text
            assert [mark for mark in marks if mark in text] == [], (path, text)
        assert (await replica.chat(secret=owner["secret"])).status_code == 200  # and it is not revoked

    world.run(test)
