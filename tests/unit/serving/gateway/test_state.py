"""What a replica runs on: from the disk first, then from control; parts are exchanged whole and never go back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.decision.prior import price_snapshot
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.identity import Role
from evolving_ai.errors import CorruptionError, DataError, PlatformError
from evolving_ai.optimizer.leases import LeaseBook
from evolving_ai.router.rate_limits import RateLimits
from evolving_ai.serving.envelope import pack, unpack
from evolving_ai.serving.gateway.app import GatewayApp
from evolving_ai.serving.gateway.state import ReplicaState
from evolving_ai.serving.spend_messages import ControlLeases
from evolving_ai.wiring.access_record import save_access
from evolving_ai.wiring.live_record import CanaryVersion, LiveRecord, LiveVersion, genome_json, save_live
from evolving_ai.wiring.pool import Pool
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.snapshots import SnapshotLibrary
from tests.doubles.gateway_fakes import FakeKeyRing, target_of
from tests.doubles.gateway_world import GatewayWorld

TARGETS = (target_of("p/one"), target_of("p/two"))


class FakeControl:
    """Answers `sync` with what the test put here; None: it is away."""

    def __init__(self) -> None:
        self.update: dict[str, Any] | None = None
        self.questions: list[dict[str, Any]] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        if self.update is None:
            raise PlatformError("control is away")
        self.questions.append(unpack(payload).head)
        answer = pack(self.update)
        if self.before_answer is not None:
            await self.before_answer()
        return answer


class Scene:
    """A home with one live DNA, and a replica over it."""

    def __init__(self, home: Path) -> None:
        self.clock = ManualClock()
        self.home = home
        self.control = FakeControl()
        (home / "live").mkdir(parents=True)
        self.genome = Genome(search_space().defaults())
        prices = {target.model: target.price for target in TARGETS}
        self.snapshot = SnapshotLibrary(home).put(price_snapshot(self.genome, ("one", "two"), prices))
        save_live(home, self.record(3))
        Pool(TARGETS, {}, version=3).save(home)
        save_access(home, {**access(3), "budget_scopes": []})
        world = GatewayWorld(self.clock)
        self.app = GatewayApp(world.path, FakeKeyRing({}), self.clock, max_body_bytes=1000)
        self.app.path.policy = None
        self.purse = LeaseBook(ControlLeases("gw-1", self.control), self.clock, replica="gw-1")
        limiter = RateLimits(self.clock)
        self.state = ReplicaState(home, "gw-1", self.app, self.control, self.purse, limiter, self.clock)

    def record(self, generation: int, snapshot: str | None = None, genome: Genome | None = None) -> LiveRecord:
        genome = genome or self.genome
        version = LiveVersion(generation, "c" * 64, genome.hash, snapshot or self.snapshot, "now", "test", "")
        return LiveRecord(version, genome_json(genome))

    def variant(self, number: int) -> Genome:
        """Other DNA, for which the same snapshot does."""
        return self.genome.replacing({"score.cost_weight": 0.01 * number})


def access(version: int, *secrets: str) -> dict[str, Any]:
    fields = {"tenant": "acme", "role": int(Role.VIEWER), "requests_per_minute": None, "max_concurrent": None}
    return {"version": version, "keys": [{"key_id": "key-1", "secrets": [[s, None] for s in secrets], **fields}]}


def test_everything_is_loaded_from_the_disk_and_control_need_not_be_there(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    asyncio.run(scene.state.ask())
    assert dict(scene.state.versions) == {"live": 3, "access": 3, "pool": 3}
    assert scene.app.path.policy is not None
    assert not scene.state.control_is_there
    assert scene.app.path.catalog.models == ("one", "two")


@pytest.mark.parametrize("missing", ["access.json", "pool.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "live" / missing).unlink()
    with pytest.raises(DataError, match=missing):
        scene.state.load()


def test_without_live_dna_a_replica_starts_and_waits_for_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "live" / "current.json").unlink()
    scene.state.load()
    assert (scene.app.path.policy, scene.state.versions["live"]) == (None, 0)
    scene.control.update = {"live": scene.record(4).to_json()}
    asyncio.run(scene.state.ask())
    assert scene.state.versions["live"] == 4
    assert scene.control.questions[0]["versions"]["live"] == 0


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_is_not_newer_is_left_alone(tmp_path: Path, version: int) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    before = (scene.app.path.policy, scene.app.path.catalog, scene.app.keys)
    update = {
        "live": scene.record(version).to_json(),
        "pool": Pool(TARGETS[:1], {}, version=version).to_json(),
        "access": access(version, "00" * 32),
    }
    asyncio.run(scene.state.apply(update))
    assert (scene.app.path.policy, scene.app.path.catalog, scene.app.keys) == before
    assert set(scene.state.versions.values()) == {3}


def test_former_policies_can_still_be_pinned_and_only_a_few_are_kept(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    for generation in range(4, 9):
        update = scene.record(generation, genome=scene.variant(generation)).to_json()
        asyncio.run(scene.state.apply({"live": update}))
    policy = scene.app.path.policy
    assert policy is not None
    assert [each.generation for each in (policy, *scene.app.path.pinned)] == [8, 7, 6]


def test_another_snapshot_of_the_same_dna_does_not_push_out_what_can_be_pinned(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    asyncio.run(scene.state.apply({"live": scene.record(4, genome=scene.variant(4)).to_json()}))
    for generation in range(5, 9):
        asyncio.run(scene.state.apply({"live": scene.record(generation, genome=scene.variant(4)).to_json()}))
    assert [each.dna_hash for each in scene.app.path.pinned] == [scene.genome.hash]


def test_a_candidate_comes_and_goes_beside_the_live_dna(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    candidate = scene.variant(1)
    canary = CanaryVersion("rollout-1", 0.25, "d" * 64, candidate.hash, scene.snapshot, genome_json(candidate))
    asyncio.run(scene.state.apply({"live": scene.record(4).with_canary(canary).to_json()}))
    experiment, policy = scene.app.path.experiment, scene.app.path.policy
    assert experiment is not None
    assert (experiment.rollout, experiment.share, experiment.policy.dna_hash) == ("rollout-1", 0.25, candidate.hash)
    assert policy is not None
    assert policy.dna_hash == scene.genome.hash
    asyncio.run(scene.state.apply({"live": scene.record(6).to_json()}))
    assert scene.app.path.experiment is None


def test_a_candidate_that_cannot_be_used_leaves_the_live_dna_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    candidate = scene.variant(1)
    canary = CanaryVersion("rollout-1", 0.5, "d" * 64, candidate.hash, "0" * 64, genome_json(candidate))
    save_live(tmp_path, scene.record(3).with_canary(canary))
    scene.state.load()
    assert scene.app.path.experiment is None
    assert scene.app.path.policy is not None


def test_a_replica_that_starts_takes_the_candidate_from_the_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    candidate = scene.variant(1)
    canary = CanaryVersion("rollout-1", 0.5, "d" * 64, candidate.hash, scene.snapshot, genome_json(candidate))
    save_live(tmp_path, scene.record(3).with_canary(canary))
    scene.state.load()
    assert scene.app.path.experiment is not None
    assert scene.app.path.experiment.share == 0.5


def test_a_live_version_whose_snapshot_is_missing_is_not_used_but_all_else_is(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    lost = scene.record(9, "0" * 64).to_json()
    scene.control.update = {"live": lost, "access": access(4), "pool": Pool(TARGETS[:1], {}, version=4).to_json()}
    asyncio.run(scene.state.ask())
    assert dict(scene.state.versions) == {"live": 3, "access": 4, "pool": 4}
    assert scene.state.control_is_there
    with pytest.raises(DataError):
        asyncio.run(scene.state.apply({"live": lost}))


def test_a_genome_that_does_not_match_its_hash_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    document = scene.record(4).to_json()
    document["genome"]["genes"]["score.cost_weight"] = 0.123
    with pytest.raises(CorruptionError, match="does not match its hash"):
        asyncio.run(scene.state.apply({"live": document}))
    assert scene.state.versions["live"] == 3


def test_keys_that_cannot_be_read_leave_the_former_ones_in_use(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    keys = scene.app.keys
    for damaged in ({"version": 9}, {**access(9), "keys": [{"key_id": 1}]}, {**access(9, "no hash")}):
        with pytest.raises(CorruptionError):
            asyncio.run(scene.state.apply({"access": damaged}))
    assert scene.app.keys is keys
    assert scene.state.versions["access"] == 3


def test_an_answer_older_than_what_was_told_meanwhile_changes_no_budgets(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.load()
    told: list[frozenset[str]] = []

    class Purse:
        def update_limits(self, scopes: frozenset[str]) -> None:
            told.append(scopes)

    purse: Any = Purse()
    state = ReplicaState(tmp_path, "gw-1", scene.app, scene.control, purse, RateLimits(scene.clock), scene.clock)
    scene.control.update = {"budget_scopes": []}
    asyncio.run(state.ask())
    scene.control.before_answer = lambda: state.apply({"budget_scopes": ["tenant:acme"]})
    asyncio.run(state.ask())
    assert told == [frozenset(), frozenset({"tenant:acme"})]
