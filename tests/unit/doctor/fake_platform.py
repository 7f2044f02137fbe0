"""A platform that does what scenarios expect, without sockets, and that can be told to do something else."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from evolving_ai._common.clock import ManualClock
from evolving_ai.doctor.gateway import Gateway
from evolving_ai.doctor.model_groups import GROUPS, STEADY
from evolving_ai.doctor.scenario import Patient
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.serving.replay_provider.faults import FaultKind

__all__ = ["ADMIN_KEY", "DNA", "SNAPSHOT", "FakePlatform", "refusal"]

ADMIN_KEY = "admin-key"
DNA, SNAPSHOT = "d" * 64, "5" * 64
RESULTS = {"error": "server_error", "stall": "timeout", "rate_limit": "rate_limited", "slow": "ok"}
LARGEST_BODY = 2**20

Reply = Callable[[httpx.Request], httpx.Response]


class FakePlatform:
    """Both sides: what a client sees, and the `OwnPlatform`. `replies` go before its own, by `METHOD path`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.replies: dict[str, Reply] = {}
        self.faults: dict[str, FaultKind] = {}
        self.ordered: list[tuple[str, FaultKind, float]] = []
        self.keys: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.capped: set[str] = set()
        self.decisions: dict[str, dict[str, Any]] = {}
        self.takes_over = True

    def patient(self, *, is_own: bool = True) -> Patient:
        """It, to be examined; `ManualClock` moves when a scenario waits."""
        client = httpx.Client(transport=httpx.MockTransport(self._answer), base_url="http://fake")
        gateway = Gateway(client, ADMIN_KEY)
        return Patient(gateway, self.clock, self.clock.advance, STEADY.alias, self if is_own else None)

    # --- OwnPlatform --------------------------------------------------------------------------------------------------

    def order_fault(self, model: str, kind: FaultKind, *, seconds: float = 0.0, share: float = 1.0) -> None:
        self.ordered.append((model, kind, share))
        self.faults[model] = kind

    def clear_faults(self) -> None:
        self.faults.clear()

    def other_dna(self) -> str:
        return "other"

    def processes(self, part: str) -> frozenset[int]:
        return frozenset({1, 2})

    def kill(self, process_id: int) -> None:
        raise AssertionError("nothing is killed here")

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def _answer(self, request: httpx.Request) -> httpx.Response:
        route = f"{request.method} {request.url.path}"
        if route in self.replies:
            return self.replies[route](request)
        if route == "GET /api/v1/system/health":
            live = {"generation": 1, "dna": DNA, "snapshot": SNAPSHOT}
            return httpx.Response(200, json={"status": "ok", "version": "0", "control": True, "live": live})
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            return refusal("missing_api_key")
        if key != ADMIN_KEY and (key not in self.keys or key in self.revoked):
            return refusal("invalid_api_key")
        if route == "POST /v1/chat/completions":
            return self._chat(request, key)
        if route == "GET /v1/models":
            return httpx.Response(200, json={"data": [{"id": "auto"}, {"id": STEADY.alias}]})
        if request.url.path.startswith("/api/v1/ai/"):
            return self._decision(request)
        return self._managed(request, key)

    def _chat(self, request: httpx.Request, key: str) -> httpx.Response:
        if len(request.content) > LARGEST_BODY:
            return refusal("body_too_large")
        try:
            body = json.loads(request.content)
        except ValueError:
            return refusal("invalid_json")
        if "messages" not in body:
            return refusal("invalid_request")
        group = next((group for group in GROUPS if group.alias == body["model"]), None)
        if group is None:
            return refusal("model_not_found")
        if key in self.capped:
            return refusal("budget_exceeded")
        tried = [model for model in group.models if self.faults.get(model, FaultKind.SLOW) is not FaultKind.SLOW]
        left = [model for model in group.models if model not in tried]
        if not left or (tried and not self.takes_over):
            return refusal("all_targets_failed")
        return self._answered(left[0], tried, is_stream=body.get("stream", False))

    def _answered(self, model: str, tried: list[str], *, is_stream: bool) -> httpx.Response:
        headers = {
            "x-request-id": f"req-{len(self.decisions)}",
            "x-evolving-dna": DNA[:12],
            "x-evolving-snapshot": SNAPSHOT[:12],
            "x-evolving-target": f"{model}/{model}",
            "x-evolving-attempts": str(1 + len(tried)),
        }
        self.decisions[headers["x-request-id"]] = {
            "target": headers["x-evolving-target"],
            "dna_hash": DNA,
            "cost_usd": "0.000001",
            "propensity": 1.0,
            "candidates": [{"model": model, "is_chosen": True}],
            "attempts": [{"result": RESULTS[self.faults[each]]} for each in tried] + [{"result": "ok"}],
            "feedback": None,
        }
        if is_stream:
            events = 'data: {"choices": []}\n\n: x-evolving-cost-usd 0.000001\n\ndata: [DONE]\n\n'
            return httpx.Response(200, headers={**headers, "content-type": "text/event-stream"}, text=events)
        message = {"choices": [{"message": {"content": "yes"}}]}
        return httpx.Response(200, headers={**headers, "x-evolving-cost-usd": "0.000001"}, json=message)

    def _decision(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            said = json.loads(request.content)
            self.decisions[said["decision_id"]]["feedback"] = {"score": said["score"]}
            return httpx.Response(200, json=said)
        found = self.decisions.get(request.url.path.rpartition("/")[2])
        return refusal("decision_not_found") if found is None else httpx.Response(200, json=found)

    def _managed(self, request: httpx.Request, key: str) -> httpx.Response:
        name = request.url.path.rpartition("/")[2].rpartition(":")[2]
        if key != ADMIN_KEY:
            return refusal("permission_denied")
        if request.url.path == "/api/v1/keys":
            secret = f"secret-{len(self.keys)}"
            self.keys[secret] = secret
            return httpx.Response(201, json={"id": secret, "secret": secret})
        if request.url.path.startswith("/api/v1/keys/"):
            self.revoked.add(name)
            return httpx.Response(200, json={"is_valid": False})
        if request.method == "POST":
            self.capped.add(json.loads(request.content)["scope"].removeprefix("key:"))
        else:
            self.capped.discard(name)
        return httpx.Response(200, json={})


def refusal(code: str, status: int | None = None, more: Mapping[str, Any] | None = None) -> httpx.Response:
    """OpenAI's error object."""
    body = {"error": {"code": code, "message": "no", **(more or {})}}
    return httpx.Response(PROBLEMS[code].status if status is None else status, json=body)
