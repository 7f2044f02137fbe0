"""The request path: limits, decide, budget, attempts with failover, settle, record. Pure asyncio, no HTTP, no Ray.

The rules kept here: one request sees one policy; every attempt has a reservation of its own, made before it is sent
and settled exactly once, however it ends; a caller's own mistake is not tried elsewhere; once something of an answer
has gone out, no other target takes over; every request whose decision stood is recorded once, however it ends.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import orjson

from evolving_ai._common.clock import Clock
from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.money import format_usd
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.domain.target import DeploymentTarget, ProviderKind
from evolving_ai.errors import DataError, RequestError, UpstreamError
from evolving_ai.router.assignment import assigned
from evolving_ai.router.attempts import Attempts, OpenAttempt
from evolving_ai.router.breaker import Breakers
from evolving_ai.router.catalog import Catalog, Selection
from evolving_ai.router.chat_request import ChatRequest, last_user_text, prompt_hash
from evolving_ai.router.failures import explained_failure, refusal_status
from evolving_ai.router.plan import first_target, targets_in_order
from evolving_ai.router.ports import (
    Completion,
    DecidedPolicy,
    Experiment,
    Policy,
    Provider,
    Purse,
    RateLimiter,
    Recorder,
    StreamPart,
)
from evolving_ai.router.run import Run

__all__ = ["Answer", "PathLimits", "RequestPath", "StreamedAnswer"]

_LOG = logging.getLogger(__name__)
_MAX_HELD_PARTS = 64
_ANY = Constraints()


@dataclass(frozen=True, slots=True)
class PathLimits:
    """What one request may take."""

    max_attempts: int = 3
    deadline_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: JSON of the dialect, headers to add, and the run that it came from."""

    body: bytes
    headers: list[tuple[bytes, bytes]]
    run: Run


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer that has begun. `events` are bytes of server-sent events; close it if you stop early."""

    events: AsyncGenerator[bytes, None]
    headers: list[tuple[bytes, bytes]]


class RequestPath:
    """Takes requests to targets. `policy` and `experiment` may be exchanged at any time: each request reads them once.

    `experiment` is the rollout that runs; requests that leave nothing to decide, or are pinned, take no part in it.
    `pinned` holds the policies that an operator may ask for by hash beside the live one.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        providers: Mapping[ProviderKind, Provider],
        purse: Purse,
        limiter: RateLimiter,
        recorder: Recorder,
        clock: Clock,
        limits: PathLimits = PathLimits(),
    ) -> None:
        self.policy: Policy | None = None
        self.experiment: Experiment | None = None
        self.pinned: tuple[Policy, ...] = ()
        self.breakers = Breakers()
        self.in_flight = 0
        self.catalog = catalog
        self._providers = providers
        self._attempts = Attempts(purse, self.breakers, clock)
        self._limiter = limiter
        self._recorder = recorder
        self._clock = clock
        self._limits = limits

    # --- Deciding -----------------------------------------------------------------------------------------------------

    def begin(self, request: ChatRequest) -> Run:
        """Resolve the model and decide. RequestError when nothing may answer."""
        demands = request.demands
        selection = self.catalog.resolve(request.model)
        if demands.region is not None:
            selection = selection.in_region(demands.region)
        policy, experiment = self._policy(demands.dna), self.experiment
        prompt = last_user_text(request.body["messages"])
        constraints = _constraints(demands.constraints or _ANY, selection)
        assignment, decided = None, None
        if experiment is not None and demands.dna is None and len(selection.by_model) > 1:
            assignment = assigned(request, experiment)
            if assignment.is_canary:
                decided = _tried(experiment.policy, prompt, constraints, request.seed)
        if decided is None:
            decided = _decided(policy, prompt, constraints, request)
        allowed_s = min(self._limits.deadline_s, demands.deadline_s or self._limits.deadline_s)
        now = self._clock.now().timestamp()
        deadline_s = request.arrived_s + allowed_s
        return Run(request, selection, decided, prompt_hash(prompt), deadline_s, now, assignment)

    def preview(self, request: ChatRequest) -> tuple[Run, tuple[float, ...]]:
        """Decide and do nothing about it; the run, and each candidate's propensity. Counts as a request of its key."""
        self._admit(request)
        try:
            run = self.begin(request)
            return run, self._decider(run).propensities(run.decided.decision)
        finally:
            self._leave(request)

    def _decider(self, run: Run) -> Policy:
        """What decided just now."""
        experiment = self.experiment
        if experiment is not None and experiment.policy.dna_hash == run.decided.decision.dna_hash:
            return experiment.policy
        return self._policy(run.request.demands.dna)

    def _policy(self, pinned: str | None) -> Policy:
        policy = self.policy
        if policy is None:
            raise RequestError("not_ready", "no DNA is live on this replica yet", retry_after_s=1.0)
        if pinned is None or policy.dna_hash.startswith(pinned):
            return policy
        others = self.pinned if self.experiment is None else (self.experiment.policy, *self.pinned)
        for other in others:
            if other.dna_hash.startswith(pinned):
                return other
        raise RequestError(
            "not_found",
            f"no DNA {pinned[:64]} is loaded here: expected the live one, a candidate, or one live just before",
            param="x-evolving-dna",
        )

    # --- Whole answers ------------------------------------------------------------------------------------------------

    async def complete(self, request: ChatRequest) -> Answer:
        """Answer a request that is no stream. RequestError or UpstreamError (`refused`) when it fails."""
        self._admit(request)
        try:
            run = self.begin(request)
            try:
                completion = await self._first_completion(run)
            except BaseException as exc:
                self._record_failure(run, exc)
                raise
            self._record(run, 200, None)
            headers = [*run.headers(cost=True), *_passed_on(completion.headers)]
            return Answer(completion.body, headers, run)
        finally:
            self._leave(request)

    async def _first_completion(self, run: Run) -> Completion:
        failure: UpstreamError | None = None
        for target in self._plan(run):
            attempt = await self._attempts.begin(run, target)
            try:
                completion = await self._provider(target).complete(self._attempts.call(run, attempt))
            except UpstreamError as exc:
                self._fail(run, attempt, exc)
                failure = self._go_on_after(exc)
                continue
            except BaseException as exc:
                self._attempts.end(run, attempt, _result_of(exc), None)
                raise
            attempt.usage = completion.usage
            attempt.output_bytes = len(completion.body)
            run.target, run.finish_reason = target, completion.finish_reason
            run.score = _score_in(completion.headers)
            self._attempts.end(run, attempt, AttemptResult.OK, 200)
            if run.request.records_content:
                run.answer = _content(run, completion.body)
            return completion
        raise self._failure(run, failure)

    # --- Streams ------------------------------------------------------------------------------------------------------

    async def stream(self, request: ChatRequest) -> StreamedAnswer:
        """Begin to answer: returns when the first content is here, so that until then another target can take over."""
        self._admit(request)
        try:
            run = self.begin(request)
            try:
                attempt, parts, held = await self._first_content(run)
            except BaseException as exc:
                self._record_failure(run, exc)
                raise
        except BaseException:
            self._leave(request)
            raise
        events = self._relay(run, attempt, parts, held)
        await anext(events)  # into its block: closed before its first event, it still settles and records
        headers = [*run.headers(cost=False, extra_attempts=1), *_passed_on(held[0].headers or {})]
        return StreamedAnswer(events, headers)

    async def _first_content(self, run: Run) -> tuple[OpenAttempt, AsyncIterator[StreamPart], list[StreamPart]]:
        failure: UpstreamError | None = None
        for target in self._plan(run):
            attempt = await self._attempts.begin(run, target)
            try:
                parts = self._provider(target).stream(self._attempts.call(run, attempt))
                held = await self._until_content(run, attempt, parts)
            except UpstreamError as exc:
                self._fail(run, attempt, exc)
                failure = self._go_on_after(exc)
                continue
            except BaseException as exc:
                self._attempts.end(run, attempt, _result_of(exc), None)
                raise
            run.target = target
            run.first_byte_s = self._clock.monotonic_s() - run.request.arrived_s
            attempt.first_byte_s = self._clock.monotonic_s() - attempt.started_s
            run.score = _score_in(held[0].headers or {})
            return attempt, parts, held
        raise self._failure(run, failure)

    async def _until_content(
        self, run: Run, attempt: OpenAttempt, parts: AsyncIterator[StreamPart]
    ) -> list[StreamPart]:
        held: list[StreamPart] = []
        wait_s = min(attempt.target.first_byte_timeout_s, max(0.001, run.deadline_s - self._clock.monotonic_s()))
        try:
            async with asyncio.timeout(wait_s):
                async for part in parts:
                    held.append(part)
                    self._look_at(run, attempt, part)
                    if part.has_content or part.finish_reason is not None or len(held) >= _MAX_HELD_PARTS:
                        return held
        except TimeoutError as exc:
            await _close(parts)
            text = f"{attempt.target.name} sent no content within {wait_s:.1f} s"
            raise UpstreamError(AttemptResult.TIMEOUT, text) from exc
        except BaseException:
            await _close(parts)
            raise
        if not held:
            raise UpstreamError(AttemptResult.MALFORMED, f"{attempt.target.name} sent an empty stream")
        return held

    async def _relay(
        self, run: Run, attempt: OpenAttempt, parts: AsyncIterator[StreamPart], held: list[StreamPart]
    ) -> AsyncGenerator[bytes, None]:
        wants_usage = run.request.wants_usage
        result, error_code = AttemptResult.CANCELLED, None
        texts = [part.data for part in held] if run.request.records_content else None
        try:
            yield b""
            for part in held:
                if wants_usage or not part.is_usage_only:
                    yield b"data: " + part.data + b"\n\n"
            async for part in parts:
                self._look_at(run, attempt, part)
                if texts is not None:
                    texts.append(part.data)
                if wants_usage or not part.is_usage_only:
                    yield b"data: " + part.data + b"\n\n"
            result = AttemptResult.OK
        except UpstreamError as exc:
            result, error_code = AttemptResult(exc.result), "all_targets_failed"
            yield _error_event(exc, run.request.decision_id)
        except Exception:
            result, error_code = AttemptResult.MALFORMED, "internal_error"
            raise
        finally:
            # Before anything is awaited: a second cancellation may come at every await.
            self._attempts.end(run, attempt, result, 200)
            if texts is not None:
                run.answer = _content(run, b"[" + b",".join(texts) + b"]")
            self._record(run, 200, error_code or (None if result is AttemptResult.OK else "client_closed"))
            self._leave(run.request)
            await _close(parts)
        yield f": x-evolving-cost-usd {format_usd(run.cost_nano_usd)}\n\n".encode()
        if result is AttemptResult.OK:
            yield b"data: [DONE]\n\n"

    def _look_at(self, run: Run, attempt: OpenAttempt, part: StreamPart) -> None:
        attempt.hear(part)
        run.finish_reason = part.finish_reason or run.finish_reason

    # --- Attempts -----------------------------------------------------------------------------------------------------

    def _plan(self, run: Run) -> Iterator[DeploymentTarget]:
        now_s = self._clock.monotonic_s()
        decision, selection = run.decided.decision, run.selection
        tried = None
        if now_s >= run.deadline_s:
            return
        if (first := first_target(decision, selection, self.breakers, now_s)) is not None:
            tried = first
            yield first
        for target in targets_in_order(decision, selection, self.breakers, now_s, run.request.seed):
            if len(run.attempts) >= self._limits.max_attempts or self._clock.monotonic_s() >= run.deadline_s:
                return
            if target is not tried:
                yield target

    def _provider(self, target: DeploymentTarget) -> Provider:
        return self._providers[target.kind]

    def _fail(self, run: Run, attempt: OpenAttempt, exc: UpstreamError) -> None:
        self._attempts.end(run, attempt, AttemptResult(exc.result), exc.status)

    def _failure(self, run: Run, last: UpstreamError | None) -> RequestError:
        if not run.attempts and self._clock.monotonic_s() < run.deadline_s:
            return _unknown_to_policy(run.request)
        return explained_failure(run.attempts, last)

    @staticmethod
    def _go_on_after(exc: UpstreamError) -> UpstreamError:
        """The failure, when another target may do better; raises it when the request itself is at fault."""
        if exc.result == AttemptResult.REFUSED:
            raise exc
        return exc

    # --- Around -------------------------------------------------------------------------------------------------------

    def _admit(self, request: ChatRequest) -> None:
        wait_s = self._limiter.admit(request.principal.key_id)
        if wait_s is not None:
            raise RequestError(
                "rate_limit_exceeded",
                f"this key may not send more requests now: wait {wait_s:.1f} s",
                hint="send fewer requests at once or per minute, or ask for a higher limit",
                retry_after_s=wait_s,
            )
        self.in_flight += 1

    def _leave(self, request: ChatRequest) -> None:
        self.in_flight -= 1
        self._limiter.leave(request.principal.key_id)

    def _record(self, run: Run, status: int, error_code: str | None) -> None:
        self._recorder.record(run.outcome(status=status, error_code=error_code, now_s=self._clock.monotonic_s()))

    def _record_failure(self, run: Run, exc: BaseException) -> None:
        if isinstance(exc, RequestError):
            self._record(run, PROBLEMS[exc.code].status, exc.code)
        elif isinstance(exc, UpstreamError):
            self._record(run, refusal_status(exc), "invalid_request")
        elif isinstance(exc, asyncio.CancelledError):
            self._record(run, 499, "client_closed")
        else:
            self._record(run, 500, "internal_error")


def _decided(policy: Policy, prompt: str, constraints: Constraints, request: ChatRequest) -> DecidedPolicy:
    """What `policy` decides; RequestError when it knows no target, or none that is cheap enough."""
    try:
        decided = policy.decide(prompt, constraints, seed=request.seed)
    except DataError as exc:
        raise _unknown_to_policy(request) from exc
    if "max_cost_usd" in decided.decision.relaxed:
        raise RequestError(
            "invalid_request",
            f"no target of {request.model} is expected to cost at most {constraints.max_cost_usd} USD",
            hint="raise x-evolving-max-cost-usd, or leave it out",
            param="x-evolving-max-cost-usd",
        )
    return decided


def _tried(candidate: Policy, prompt: str, constraints: Constraints, seed: int) -> DecidedPolicy | None:
    """What a rollout's candidate decides. None when it cannot: the live DNA then does, and the outcome tells of it."""
    try:
        decided = candidate.decide(prompt, constraints, seed=seed)
    except Exception as exc:  # noqa: BLE001 - the boundary of a candidate: it must not cost a caller an answer
        _LOG.warning("candidate %s cannot decide a request: %r", candidate.dna_hash[:12], exc)
        return None
    return None if "max_cost_usd" in decided.decision.relaxed else decided


def _constraints(demanded: Constraints, selection: Selection) -> Constraints:
    if demanded is _ANY:
        return selection.constraints
    return Constraints(demanded.max_cost_usd, demanded.min_quality, selection.models)


def _unknown_to_policy(request: ChatRequest) -> RequestError:
    text = f"the live DNA knows no target of {request.model} yet"
    return RequestError("not_ready", text, hint="it is fitted again after the pool has changed", retry_after_s=1.0)


def _result_of(exc: BaseException) -> AttemptResult:
    """How an attempt ended that no UpstreamError explains: the client left, or nobody foresaw that answer."""
    return AttemptResult.CANCELLED if isinstance(exc, asyncio.CancelledError) else AttemptResult.MALFORMED


async def _close(parts: AsyncIterator[StreamPart]) -> None:
    close = getattr(parts, "aclose", None)
    if close is not None:
        # What an iterator says while it is closed no longer matters to anybody.
        with contextlib.suppress(UpstreamError):
            await close()


def _passed_on(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers.items():
        yield name.encode("latin-1"), value.encode("latin-1", "replace")


def _score_in(headers: Mapping[str, str]) -> float | None:
    text = headers.get("x-replay-score")
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        score = float(text)
        return score if 0 <= score <= 1 else None
    return None


def _error_event(exc: UpstreamError, decision_id: str) -> bytes:
    document = {
        "error": {
            "message": f"the answer broke off: {exc}",
            "type": "api_error",
            "param": None,
            "code": "all_targets_failed",
            "request_id": decision_id,
        }
    }
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _content(run: Run, answer: bytes) -> str:
    messages = orjson.dumps(run.request.body["messages"]).decode()
    return f'{{"messages":{messages},"answer":{answer.decode(errors="replace")}}}'
