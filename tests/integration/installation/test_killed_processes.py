"""Processes that are killed with -9 under a small load: what was not theirs goes on, and they come back."""

import asyncio
import os
import signal
from decimal import Decimal

import pytest

from evolving_ai.wiring.platform_state import read_state
from tests.integration.installation.installed import Installed, until
from tests.integration.installation.traffic import CLIENTS, Traffic

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEEN_AFTER = 60
CAP_USD = Decimal(2)
MICRO = Decimal(1_000_000)
EXPIRY_S = 40  # when what a replica that vanished had leased is given up


def budgeted_key(platform: Installed, tenant: str) -> tuple[str, str]:
    """A key with a budget: its secret and the scope."""
    key = platform.new_key(tenant)
    scope = f"key:{key['id']}"
    body = {"scope": scope, "cap_usd": str(CAP_USD), "window": "total"}
    assert platform.send("POST", "/api/v1/budgets", body).status_code == 200
    return key["secret"], scope


def budget(platform: Installed, scope: str) -> dict[str, Decimal]:
    """Amounts of a budget, in dollars."""
    answer = platform.send("GET", "/api/v1/budgets").json()["budgets"]
    (found,) = (each for each in answer if each["scope"] == scope)
    return {name.removesuffix("_usd"): Decimal(value) for name, value in found.items() if name.endswith("_usd")}


def test_a_killed_gateway_replica_takes_only_its_own_requests_with_it(platform: Installed) -> None:
    secret, scope = budgeted_key(platform, "killed-gateway")

    async def scenario() -> Traffic:
        async with Traffic(platform, key=secret) as traffic:
            await traffic.answers(SEEN_AFTER)
            victim = await asyncio.to_thread(platform.kill_replica, "gateway")
            await traffic.answers(SEEN_AFTER)
            await asyncio.to_thread(platform.until_replaced, "gateway", victim, 2)
            await traffic.answers(SEEN_AFTER)
        return traffic

    traffic = asyncio.run(scenario())

    assert sum(traffic.failed.values()) <= CLIENTS, traffic.failed
    assert_budget_holds(platform, scope, traffic)


def test_traffic_goes_on_while_control_is_killed_and_away(platform: Installed) -> None:
    secret, scope = budgeted_key(platform, "killed-control")

    async def scenario() -> Traffic:
        async with Traffic(platform, key=secret) as traffic:
            await traffic.answers(SEEN_AFTER)
            victim = await asyncio.to_thread(platform.kill_replica, "control")
            await traffic.answers(SEEN_AFTER)
            await asyncio.to_thread(platform.until_replaced, "control", victim, 1)
            await asyncio.to_thread(until, platform.is_well, 30, "replicas know control again")
            await traffic.answers(SEEN_AFTER)
        return traffic

    traffic = asyncio.run(scenario())

    assert traffic.failed == {}
    assert_budget_holds(platform, scope, traffic)


def test_killed_replay_providers_come_back_where_they_were(platform: Installed) -> None:
    victim = platform.state.children["replay"]
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        state = read_state(platform.home)
        return state is not None and state.children["replay"] != victim

    until(is_replaced, 30, "the replay providers are started again")
    until(lambda: platform.chat("Are you back?").status_code == 200, 30, "they answer")


def assert_budget_holds(platform: Installed, scope: str, traffic: Traffic) -> None:
    """What was answered is settled or forfeited, and all of it together is the cap."""

    def is_accounted_for() -> bool:
        now = budget(platform, scope)
        # An answer's cost is rounded to a millionth for people: half of one for each answer.
        slack = Decimal(traffic.answered) / 2 / MICRO
        held = now["settled"] + now["forfeited"] + now["leased"]
        return held + slack >= traffic.spent_micro_usd / MICRO

    until(is_accounted_for, EXPIRY_S, "what was answered is accounted for")
    now = budget(platform, scope)
    parts = now["settled"] + now["leased"] + now["forfeited"] + now["remaining"]
    assert abs(parts - CAP_USD) <= 3 / MICRO  # each amount is shown to a millionth
    assert now["cap"] == CAP_USD
    assert min(now.values()) >= 0
    assert platform.run_json("audit", "verify")["ok"] is True


def test_decisions_made_before_a_kill_of_control_are_known_after_it(platform: Installed) -> None:
    answer = platform.chat("Remember me.")
    before = platform.decision(answer.headers["x-request-id"])

    platform.until_replaced("control", platform.kill_replica("control"), 1)

    assert platform.decision(answer.headers["x-request-id"]) == before
