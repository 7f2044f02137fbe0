"""Our SDK, asynchronous and synchronous, on the whole platform: asking, judging, changing what is live, evolving."""

import asyncio
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from evolving_ai import EvolutionFramework, SyncEvolutionFramework
from evolving_ai.sdk import (
    AuthenticationError,
    BudgetExceededError,
    EvolutionStatus,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from tests.integration.installation.installed import Installed, until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

HELLO: Any = [{"role": "user", "content": "Hello"}]
ITERATIONS = 12
CAMPAIGN_S = 90
Caller = Callable[..., Any]


@pytest.fixture(params=["asynchronous", "synchronous"])
def call(request: pytest.FixtureRequest, platform: Installed) -> Caller:
    """Makes one call on a framework of its own: `call(lambda framework: framework.ai.providers())`."""

    def blocking(action: Callable[[Any], Any], key: str = "") -> Any:
        with SyncEvolutionFramework(key or platform.admin_key, platform.url) as framework:
            return action(framework)

    def awaited(action: Callable[[Any], Any], key: str = "") -> Any:
        async def main() -> Any:
            async with EvolutionFramework(key or platform.admin_key, platform.url) as framework:
                return await action(framework)

        return asyncio.run(main())

    return blocking if request.param == "synchronous" else awaited


def test_a_chat_is_judged_and_explained(platform: Installed, call: Caller) -> None:
    result = call(lambda f: f.ai.chat(HELLO, tags=["sdk"]))
    platform.decision(result.decision_id)
    said = call(lambda f: f.ai.feedback(result.decision_id, 0.75, "good"))
    again = call(lambda f: f.ai.feedback(result.decision_id, 0.75, "good"))
    decision = call(lambda f: f.ai.decision(result.decision_id))

    assert result.text.startswith(f"[replay {result.model}]")
    assert said == again
    assert (decision.feedback.score, decision.feedback.comment) == (0.75, "good")
    assert decision.chosen.model == result.model
    assert (decision.target, decision.tags, decision.cost_usd) == (result.target, ["sdk"], result.cost_usd)
    assert decision.dna_hash.startswith(result.dna)


def test_a_chat_is_streamed(platform: Installed) -> None:
    with SyncEvolutionFramework(platform.admin_key, platform.url) as framework:
        whole = framework.ai.chat(HELLO)
        with framework.ai.chat(HELLO, stream=True) as stream:
            texts = [chunk.text for chunk in stream if chunk.text]
        assert "".join(texts) == whole.text == stream.result.text
        assert (stream.result.usage, stream.result.cost_usd) == (whole.usage, whole.cost_usd)
        assert len(texts) > 1


def test_a_chat_is_streamed_asynchronously(platform: Installed) -> None:
    async def main() -> tuple[str, Decimal | None]:
        async with (
            EvolutionFramework(platform.admin_key, platform.url) as framework,
            await framework.ai.chat(HELLO, stream=True) as stream,
        ):
            result = await stream.collect()
            return result.text, result.cost_usd

    text, cost = asyncio.run(main())

    assert text.startswith("[replay ")
    assert cost is not None
    assert cost > 0


def test_completion_route_and_providers(platform: Installed, call: Caller) -> None:
    route = call(lambda f: f.ai.route(HELLO))
    (provider,) = call(lambda f: f.ai.providers())
    completion = call(lambda f: f.ai.completion("Hello"))

    assert route.chosen == completion.model
    assert {candidate.model for candidate in route.candidates} == set(platform.models())
    assert sum(candidate.propensity for candidate in route.candidates) == pytest.approx(1)
    assert (provider.name, provider.kind, len(provider.targets)) == ("replay", "replay", len(platform.models()))


def test_dna_is_promoted_and_rolled_back(platform: Installed, call: Caller) -> None:
    branch = f"sdk-{uuid.uuid4().hex[:8]}"
    platform.run("dna", "branch", branch)
    platform.run("dna", "commit", "--set", "score.cost_weight=7.5", "--branch", branch, "-m", "dearer dollars")
    before = call(lambda f: f.dna.live())

    promoted = call(lambda f: f.dna.promote(branch, reason="a trial"))
    under_it = call(lambda f: f.ai.chat(HELLO))
    rolled_back = call(lambda f: f.dna.rollback(reason="enough"))

    assert promoted.dna_hash != before.dna_hash
    assert promoted.generation == before.generation + 1
    assert promoted.dna_hash.startswith(under_it.dna)
    assert rolled_back.dna_hash == before.dna_hash
    assert [version.generation for version in call(lambda f: f.dna.history())][:2] == [
        rolled_back.generation,
        promoted.generation,
    ]
    with pytest.raises(NotFoundError):
        call(lambda f: f.dna.promote("no-such-branch"))


def test_dna_is_rolled_out_by_hand_and_a_decision_tells_its_arm(platform: Installed, call: Caller) -> None:
    branch = f"sdk-rollout-{uuid.uuid4().hex[:8]}"
    platform.run("dna", "branch", branch)
    platform.run("dna", "commit", "--set", "score.cost_weight=6", "--branch", branch, "-m", "thrift")
    plan = {"margins": {"quality": 0.9}, "stages": [{"share": 0.5, "min_requests": 1000}], "needs_approval": True}
    started = call(lambda f: f.rollouts.start(branch, plan=plan, reason="a trial"))

    def awaited() -> bool:
        now = call(lambda f: f.rollouts.status(started.id))
        assert not now.is_over, now.reason
        return bool(now.state == "awaiting_approval" and all(gate.passed for gate in now.gates))

    until(awaited, 60, "the gates let it pass")
    with pytest.raises(InvalidRequestError, match="under way"):
        call(lambda f: f.rollouts.start(branch))
    assert call(lambda f: f.rollouts.approve(started.id)).share == 0.5
    platform.decision(decision := call(lambda f: f.ai.chat(HELLO)).decision_id)
    arm = call(lambda f: f.ai.decision(decision)).assignment
    stopped = call(lambda f: f.rollouts.stop(started.id, reason="enough"))

    assert (arm.rollout, arm.share) == (started.id, 0.5)
    assert (stopped.state, stopped.reason, stopped.is_over) == ("stopped", "enough", True)
    assert call(lambda f: f.rollouts.list())[0].id == started.id
    with pytest.raises(InvalidRequestError, match="is over"):
        call(lambda f: f.rollouts.approve(started.id))
    with pytest.raises(NotFoundError):
        call(lambda f: f.rollouts.status("rollout-0000000000"))


def test_keys_are_made_rotated_and_revoked(call: Caller) -> None:
    key = call(lambda f: f.keys.create("sdk-tenant", role="viewer", name="one", expires_in_days=1))
    assert call(lambda f: f.ai.chat(HELLO), key.secret).text
    with pytest.raises(PermissionDeniedError):
        call(lambda f: f.keys.list(), key.secret)

    rotated = call(lambda f: f.keys.rotate(key.id, grace_s=0))
    assert rotated.id == key.id
    assert call(lambda f: f.ai.chat(HELLO), rotated.secret).text
    with pytest.raises(AuthenticationError):
        call(lambda f: f.ai.chat(HELLO), key.secret)

    assert call(lambda f: f.keys.revoke(key.id)).is_valid is False
    with pytest.raises(AuthenticationError):
        call(lambda f: f.ai.chat(HELLO), rotated.secret)
    assert [each.is_valid for each in call(lambda f: f.keys.list(tenant="sdk-tenant")) if each.id == key.id] == [False]


def test_budgets_are_kept_and_spend_is_told(call: Caller) -> None:
    key = call(lambda f: f.keys.create("sdk-budget"))
    scope = f"key:{key.id}"
    assert call(lambda f: f.budgets.set(scope, Decimal("0.000001"), window="total")).cap_usd == Decimal("0.000001")
    with pytest.raises(BudgetExceededError):
        call(lambda f: f.ai.chat(HELLO), key.secret)

    call(lambda f: f.budgets.set(scope, 5, window="total"))
    cost = until_answered(call, key.secret).cost_usd

    def told() -> bool:
        return bool(call(lambda f: f.budgets.cost(key_id=key.id, by=["key_id"])).total_usd == cost)

    until(told, 20, "the cost of one request is told")
    (budget,) = [each for each in call(lambda f: f.budgets.list()) if each.scope == scope]
    parts = budget.settled_usd + budget.leased_usd + budget.remaining_usd
    assert parts == pytest.approx(budget.cap_usd, abs=Decimal("0.000003"))  # each is shown to a millionth
    assert call(lambda f: f.budgets.remove(scope)) is True
    assert call(lambda f: f.budgets.remove(scope)) is False


def until_answered(call: Caller, secret: str) -> Any:
    """A chat, as soon as the raised budget lets it through."""

    def answered() -> Any:
        try:
            return call(lambda f: f.ai.chat(HELLO), secret)
        except BudgetExceededError:
            return None

    return until(answered, 5, "a raised budget counts")


def test_the_system_tells_how_it_is(platform: Installed, call: Caller) -> None:
    assert call(lambda f: f.system.health()).status == "ok"
    metrics = until(lambda: call(lambda f: f.system.metrics()), 1, "metrics")
    assert metrics.generation >= 1
    assert {f"replay/{model}" for model in platform.models()} == set(call(lambda f: f.system.config()).targets)


def test_a_campaign_is_started_and_ends_with_a_fitness_score(platform: Installed) -> None:
    with SyncEvolutionFramework(platform.admin_key, platform.url) as framework:
        begun = time.monotonic()
        campaign = framework.start_evolution(target_fitness=None, max_iterations=ITERATIONS, seed=1)

        def ended() -> EvolutionStatus | None:
            status = framework.get_evolution_status(campaign)
            assert framework.ai.chat(HELLO).text, "the platform answers while it evolves"
            return status if status.is_over else None

        status = until(ended, CAMPAIGN_S, "the campaign ends")

        assert time.monotonic() - begun < CAMPAIGN_S
        assert status.state == "budget_exhausted", status
        assert status.iterations == ITERATIONS
        assert 0 < status.fitness_score <= 1
        assert status.winner is not None
        assert campaign in [each.id for each in framework.list_evolutions()]
        with pytest.raises(InvalidRequestError):
            framework.rollback_evolution(campaign)  # its winner was never live
        with pytest.raises(NotFoundError):
            framework.get_evolution_status("no-such-campaign")
