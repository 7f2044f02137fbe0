"""What the request path needs from others, scripted: each fake keeps its port's guarantees and checks its caller's."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from evolving_ai.domain.decision import Constraints, Decision
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.domain.money import TokenPrice
from evolving_ai.domain.outcome import AttemptResult, Outcome
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import DataError, RequestError, UpstreamError
from evolving_ai.router.ports import ChatCall, Completion, DecidedPolicy, StreamPart, Usage

__all__ = [
    "Answers",
    "Fails",
    "FakeKeyRing",
    "FakeLimiter",
    "FakePolicy",
    "FakeProvider",
    "Hangs",
    "MemoryRecorder",
    "RecordingPurse",
    "Streams",
    "completion_body",
    "content_part",
    "finish_part",
    "role_part",
    "target_of",
    "usage_part",
]

PRICE = TokenPrice(150_000, 600_000)
VIEWER = Principal("key-1", "tenant-1", Role.VIEWER)
USAGE = Usage(12, 34)


def target_of(name: str, **changes: object) -> DeploymentTarget:
    """A target from `provider/model`."""
    provider, model = name.split("/")
    fields: dict[str, object] = {
        "provider": provider,
        "model": model,
        "upstream_model": model,
        "kind": ProviderKind.OPENAI,
        "base_url": "http://127.0.0.1:9/v1",
        "api_key_env": None,
        "region": None,
        "price": PRICE,
        "max_output_tokens": 1000,
        **changes,
    }
    return DeploymentTarget(**fields)  # type: ignore[arg-type]


# --- Answers ----------------------------------------------------------------------------------------------------------


def completion_body(text: str = "hello") -> bytes:
    """A whole answer in OpenAI's format."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return orjson.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice]})


def _chunk(delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return orjson.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "choices": [choice]})


def role_part(**extra: object) -> StreamPart:
    """The first event: nothing of the answer is in it."""
    return StreamPart(_chunk({"role": "assistant"}), has_content=False, **extra)  # type: ignore[arg-type]


def content_part(text: str) -> StreamPart:
    """Some of the answer."""
    return StreamPart(_chunk({"content": text}), has_content=True)


def finish_part(reason: str = "stop") -> StreamPart:
    """The end of the only choice."""
    return StreamPart(_chunk({}, reason), has_content=False, finish_reason=reason)


def usage_part(input_tokens: int = 12, output_tokens: int = 34) -> StreamPart:
    """The extra event with the usage."""
    counts = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    data = orjson.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": counts})
    return StreamPart(data, has_content=False, usage=Usage(input_tokens, output_tokens), is_usage_only=True)


@dataclass(frozen=True)
class Answers:
    """Answers whole, once `gate` is set."""

    text: str = "hello"
    usage: Usage | None = USAGE
    finish_reason: str | None = "stop"
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None


@dataclass(frozen=True)
class Fails:
    """Fails as the port says, or with a defect."""

    error: BaseException

    @classmethod
    def by(
        cls,
        result: AttemptResult,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes | None = None,
    ) -> "Fails":
        """With an UpstreamError."""
        text = f"scripted: {result.value}"
        return cls(UpstreamError(result, text, status=status, retry_after_s=retry_after_s, body=body))


@dataclass(frozen=True)
class Hangs:
    """Says nothing until its time is over; a provider that is `deaf` doesn't even look at the time."""

    is_deaf: bool = False


@dataclass(frozen=True)
class Streams:
    """Streams parts; an event among them is waited for, an exception is raised, in its place."""

    steps: Sequence[StreamPart | asyncio.Event | BaseException]


Step: TypeAlias = Answers | Fails | Hangs | Streams

WHOLE_STREAM = Streams((role_part(), content_part("hel"), content_part("lo"), finish_part(), usage_part()))


class FakeProvider:
    """Plays the script of each target, step by step; the last step again and again. Without a script: an answer."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self.calls: list[ChatCall] = []
        self.started = asyncio.Event()
        self.open_calls = 0

    @property
    def called(self) -> list[str]:
        """The targets in the order of the calls."""
        return [call.target.name for call in self.calls]

    def _step(self, call: ChatCall) -> Step | None:
        self.calls.append(call)
        self.started.set()
        script = self.scripts.get(call.target.name, [])
        return script.pop(0) if len(script) > 1 else script[0] if script else None

    async def complete(self, call: ChatCall) -> Completion:
        step = self._step(call) or Answers()
        self.open_calls += 1
        try:
            if isinstance(step, Fails):
                raise step.error
            if isinstance(step, Hangs):
                await _hang(call, step)
            assert isinstance(step, Answers), f"the script has a {type(step).__name__} for a whole answer"
            if step.gate is not None:
                await step.gate.wait()
            return Completion(completion_body(step.text), step.usage, step.finish_reason, step.headers)
        finally:
            self.open_calls -= 1

    async def stream(self, call: ChatCall) -> AsyncIterator[StreamPart]:
        step = self._step(call) or WHOLE_STREAM
        self.open_calls += 1
        try:
            if isinstance(step, Fails):
                raise step.error
            if isinstance(step, Hangs):
                await _hang(call, step)
            assert isinstance(step, Streams), f"the script has a {type(step).__name__} for a stream"
            for item in step.steps:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, asyncio.Event):
                    await item.wait()
                else:
                    yield item
        finally:
            self.open_calls -= 1


async def _hang(call: ChatCall, step: Hangs) -> None:
    try:
        async with asyncio.timeout(None if step.is_deaf else call.timeout_s):
            await asyncio.sleep(1e9)
    except TimeoutError as exc:
        raise UpstreamError(AttemptResult.TIMEOUT, f"{call.target.name} did not answer") from exc


# --- Deciding ---------------------------------------------------------------------------------------------------------


class FakePolicy:
    """Prefers models in the order given; `costs_usd` and `qualities` are what it predicts."""

    def __init__(
        self,
        models: Sequence[str],
        *,
        name: str = "a",
        generation: int = 1,
        costs_usd: Mapping[str, float] | None = None,
        qualities: Mapping[str, float] | None = None,
    ) -> None:
        self.generation = generation
        self.dna_hash = name * 64
        self.snapshot_hash = name * 64
        self.models = tuple(models)
        self.prompts: list[str] = []
        self._costs = costs_usd or {}
        self._qualities = qualities or {}

    def decide(
        self, prompt: str, constraints: Constraints, *, seed: int, context: Mapping[str, str] | None = None
    ) -> DecidedPolicy:
        self.prompts.append(prompt)
        allowed = [model for model in self.models if constraints.eligible is None or model in constraints.eligible]
        if not allowed:
            raise DataError("no eligible model")
        relaxed = []
        if (most := constraints.max_cost_usd) is not None:
            cheap = [model for model in allowed if self._costs.get(model, 0.0) <= most]
            relaxed += [] if cheap else ["max_cost_usd"]
            allowed = cheap or allowed
        if (least := constraints.min_quality) is not None:
            good = [model for model in allowed if self._qualities.get(model, 1.0) >= least]
            relaxed += [] if good else ["min_quality"]
            allowed = good or allowed
        scores = [-float(place) if model in allowed else -math.inf for place, model in enumerate(self.models)]
        decision = Decision(
            self.models,
            [self._qualities.get(model, 1.0) for model in self.models],
            [self._costs.get(model, 0.0) for model in self.models],
            scores,
            self.models.index(allowed[0]),
            1.0,
            self.dna_hash,
            self.snapshot_hash,
            tuple(relaxed),
        )
        return DecidedPolicy(decision, b"features", seed)

    def propensities(self, decision: Decision) -> tuple[float, ...]:
        return tuple(float(place == decision.chosen) for place in range(len(decision.models)))


# --- Money, limits, records, keys -------------------------------------------------------------------------------------


class RecordingPurse:
    """Grants everything, or `grants` reservations; notes and checks what is done with them.

    Each reservation is settled exactly once, by whom it was made for, with no more than was reserved unless
    `allows_overruns`. `is_short`: nothing is at hand, so that every reservation waits for `gate` (None: not at all).
    """

    def __init__(self, *, grants: int | None = None, is_short: bool = False, allows_overruns: bool = False) -> None:
        self.grants = grants
        self.is_short = is_short
        self.gate: asyncio.Event | None = None
        self.allows_overruns = allows_overruns
        self.reserved: list[int] = []
        self.settled: list[int] = []
        self.targets: list[str] = []
        self.open: dict[int, tuple[Principal, int]] = {}
        self.violations: list[str] = []

    def try_reserve(self, principal: Principal, amount_nano_usd: int) -> int | None:
        if self.is_short or (self.grants is not None and len(self.reserved) >= self.grants):
            return None
        return self._grant(principal, amount_nano_usd)

    def _grant(self, principal: Principal, amount_nano_usd: int) -> int:
        self._check(type(amount_nano_usd) is int and amount_nano_usd >= 0, f"reserved {amount_nano_usd!r}")
        self.reserved.append(amount_nano_usd)
        number = len(self.reserved)
        self.open[number] = principal, amount_nano_usd
        return number

    async def reserve(self, principal: Principal, amount_nano_usd: int) -> int:
        if self.gate is not None:
            await self.gate.wait()
        if self.grants is not None and len(self.reserved) >= self.grants:
            raise RequestError("budget_exceeded", "the budget is used up")
        return self._grant(principal, amount_nano_usd)

    def settle(self, reservation: int, principal: Principal, target: str, amount_nano_usd: int) -> None:
        owner, reserved = self.open.pop(reservation, (None, 0))
        self._check(owner is not None, f"reservation {reservation} ended twice, or never was")
        self._check(owner == principal, f"reservation {reservation} is of {owner}, settled for {principal}")
        self._check(type(amount_nano_usd) is int and amount_nano_usd >= 0, f"settled {amount_nano_usd!r}")
        self._check(self.allows_overruns or amount_nano_usd <= reserved, f"{amount_nano_usd} of {reserved} reserved")
        self.settled.append(amount_nano_usd)
        self.targets.append(target)

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            self.violations.append(what)

    def assert_kept(self) -> None:
        """Every guarantee was kept, and nothing is reserved any more."""
        assert not self.violations, self.violations
        assert not self.open, f"never settled: {self.open}"


class FakeLimiter:
    """Lets everybody in, until `wait_s` is set; counts who is inside."""

    def __init__(self) -> None:
        self.wait_s: float | None = None
        self.admitted = 0
        self.inside: dict[str, int] = {}

    def admit(self, key_id: str) -> float | None:
        if self.wait_s is None:
            self.admitted += 1
            self.inside[key_id] = self.inside.get(key_id, 0) + 1
        return self.wait_s

    def leave(self, key_id: str) -> None:
        self.inside[key_id] -= 1


class MemoryRecorder:
    """Keeps outcomes in a list."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class FakeKeyRing:
    """Knows the keys that it is given."""

    def __init__(self, keys: Mapping[str, Principal]) -> None:
        self.keys = dict(keys)

    def principal(self, secret: str) -> Principal | None:
        return self.keys.get(secret)
