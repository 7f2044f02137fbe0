"""Campaigns beside the platform: what is started, what is told of it, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.fitness import Evaluation, Score
from evolving_ai.errors import CampaignError, DataError, RefNotFoundError, RequestError, UsageError
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.replay import stored_spec
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.wiring.campaign_jobs import CampaignJobs
from evolving_ai.wiring.campaign_request import CampaignRequest, requested_path
from evolving_ai.wiring.campaigns import campaigns_path, create_ledger
from tests.evaluators.toy import MixedFront
from tests.unit.wiring.launched import FakeLauncher, Runner

COMMIT = "c0ffee" * 10


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def launcher(clock: ManualClock) -> Iterator[FakeLauncher]:
    made = FakeLauncher(clock)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def jobs(home: Path, clock: ManualClock, launcher: FakeLauncher) -> CampaignJobs:
    return CampaignJobs(home, clock, launcher, limit=3)


def wish(**changes: Any) -> CampaignRequest:
    return CampaignRequest(**{"start_from": COMMIT, "table": Path("/data/table.parquet"), **changes})


def test_a_started_campaign_has_a_ledger_and_a_file_that_says_what_was_asked(
    jobs: CampaignJobs, launcher: FakeLauncher
) -> None:
    started = jobs.start(wish(target_fitness=0.9, max_iterations=7, seed=5))
    asked = launcher.last.asked
    assert started.id == launcher.last.id
    assert (started.state, started.max_iterations, started.target_fitness) == ("created", 7, 0.9)
    assert (asked.start_from, asked.data, asked.evals, asked.seed) == (COMMIT, Path("/data/table.parquet"), 7, 5)
    assert asked.target is not None
    assert (asked.target.objective, asked.target.value) == ("fitness_score", 0.9)


def test_a_running_campaign_tells_how_far_it_is(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    started = jobs.start(wish(max_iterations=50))
    launcher.last.record(
        "running", evaluations=12, best={"quality": 71.5}, highest_measures={"fitness_score": 0.8, "aiq": 60.0}
    )
    status = jobs.status(started.id)
    assert (status.state, status.iterations, status.max_iterations) == ("running", 12, 50)
    assert (status.best, status.fitness_score, status.winner) == ({"quality": 71.5}, 0.8, None)


def test_nothing_is_known_of_fitness_before_the_first_result(jobs: CampaignJobs) -> None:
    status = jobs.status(jobs.start(wish()).id)
    assert (status.fitness_score, status.target_fitness, status.best, status.iterations) == (None, None, {}, 0)


def test_a_campaign_runs_until_its_winner_is_committed(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    started = jobs.start(wish())
    launcher.last.record("budget_exhausted", reason="the budget of evaluations is spent")
    status = jobs.status(started.id)
    assert (status.state, status.winner) == ("running", None)
    assert "the budget of evaluations is spent" in status.reason


@pytest.mark.parametrize("recorded", ["created", "running", "budget_exhausted", "target_reached"])
def test_a_campaign_whose_process_died_is_interrupted_and_tells_how_to_go_on(
    jobs: CampaignJobs, launcher: FakeLauncher, recorded: str
) -> None:
    started = jobs.start(wish())
    launcher.last.record(recorded)
    launcher.last.die(-9)
    status = jobs.status(started.id)
    assert status.state == "interrupted"
    assert f"`evolving-ai campaign resume {started.id}`" in status.reason


def test_a_campaign_that_told_why_it_could_not_end_has_failed(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    started = jobs.start(wish())
    launcher.last.record("budget_exhausted")
    launcher.last.die(1, "campaign x\n12/12 best quality 3\nerror: no candidate was scored\n")
    assert (jobs.status(started.id).state, jobs.status(started.id).reason) == ("failed", "no candidate was scored")


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_what_a_campaign_records_of_its_end_is_told(jobs: CampaignJobs, launcher: FakeLauncher, state: str) -> None:
    started = jobs.start(wish())
    launcher.last.record(state, reason="so it was")
    launcher.last.die(1, "error: other words")
    assert (jobs.status(started.id).state, jobs.status(started.id).reason) == (state, "so it was")


@pytest.mark.parametrize(("code", "error"), [(1, CampaignError), (2, UsageError)])
def test_a_campaign_that_cannot_begin_tells_why_and_leaves_no_file(
    jobs: CampaignJobs, launcher: FakeLauncher, home: Path, code: int, error: type[Exception]
) -> None:
    launcher.at_first_wait = lambda runner: runner.die(code, "reading\nerror: table.parquet does not exist\n")
    with pytest.raises(error, match=r"^table\.parquet does not exist$"):
        jobs.start(wish())
    assert not requested_path(home, launcher.last.id).exists()
    assert jobs.list() == []


@pytest.mark.parametrize(("code", "how"), [(-9, "was ended by signal 9"), (1, "ended with code 1")])
def test_a_process_that_ends_without_a_word_is_told_of_with_its_log(
    jobs: CampaignJobs, launcher: FakeLauncher, code: int, how: str
) -> None:
    launcher.at_first_wait = lambda runner: runner.die(code)
    with pytest.raises(CampaignError, match=how) as caught:
        jobs.start(wish())
    assert str(launcher.last.log) in str(caught.value)


def test_a_process_that_does_not_begin_is_ended(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    launcher.at_first_wait = lambda _: None
    with pytest.raises(CampaignError, match="did not begin within 170 s"):
        jobs.start(wish())
    assert launcher.last.is_killed


def test_a_launched_campaign_has_begun_once_it_has_a_ledger(
    jobs: CampaignJobs, launcher: FakeLauncher, clock: ManualClock
) -> None:
    launcher.at_first_wait = lambda _: None
    beginning = jobs.launch(wish())
    clock.advance(100)
    assert jobs.begun(beginning) is None
    launcher.last.begin()
    begun = jobs.begun(beginning)
    assert begun is not None
    assert (begun.id, begun.state) == (beginning.id, "created")


def test_a_campaign_over_before_anybody_looked_has_been_started(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    def run_at_once(runner: Runner) -> None:
        runner.begin()
        runner.record("stopped", reason="done")
        runner.die(0)

    launcher.at_first_wait = run_at_once
    assert jobs.start(wish()).state == "stopped"


def test_so_many_run_at_once_and_no_more_until_one_ends(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    first, *_ = [jobs.start(wish()) for _ in range(3)]
    with pytest.raises(RequestError, match="3 campaigns run already, and at most 3") as caught:
        jobs.start(wish())
    assert caught.value.code == "conflict"
    launcher.runners[0].die(-9)
    assert jobs.start(wish()).id != first.id


def test_campaigns_from_the_command_line_count_too(jobs: CampaignJobs, home: Path, launcher: FakeLauncher) -> None:
    for _ in range(2):
        jobs.start(wish())
    spec = stored_spec(launcher.last.ledger)
    other = CampaignFolder(campaigns_path(home), "other")
    with create_ledger(other, spec), pytest.raises(RequestError, match="3 campaigns run already"):
        jobs.start(wish())
    assert jobs.start(wish()).state == "created"


def test_stop_asks_the_runner_and_says_so(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    started = jobs.start(wish())
    launcher.last.record("running")
    assert jobs.stop(started.id).is_stop_requested
    assert launcher.last.folder.is_stop_requested()


def test_stopping_what_does_not_run_changes_nothing(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    started = jobs.start(wish())
    launcher.last.record("stopped")
    launcher.last.die(0)
    assert jobs.stop(started.id) == jobs.status(started.id)
    assert not launcher.last.folder.is_stop_requested()


def test_a_list_has_the_last_changed_first_and_damaged_ones_with_their_problem(
    jobs: CampaignJobs, launcher: FakeLauncher, home: Path
) -> None:
    first, second = (jobs.start(wish()) for _ in range(2))
    launcher.runners[0].record("running", updated="2026-01-02T00:00:00+00:00")
    launcher.runners[1].record("running", updated="2026-01-01T00:00:00+00:00")
    (campaigns_path(home) / "torn").mkdir()
    (campaigns_path(home) / "torn" / "ledger.db").write_bytes(b"no database, but long enough to look like one")
    listed = jobs.list()
    assert [one.id for one in listed] == [first.id, second.id, "torn"]
    assert listed[-1].state == "unreadable"
    assert "is not a database" in listed[-1].reason


def test_the_folder_of_requests_is_no_campaign(jobs: CampaignJobs) -> None:
    started = jobs.start(wish())
    assert [one.id for one in jobs.list()] == [started.id]
    with pytest.raises(UsageError, match="is no campaign id"):
        jobs.status("requested")


@pytest.mark.parametrize("campaign_id", ["absent", "torn"])
def test_an_unknown_campaign_is_refused(jobs: CampaignJobs, campaign_id: str) -> None:
    for ask in (jobs.status, jobs.stop, lambda name: jobs.check_origin(name, COMMIT)):
        with pytest.raises(RefNotFoundError, match=f"there is no campaign {campaign_id}$"):
            ask(campaign_id)


@pytest.mark.parametrize("campaign_id", ["../up", "", "a/b", "x" * 65])
def test_what_is_no_id_is_refused(jobs: CampaignJobs, campaign_id: str) -> None:
    with pytest.raises(UsageError, match="is no campaign id"):
        jobs.status(campaign_id)


def test_without_outcomes_nothing_is_started(jobs: CampaignJobs, launcher: FakeLauncher) -> None:
    with pytest.raises(DataError, match="no outcomes to search on"):
        jobs.start(wish(table=None))
    assert launcher.runners == []


class Measured(MixedFront):
    """Every candidate has a fitness, the best of all the third."""

    def __init__(self) -> None:
        object.__setattr__(self, "calls", [])

    def evaluate(self, genome: Any) -> Evaluation:
        self.calls.append(genome)  # type: ignore[attr-defined]
        fitness = (0.2, 0.4, 0.9)[len(self.calls) - 1] if len(self.calls) < 4 else 0.1  # type: ignore[attr-defined]
        return Evaluation(
            scores={"quality": Score(1.0), "cost": Score(1.0)}, measures={"fitness_score": fitness, "aiq": 3.0}
        )


def test_the_fitness_told_is_the_highest_that_a_campaign_measured(
    jobs: CampaignJobs, launcher: FakeLauncher, clock: ManualClock
) -> None:
    started = jobs.start(wish(max_iterations=6))
    ledger = launcher.last.ledger
    run_campaign(stored_spec(ledger), ledger, InProcessExecutor(Measured(), clock), clock=clock)
    assert jobs.status(started.id).fitness_score == 0.9
    assert jobs.status(started.id).iterations == 6
