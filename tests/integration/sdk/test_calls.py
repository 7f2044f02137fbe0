"""Both clients against a real server that checks requests with, and makes answers of, the gateway's own wire models."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from evolving_ai import EvolutionFramework, SyncEvolutionFramework
from evolving_ai.errors import UsageError
from tests.doubles.platform_server import PlatformServer
from tests.integration.sdk.conftest import Caller

HELLO = [{"role": "user", "content": "Hello"}]


def test_a_chat_goes_to_auto_and_comes_back_with_its_figures(call: Caller, platform: PlatformServer) -> None:
    result = call(lambda framework: framework.ai.chat(HELLO))

    assert result.text == "You said: Hello"
    assert (result.model, result.target, result.attempts) == ("small", "acme/small", 1)
    assert result.cost_usd == Decimal("0.000123")
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.total_tokens) == (9, 3, 12)
    assert (result.dna, result.snapshot, result.finish_reason) == ("d" * 12, "5" * 12, "stop")
    assert result.raw["id"] == result.decision_id
    assert platform.seen[0].body == {"model": "auto", "messages": HELLO}
    assert platform.seen[0].headers["authorization"] == "Bearer key"


def test_demands_travel_in_headers_and_openais_fields_in_the_body(call: Caller, platform: PlatformServer) -> None:
    call(
        lambda framework: framework.ai.chat(
            HELLO,
            model="fast",
            max_cost_usd=Decimal("0.01"),
            min_quality=0.5,
            deadline_ms=2000,
            tags=["a", "b"],
            dna="abcd",
            temperature=0.2,
            tools=[{"type": "function"}],
        ),
        region="eu",
    )

    asked = platform.seen[0]
    assert asked.body == {"temperature": 0.2, "tools": [{"type": "function"}], "model": "fast", "messages": HELLO}
    said = {name: value for name, value in asked.headers.items() if name.startswith("x-evolving-")}
    assert said == {
        "x-evolving-max-cost-usd": "0.01",
        "x-evolving-min-quality": "0.5",
        "x-evolving-deadline-ms": "2000",
        "x-evolving-tags": "a,b",
        "x-evolving-dna": "abcd",
        "x-evolving-region": "eu",
    }


def test_without_optimizing_somebody_must_name_a_model(call: Caller, platform: PlatformServer) -> None:
    with pytest.raises(UsageError, match="name one as model"):
        call(lambda framework: framework.ai.chat(HELLO, auto_optimize=False))
    call(lambda framework: framework.ai.chat(HELLO, auto_optimize=False, model="acme/small"))

    assert [request.body["model"] for request in platform.seen] == ["acme/small"]


def test_a_completion_is_a_text(call: Caller, platform: PlatformServer) -> None:
    result = call(lambda framework: framework.ai.completion("Count", max_tokens=5))

    assert (result.text, result.cost_usd) == ("You said: Count", Decimal("0.000123"))
    assert platform.seen[0].body == {"max_tokens": 5, "model": "auto", "prompt": "Count"}


def test_a_route_tells_candidates_without_asking_a_model(call: Caller, platform: PlatformServer) -> None:
    route = call(lambda framework: framework.ai.route(HELLO, min_quality=0.99))

    assert (route.chosen, route.relaxed) == ("small", ["min_quality"])
    assert [(candidate.model, candidate.score) for candidate in route.candidates] == [("small", 0.6), ("large", None)]
    assert platform.seen[0].headers["x-evolving-min-quality"] == "0.99"


def test_providers_have_targets_with_prices(call: Caller) -> None:
    (provider,) = call(lambda framework: framework.ai.providers())

    assert (provider.name, provider.kind, provider.is_ready) == ("acme", "openai", True)
    assert provider.targets[0].output_usd_per_million == 0.4


def test_feedback_and_the_decision_that_it_is_about(call: Caller) -> None:
    said = call(lambda framework: framework.ai.feedback("req-1", 0.25, "too long"))
    decision = call(lambda framework: framework.ai.decision("req-1"))

    assert (said.decision_id, said.score, said.comment) == ("req-1", 0.25, "too long")
    assert decision.feedback == said
    assert decision.chosen.model == "small"
    assert decision.attempts[0].cost_usd == Decimal("0.000123")
    assert (decision.assignment.rollout, decision.assignment.is_canary) == ("rollout-0000000001", True)
    assert decision.seed == 7, "fields that this release has no name for stay reachable"


def test_an_id_is_one_step_of_a_path_whatever_is_in_it(call: Caller, platform: PlatformServer) -> None:
    decision = call(lambda framework: framework.ai.decision("a b?c#d"))
    with pytest.raises(UsageError, match="names nothing"):
        call(lambda framework: framework.ai.decision(".."))

    assert decision.decision_id == "a b?c#d"
    assert [request.path for request in platform.seen] == ["/api/v1/ai/decisions/a%20b%3Fc%23d"]


def test_an_evolution_is_started_watched_stopped_and_rolled_back(call: Caller, platform: PlatformServer) -> None:
    started = call(lambda framework: framework.start_evolution(target_fitness=0.95, max_iterations=100, seed=3))
    status = call(lambda framework: framework.get_evolution_status(started))
    (listed,) = call(lambda framework: framework.list_evolutions())
    stopped = call(lambda framework: framework.stop_evolution(started))
    live = call(lambda framework: framework.rollback_evolution(started))

    assert platform.seen[0].body == {"target_fitness": 0.95, "max_iterations": 100, "seed": 3}
    assert (status.id, status.state, status.fitness_score, status.is_over) == (started, "running", 0.91, False)
    assert (status.best["quality"], status.iterations, listed.id) == (0.8, 40, started)
    assert stopped.is_stop_requested
    assert (live.generation, live.genes) == (3, {"cost_weight": 0.5})


def test_dna_is_promoted_and_rolled_back(call: Caller, platform: PlatformServer) -> None:
    live = call(lambda framework: framework.dna.live())
    versions = call(lambda framework: framework.dna.history())
    promoted = call(lambda framework: framework.dna.promote("campaign/x", reason="better"))
    rolled_back = call(lambda framework: framework.dna.rollback(reason="worse"))

    assert (live.dna_hash, [version.generation for version in versions]) == ("d" * 64, [3, 2])
    assert (promoted.reason, rolled_back.reason) == ("better", "worse")
    assert [request.body for request in platform.seen[2:]] == [
        {"ref": "campaign/x", "reason": "better"},
        {"reason": "worse"},
    ]


def test_dna_is_rolled_out_watched_approved_and_stopped(call: Caller, platform: PlatformServer) -> None:
    plan = {"stages": [{"share": 0.2, "min_requests": 500}], "needs_approval": True}
    started = call(lambda framework: framework.rollouts.start("campaign/x", plan=plan, reason="better"))
    status = call(lambda framework: framework.rollouts.status(started.id))
    listed = call(lambda framework: framework.rollouts.list())
    approved = call(lambda framework: framework.rollouts.approve(started.id))
    stopped = call(lambda framework: framework.rollouts.stop(started.id, reason="enough"))

    assert (started.state, started.is_over, started.gates) == ("gating", False, [])
    assert (status.share, status.requests["canary"], status.candidate.dna_hash) == (0.1, 120, "d" * 64)
    assert (status.rails[0].rail, status.rails[0].difference, status.rails[0].canary.mean) == ("quality", -1.25, 71.25)
    assert (status.gates[0].passed, status.transitions[0].reason) == (True, "asked")
    assert status.history == [{"requests": 500}]
    assert [(one.state, one.is_over, one.is_promoted) for one in listed] == [
        ("canary", False, False),
        ("refused", True, False),
    ]
    assert (approved.state, stopped.state, stopped.reason, stopped.is_over) == ("canary", "stopped", "enough", True)
    assert [request.body for request in platform.seen] == [
        {"ref": "campaign/x", "plan": plan, "reason": "better"},
        None,
        None,
        {},
        {"reason": "enough"},
    ]


def test_a_rollout_without_a_plan_is_as_the_platform_does_by_default(call: Caller, platform: PlatformServer) -> None:
    call(lambda framework: framework.rollouts.start("main~1"))

    assert platform.seen[0].body == {"ref": "main~1", "reason": ""}


def test_the_system_tells_how_it_is_and_changes_its_aliases(call: Caller) -> None:
    health = call(lambda framework: framework.system.health())
    metrics = call(lambda framework: framework.system.metrics())
    changed = call(lambda framework: framework.system.config(aliases={"fast": ("acme/small",)}))
    config = call(lambda framework: framework.system.config())

    assert (health.status, health.control, health.live["generation"]) == ("ok", True, 3)
    assert metrics.totals == {"answered": 5.0}
    assert config == changed
    assert config.aliases == {"fast": ["acme/small"]}


def test_keys_are_made_listed_rotated_and_revoked(call: Caller, platform: PlatformServer) -> None:
    made = call(lambda framework: framework.keys.create("shop", role="operator", expires_in_days=30))
    (listed,) = call(lambda framework: framework.keys.list())
    of_nobody = call(lambda framework: framework.keys.list(tenant="nobody"))
    rotated = call(lambda framework: framework.keys.rotate(made.id, grace_s=60))
    revoked = call(lambda framework: framework.keys.revoke(made.id))

    assert (made.tenant, made.role, made.secret) == ("shop", "operator", "evai_key-1_secret")
    assert "secret" not in repr(made)
    assert (listed.id, of_nobody, rotated.secret) == (made.id, (), "evai_key-1_other")
    assert (revoked.is_valid, revoked.revoked is not None) == (False, True)
    assert platform.seen[0].body == {"tenant": "shop", "role": "operator", "name": "unnamed", "expires_in_days": 30}


def test_budgets_are_set_listed_and_removed_and_spend_is_summed_up(call: Caller) -> None:
    made = call(lambda framework: framework.budgets.set("tenant:shop", Decimal("12.50"), window="day"))
    listed = call(lambda framework: framework.budgets.list())
    removed = [call(lambda framework: framework.budgets.remove("tenant:shop")) for _ in range(2)]
    cost = call(lambda framework: framework.budgets.cost(since=date(2026, 1, 31), by=["day"]))

    assert (made.cap_usd, made.window, made.remaining_usd) == (Decimal("12.50"), "day", Decimal(11))
    assert (listed, removed) == ((made,), [True, False])
    assert (cost.total_usd, cost.lines[0].attempts) == (Decimal("0.000246"), 2)
    assert (cost.lines[0].day, cost.lines[0].tenant) == ("2026-01-31", "day")


def test_calls_one_after_the_other_share_a_connection(platform: PlatformServer) -> None:
    platform.connections.clear()
    with SyncEvolutionFramework(base_url=platform.url) as framework:
        for _ in range(3):
            framework.ai.providers()

    assert len(platform.connections) == 1
    assert "authorization" not in platform.seen[0].headers


def test_many_calls_at_once_are_answered_each_with_its_own(platform: PlatformServer) -> None:
    async def main() -> list[str]:
        async with EvolutionFramework(base_url=platform.url) as framework:
            asked = [framework.ai.completion(str(number)) for number in range(50)]
            return [result.text for result in await asyncio.gather(*asked)]

    assert asyncio.run(main()) == [f"You said: {number}" for number in range(50)]


def test_a_closed_framework_says_so(platform: PlatformServer) -> None:
    framework = SyncEvolutionFramework(base_url=platform.url)
    framework.close()
    with pytest.raises(UsageError, match="closed"):
        framework.ai.providers()


def test_a_framework_is_of_one_event_loop(platform: PlatformServer) -> None:
    async def closed_at_once(framework: EvolutionFramework) -> None:
        await framework.ai.providers()
        await framework.aclose()
        with pytest.raises(UsageError, match="closed"):
            await framework.ai.providers()

    async def first(framework: EvolutionFramework) -> None:
        await framework.ai.providers()
        with pytest.raises(UsageError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, other(framework))
        await framework.aclose()

    async def other(framework: EvolutionFramework) -> None:
        await framework.ai.providers()

    asyncio.run(closed_at_once(EvolutionFramework(base_url=platform.url)))
    asyncio.run(first(EvolutionFramework(base_url=platform.url)))
