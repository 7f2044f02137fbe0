"""A request path among fakes: everything that a test of the gateway scripts and looks at, in one place."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from evolving_ai._common.clock import Clock
from evolving_ai.domain.identity import Principal
from evolving_ai.domain.outcome import Outcome
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.router.catalog import Catalog
from evolving_ai.router.chat_request import ChatRequest, Demands
from evolving_ai.router.request_path import PathLimits, RequestPath
from tests.doubles.gateway_fakes import (
    VIEWER,
    FakeLimiter,
    FakePolicy,
    FakeProvider,
    MemoryRecorder,
    RecordingPurse,
    Step,
    target_of,
)

__all__ = ["GatewayWorld", "drained"]

TARGETS = (target_of("p/one"), target_of("p/two"), target_of("p/three"))
NO_DEMANDS = Demands()
USUAL_LIMITS = PathLimits()


class GatewayWorld:
    """A `RequestPath` over fakes; without a policy of its own the targets' models are preferred in their order."""

    def __init__(
        self,
        clock: Clock,
        targets: Sequence[DeploymentTarget] = TARGETS,
        *,
        aliases: Mapping[str, Sequence[str]] | None = None,
        limits: PathLimits = USUAL_LIMITS,
        purse: RecordingPurse | None = None,
        policy: FakePolicy | None = None,
    ) -> None:
        self.clock = clock
        self.provider = FakeProvider()
        self.purse = purse or RecordingPurse()
        self.limiter = FakeLimiter()
        self.recorder = MemoryRecorder()
        self.path = RequestPath(
            catalog=Catalog(targets, aliases or {}),
            providers={ProviderKind.OPENAI: self.provider},
            purse=self.purse,
            limiter=self.limiter,
            recorder=self.recorder,
            clock=clock,
            limits=limits,
        )
        self.path.policy = policy or FakePolicy(list(dict.fromkeys(target.model for target in targets)))
        self._requests = 0

    def script(self, target: str, *steps: Step) -> None:
        """What a target does at each call; the last again and again."""
        self.provider.scripts[target] = list(steps)

    def request(
        self,
        model: str = "auto",
        *,
        demands: Demands = NO_DEMANDS,
        principal: Principal = VIEWER,
        records_content: bool = False,
        seed: int = 0,
        **fields: object,
    ) -> ChatRequest:
        """A request that arrives now; further fields go into its body."""
        self._requests += 1
        messages = [{"role": "user", "content": "How are you?"}]
        body = {"model": model, "messages": messages, **fields}
        return ChatRequest(
            decision_id=f"req-{self._requests}",
            seed=seed,
            principal=principal,
            body=body,
            input_bytes=100,
            arrived_s=self.clock.monotonic_s(),
            demands=demands,
            records_content=records_content,
        )

    @property
    def outcome(self) -> Outcome:
        """The only outcome that was recorded."""
        (outcome,) = self.recorder.outcomes
        return outcome

    def assert_quiet(self) -> None:
        """Nothing is under way, and everything that was taken is given back."""
        self.purse.assert_kept()
        assert self.path.in_flight == 0
        assert set(self.limiter.inside.values()) <= {0}, f"still inside: {self.limiter.inside}"
        assert self.provider.open_calls == 0, "a call to a provider was left open"


async def drained(events: AsyncGenerator[bytes, None]) -> list[bytes]:
    """All events of a stream."""
    return [event async for event in events]
