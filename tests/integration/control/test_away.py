"""Control away: replicas start and serve from the disk, keep what is to be handed over, lose and double nothing."""

import asyncio
from typing import Any

import pytest

from evolving_ai.errors import CorruptionError
from evolving_ai.serving.envelope import pack, unpack
from evolving_ai.stores.ports.spend import SpendQuery
from tests.doubles.installation import Installation, Replica, eventually
from tests.integration.control.conftest import World


async def answered(replica: Replica, count: int, secret: str | None = None) -> list[str]:
    """The decisions of so many requests, all of them answered."""
    replies = [await replica.chat(f"easy {place}", secret=secret) for place in range(count)]
    assert {reply.status_code for reply in replies} == {200}
    return [reply.headers["x-request-id"] for reply in replies]


async def assert_books_are_whole(it: Installation, decisions: list[str]) -> None:
    """Every decision is stored once, with its cost, and what was spent is the sum of the costs."""
    store = it.live.services.outcomes
    await eventually(lambda: store.counts().recent >= len(decisions))
    assert store.counts().recent == len(decisions)
    found = [store.find(decision) for decision in decisions]
    costs = [each.outcome.cost_nano_usd for each in found if each is not None]
    assert len(costs) == len(decisions)
    await eventually(lambda: _spent(it)[0] >= len(decisions))
    assert _spent(it) == (len(decisions), sum(costs))


def _spent(it: Installation) -> tuple[int, int]:
    lines = it.live.services.budgets.spend(SpendQuery(None, None, None, None, frozenset()))
    return sum(line.attempts for line in lines), sum(line.amount_nano_usd for line in lines)


def test_a_replica_starts_and_serves_without_control_and_hands_over_when_it_is_back(world: World) -> None:
    async def test(it: Installation) -> None:
        key = await it.key("acme")
        await it.kill_control()
        late = await it.start_gateway()
        decisions = []
        for replica in it.replicas:
            decisions += await answered(replica, 3, key["secret"])
            await replica.gateway.state.ask()  # as it does every other second
            health = (await replica.ask("GET", "/api/v1/system/health")).json()
            assert (health["status"], health["control"], health["live"]["generation"]) == ("degraded", False, 1)
            refused = await replica.ask("GET", "/api/v1/keys")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "control_unavailable")
            assert refused.headers["x-should-retry"] == "true"
        assert (await late.ask("GET", "/v1/models")).status_code == 200

        await it.start_control()
        await assert_books_are_whole(it, decisions)
        await eventually(lambda: late.gateway.state.control_is_there, 4.0)
        assert (await late.ask("GET", "/api/v1/system/health")).json()["status"] == "ok"

    world.run(test)


@pytest.mark.parametrize("lost", ["record", "settle"])
def test_answers_of_control_that_are_lost_double_nothing(world: World, lost: str) -> None:
    async def test(it: Installation) -> None:
        it.control.loses_answers.add(lost)
        decisions = await answered(it.replicas[0], 4)
        await eventually(lambda: it.control.calls.count(lost) >= 3)
        decisions += await answered(it.replicas[1], 2)
        it.control.loses_answers.clear()
        await assert_books_are_whole(it, decisions)
        await asyncio.sleep(0.8)  # what was in vain is tried once more
        handed = it.control.calls.count(lost)
        await asyncio.sleep(0.6)
        assert it.control.calls.count(lost) == handed
        await assert_books_are_whole(it, decisions)

    world.run(test, replicas=2)


def test_control_that_comes_and_goes_under_requests_fails_none_and_loses_nothing(world: World) -> None:
    async def test(it: Installation) -> None:
        decisions: list[str] = []
        is_over = False

        async def load(replica: Replica) -> None:
            while not is_over:
                decisions.extend(await answered(replica, 1))
                await asyncio.sleep(0.01)

        loads = [asyncio.create_task(load(replica)) for replica in it.replicas]
        for _ in range(3):
            await asyncio.sleep(0.3)
            await it.kill_control()
            await asyncio.sleep(0.3)
            await it.start_control()
        is_over = True
        await asyncio.gather(*loads)
        await assert_books_are_whole(it, decisions)

    world.run(test, replicas=2)


def test_a_replica_that_is_ended_hands_over_what_it_holds_and_gives_its_leases_back(world: World) -> None:
    async def test(it: Installation) -> None:
        key = await it.key("acme")
        await it.replicas[0].ask("POST", "/api/v1/budgets", {"scope": "tenant:acme", "cap_usd": "10"})
        ended = await it.start_gateway()
        decisions = await answered(ended, 5, key["secret"])
        await it.stop_gateway(ended)
        await assert_books_are_whole(it, decisions)
        status = it.live.services.budgets.status("tenant:acme")
        assert status is not None
        assert (status.leased_nano_usd, status.forfeited_nano_usd) == (0, 0)
        assert status.settled_nano_usd == _spent(it)[1]

    world.run(test)


def test_a_replica_ends_in_time_without_control(world: World) -> None:
    async def test(it: Installation) -> None:
        ended = await it.start_gateway()
        await answered(ended, 1)
        await it.kill_control()
        async with asyncio.timeout(10):
            await it.stop_gateway(ended)

    world.run(test)


def test_who_has_a_budget_is_refused_for_now_when_nothing_can_be_leased_and_others_are_served(world: World) -> None:
    async def test(it: Installation) -> None:
        limited, free = await it.key("acme"), await it.key("globex")
        await it.replicas[0].ask("POST", "/api/v1/budgets", {"scope": "tenant:acme", "cap_usd": "10"})
        await it.kill_control()
        late = await it.start_gateway()
        refused = await late.chat(secret=limited["secret"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "budget_unavailable")
        assert (await late.chat(secret=free["secret"])).status_code == 200
        await it.start_control()
        assert (await late.chat(secret=limited["secret"])).status_code == 200

    world.run(test)


def test_a_missed_broadcast_is_healed_and_versions_never_go_back(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        old = unpack(await it.live.call("sync", _question())).head
        it.cast.is_deaf = True
        it.change_dna(score__cost_weight=0.4)
        assert (await replica.ask("POST", "/api/v1/dna/promote", {"ref": "main"})).status_code == 200
        await replica.ask("POST", "/api/v1/system/config", {"aliases": {"new": ["small"]}})
        await it.key("acme")
        await eventually(lambda: replica.gateway.state.versions["live"] == 2, 3.0)
        after = dict(replica.gateway.state.versions)
        assert (await replica.chat(model="new")).headers["x-evolving-target"] == "replay/small"

        await replica.gateway.apply(pack(old))
        assert replica.gateway.state.versions == after
        policy = replica.gateway.app.path.policy
        assert policy is not None
        assert policy.generation == 2
        assert (await replica.chat(model="new")).status_code == 200

    world.run(test)


def _question() -> bytes:
    return pack({"replica": "gw-9", "versions": {"live": 0, "access": 0, "pool": 0}, "stats": {}})


@pytest.mark.parametrize("update", [{"access": {"version": 99}}, {"live": {"current": 1}}, {"pool": {"version": 99}}])
def test_an_update_of_another_form_is_refused_and_changes_nothing(world: World, update: dict[str, Any]) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        before = dict(replica.gateway.state.versions)
        with pytest.raises(CorruptionError, match="of one release"):
            await replica.gateway.apply(pack(update))
        assert replica.gateway.state.versions == before
        assert (await replica.chat()).status_code == 200

    world.run(test)


def test_a_damaged_batch_is_said_to_be_damaged_and_nothing_of_it_is_stored(world: World) -> None:
    async def test(it: Installation) -> None:
        batch = pack({"replica": "gw-9", "sequence": 0}, b"no batch")
        answer = unpack(await it.live.call("record", batch)).head
        assert answer["is_new"] is False
        assert "cut short" in answer["damage"]
        assert it.live.services.outcomes.counts().recent == 0

    world.run(test)


@pytest.mark.parametrize("name", ["access.json", "pool.json", "current.json"])
def test_a_replica_does_not_start_on_damaged_files_and_names_them(world: World, name: str) -> None:
    (world.home / "live" / name).write_text("{}")

    async def main() -> None:
        with pytest.raises(CorruptionError, match=name):
            await Installation(world.home).start_gateway()

    asyncio.run(main())


def test_replicas_that_are_silent_are_gone_and_their_counts_stay_in_the_totals(world: World) -> None:
    async def test(it: Installation) -> None:
        await answered(it.replicas[0], 2)
        await it.replicas[0].gateway.state.ask()
        metrics = (await it.replicas[0].ask("GET", "/api/v1/system/metrics")).json()
        assert [each["replica"] for each in metrics["replicas"]] == ["gw-1"]
        assert metrics["totals"]["answered"] >= 2

    world.run(test)
