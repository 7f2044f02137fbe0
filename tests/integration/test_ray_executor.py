"""Campaigns on real Ray actors: deadlines, deaths, the same archive, and nothing left running."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Objective
from evolving_ai.errors import CampaignError
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.on_ray.session import ray_session
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from tests.evaluators.faulty import Faulty
from tests.evaluators.toy import MixedFront

pytestmark = pytest.mark.ray

PROGRAM = Path(__file__).with_name("ray_campaign_program.py")
LONGEST_S = 120.0


@pytest.fixture(scope="module", autouse=True)
def ray_instance() -> Iterator[None]:
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="t") as scratch:
        tempfile.tempdir = scratch
        try:
            with ray_session(num_cpus=2, clock=SystemClock()):
                yield
        finally:
            tempfile.tempdir = before
        assert processes_naming(scratch) == []


@pytest.fixture
def pool() -> Iterator[Any]:
    from evolving_ai.evolution.on_ray.executor import RayExecutor

    made: list[RayExecutor] = []

    def make(factory: Any, *, deadline_s: float = 30.0) -> RayExecutor:
        made.append(RayExecutor(factory, actors=2, deadline_s=deadline_s, clock=SystemClock()))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def spec_for(problem: Any, evaluations: int) -> CampaignSpec:
    return CampaignSpec(
        id="test",
        seed=5,
        max_evaluations=evaluations,
        objectives=problem.objectives,
        space=problem.space,
        base=(Genome(problem.space.defaults()),),
        window=16,
    )


def run(spec: CampaignSpec, executor: Any) -> Any:
    return run_campaign(spec, InMemoryCampaignLedger(spec.to_json()), executor, clock=SystemClock())


def processes_naming(text: str) -> list[str]:
    """Processes that have `text` in their command line or, as Ray's agents rename themselves, their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            told = command.encode() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told and str(os.getpid()) != entry.name:
            found.append(command)
    return found


def test_actors_find_the_same_archive_as_the_own_process(pool: Any) -> None:
    spec = spec_for(MixedFront(), 300)
    alone = run(spec, InProcessExecutor(MixedFront(), SystemClock()))
    assert run(spec, pool(MixedFront)).archive.digest() == alone.archive.digest()


def test_an_evaluation_that_hangs_is_killed_at_its_deadline_and_the_others_are_served(pool: Any) -> None:
    executor = pool(Faulty, deadline_s=1.0)
    behaviours = ["hangs" if index == 4 else "good" for index in range(40)]
    failures = evaluate_all(executor, behaviours)
    assert failures.pop(4) == "no result within the deadline of 1 s, 2 times"
    assert failures == dict.fromkeys(failures)
    assert len(failures) == 39


def test_an_evaluation_that_ends_its_process_loses_no_other_candidate(pool: Any) -> None:
    behaviours = ["exits" if index % 10 == 7 else "good" for index in range(40)]
    failures = evaluate_all(pool(Faulty), behaviours)
    dead = {index for index, failure in failures.items() if failure is not None}
    assert dead == {7, 17, 27, 37}
    assert all("ended its process" in failures[index] and "2 times" in failures[index] for index in dead)


def test_deaths_do_not_change_what_a_campaign_finds(pool: Any) -> None:
    problem = Faulty(behaviours=("good", "raises", "exits"))
    spec = spec_for(problem, 24)
    executor = pool(_faulty)
    first = run(spec, executor)
    executor.close()
    second = run(spec, pool(_faulty))
    assert first.evaluations == second.evaluations == 24
    assert first.archive.digest() == second.archive.digest()
    assert any(one.evaluation.failure and "ended its process" in one.evaluation.failure for one in first.scored)


def test_an_evaluator_that_cannot_be_built_is_one_line(pool: Any) -> None:
    with pytest.raises(CampaignError, match=r"^the evaluator cannot be built: KeyError: 'no table'$"):
        evaluate_all(pool(_unbuildable), ["good"])


def test_a_killed_actor_is_replaced(pool: Any) -> None:
    executor = pool(Faulty)
    assert evaluate_all(executor, ["good"] * 4) == dict.fromkeys(range(4))
    import ray

    for actor in list(executor._actors):
        ray.kill(actor.handle)
    assert evaluate_all(executor, ["good"] * 20) == dict.fromkeys(range(20))


def evaluate_all(executor: Any, behaviours: list[str]) -> dict[int, str | None]:
    for index, behaviour in enumerate(behaviours):
        executor.submit(index, Genome({"behaviour": behaviour, "value": index}))
    failures: dict[int, str | None] = {}
    give_up = time.monotonic() + LONGEST_S
    while len(failures) < len(behaviours) and time.monotonic() < give_up:
        result = executor.next_result(1.0)
        if result is not None:
            assert result[0] not in failures
            failures[result[0]] = result[1].failure
    return failures


def _faulty() -> Faulty:
    return Faulty(behaviours=("good", "raises", "exits"))


def _unbuildable() -> Faulty:
    raise KeyError("no table")


def test_the_objectives_are_those_of_the_evaluator() -> None:
    assert Faulty().objectives == (Objective("value", "maximize"),)


@pytest.mark.parametrize("is_interrupted", [False, True], ids=["finished", "interrupted"])
def test_a_program_with_a_private_instance_leaves_no_process_and_no_file(tmp_path: Path, is_interrupted: bool) -> None:
    # Token authentication, as users have it: the tests' own instance runs without.
    hidden = {"RAY_AUTH_MODE", "RAY_ADDRESS"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    with tempfile.TemporaryDirectory(prefix="t") as scratch:
        command = [sys.executable, str(PROGRAM), "1000000" if is_interrupted else "200"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**environment, "TMPDIR": scratch})
        assert process.stdout is not None
        assert process.stdout.readline() == "running token\n"
        assert processes_naming(scratch)
        if is_interrupted:
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LONGEST_S)
        assert output == ("stopped\n" if is_interrupted else "budget_exhausted\n")
        assert processes_naming(scratch) == []
        assert list(Path(scratch).glob("evray*")) == []


@pytest.mark.parametrize("sign", ["", "gcs_server", "raylet"], ids=["its folder", "its first server", "its node"])
def test_an_interrupt_while_the_private_instance_starts_leaves_no_process_and_no_file(sign: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"RAY_AUTH_MODE", "RAY_ADDRESS"}}
    with tempfile.TemporaryDirectory(prefix="t") as scratch:
        command = [sys.executable, str(PROGRAM), "1000000"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**environment, "TMPDIR": scratch}
        )
        give_up = time.monotonic() + LONGEST_S
        while not has_begun(scratch, sign):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST_S)
        assert process.returncode != 0
        assert processes_naming(scratch) == []
        assert list(Path(scratch).glob("evray*")) == []


def has_begun(scratch: str, sign: str) -> bool:
    """Whether the instance has its folder and, where a sign is asked for, a process of that name."""
    if not list(Path(scratch).glob("evray*")):
        return False
    return not sign or any(f"/{sign} " in command for command in processes_naming(f"{scratch}/evray"))
