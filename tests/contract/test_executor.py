"""What every executor guarantees."""

from collections.abc import Callable, Iterator

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.on_ray.session import ray_session
from evolving_ai.evolution.ports import Executor
from tests.evaluators.faulty import Faulty

LONGEST_S = 60.0


@pytest.fixture(scope="module", params=["in_process", pytest.param("ray", marks=pytest.mark.ray)])
def make_executor(request: pytest.FixtureRequest) -> Iterator[Callable[[], Executor]]:
    clock = SystemClock()
    if request.param == "in_process":
        yield lambda: InProcessExecutor(Faulty(), clock)
        return
    with ray_session(num_cpus=2, clock=clock):
        from evolving_ai.evolution.on_ray.executor import RayExecutor

        yield lambda: RayExecutor(Faulty, actors=2, deadline_s=LONGEST_S, clock=clock)


@pytest.fixture
def executor(make_executor: Callable[[], Executor]) -> Iterator[Executor]:
    made = make_executor()
    yield made
    made.close()


def genome(value: int, behaviour: str = "good") -> Genome:
    return Genome({"value": value, "behaviour": behaviour})


def results(executor: Executor, count: int) -> list[tuple[int, Evaluation]]:
    clock = SystemClock()
    give_up_s = clock.monotonic_s() + LONGEST_S
    found = []
    while len(found) < count and clock.monotonic_s() < give_up_s:
        result = executor.next_result(1.0)
        if result is not None:
            found.append(result)
    return found


def test_every_candidate_comes_back_once_with_its_own_score(executor: Executor) -> None:
    for index in range(300):
        executor.submit(index, genome(999 - index))
    found = results(executor, 300)
    assert sorted(index for index, _ in found) == list(range(300))
    assert all(evaluation.scores["value"].value == 999 - index for index, evaluation in found)
    assert executor.next_result(0.0) is None


def test_an_exception_is_the_failure_of_its_candidate_alone(executor: Executor) -> None:
    for index in range(10):
        executor.submit(index, genome(index, "raises" if index % 3 == 0 else "good"))
    failures = {index: evaluation.failure for index, evaluation in results(executor, 10)}
    assert failures[3] == "ValueError: value 3 was asked to fail"
    assert [index for index in sorted(failures) if failures[index] is None] == [1, 2, 4, 5, 7, 8]


def test_nothing_submitted_is_no_result(executor: Executor) -> None:
    assert executor.next_result(0.0) is None


def test_the_evaluators_own_time_is_summed(executor: Executor) -> None:
    executor.submit(0, genome(1))
    ((_, evaluation),) = results(executor, 1)
    assert executor.busy_s == pytest.approx(evaluation.duration_s)
    assert executor.slots >= 1


def test_what_had_not_finished_is_abandoned_by_close(executor: Executor) -> None:
    for index in range(5):
        executor.submit(index, genome(index))
    executor.close()
    executor.close()
    assert executor.next_result(0.0) is None
