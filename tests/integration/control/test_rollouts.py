"""Rollouts end to end without Ray: gates, canary, promotion, rollback, crashes, and hands that interfere."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.wiring.live_record import load_live, save_live
from evolving_ai.wiring.prepare import prepare_home
from evolving_ai.wiring.rollout_records import RolloutFolder
from tests.doubles.installation import Installation, Replica, eventually
from tests.integration.control.conftest import World

CHEAP = {"score__cost_weight": 5.0}
"""Sends everything to `small`, which answers easy questions well and hard ones badly."""
PLAN: dict[str, Any] = {
    "stages": [{"share": 0.2, "min_requests": 60}, {"share": 0.5, "min_requests": 100}],
    "margins": {"quality": 0.2, "errors": 0.2, "slow": 0.5},
    "max_requests": 20_000,
}
ROLLOUTS = "/api/v1/rollouts"
AT_ONCE = 20


class Gates:
    """A gatekeeper that says what the test wants, when the test wants it."""

    def __init__(self, *, passed: bool = True) -> None:
        self.passed = passed
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked: list[tuple[str, str]] = []

    async def ask(self, home: Path, candidate: str, live: str, plan: RolloutPlan) -> Sequence[Mapping[str, Any]]:
        self.asked.append((candidate, live))
        await self.may_answer.wait()
        return [{"name": "hold_out", "passed": self.passed, "detail": "as the test says", "figures": {"gain": 0.5}}]


class Traffic:
    """Visitors, each asking one question."""

    def __init__(self, kind: str) -> None:
        self._numbers: Iterator[int] = itertools.count()
        self._kind = kind
        self.failed = 0
        self.sent = 0

    async def send(self, replica: Replica, count: int) -> None:
        for _ in range(count // AT_ONCE):
            answers = await asyncio.gather(*(self._ask(replica) for _ in range(AT_ONCE)))
            self.failed += sum(status != 200 for status in answers)
            self.sent += AT_ONCE

    async def _ask(self, replica: Replica) -> int:
        number = next(self._numbers)
        answer = await replica.chat(f"{self._kind} {number % 20}", body={"user": f"visitor-{number}"})
        return answer.status_code

    async def until(self, it: Installation, rollout: str, *states: str, most: int = 12_000) -> dict[str, Any]:
        """Send until the rollout is in one of these states; its view."""
        while True:
            found = await view(it, rollout)
            if found["state"] in states:
                return found
            assert self.sent < most, found
            await self.send(it.replicas[self.sent % len(it.replicas)], 100)


async def start(it: Installation, plan: Mapping[str, Any] = PLAN, **genes: Any) -> str:
    it.change_dna(**(genes or CHEAP))
    answer = await it.replicas[0].ask("POST", ROLLOUTS, {"ref": "main", "plan": plan, "reason": "cheaper"})
    assert answer.status_code == 202, answer.text
    rollout: str = answer.json()["id"]
    return rollout


async def view(it: Installation, rollout: str) -> dict[str, Any]:
    answer = await it.replicas[0].ask("GET", f"{ROLLOUTS}/{rollout}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reached(it: Installation, rollout: str, state: str) -> dict[str, Any]:
    return await looked_at(it, rollout, lambda found: found["state"] == state)


async def looked_at(it: Installation, rollout: str, is_meant: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Look again and again until the view is what is meant."""
    async with asyncio.timeout(15):
        while True:
            found = await view(it, rollout)
            if is_meant(found):
                return found
            await asyncio.sleep(0.02)


def live_dna(it: Installation) -> str:
    record = load_live(it.home)
    assert record is not None
    return record.current.dna_hash


def test_a_candidate_as_good_and_cheaper_is_promoted_by_itself(world: World) -> None:
    async def test(it: Installation) -> None:
        before = live_dna(it)
        rollout = await start(it)
        traffic = Traffic("easy")
        found = await traffic.until(it, rollout, "promoted", "rolled_back", "stopped")

        assert (found["state"], traffic.failed) == ("promoted", 0), found["reason"]
        assert live_dna(it) == found["candidate"]["dna_hash"] != before == found["incumbent"]["dna_hash"]
        assert [step["share"] for step in found["transitions"]] == [None, 0.2, 0.5, None]
        assert all(rail["is_proven"] for rail in found["rails"])
        assert found["requests"]["canary"] + found["requests"]["control"] <= traffic.sent
        assert found["history"]
        for replica in it.replicas:
            answer = await replica.chat()
            assert answer.headers["x-evolving-dna"] == found["candidate"]["dna_hash"][:12]
            assert replica.gateway.app.path.experiment is None
        entries = await it.audited("rollout_moved")
        assert [entry["detail"]["state"] for entry in entries] == ["canary", "canary", "promoted"]
        assert entries[-1]["detail"]["evidence"]["rails"][0]["is_proven"]
        assert (await it.audited("rollout_started"))[0]["detail"]["plan"]["max_requests"] == 20_000
        assert rollout in (await it.audited("dna_promoted"))[0]["detail"]["reason"]

    world.run(test, replicas=2, gatekeeper=Gates())


def test_a_harmful_candidate_is_rolled_back_by_itself_and_no_request_fails(world: World) -> None:
    async def test(it: Installation) -> None:
        before = live_dna(it)
        rollout = await start(it)
        traffic = Traffic("hard")
        found = await traffic.until(it, rollout, "promoted", "rolled_back", "stopped")

        assert (found["state"], traffic.failed) == ("rolled_back", 0), found["reason"]
        assert "quality" in found["reason"]
        assert live_dna(it) == before
        await eventually(lambda: RolloutFolder(it.home).load(rollout).exchange is not None)
        exchange = (await view(it, rollout))["exchange"]
        assert 0 <= exchange["seconds"] < 5
        for replica in it.replicas:
            assert replica.gateway.app.path.experiment is None
        assert (await it.audited("rollout_moved"))[-1]["detail"]["state"] == "rolled_back"
        assert await it.audited("dna_promoted") == []

    world.run(test, replicas=2, gatekeeper=Gates())


def test_a_gates_veto_refuses_and_no_request_ever_sees_the_candidate(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        found = await reached(it, rollout, "refused")
        await it.replicas[0].chat(body={"user": "somebody"})
        assert "hold_out" in found["reason"]
        assert found["gates"][0]["figures"] == {"gain": 0.5}
        assert it.replicas[0].gateway.app.path.experiment is None
        record = load_live(it.home)
        assert record is not None
        assert record.canary is None

    world.run(test, gatekeeper=Gates(passed=False))


def test_one_rollout_runs_at_a_time_and_what_is_live_is_no_candidate(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        again = await replica.ask("POST", ROLLOUTS, {"ref": "main"})
        assert (again.status_code, again.json()["error"]["code"]) == (400, "invalid_request")
        rollout = await start(it)
        second = await replica.ask("POST", ROLLOUTS, {"ref": "main"})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
        assert rollout in second.json()["error"]["message"]
        unknown = await replica.ask("GET", f"{ROLLOUTS}/rollout-0000000000")
        assert unknown.status_code == 404
        assert (await replica.ask("POST", ROLLOUTS, {"ref": "nowhere"})).status_code in (404, 409)
        bad = await replica.ask("POST", ROLLOUTS, {"ref": "main", "plan": {"alpha": 2}})
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_request")
        listed = (await replica.ask("GET", ROLLOUTS)).json()["rollouts"]
        assert [each["id"] for each in listed] == [rollout]

    world.run(test, gatekeeper=Gates())


def test_an_operator_approves_and_stops(world: World) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        rollout = await start(it, {**PLAN, "needs_approval": True})
        await reached(it, rollout, "awaiting_approval")
        assert replica.gateway.app.path.experiment is None
        approved = await replica.ask("POST", f"{ROLLOUTS}/{rollout}/approve", {})
        assert approved.json()["state"] == "canary"
        assert replica.gateway.app.path.experiment is not None
        twice = await replica.ask("POST", f"{ROLLOUTS}/{rollout}/approve", {})
        assert (twice.status_code, twice.json()["error"]["code"]) == (409, "conflict")
        stopped = await replica.ask("POST", f"{ROLLOUTS}/{rollout}/stop", {"reason": "enough"})
        assert (stopped.json()["state"], stopped.json()["reason"]) == ("stopped", "enough")
        assert replica.gateway.app.path.experiment is None
        over = await replica.ask("POST", f"{ROLLOUTS}/{rollout}/stop", {})
        assert (over.status_code, over.json()["error"]["code"]) == (409, "conflict")

    world.run(test, gatekeeper=Gates())


@pytest.mark.parametrize(("route", "body"), [("promote", {"ref": "main"}), ("rollback", {})])
def test_an_exchange_by_hand_ends_a_rollout(world: World, route: str, body: dict[str, str]) -> None:
    async def test(it: Installation) -> None:
        replica = it.replicas[0]
        it.change_dna(score__cost_weight=0.5)
        await replica.ask("POST", "/api/v1/dna/promote", {"ref": "main"})
        rollout = await start(it)
        await reached(it, rollout, "canary")
        answer = await replica.ask("POST", f"/api/v1/dna/{route}", body)
        assert answer.status_code == 200, answer.text
        found = await view(it, rollout)
        assert (found["state"], found["reason"]) == ("stopped", "the live DNA was exchanged by hand")
        assert replica.gateway.app.path.experiment is None

    world.run(test, gatekeeper=Gates())


def test_a_control_that_dies_goes_on_and_counts_every_outcome_once(world: World) -> None:
    async def test(it: Installation) -> None:
        stages = [{"share": 0.2, "min_requests": 60}, {"share": 0.5, "min_requests": 600}]
        rollout = await start(it, {**PLAN, "stages": stages})
        await reached(it, rollout, "canary")
        traffic = Traffic("easy")
        for _ in range(3):
            await traffic.send(it.replicas[0], 100)
            await it.kill_control()
            await traffic.send(it.replicas[0], 20)
            await it.start_control()
        await it.recorded(traffic.sent)

        found = await looked_at(it, rollout, lambda found: sum(found["requests"].values()) >= traffic.sent)
        assert sum(found["requests"].values()) == traffic.sent
        found = await traffic.until(it, rollout, "promoted", "rolled_back", "stopped")
        assert (found["state"], traffic.failed) == ("promoted", 0)

    world.run(test, gatekeeper=Gates())


def test_gates_that_a_crash_cut_off_are_asked_again(world: World) -> None:
    gates = Gates()

    async def test(it: Installation) -> None:
        gates.may_answer.clear()
        rollout = await start(it)
        await it.kill_control()
        gates.may_answer.set()
        await it.start_control()
        await reached(it, rollout, "canary")
        assert len(gates.asked) == 2

    world.run(test, gatekeeper=gates)


@pytest.mark.parametrize("was_done", [False, True])
def test_a_step_that_was_written_down_is_done_after_a_crash_and_told_once(world: World, was_done: bool) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        record = load_live(it.home)
        assert record is not None
        beside = record.canary
        await it.live.rollouts.stop(rollout, actor="somebody", reason="as before a crash")
        over = RolloutFolder(it.home).load(rollout)
        await it.kill_control()
        document = over.to_json()
        *document["transitions"], document["intent"] = document["transitions"]
        document |= {"state": "canary", "ended": None, "share": 0.2}
        (it.home / "rollouts" / f"{rollout}.json").write_text(json.dumps(document))
        if not was_done:
            live = load_live(it.home)
            assert live is not None
            save_live(it.home, replace(live, canary=beside))
        await it.start_control()
        found = await reached(it, rollout, "stopped")
        assert found["reason"] == "as before a crash"
        moves = [entry["detail"]["state"] for entry in await it.audited("rollout_moved")]
        assert moves == ["canary", "stopped"]

    world.run(test, gatekeeper=Gates())


def test_a_candidate_that_no_rollout_knows_decides_nothing_after_a_restart(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        await it.kill_control()
        (it.home / "rollouts" / f"{rollout}.json").unlink()
        await it.start_control()
        await eventually(lambda: it.replicas[0].gateway.app.path.experiment is None)
        record = load_live(it.home)
        assert record is not None
        assert record.canary is None

    world.run(test, gatekeeper=Gates())


def test_harm_ends_a_candidate_even_when_nothing_can_be_written_down(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        folder, aside = it.home / "rollouts", it.home / "aside"
        folder.rename(aside)
        folder.write_text("a file in its place: nothing can be written below it")
        traffic = Traffic("hard")
        while it.replicas[0].gateway.app.path.experiment is not None:
            assert traffic.sent < 5000
            await traffic.send(it.replicas[0], 100)
        assert traffic.failed == 0
        folder.unlink()
        aside.rename(folder)
        found = await reached(it, rollout, "rolled_back")
        assert "quality" in found["reason"]

    world.run(test, gatekeeper=Gates())


def test_feedback_is_evidence_where_answers_bring_no_score(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        replica = it.replicas[0]
        answer = await replica.chat("never recorded", body={"user": "visitor-1"})
        decision = answer.headers["x-request-id"]
        await it.recorded(1)
        said = await replica.ask("POST", "/api/v1/ai/feedback", {"decision_id": decision, "score": 1.0})
        assert said.status_code == 200

        def has_a_score(found: dict[str, Any]) -> bool:
            quality = found["rails"][0]
            return bool(quality["canary"]["count"] + quality["control"]["count"] == 1)

        await looked_at(it, rollout, has_a_score)
        explained = (await replica.ask("GET", f"/api/v1/ai/decisions/{decision}")).json()
        assert explained["assignment"]["rollout"] == rollout

    world.run(test, gatekeeper=Gates())


def test_a_rollout_whose_learner_is_away_can_be_stopped(world: World) -> None:
    """Rule broken: stopping first tried to finish what was begun, and that was what could not be done."""

    async def test(it: Installation) -> None:
        rollout = await start(it, quality__predictor="blend")
        await eventually(lambda: "fit" in it.learner_caller.calls or it.live.rollouts.find(rollout).intent is not None)
        answer = await it.replicas[0].ask("POST", f"{ROLLOUTS}/{rollout}/stop", {"reason": "enough"})
        assert (answer.status_code, answer.json()["state"]) == (200, "stopped"), answer.text
        assert it.replicas[0].gateway.app.path.experiment is None

    world.run(test, gatekeeper=Gates())


def test_a_rollout_ends_when_its_candidate_is_gone_whoever_took_it(world: World) -> None:
    """Rule broken: a control that died between an exchange by hand and noticing it left a canary without requests."""

    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        it.change_dna(score__cost_weight=0.25)
        await it.live.live.promote("main", actor="somebody", reason="by hand")
        found = await reached(it, rollout, "stopped")
        assert found["reason"] == "the live DNA was exchanged by hand"

    world.run(test, gatekeeper=Gates())


def test_a_damaged_checkpoint_does_not_keep_control_from_starting(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        await it.kill_control()
        path = it.home / "rollouts" / f"{rollout}.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "statistics": {"stage": "nowhere"}}))
        await it.start_control()
        assert (await view(it, rollout))["state"] == "canary"
        stopped = await it.replicas[0].ask("POST", f"{ROLLOUTS}/{rollout}/stop", {})
        assert stopped.json()["state"] == "stopped"
        unknown = {**document, "plan": {"no_such_key": 1}}
        path.write_text(json.dumps(unknown))
        await it.kill_control()
        await it.start_control()
        assert (await it.replicas[0].ask("GET", f"{ROLLOUTS}/{rollout}")).status_code == 500
        assert (await it.replicas[0].ask("GET", ROLLOUTS)).json() == {"rollouts": []}

    world.run(test, gatekeeper=Gates())


def test_of_two_that_a_crash_left_one_goes_on_and_the_other_is_over(world: World) -> None:
    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        await it.kill_control()
        other = "rollout-0000000000"
        document = json.loads((it.home / "rollouts" / f"{rollout}.json").read_text())
        document |= {"id": other, "state": "gating", "started": "2999-01-01T00:00:00+00:00"}
        (it.home / "rollouts" / f"{other}.json").write_text(json.dumps(document))
        await it.start_control()
        states = [(await view(it, each))["state"] for each in (rollout, other)]
        assert states == ["canary", "stopped"]

    world.run(test, gatekeeper=Gates())


class DyingGates(Gates):
    """Breaks down when it is first asked, in a way that nobody foresaw."""

    async def ask(self, home: Path, candidate: str, live: str, plan: RolloutPlan) -> Sequence[Mapping[str, Any]]:
        found = await super().ask(home, candidate, live, plan)
        if len(self.asked) == 1:
            raise RuntimeError("nobody foresaw this")
        return found


def test_gates_that_break_down_are_asked_again(world: World) -> None:
    """Rule broken: when the task that asked them had died, a rollout was gating for ever."""

    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")

    world.run(test, gatekeeper=DyingGates())


def test_a_change_of_the_pool_takes_the_candidate_away(world: World) -> None:
    """Rule broken: a candidate that was fitted for another pool decided on, and was promoted as it was."""

    async def test(it: Installation) -> None:
        rollout = await start(it)
        await reached(it, rollout, "canary")
        await it.close()
        fewer = {model: url for model, url in world.providers.urls.items() if model != "large"}
        prepare_home(it.home, replay_urls=fewer)
        await it.start_control()
        await it.start_gateway()
        found = await reached(it, rollout, "stopped")
        assert found["reason"] == "the pool of models has changed"
        assert it.replicas[0].gateway.app.path.experiment is None

    world.run(test, gatekeeper=Gates())
