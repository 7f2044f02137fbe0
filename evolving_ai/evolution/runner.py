"""Running a campaign: the loop between search, ledger and executor.

The rule it keeps: a candidate is in the ledger before it is evaluated, and every result that a candidate depends on
is in the ledger no later than that candidate. So whatever moment the process dies at, the ledger replays, and only
evaluations that were not committed are done again.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from evolving_ai._common.clock import Clock
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.errors import CampaignError, EvolvingAIError, StorageError
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.candidate import Candidate, Scored
from evolving_ai.evolution.evaluation import checked
from evolving_ai.evolution.ports import Executor
from evolving_ai.evolution.progress import Progress, Tally
from evolving_ai.evolution.replay import replay
from evolving_ai.evolution.result import CampaignResult
from evolving_ai.evolution.search import Search
from evolving_ai.evolution.state import CampaignState, advance
from evolving_ai.stores.ports import CampaignLedger

__all__ = ["run_campaign"]

_POLL_S = 0.1
"""How long one wait for results lasts: a stop request is seen this soon."""
_BATCH_ROWS = 64
_BATCH_AGE_S = 0.05
"""Rows wait for company in a transaction only while evaluations are running anyway."""
_REPORT_S = 0.2
_HEARTBEAT_S = 1.0


def _ignore(progress: Progress) -> None:
    """Nobody watches."""
    del progress


def run_campaign(
    spec: CampaignSpec,
    ledger: CampaignLedger,
    executor: Executor,
    *,
    clock: Clock,
    on_progress: Callable[[Progress], None] = _ignore,
    should_stop: Callable[[], bool] = lambda: False,
) -> CampaignResult:
    """Run a campaign to its end, from wherever its ledger stands.

    Ends as `target_reached`, `budget_exhausted` (evaluations, wall clock, or a finite space) or `stopped`. On
    KeyboardInterrupt it is `stopped` and the interrupt goes on; on an EvolvingAIError it is `failed` (resumable)
    and the error goes on. The executor is the caller's to close. CampaignError when the ledger belongs to another
    search.
    """
    return _Runner(spec, ledger, executor, clock, on_progress, should_stop).run()


class _Runner:
    def __init__(
        self,
        spec: CampaignSpec,
        ledger: CampaignLedger,
        executor: Executor,
        clock: Clock,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._executor = executor
        self._clock = clock
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._search = Search(spec)
        self._tally = Tally(spec.objectives)
        self._state = CampaignState.CREATED
        self._results: dict[int, Evaluation] = {}
        self._new_candidates: list[Candidate] = []
        self._new_results: dict[int, Evaluation] = {}
        self._in_flight = 0
        self._oldest_row_s: float | None = None
        self._earlier_s = 0.0
        self._start_s = self._reported_s = self._beat_s = clock.monotonic_s()
        self._start_admitted = 0
        self._waited_s = 0.0

    def run(self) -> CampaignResult:
        self._check_ledger()
        state, detail = self._ledger.state()
        self._state = CampaignState(state)
        self._earlier_s = float(detail.get("elapsed_s", 0.0))
        unfinished, self._results = replay(self._search, self._ledger.candidates(), self._tally.count)
        if self._state is CampaignState.TARGET_REACHED:
            return self._result("it was over already")
        self._start_admitted = self._search.admitted
        self._enter(CampaignState.RUNNING, "")
        for candidate in unfinished:
            self._submit(candidate)
        return self._run_guarded()

    def _check_ledger(self) -> None:
        stored = CampaignSpec.from_json(self._ledger.header())
        if not stored.is_continued_by(self._spec):
            raise CampaignError(
                f"campaign {self._spec.id} has begun with other settings: give the same ones, or choose another id"
            )

    def _run_guarded(self) -> CampaignResult:
        try:
            state, reason = self._loop()
        except KeyboardInterrupt:
            self._end(CampaignState.STOPPED, "interrupted")
            raise
        except EvolvingAIError as exc:
            with contextlib.suppress(StorageError):  # the disk may be what failed
                self._end(CampaignState.FAILED, str(exc))
            raise
        self._end(state, reason)
        return self._result(reason)

    def _loop(self) -> tuple[CampaignState, str]:
        while True:
            self._step_search()
            ending = self._ending()
            if ending is not None:
                return ending
            if self._is_flush_due():
                self._flush()
            self._receive(_POLL_S)
            self._show(_REPORT_S)

    def _step_search(self) -> None:
        """Ask and admit as far as the results go."""
        while True:
            if self._search.may_ask:
                candidate = self._search.ask()
                if candidate is not None:
                    self._new_candidates.append(candidate)
                    self._note_row()
            elif self._search.may_admit and self._search.admitted in self._results:
                scored = self._search.admit(self._results.pop(self._search.admitted))
                self._tally.count(scored)
            else:
                return

    def _ending(self) -> tuple[CampaignState, str] | None:
        if self._search.is_target_reached:
            return CampaignState.TARGET_REACHED, f"candidate {self._search.admitted - 1} reached the target"
        if self._search.is_over:
            what = "every genome of the space" if self._search.is_exhausted else "the budget of evaluations"
            return CampaignState.BUDGET_EXHAUSTED, f"{what} is spent"
        if self._should_stop():
            return CampaignState.STOPPED, "asked to stop"
        limit_s = self._spec.wall_clock_s
        if limit_s is not None and self._elapsed_s() >= limit_s:
            return CampaignState.BUDGET_EXHAUSTED, f"the wall clock limit of {limit_s:g} s is reached"
        return None

    def _is_flush_due(self) -> bool:
        if self._oldest_row_s is None:
            return False
        rows = len(self._new_candidates) + len(self._new_results)
        is_old = self._clock.monotonic_s() - self._oldest_row_s >= _BATCH_AGE_S
        starves = self._in_flight < max(self._executor.slots + 1, self._spec.window // 2)
        return rows >= _BATCH_ROWS or is_old or (starves and bool(self._new_candidates)) or self._in_flight == 0

    def _flush(self) -> None:
        """Everything new into the ledger, in one transaction; then the candidates to the executor."""
        for candidate in self._commit():
            self._submit(candidate)
        if self._clock.monotonic_s() - self._beat_s >= _HEARTBEAT_S:
            self._beat_s = self._clock.monotonic_s()
            self._ledger.set_state(self._state, self._detail(""))

    def _commit(self) -> tuple[Candidate, ...]:
        candidates, results = tuple(self._new_candidates), dict(self._new_results)
        if candidates or results:
            self._ledger.commit([candidate.to_record() for candidate in candidates], results)
        self._new_candidates, self._new_results, self._oldest_row_s = [], {}, None
        return candidates

    def _submit(self, candidate: Candidate) -> None:
        self._executor.submit(candidate.index, candidate.genome)
        self._in_flight += 1

    def _receive(self, timeout_s: float) -> None:
        """Take what is finished, waiting for the first of it only."""
        start_s = self._clock.monotonic_s()
        result = self._executor.next_result(timeout_s)
        self._waited_s += self._clock.monotonic_s() - start_s
        if result is None:
            return
        index, evaluation = result
        evaluation = checked(evaluation, self._spec.objectives)
        self._in_flight -= 1
        self._results[index] = evaluation
        self._new_results[index] = evaluation
        self._note_row()

    def _note_row(self) -> None:
        if self._oldest_row_s is None:
            self._oldest_row_s = self._clock.monotonic_s()

    def _end(self, state: CampaignState, reason: str) -> None:
        """Record the end. What is in flight is abandoned: a resumed campaign evaluates it again."""
        self._commit()
        self._enter(state, reason)
        self._show(0.0)

    def _enter(self, state: CampaignState, reason: str) -> None:
        # A campaign found running was cut off: its writer is dead, for this process holds the ledger.
        if self._state is not CampaignState.RUNNING or state is not CampaignState.RUNNING:
            self._state = advance(self._state, state)
        self._ledger.set_state(self._state, self._detail(reason))

    def _elapsed_s(self) -> float:
        return self._earlier_s + self._clock.monotonic_s() - self._start_s

    def _detail(self, reason: str) -> Mapping[str, Any]:
        return {
            "reason": reason,
            "elapsed_s": self._elapsed_s(),
            "updated": self._clock.now().isoformat(),
            "evaluations": self._search.admitted,
            "max_evaluations": self._spec.max_evaluations,
            "front_size": len(self._search.archive),
            "best": self._tally.best,
            "highest_measures": self._tally.highest,
        }

    def _show(self, every_s: float) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._reported_s < every_s:
            return
        self._reported_s = now_s
        self._on_progress(self._progress())

    def _progress(self) -> Progress:
        run_s = self._clock.monotonic_s() - self._start_s
        done = self._search.admitted - self._start_admitted
        rate = done / run_s if run_s > 0 else 0.0
        left = self._spec.max_evaluations - self._search.admitted
        return Progress(
            done=self._search.admitted,
            total=self._spec.max_evaluations,
            in_flight=self._in_flight,
            failed=self._tally.failed,
            elapsed_s=self._elapsed_s(),
            evaluations_per_s=rate,
            left_s=left / rate if rate > 0 else None,
            best=self._tally.best,
            front_size=len(self._search.archive),
            emitters=self._tally.emitters,
        )

    def _result(self, reason: str) -> CampaignResult:
        run_s = self._clock.monotonic_s() - self._start_s
        scored: tuple[Scored, ...] = tuple(self._search.scored)
        return CampaignResult(
            spec=self._spec,
            state=self._state,
            reason=reason,
            archive=self._search.archive,
            scored=scored,
            evaluations=self._search.admitted,
            elapsed_s=self._elapsed_s(),
            controller_s=run_s - self._waited_s,
            busy_s=self._executor.busy_s,
        )
