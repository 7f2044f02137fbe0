"""What is live: first start, promotion, rollback, refits, and what goes wrong in between."""

import asyncio
import json
from pathlib import Path

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai.decision.learning.live_learner import LearnerSettings
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import LockedError, UsageError
from evolving_ai.serving.envelope import pack, unpack
from evolving_ai.wiring.live_record import LiveRecord, load_live
from evolving_ai.wiring.pool import load_pool
from evolving_ai.wiring.prepare import prepare_home
from evolving_ai.wiring.stores import open_history
from tests.doubles.installation import Installation, Providers, Replica, eventually, installed
from tests.integration.control.conftest import World

FITTED = {"quality__predictor": "blend"}
REUSED = {"score__cost_weight": 0.5}


def live(home: Path) -> LiveRecord:
    record = load_live(home)
    assert record is not None
    return record


async def promote(replica: Replica, ref: str = "main", **fields: str) -> dict[str, object]:
    answer = await replica.ask("POST", "/api/v1/dna/promote", {"ref": ref, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_promotion_reuses_a_snapshot_that_fits_and_asks_the_learner_for_one_that_does_not(world: World) -> None:
    async def test(it: Installation) -> None:
        first = live(it.home).current
        reused = it.change_dna(**REUSED)
        answer = await promote(it.replicas[0], reason="dearer")
        assert (answer["dna_hash"], answer["snapshot_hash"]) == (reused, first.snapshot_hash)
        assert it.learner_caller.calls == []

        fitted = it.change_dna(**FITTED)
        answer = await promote(it.replicas[0])
        assert answer["dna_hash"] == fitted
        assert answer["snapshot_hash"] != first.snapshot_hash
        assert it.learner_caller.calls == ["fit"]
        for replica in it.replicas:
            policy = replica.gateway.app.path.policy
            assert policy is not None
            assert (policy.generation, policy.dna_hash) == (3, fitted)
            reply = await replica.chat()
            assert reply.headers["x-evolving-dna"] == fitted[:12]
        kinds = [(entry["detail"]["dna_hash"], entry["detail"]["reason"]) for entry in await it.audited("dna_promoted")]
        assert kinds == [(reused, "dearer"), (fitted, "")]

    world.run(test, replicas=2, has_learner=True)


def test_without_a_learner_nothing_is_changed_and_the_answer_says_so(world: World) -> None:
    async def test(it: Installation) -> None:
        before = live(it.home)
        it.change_dna(**FITTED)
        answer = await it.replicas[0].ask("POST", "/api/v1/dna/promote", {"ref": "main"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        assert answer.headers["x-should-retry"] == "true"
        assert live(it.home) == before
        assert await it.audited("dna_promoted") == []

    world.run(test)


def test_rollback_goes_back_and_forth_and_needs_a_history(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        refused = await replica.ask("POST", "/api/v1/dna/rollback", {})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
        assert "only one was ever live" in refused.json()["error"]["message"]

        first = live(it.home).current.dna_hash
        second = it.change_dna(**REUSED)
        await promote(replica)
        back = await replica.ask("POST", "/api/v1/dna/rollback", {"reason": "worse"})
        assert (back.json()["dna_hash"], back.json()["generation"]) == (first, 3)
        forth = await replica.ask("POST", "/api/v1/dna/rollback", {})
        assert forth.json()["dna_hash"] == second
        (entry, _) = await it.audited("dna_rolled_back")
        assert (entry["actor"], entry["detail"]["reason"], entry["detail"]["before"]) == (
            "local-admin",
            "worse",
            second,
        )
        history = (await replica.ask("GET", "/api/v1/dna/history")).json()["versions"]
        assert [version["dna_hash"] for version in history] == [second, first, second, first]

    world.run(test)


@pytest.mark.parametrize(("ref", "status"), [("main", 400), ("nowhere", 404), ("", 400), ("f" * 64, 404)])
def test_what_cannot_be_promoted_changes_nothing(world: World, ref: str, status: int) -> None:
    async def test(it: Installation) -> None:
        before = live(it.home)
        answer = await it.replicas[0].ask("POST", "/api/v1/dna/promote", {"ref": ref})
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message", "hint", "request_id"}
        assert live(it.home) == before

    world.run(test)


def test_many_promotions_at_once_happen_one_after_the_other(world: World) -> None:
    async def test(it: Installation) -> None:
        refs = [it.change_dna(score__cost_weight=0.1 * place) for place in range(1, 6)]
        commits = [commit.hash for commit in it.live.services.history.log("main")][:5]
        await asyncio.gather(*(promote(replica, ref) for ref in commits for replica in it.replicas[:1]))
        versions = [live(it.home).current, *live(it.home).previous]
        assert [version.generation for version in versions] == [6, 5, 4, 3, 2, 1]
        assert {version.dna_hash for version in versions[:5]} == set(refs)
        assert {replica.gateway.state.versions["live"] for replica in it.replicas} == {6}

    world.run(test, replicas=2)


def test_a_refit_is_used_only_for_the_dna_that_it_was_learned_for(world: World) -> None:
    async def test(it: Installation) -> None:
        before = live(it.home).current
        learner = await it.start_learner(learns=False)
        other = it.change_dna(**FITTED)
        genome = it.live.services.history.resolve("main").genome
        document = {"genes": dict(genome.genes), "schema_version": genome.schema_version}
        fitted = unpack(await learner.call("fit", pack({"genome": document}))).head["snapshot_hash"]

        async def publish(dna: str) -> bool:
            message = pack({"snapshot_hash": fitted, "dna_hash": dna})
            return bool(unpack(await it.live.call("publish", message)).head["is_used"])

        assert not await publish(other)  # it is not live
        assert not await publish(before.dna_hash)  # it was fitted with other genes
        assert live(it.home).current == before

    world.run(test)


def test_feedback_leads_to_a_new_snapshot_on_all_replicas(world: World) -> None:
    async def test(it: Installation) -> None:
        before = live(it.home).current
        for place in range(6):
            reply = await it.replicas[place % 2].chat(f"unknown {place}")
            decision = reply.headers["x-request-id"]
            said = await it.replicas[0].ask("POST", "/api/v1/ai/feedback", {"decision_id": decision, "score": 0.0})
            assert said.status_code == 200
        await eventually(lambda: all(replica.gateway.state.versions["live"] >= 2 for replica in it.replicas))
        after = live(it.home).current
        assert (after.dna_hash, after.reason) == (before.dna_hash, "learned from outcomes")
        assert after.snapshot_hash != before.snapshot_hash
        for replica in it.replicas:
            assert (await replica.chat()).headers["x-evolving-snapshot"] == live(it.home).current.snapshot_hash[:12]

    world.run(test, replicas=2, has_learner=True, settings=LearnerSettings(min_outcomes=5))


def test_a_learner_that_starts_again_goes_on_at_its_cursor(world: World) -> None:
    async def test(it: Installation) -> None:
        settings = LearnerSettings(min_outcomes=3)
        learner = await it.start_learner(settings, learns=False)
        for place in range(3):
            await it.replicas[0].chat(f"easy {place}")
        await it.recorded(3)
        await learner.learn_once()
        assert live(it.home).current.generation == 2
        await it.kill_learner()

        learner = await it.start_learner(settings, learns=False)
        for place in range(2):
            await it.replicas[0].chat(f"hard {place}")
        await it.recorded(5)
        await learner.learn_once()
        assert live(it.home).current.generation == 2  # the three of before are not learned again
        await it.replicas[0].chat("hard 3")
        await it.recorded(6)
        await learner.learn_once()
        assert live(it.home).current.generation == 3

    world.run(test)


def test_a_change_that_a_crash_left_out_of_the_audit_log_is_added(world: World) -> None:
    async def test(it: Installation) -> None:
        it.change_dna(**REUSED)
        await promote(it.replicas[0])
        await it.kill_control()

        record = live(it.home)
        commit, *_ = record.previous
        crashed = record.followed_by(
            type(commit)(3, commit.commit, commit.dna_hash, commit.snapshot_hash, commit.since, "key-9", "crashed"),
            _genome(it, commit.commit),
        )
        (it.home / "live" / "current.json").write_text(json.dumps(crashed.to_json()))
        await it.start_control()
        entries = await it.audited("dna_promoted")
        assert [entry["detail"]["dna_hash"] for entry in entries] == [record.current.dna_hash, commit.dna_hash]
        assert entries[-1]["actor"] == "key-9"
        await it.kill_control()
        await it.start_control()
        assert len(await it.audited("dna_promoted")) == 2
        assert (await it.replicas[0].ask("GET", "/api/v1/audit/verify")).json()["ok"]

    world.run(test)


def _genome(it: Installation, commit: str) -> Genome:
    with open_history(it.home) as history:
        return history.resolve(commit).genome


# --- Starting ---------------------------------------------------------------------------------------------------------


def test_starting_again_leaves_what_is_live_and_only_numbers_the_pool(world: World) -> None:
    before, pool = live(world.home), load_pool(world.home)
    assert prepare_home(world.home, replay_urls=world.providers.urls) == before
    assert load_pool(world.home).version == pool.version + 1
    assert load_pool(world.home).targets == pool.targets


def test_a_smaller_pool_gets_a_snapshot_of_its_own(world: World) -> None:
    before = live(world.home).current
    urls = {model: url for model, url in world.providers.urls.items() if model != "large"}
    (world.home / "config.yaml").write_text(f"replay: {{table: {world.providers.table}}}\n")
    after = prepare_home(world.home, replay_urls=urls).current
    assert (after.dna_hash, after.generation) == (before.dna_hash, before.generation + 1)
    assert after.snapshot_hash != before.snapshot_hash

    async def test(it: Installation) -> None:
        assert (await it.replicas[0].chat("hard 1")).headers["x-evolving-target"] != "replay/large"
        assert (await it.replicas[0].chat(model="large")).status_code == 404

    world.run(test)


def test_a_damaged_snapshot_is_fitted_again_when_the_platform_starts(world: World) -> None:
    before = live(world.home).current
    (world.home / "snapshots" / f"{before.snapshot_hash}.npz").write_bytes(b"damaged")
    prepare_home(world.home, replay_urls=world.providers.urls)

    async def test(it: Installation) -> None:
        assert (await it.replicas[0].chat()).status_code == 200

    world.run(test)


@pytest.mark.parametrize("name", ["current.json", "keys.db"])
def test_a_damaged_file_that_cannot_be_made_again_is_named(world: World, name: str) -> None:
    path = world.home / ("live" if name.endswith("json") else "") / name
    path.write_bytes(b"damaged, and long enough to be no header of a database" * 100)
    with pytest.raises(Exception, match=name):
        prepare_home(world.home, replay_urls=world.providers.urls)


def test_a_damaged_pool_is_resolved_again(world: World) -> None:
    before = live(world.home)
    (world.home / "live" / "pool.json").write_text("{")
    assert prepare_home(world.home, replay_urls=world.providers.urls) == before
    assert load_pool(world.home).version == 1


def test_a_second_control_and_a_second_preparation_are_refused_and_change_nothing(world: World) -> None:
    async def test(it: Installation) -> None:
        files = {path: path.read_bytes() for path in (it.home / "live").iterdir()}
        with pytest.raises(LockedError):
            async with installed(it.home):
                pass
        with pytest.raises(LockedError):
            prepare_home(it.home, replay_urls=world.providers.urls, clock=SystemClock())
        assert {path: path.read_bytes() for path in (it.home / "live").iterdir()} == files
        assert (await it.replicas[0].ask("GET", "/api/v1/dna/live")).status_code == 200

    world.run(test)


def test_control_answers_no_method_that_it_does_not_have(world: World) -> None:
    async def test(it: Installation) -> None:
        with pytest.raises(UsageError, match="are all deployments of one release"):
            await it.live.call("drop", pack({}))

    world.run(test)


def test_a_home_can_be_prepared_from_nothing(tmp_path: Path, providers: Providers) -> None:
    home = tmp_path / "fresh"
    home.mkdir()
    (home / "config.yaml").write_text(f"replay: {{table: {providers.table}}}\n")
    record = prepare_home(home, replay_urls=providers.urls)
    assert (record.current.generation, record.previous) == (1, ())
    assert (home / "admin.token").stat().st_mode & 0o077 == 0
