"""The routes of a well-behaved platform: requests checked, and answers made, by the server's own wire models."""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI

from evolving_ai.serving.api.ai import (
    ChatAnswer,
    ChatBody,
    CompletionAnswer,
    CompletionBody,
    ProvidersView,
    ProviderView,
    RouteAnswer,
    RouteBody,
    RouteCandidate,
    TargetView,
)
from evolving_ai.serving.api.budgets import BudgetRequest, BudgetsView, BudgetView, CostLine, CostView, RemovedBudget
from evolving_ai.serving.api.decisions import (
    AttemptView,
    CandidateView,
    DecisionView,
    FeedbackRequest,
    FeedbackView,
)
from evolving_ai.serving.api.dna import LiveHistory, LiveVersionView, LiveView, PromoteRequest, RollbackRequest
from evolving_ai.serving.api.evolution import (
    CampaignList,
    CampaignView,
    RolledBackCampaign,
    StartedCampaign,
    StartRequest,
)
from evolving_ai.serving.api.keys import CreateKeyRequest, KeysView, KeyView, NewKeyView, RotateKeyRequest
from evolving_ai.serving.api.rollouts import RolloutList, RolloutReason, RolloutRequest, RolloutView
from evolving_ai.serving.api.system import SystemConfig, SystemConfigView, SystemMetrics
from tests.doubles.rollout_views import rollout_view

__all__ = ["DECISION_ID", "build_platform"]

DECISION_ID = "req-0000000000000000000000"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_FIGURES: dict[str, Any] = {
    "id": DECISION_ID,
    "model": "small",
    "target": "acme/small",
    "finish_reason": "stop",
    "usage": {"input_tokens": 9, "output_tokens": 3},
    "cost_usd": "0.000123",
    "attempts": 1,
    "dna": "d" * 12,
    "snapshot": "5" * 12,
}
_VERSION: dict[str, Any] = {
    "generation": 3,
    "commit": "c" * 64,
    "dna_hash": "d" * 64,
    "snapshot_hash": "5" * 64,
    "since": "2026-01-01T00:00:00+00:00",
    "actor": "local-admin",
    "reason": "",
}


def build_platform() -> FastAPI:
    """The application."""
    app = FastAPI()
    _add_ai(app)
    _add_decisions(app)
    _add_evolution(app)
    _add_dna(app)
    _add_rollouts(app)
    _add_system(app)
    _add_keys(app)
    _add_budgets(app)
    return app


def _add_ai(app: FastAPI) -> None:
    @app.post("/api/v1/ai/chat")
    async def chat(body: ChatBody) -> ChatAnswer:
        said = body.messages[-1]["content"]
        return ChatAnswer(**_FIGURES, message={"role": "assistant", "content": f"You said: {said}"})

    @app.post("/api/v1/ai/completion")
    async def completion(body: CompletionBody) -> CompletionAnswer:
        return CompletionAnswer(**_FIGURES, text=f"You said: {body.prompt}")

    @app.post("/api/v1/ai/route")
    async def route(body: RouteBody) -> RouteAnswer:
        small = RouteCandidate(
            model="small", targets=["acme/small"], quality=0.7, cost_usd=1e-5, score=0.6, propensity=1.0
        )
        large = RouteCandidate(model="large", targets=[], quality=0.9, cost_usd=1e-2, score=None, propensity=0.0)
        return RouteAnswer(
            chosen="small", candidates=[small, large], relaxed=["min_quality"], dna="d" * 12, snapshot="5" * 12
        )

    @app.get("/api/v1/ai/providers")
    async def providers() -> ProvidersView:
        target = TargetView(
            name="acme/small",
            model="small",
            input_usd_per_million=0.1,
            output_usd_per_million=0.4,
            breaker="closed",
        )
        return ProvidersView(
            providers=[ProviderView(name="acme", kind="openai", region=None, is_ready=True, targets=[target])]
        )


def _add_decisions(app: FastAPI) -> None:
    said: dict[str, FeedbackView] = {}

    @app.post("/api/v1/ai/feedback")
    async def feedback(request: FeedbackRequest) -> FeedbackView:
        said[request.decision_id] = FeedbackView(**request.model_dump())
        return said[request.decision_id]

    @app.get("/api/v1/ai/decisions/{decision_id}")
    async def explain(decision_id: str) -> DecisionView:
        return DecisionView(**_decision(decision_id), feedback=said.get(decision_id))


def _decision(decision_id: str) -> dict[str, Any]:
    attempt = AttemptView(
        target="acme/small",
        result="ok",
        status=200,
        first_byte_s=None,
        latency_s=0.2,
        input_tokens=9,
        output_tokens=3,
        cost_usd="0.000123",
    )
    return {
        "decision_id": decision_id,
        "time_s": _NOW.timestamp(),
        "tenant": "local",
        "key_id": "local-admin",
        "requested_model": "auto",
        "dna_hash": "d" * 64,
        "snapshot_hash": "5" * 64,
        "seed": 7,
        "candidates": [
            CandidateView(model="large", quality=0.9, cost_usd=1e-2, score=None, is_chosen=False),
            CandidateView(model="small", quality=0.7, cost_usd=1e-5, score=0.6, is_chosen=True),
        ],
        "propensity": 0.95,
        "relaxed": ["min_quality"],
        "prompt_hash": "a" * 64,
        "attempts": [attempt],
        "target": "acme/small",
        "is_stream": False,
        "status": 200,
        "error_code": None,
        "finish_reason": "stop",
        "input_tokens": 9,
        "output_tokens": 3,
        "cost_usd": "0.000123",
        "first_byte_s": None,
        "latency_s": 0.21,
        "overhead_s": 0.01,
        "score": None,
        "tags": ["nightly"],
        "content": None,
        "assignment": {"rollout": "rollout-0000000001", "is_canary": True, "share": 0.1},
    }


def _add_evolution(app: FastAPI) -> None:
    def view(campaign_id: str, *, is_stop_requested: bool = False) -> CampaignView:
        return CampaignView(
            id=campaign_id,
            state="running",
            reason="",
            iterations=40,
            max_iterations=100,
            best={"quality": 0.8, "cost": 0.001},
            fitness_score=0.91,
            target_fitness=0.95,
            winner=None,
            winner_dna_hash=None,
            elapsed_s=12.5,
            updated="2026-01-01T00:00:00+00:00",
            is_stop_requested=is_stop_requested,
        )

    @app.post("/api/v1/evolution/start", status_code=202)
    async def start(_request: StartRequest) -> StartedCampaign:
        return StartedCampaign(id="routing-0123456789", state="created")

    @app.get("/api/v1/evolution/status/{campaign_id}")
    async def status(campaign_id: str) -> CampaignView:
        return view(campaign_id)

    @app.get("/api/v1/evolution/campaigns")
    async def campaigns() -> CampaignList:
        return CampaignList(campaigns=[view("routing-0123456789")])

    @app.post("/api/v1/evolution/stop/{campaign_id}")
    async def stop(campaign_id: str) -> CampaignView:
        return view(campaign_id, is_stop_requested=True)

    @app.post("/api/v1/evolution/rollback/{campaign_id}")
    async def rollback(campaign_id: str) -> RolledBackCampaign:
        return RolledBackCampaign(id=campaign_id, live={**_VERSION, "genes": {"cost_weight": 0.5}})


def _add_dna(app: FastAPI) -> None:
    def live_view(reason: str = "") -> LiveView:
        return LiveView(**{**_VERSION, "reason": reason}, genes={"cost_weight": 0.5})

    @app.get("/api/v1/dna/live")
    async def live() -> LiveView:
        return live_view()

    @app.get("/api/v1/dna/history")
    async def history() -> LiveHistory:
        return LiveHistory(versions=[LiveVersionView(**_VERSION), LiveVersionView(**{**_VERSION, "generation": 2})])

    @app.post("/api/v1/dna/promote")
    async def promote(request: PromoteRequest) -> LiveView:
        return live_view(request.reason)

    @app.post("/api/v1/dna/rollback")
    async def rollback(request: RollbackRequest) -> LiveView:
        return live_view(request.reason)


def _add_rollouts(app: FastAPI) -> None:
    def view(rollout_id: str = "rollout-0000000001", state: str = "canary", **fields: Any) -> RolloutView:
        return RolloutView(**rollout_view(rollout_id, state, **fields))

    @app.post("/api/v1/rollouts", status_code=202)
    async def start(request: RolloutRequest) -> RolloutView:
        return view(state="gating", reason=request.reason)

    @app.get("/api/v1/rollouts")
    async def rollouts() -> RolloutList:
        return RolloutList(rollouts=[view("rollout-0000000002", history=[]), view(state="refused", history=[])])

    @app.get("/api/v1/rollouts/{rollout_id}")
    async def status(rollout_id: str) -> RolloutView:
        return view(rollout_id)

    @app.post("/api/v1/rollouts/{rollout_id}/approve")
    async def approve(rollout_id: str) -> RolloutView:
        return view(rollout_id)

    @app.post("/api/v1/rollouts/{rollout_id}/stop")
    async def stop(rollout_id: str, request: RolloutReason) -> RolloutView:
        return view(rollout_id, "stopped", reason=request.reason)


def _add_system(app: FastAPI) -> None:
    aliases: dict[str, list[str]] = {}

    @app.get("/api/v1/system/health")
    async def health() -> dict[str, Any]:
        live = {"generation": 3, "dna": "d" * 64, "snapshot": "5" * 64}
        return {"status": "ok", "version": "0.1.0", "replica": "r-1", "live": live, "control": True, "is_replay": False}

    @app.get("/api/v1/system/metrics")
    async def metrics() -> SystemMetrics:
        replica = {"replica": "r-1", "stats": {"answered": 5.0}}
        return SystemMetrics(totals={"answered": 5.0}, replicas=[replica], outcomes={"recent": 5}, generation=3)

    @app.get("/api/v1/system/config")
    async def config() -> SystemConfigView:
        return SystemConfigView(version=1 + bool(aliases), aliases=aliases, targets=["acme/small"])

    @app.post("/api/v1/system/config")
    async def configure(request: SystemConfig) -> SystemConfigView:
        aliases.update(request.aliases or {})
        return await config()


def _add_keys(app: FastAPI) -> None:
    def fields(key_id: str, request: CreateKeyRequest | None = None) -> dict[str, Any]:
        wanted = request or CreateKeyRequest(tenant="shop", role="viewer")
        times = dict.fromkeys(("expires", "revoked", "rotated", "former_until"))
        said = wanted.model_dump(exclude={"expires_in_days"})
        return {"id": key_id, "is_valid": True, "created": _NOW, **times, **said}

    @app.post("/api/v1/keys", status_code=201)
    async def create(request: CreateKeyRequest) -> NewKeyView:
        return NewKeyView(**fields("key-1", request), secret="evai_key-1_secret")  # noqa: S106 - opens nothing

    @app.get("/api/v1/keys")
    async def keys(tenant: str | None = None) -> KeysView:
        return KeysView(keys=[] if tenant == "nobody" else [KeyView(**fields("key-1"))])

    @app.post("/api/v1/keys/{key_id}/rotate")
    async def rotate(key_id: str, _request: RotateKeyRequest) -> NewKeyView:
        return NewKeyView(**fields(key_id), secret="evai_key-1_other")  # noqa: S106 - opens nothing

    @app.delete("/api/v1/keys/{key_id}")
    async def revoke(key_id: str) -> KeyView:
        return KeyView(**{**fields(key_id), "is_valid": False, "revoked": _NOW})


def _add_budgets(app: FastAPI) -> None:
    kept: dict[str, BudgetView] = {}

    @app.post("/api/v1/budgets")
    async def set_budget(request: BudgetRequest) -> BudgetView:
        amounts = {"settled_usd": "1.000000", "leased_usd": "0.500000", "forfeited_usd": "0.000000"}
        kept[request.scope] = BudgetView(
            **request.model_dump(), **amounts, remaining_usd="11.000000", window_start=_NOW, window_end=None
        )
        return kept[request.scope]

    @app.get("/api/v1/budgets")
    async def budgets() -> BudgetsView:
        return BudgetsView(budgets=list(kept.values()))

    @app.get("/api/v1/budgets/cost")
    async def cost(since: str, by: str) -> CostView:
        line = CostLine(day=since, tenant=by, key_id="", target="", attempts=2, cost_usd="0.000246")
        return CostView(lines=[line], total_usd="0.000246")

    @app.delete("/api/v1/budgets/{scope}")
    async def remove(scope: str) -> RemovedBudget:
        return RemovedBudget(scope=scope, was_there=kept.pop(scope, None) is not None)
