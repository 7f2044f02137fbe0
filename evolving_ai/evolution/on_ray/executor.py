"""Evaluations on a pool of Ray actors, with deadlines that kill and actors that are replaced.

Ray cannot cancel what a synchronous actor does, so a deadline ends the actor's process. Actors neither restart nor
retry by themselves: every repetition is decided here, where it is counted.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ray

from evolving_ai._common.clock import Clock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CampaignError
from evolving_ai.evolution.evaluation import failed
from evolving_ai.evolution.on_ray.host import EvaluatorHost
from evolving_ai.evolution.ports import EvaluatorFactory

__all__ = ["RayExecutor"]

_ATTEMPTS = 2
"""How often a candidate may cost an actor its life or its deadline before that is recorded as its result."""
_CALL_S = 0.02
"""Cheap evaluations share a call of about this length: a round trip costs half a millisecond."""
_LARGEST_BATCH = 64
_PIPELINED_S = 0.05
"""Below this, a second call waits at the actor, so that it isn't idle during a round trip."""
_STARTUP_S = 180.0
_BUILD_ATTEMPTS = 3


@dataclass
class _Item:
    index: int
    genome: Genome
    attempts: int = 0
    is_alone: bool = False  # not batched with others, after a batch of its went wrong


@dataclass
class _Call:
    ref: Any
    items: list[_Item]


@dataclass
class _Actor:
    """An actor and what was sent to it; calls run in order, `head_since_s` is when the first of them began."""

    handle: Any
    building: Any  # the reference of `build` until that has returned
    since_s: float
    calls: deque[_Call] = field(default_factory=deque)
    head_since_s: float = 0.0

    @property
    def refs(self) -> Iterator[Any]:
        return iter([self.building]) if self.building is not None else (call.ref for call in self.calls)


class RayExecutor:
    """An `Executor` over `actors` actors of one CPU each, inside a `ray_session`.

    A candidate whose evaluation exceeds `deadline_s` or ends its process is tried once more on another actor, because
    neither is a property of the genome alone (a loaded or dying node does the same); the second time it is recorded
    as failed. Other candidates that were with it on the actor are evaluated elsewhere and lose nothing.
    `factory` is pickled once, into the object store, and called once in each actor. CampaignError when the evaluator
    cannot be built, or when the cluster has no CPU for it within three minutes.
    """

    def __init__(self, factory: EvaluatorFactory, *, actors: int, deadline_s: float, clock: Clock) -> None:
        self._actors_wanted = actors
        self._deadline_s = deadline_s
        self._clock = clock
        self._actor_class = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(EvaluatorHost)
        self._factory = factory
        self._factory_ref: Any = None
        self._actors: list[_Actor] = []
        self._waiting: deque[_Item] = deque()
        self._finished: deque[tuple[int, Evaluation]] = deque()
        self._busy_s = 0.0
        self._usual_s: float | None = None
        self._failed_builds = 0

    @property
    def slots(self) -> int:
        return self._actors_wanted

    @property
    def busy_s(self) -> float:
        return self._busy_s

    def submit(self, index: int, genome: Genome) -> None:
        self._waiting.append(_Item(index, genome))

    def next_result(self, timeout_s: float) -> tuple[int, Evaluation] | None:
        if self._finished:
            return self._finished.popleft()
        until_s = self._clock.monotonic_s() + timeout_s
        while not self._finished and (self._waiting or self._has_calls()):
            try:
                self._staff()
                self._dispatch()
                self._collect(max(0.0, until_s - self._clock.monotonic_s()))
            except ray.exceptions.RayError as exc:
                raise CampaignError(f"the Ray cluster does not answer any more ({exc}): resume the campaign") from exc
            if self._clock.monotonic_s() >= until_s:
                break
        return self._finished.popleft() if self._finished else None

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor.handle)
        self._actors = []
        self._waiting.clear()
        self._finished.clear()

    def _has_calls(self) -> bool:
        return any(actor.calls for actor in self._actors)

    def _staff(self) -> None:
        """Start actors until there are as many as wanted."""
        if self._factory_ref is None:
            self._factory_ref = ray.put(self._factory)
        while len(self._actors) < self._actors_wanted:
            handle = self._actor_class.remote()
            building = handle.build.remote(self._factory_ref)
            self._actors.append(_Actor(handle=handle, building=building, since_s=self._clock.monotonic_s()))

    def _dispatch(self) -> None:
        depth = 2 if self._usual_s is not None and self._usual_s < _PIPELINED_S else 1
        for level in range(depth):
            for actor in self._actors:
                if self._waiting and actor.building is None and len(actor.calls) == level:
                    self._send(actor)

    def _send(self, actor: _Actor) -> None:
        items = self._next_batch()
        ref = actor.handle.evaluate.remote([(item.index, item.genome) for item in items])
        if not actor.calls:
            actor.head_since_s = self._clock.monotonic_s()
        actor.calls.append(_Call(ref=ref, items=items))

    def _next_batch(self) -> list[_Item]:
        share = -(-len(self._waiting) // self._actors_wanted)
        fitting = 1 if self._usual_s is None else int(_CALL_S / max(self._usual_s, _CALL_S / _LARGEST_BATCH))
        size = max(1, min(share, fitting))
        items = [self._waiting.popleft()]
        while len(items) < size and not items[0].is_alone and self._waiting and not self._waiting[0].is_alone:
            items.append(self._waiting.popleft())
        return items

    def _collect(self, timeout_s: float) -> None:
        refs = list(itertools.chain.from_iterable(actor.refs for actor in self._actors))
        wait_s = min(timeout_s, self._until_next_deadline_s())
        ready, _ = ray.wait(refs, num_returns=1, timeout=max(0.0, wait_s))
        if ready:
            more, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            ready_refs = set(more)
            for actor in list(self._actors):
                self._take_results(actor, ready_refs)
        self._keep_deadlines()

    def _take_results(self, actor: _Actor, ready: set[Any]) -> None:
        if actor.building is not None:
            if actor.building in ready:
                self._finish_build(actor)
            return
        while actor.calls and actor.calls[0].ref in ready:
            call = actor.calls.popleft()
            actor.head_since_s = self._clock.monotonic_s()
            try:
                results = ray.get(call.ref)
            except ray.exceptions.RayActorError:
                self._replace(actor, call, "the evaluation ended its process (crash, exit, or out of memory)")
                return
            except ray.exceptions.RayTaskError as exc:
                self._blame(call, f"the evaluation broke its actor: {_cause(exc)}")
                continue
            for index, evaluation in results:
                self._note(evaluation)
                self._finished.append((index, evaluation))

    def _finish_build(self, actor: _Actor) -> None:
        try:
            ray.get(actor.building)
        except ray.exceptions.RayTaskError as exc:
            raise CampaignError(f"the evaluator cannot be built: {_cause(exc)}") from exc
        except ray.exceptions.RayActorError as exc:
            self._failed_builds += 1
            if self._failed_builds >= _BUILD_ATTEMPTS:
                raise CampaignError("the evaluator ends its process while it is built: run it in process once") from exc
            self._actors.remove(actor)
            return
        actor.building = None

    def _note(self, evaluation: Evaluation) -> None:
        self._busy_s += evaluation.duration_s
        usual_s = evaluation.duration_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + 0.1 * (evaluation.duration_s - usual_s)

    def _until_next_deadline_s(self) -> float:
        now_s = self._clock.monotonic_s()
        starts = [actor.head_since_s for actor in self._actors if actor.calls]
        return min((start_s + self._deadline_s - now_s for start_s in starts), default=_STARTUP_S)

    def _keep_deadlines(self) -> None:
        now_s = self._clock.monotonic_s()
        for actor in list(self._actors):
            if actor.calls and now_s - actor.head_since_s >= self._deadline_s:
                ray.kill(actor.handle)
                self._replace(actor, actor.calls.popleft(), f"no result within the deadline of {self._deadline_s:g} s")
        is_building = [actor.building is not None for actor in self._actors]
        if self._actors and all(is_building) and now_s - self._actors[0].since_s >= _STARTUP_S:
            raise CampaignError(f"no evaluator was ready within {_STARTUP_S:.0f} s: has the cluster free CPUs?")

    def _replace(self, actor: _Actor, running: _Call, reason: str) -> None:
        """The actor is gone: blame what ran, and put back what only waited there."""
        self._actors.remove(actor)
        for call in reversed(actor.calls):
            self._waiting.extendleft(reversed(call.items))
        self._blame(running, reason)

    def _blame(self, call: _Call, reason: str) -> None:
        if len(call.items) > 1:  # nobody knows which of them it was: each is tried alone
            for item in call.items:
                item.is_alone = True
            self._waiting.extendleft(reversed(call.items))
            return
        (item,) = call.items
        item.attempts += 1
        item.is_alone = True
        if item.attempts < _ATTEMPTS:
            self._waiting.appendleft(item)
        else:
            self._finished.append((item.index, failed(f"{reason}, {_ATTEMPTS} times")))


def _cause(exc: "ray.exceptions.RayTaskError") -> str:
    cause = exc.cause if exc.cause is not None else exc
    return f"{type(cause).__name__}: {next(iter(str(cause).splitlines()), '')}"
