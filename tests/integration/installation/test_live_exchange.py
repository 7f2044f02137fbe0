"""DNA is exchanged while requests run: none fails, and each is decided by one DNA with its own snapshot."""

import asyncio
import time
import uuid
from typing import Any

import pytest

from tests.integration.installation.installed import Installed
from tests.integration.installation.traffic import Traffic

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXCHANGES = 3
SHORT = 12
SEEN_BETWEEN = 40


def test_promotion_and_rollback_under_load_lose_and_mix_nothing(platform: Installed) -> None:
    branch = f"live-{uuid.uuid4().hex[:8]}"
    platform.run("dna", "branch", branch)
    platform.run("dna", "commit", "--set", "score.cost_weight=20", "--branch", branch, "-m", "dearer dollars")
    versions: list[dict[str, Any]] = [platform.send("GET", "/api/v1/dna/live").json()]

    def change(path: str, body: dict[str, Any]) -> None:
        answer = platform.send("POST", f"/api/v1/dna/{path}", body)
        assert answer.status_code == 200, answer.text
        versions.append(answer.json())

    async def scenario() -> Traffic:
        async with Traffic(platform) as traffic:
            for _ in range(EXCHANGES):
                await traffic.answers(SEEN_BETWEEN)
                await asyncio.to_thread(change, "promote", {"ref": branch})
                await traffic.answers(SEEN_BETWEEN)
                await asyncio.to_thread(change, "rollback", {})
            await traffic.answers(SEEN_BETWEEN)
        return traffic

    traffic = asyncio.run(scenario())

    live = {(each["dna_hash"][:SHORT], each["snapshot_hash"][:SHORT]) for each in versions}
    assert traffic.failed == {}
    assert len({dna for dna, _ in live}) == 2
    assert set(traffic.kinds) <= live, "a request was decided by a DNA with another's snapshot"
    assert {dna for dna, _ in traffic.kinds} == {dna for dna, _ in live}
    assert versions[-1]["dna_hash"] == versions[0]["dna_hash"]


def test_every_replica_has_switched_when_promotion_is_answered(platform: Installed) -> None:
    branch = f"switch-{uuid.uuid4().hex[:8]}"
    platform.run("dna", "branch", branch)
    platform.run("dna", "commit", "--set", "score.cost_weight=15", "--branch", branch, "-m", "dearer dollars")

    begun = time.monotonic()
    promoted = platform.send("POST", "/api/v1/dna/promote", {"ref": branch}).json()
    took = time.monotonic() - begun
    seen = [platform.chat("Hello").headers["x-evolving-dna"] for _ in range(20)]
    platform.send("POST", "/api/v1/dna/rollback", {})

    assert set(seen) == {promoted["dna_hash"][:SHORT]}
    assert took < 5


def test_changes_of_dna_stand_in_the_audit_log(platform: Installed) -> None:
    entries = platform.run_json("audit", "log")["entries"]

    assert {"dna_promoted", "dna_rolled_back"} <= {entry["kind"] for entry in entries}
    assert {entry["actor"] for entry in entries if entry["kind"] == "dna_promoted"} == {"local-admin"}
