"""Keys and budgets from the API to every replica: at once by broadcast, within two seconds without."""

import asyncio
from typing import Any

import httpx
import pytest

from evolving_ai.stores.ports.spend import SpendQuery
from evolving_ai.wiring.access_record import load_access
from tests.doubles.installation import Installation, Replica, eventually
from tests.integration.control.conftest import World


async def budget(replica: Replica, scope: str, cap_usd: str, **fields: str) -> dict[str, Any]:
    answer = await replica.ask("POST", "/api/v1/budgets", {"scope": scope, "cap_usd": cap_usd, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def assert_exhausted(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "insufficient_quota")
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert answer.headers["x-should-retry"] == "false"


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_valid_on_every_replica_as_soon_as_it_is_shown_and_no_longer_once_it_is_revoked(world: World) -> None:
    async def test(it: Installation) -> None:
        key = await it.key("acme")
        for replica in it.replicas:
            assert (await replica.chat(secret=key["secret"])).status_code == 200
        revoked = await it.replicas[1].ask("DELETE", f"/api/v1/keys/{key['id']}")
        assert revoked.status_code == 200
        for replica in it.replicas:
            refused = await replica.chat(secret=key["secret"])
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        created, gone = await it.audited("key_created"), await it.audited("key_revoked")
        assert [entry["subject"] for entry in created + gone] == [key["id"]] * 2
        assert key["secret"] not in str(await it.audited())

    world.run(test, replicas=2)


def test_a_rotated_key_stays_valid_for_its_grace_and_not_without_one(world: World) -> None:
    async def test(it: Installation) -> None:
        key, (first, second) = await it.key("acme"), it.replicas
        rotated = await first.ask("POST", f"/api/v1/keys/{key['id']}/rotate", {"grace_s": 600})
        assert [(await second.chat(secret=s)).status_code for s in (key["secret"], rotated.json()["secret"])] == [
            200
        ] * 2
        again = await first.ask("POST", f"/api/v1/keys/{key['id']}/rotate", {"grace_s": 0})
        secrets = (key["secret"], rotated.json()["secret"], again.json()["secret"])
        assert [(await second.chat(secret=secret)).status_code for secret in secrets] == [401, 401, 200]

    world.run(test, replicas=2)


def test_a_replica_that_missed_the_broadcast_refuses_a_revoked_key_within_two_seconds(world: World) -> None:
    async def test(it: Installation) -> None:
        key = await it.key("acme")
        it.cast.is_deaf = True
        await it.replicas[0].ask("DELETE", f"/api/v1/keys/{key['id']}")
        version = it.live.services.keys.snapshot()["version"]
        versions = [replica.gateway.state.versions for replica in it.replicas]
        await eventually(lambda: all(each["access"] == version for each in versions), 3.0)
        for replica in it.replicas:
            assert (await replica.chat(secret=key["secret"])).status_code == 401

    world.run(test, replicas=2)


def test_live_dna_that_cannot_be_loaded_does_not_keep_a_revoked_key_valid(world: World) -> None:
    async def test(it: Installation) -> None:
        key, replica = await it.key("acme"), it.replicas[0]
        it.cast.is_deaf = True
        await replica.ask("DELETE", f"/api/v1/keys/{key['id']}")
        record = it.live.services.live.record
        lost = record.refitted("0" * 64, record.current.since, "lost")
        it.cast.is_deaf = False
        access = it.live.services.keys.snapshot()
        with pytest.raises(Exception, match="expected a snapshot"):
            await replica.gateway.state.apply({"access": access, "live": lost.to_json()})
        assert (await replica.chat(secret=key["secret"])).status_code == 401
        assert replica.gateway.state.versions["live"] == 1

    world.run(test)


def test_damage_to_the_pool_does_not_keep_a_revoked_key_valid(world: World) -> None:
    async def test(it: Installation) -> None:
        key, replica = await it.key("acme"), it.replicas[0]
        it.cast.is_deaf = True
        (it.home / "live" / "pool.json").write_text("{")
        await replica.ask("DELETE", f"/api/v1/keys/{key['id']}")
        await replica.gateway.state.ask()
        assert (await replica.chat(secret=key["secret"])).status_code == 401
        assert replica.gateway.state.control_is_there

    world.run(test)


def test_many_changes_at_once_leave_the_last_state_on_the_disk_and_on_every_replica(world: World) -> None:
    async def test(it: Installation) -> None:
        keys = await asyncio.gather(*(it.key("acme", name=f"key {place}") for place in range(8)))
        calls = [
            replica.ask("DELETE", f"/api/v1/keys/{key['id']}")
            for key, replica in zip(keys, it.replicas * 4, strict=True)
        ]
        scopes = [budget(it.replicas[0], f"tenant:t{place}", "1") for place in range(4)]
        await asyncio.gather(*calls, *scopes)
        assert {key["key_id"] for key in load_access(it.home)["keys"]} == {"local-admin"}
        assert load_access(it.home)["budget_scopes"] == [f"tenant:t{place}" for place in range(4)]
        for replica in it.replicas:
            assert replica.gateway.state.versions["access"] == it.live.services.keys.snapshot()["version"]

    world.run(test, replicas=2)


def test_limits_of_the_settings_hold_for_keys_without_limits_of_their_own(world: World) -> None:
    (world.home / "config.yaml").write_text("limits: {requests_per_minute: 2}\n")

    async def test(it: Installation) -> None:
        plain, own = await it.key("acme"), await it.key("acme", requests_per_minute=5)
        for key, admitted in ((plain, 2), (own, 5)):
            found = [(await it.replicas[0].chat(secret=key["secret"])).status_code for _ in range(admitted + 1)]
            assert found == [200] * admitted + [429]

    async def many_requests(it: Installation) -> None:
        await it.live.keys_changed()
        await test(it)

    world.run(many_requests)


# --- Budgets ----------------------------------------------------------------------------------------------------------


def test_a_budget_is_spent_then_refuses_then_is_removed(world: World) -> None:
    async def test(it: Installation) -> None:
        key, (first, second) = await it.key("acme"), it.replicas
        scope = f"key:{key['id']}"
        assert (await budget(first, scope, "0.000001"))["remaining_usd"] == "0.000001"
        for replica in it.replicas:
            assert_exhausted(await replica.chat(secret=key["secret"]))
        assert (await second.chat()).status_code == 200  # nobody else is limited

        await budget(first, scope, "1")
        await asyncio.sleep(1.1)  # for so long a replica believes a refusal
        assert (await second.chat(secret=key["secret"])).status_code == 200
        await budget(first, scope, "0")
        removed = await second.ask("DELETE", f"/api/v1/budgets/{scope}")
        assert removed.json() == {"scope": scope, "was_there": True}
        for replica in it.replicas:
            assert (await replica.chat(secret=key["secret"])).status_code == 200
        again = await second.ask("DELETE", f"/api/v1/budgets/{scope}")
        assert again.json()["was_there"] is False
        details = [entry["detail"] for entry in await it.audited("budget_changed")]
        assert [(detail["cap_nano_usd"], detail["removed"], detail["tenant"]) for detail in details] == [
            (1000, False, "acme"),
            (10**9, False, "acme"),
            (0, False, "acme"),
            (0, True, "acme"),
        ]

    world.run(test, replicas=2)


@pytest.mark.parametrize("limited", ["key", "tenant"])
def test_of_two_budgets_the_smaller_one_refuses(world: World, limited: str) -> None:
    async def test(it: Installation) -> None:
        key, other = await it.key("acme"), await it.key("globex")
        caps = {"key": f"key:{key['id']}", "tenant": "tenant:acme"}
        for name, scope in caps.items():
            await budget(it.replicas[0], scope, "0.000001" if name == limited else "100")
        refused = await it.replicas[1].chat(secret=key["secret"])
        assert_exhausted(refused)
        assert f"budget of {limited} " in refused.json()["error"]["message"]
        assert (await it.replicas[1].chat(secret=other["secret"])).status_code == 200

    world.run(test, replicas=2)


def test_a_change_of_budgets_that_cannot_be_audited_is_not_made(world: World) -> None:
    async def test(it: Installation) -> None:
        audit: Any = it.live.services.audit
        audit.close()
        for method, path, body in (
            ("POST", "/api/v1/budgets", {"scope": "tenant:acme", "cap_usd": "1"}),
            ("POST", "/api/v1/system/config", {"aliases": {"new": ["small"]}}),
            ("POST", "/api/v1/keys", {"tenant": "acme", "role": "viewer"}),
        ):
            answer = await it.replicas[0].ask(method, path, body)
            assert answer.status_code == 500, path
        assert it.live.services.budgets.limits() == frozenset()
        assert "new" not in (await it.replicas[0].ask("GET", "/api/v1/system/config")).json()["aliases"]
        assert {key.key_id for key in it.live.services.keys.list_keys()} == {"local-admin"}

    world.run(test)


def test_an_answer_that_is_older_than_a_broadcast_brings_no_removed_budget_back(world: World) -> None:
    async def test(it: Installation) -> None:
        key, replica = await it.key("acme"), it.replicas[0]
        asked, goes_on = asyncio.Event(), asyncio.Event()
        plane = it.live

        class Slow:
            async def call(self, method: str, payload: bytes) -> bytes:
                answer = await plane.call(method, payload)
                if method == "sync":
                    asked.set()
                    await goes_on.wait()
                return answer

        it.control.target = Slow()
        asking = asyncio.create_task(replica.gateway.state.ask())
        await asked.wait()
        it.control.target = plane
        await budget(replica, f"key:{key['id']}", "0")
        goes_on.set()
        await asking
        assert_exhausted(await replica.chat(secret=key["secret"]))

    world.run(test)


def test_the_roll_up_of_spend_is_what_the_outcomes_cost(world: World) -> None:
    async def test(it: Installation) -> None:
        keys = [await it.key(tenant) for tenant in ("acme", "globex")]
        await budget(it.replicas[0], "tenant:acme", "1")
        decisions = []
        for place in range(8):
            key = keys[place % 2]
            reply = await it.replicas[place % 2].chat(f"hard {place}", secret=key["secret"])
            decisions.append((key["tenant"], reply.headers["x-request-id"]))
        await it.recorded(8)
        await eventually(lambda: sum(line.attempts for line in _lines(it)) == 8)
        expected: dict[str, int] = {}
        for tenant, decision in decisions:
            found = it.live.services.outcomes.find(decision)
            assert found is not None
            expected[tenant] = expected.get(tenant, 0) + found.outcome.cost_nano_usd
        assert {line.tenant: line.amount_nano_usd for line in _lines(it, "tenant")} == expected
        status = it.live.services.budgets.status("tenant:acme")
        assert status is not None
        assert status.settled_nano_usd == expected["acme"] > 0

    world.run(test, replicas=2)


def _lines(it: Installation, *by: str) -> list[Any]:
    return list(it.live.services.budgets.spend(SpendQuery(None, None, None, None, frozenset(by))))


def test_an_administrator_of_a_tenant_limits_its_own_keys_alone(world: World) -> None:
    async def test(it: Installation) -> None:
        admin, foreign = await it.key("acme", "admin"), await it.key("globex")
        replica, secret = it.replicas[0], admin["secret"]

        async def answered(method: str, path: str, body: Any = None) -> tuple[int, str]:
            answer = await replica.ask(method, path, body, secret=secret)
            return answer.status_code, answer.json().get("error", {}).get("code", "")

        own = {"scope": f"key:{admin['id']}", "cap_usd": "5", "window": "day"}
        assert await answered("POST", "/api/v1/budgets", own) == (200, "")
        for scope in (f"key:{foreign['id']}", "key:key-nobody"):
            refused = await replica.ask("POST", "/api/v1/budgets", {**own, "scope": scope}, secret=secret)
            assert refused.json()["error"]["message"] == f"there is no key '{scope[4:]}'"
            assert (await answered("DELETE", f"/api/v1/budgets/{scope}"))[0] == 404
        assert await answered("POST", "/api/v1/budgets", {**own, "scope": "tenant:acme"}) == (403, "permission_denied")
        for wrong in ({"cap_usd": "much"}, {"cap_usd": "-1"}, {"window": "week"}, {"scope": "no scope"}, {"more": 1}):
            assert await answered("POST", "/api/v1/budgets", {**own, **wrong}) == (400, "invalid_request"), wrong
        await budget(replica, "tenant:globex", "7")
        seen = (await replica.ask("GET", "/api/v1/budgets", secret=secret)).json()["budgets"]
        assert [each["scope"] for each in seen] == [f"key:{admin['id']}"]
        entries = (await replica.ask("GET", "/api/v1/audit/entries", secret=secret)).json()["entries"]
        assert [entry["subject"] for entry in entries if entry["kind"] == "budget_changed"] == [f"key:{admin['id']}"]

    world.run(test)
