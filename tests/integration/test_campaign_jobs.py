"""Campaigns as processes of their own: started, stopped, killed and resumed, over the API as well."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from fastapi import FastAPI

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import CampaignError, UsageError
from evolving_ai.evolution.folder import CampaignFolder, campaign_folders
from evolving_ai.serving.api.evolution import evolution_router
from evolving_ai.wiring.campaign_jobs import CampaignJobs
from evolving_ai.wiring.campaign_process import CampaignProcess, launch_campaign
from evolving_ai.wiring.campaign_request import CampaignRequest
from evolving_ai.wiring.campaign_status import CampaignStatus, log_path
from evolving_ai.wiring.campaigns import campaigns_path, runner_of
from evolving_ai.wiring.stores import open_history
from tests.integration.cli.program import run
from tests.unit.decision.synthetic_outcomes import columns_of, write_table

QUERIES = 60
LONG = 1_000_000
LONGEST_S = 90.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    with open_history(path):
        pass
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.parquet", columns_of(QUERIES))


@pytest.fixture
def started() -> Iterator[list[CampaignProcess]]:
    """Every process that a test starts; none outlives it."""
    processes: list[CampaignProcess] = []
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture
def jobs(home: Path, started: list[CampaignProcess]) -> CampaignJobs:
    def launch(arguments: Any, log: Path) -> CampaignProcess:
        started.append(launch_campaign(arguments, log))
        return started[-1]

    return CampaignJobs(home, SystemClock(), launch)


@pytest.fixture
def wish(table: Path) -> Callable[..., CampaignRequest]:
    def make(**changes: Any) -> CampaignRequest:
        return CampaignRequest(**{"start_from": "main", "table": table, "seed": 3, **changes})

    return make


def wait_until(jobs: CampaignJobs, campaign_id: str, is_so: Callable[[CampaignStatus], bool]) -> CampaignStatus:
    give_up_s = time.monotonic() + LONGEST_S
    while not is_so(status := jobs.status(campaign_id)):
        assert time.monotonic() < give_up_s, status
        time.sleep(0.05)
    return status


def is_over(status: CampaignStatus) -> bool:
    return status.state not in ("created", "running")


def has_results(status: CampaignStatus) -> bool:
    return status.iterations >= 3


def runner_pid(home: Path, campaign_id: str) -> int:
    runner = runner_of(CampaignFolder(campaigns_path(home), campaign_id))
    assert runner is not None
    return int(runner.split()[1])


def test_a_campaign_runs_beside_and_ends_with_a_committed_winner(
    jobs: CampaignJobs, home: Path, wish: Any, started: list[CampaignProcess]
) -> None:
    campaign = jobs.start(wish(max_iterations=8, target_fitness=1.0))
    done = wait_until(jobs, campaign.id, is_over)
    assert (done.state, done.iterations, done.max_iterations) == ("budget_exhausted", 8, 8)
    assert done.fitness_score is not None
    assert 0 < done.fitness_score < 1.0
    assert set(done.best) == {"quality", "cost_usd_per_1k"}
    shown = run("dna", "show", f"campaign/{campaign.id}", "--home", home, "--json").document
    assert (shown["hash"], shown["dna_hash"]) == (done.winner, done.winner_dna_hash)
    assert started[0].wait(LONGEST_S) == 0
    assert log_path(home, campaign.id).stat().st_mode & 0o777 == 0o600
    assert "oracle" in log_path(home, campaign.id).read_text()
    same = run("evolve", home / "campaigns" / "requested" / f"{campaign.id}.yaml", "--home", home, "--json").document
    archive = run("campaign", "show", campaign.id, "--home", home, "--json").document["archive_digest"]
    assert same["archive_digest"] == archive


def test_a_fitness_that_is_reached_ends_a_campaign_early(jobs: CampaignJobs, wish: Any) -> None:
    campaign = jobs.start(wish(max_iterations=LONG, target_fitness=0.3))
    done = wait_until(jobs, campaign.id, is_over)
    assert done.state == "target_reached"
    assert done.fitness_score is not None
    assert done.fitness_score >= 0.3
    assert done.winner is not None


def test_two_run_at_once_and_each_stops_when_asked(jobs: CampaignJobs, home: Path, wish: Any) -> None:
    first, second = (jobs.start(wish(max_iterations=LONG, seed=seed)) for seed in (1, 2))
    for campaign in (first, second):
        wait_until(jobs, campaign.id, has_results)
    assert runner_pid(home, first.id) != runner_pid(home, second.id)
    assert jobs.stop(first.id).state == "running"
    stopped = wait_until(jobs, first.id, is_over)
    assert (stopped.state, stopped.reason) == ("stopped", "asked to stop")
    assert stopped.winner is not None
    assert jobs.status(second.id).state == "running"
    jobs.stop(second.id)
    assert wait_until(jobs, second.id, is_over).state == "stopped"
    assert {one.id for one in jobs.list()} == {first.id, second.id}


def test_a_campaign_makes_way_for_serving_and_uses_no_cluster_of_others(
    jobs: CampaignJobs, home: Path, wish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # where nobody answers
    campaign = jobs.start(wish(max_iterations=LONG))
    runner = runner_pid(home, campaign.id)
    wait_until(jobs, campaign.id, has_results)
    assert os.getpriority(os.PRIO_PROCESS, runner) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.getsid(runner) == os.getsid(0)
    assert os.getpgid(runner) == runner
    environment = Path(f"/proc/{runner}/environ").read_bytes().split(b"\0")
    assert b"OPENBLAS_NUM_THREADS=1" in environment


def test_a_campaign_may_be_stopped_the_moment_it_is_started(jobs: CampaignJobs, wish: Any) -> None:
    campaign = jobs.start(wish(max_iterations=LONG))
    jobs.stop(campaign.id)
    assert wait_until(jobs, campaign.id, is_over).state == "stopped"


@pytest.mark.slow
def test_a_killed_campaign_is_interrupted_and_the_command_line_resumes_it_to_the_same_archive(
    jobs: CampaignJobs, home: Path, wish: Any
) -> None:
    evaluations = 400
    whole = jobs.start(wish(max_iterations=evaluations))
    wait_until(jobs, whole.id, is_over)
    campaign = jobs.start(wish(max_iterations=evaluations))
    wait_until(jobs, campaign.id, has_results)
    os.kill(runner_pid(home, campaign.id), signal.SIGKILL)
    cut = wait_until(jobs, campaign.id, is_over)
    assert cut.state == "interrupted"
    assert f"`evolving-ai campaign resume {campaign.id}`" in cut.reason
    assert cut.winner is None

    resumed = run("campaign", "resume", campaign.id, "--home", home, "--json").document
    done = jobs.status(campaign.id)
    assert (done.state, done.iterations) == ("budget_exhausted", evaluations)
    assert done.winner == resumed["commit"]
    assert done.winner_dna_hash == jobs.status(whole.id).winner_dna_hash
    archive = run("campaign", "show", whole.id, "--home", home, "--json").document["archive_digest"]
    assert resumed["archive_digest"] == archive


def test_another_process_of_the_platform_knows_as_much(jobs: CampaignJobs, home: Path, wish: Any) -> None:
    campaign = jobs.start(wish(max_iterations=LONG))
    wait_until(jobs, campaign.id, has_results)
    later = CampaignJobs(home, SystemClock())
    assert later.status(campaign.id).state == "running"
    later.stop(campaign.id)
    assert wait_until(later, campaign.id, is_over).state == "stopped"


def test_what_cannot_be_asked_for_is_told_in_the_command_line_s_words(
    jobs: CampaignJobs, wish: Any, tmp_path: Path
) -> None:
    with pytest.raises(CampaignError, match=r"none\.parquet does not exist"):
        jobs.start(wish(table=tmp_path / "none.parquet"))
    with pytest.raises(UsageError, match="nowhere"):
        jobs.start(wish(start_from="nowhere"))
    file = tmp_path / "named.yaml"
    file.write_text(yaml.safe_dump({"kind": "routing", "genes": ["features.bitz"]}))
    with pytest.raises(UsageError, match=r"features\.bits"):
        jobs.start(wish(campaign=str(file)))
    assert jobs.list() == []


@pytest.mark.slow
def test_looking_all_the_time_disturbs_no_campaign_that_begins(jobs: CampaignJobs, home: Path, wish: Any) -> None:
    is_enough = threading.Event()

    def look() -> None:
        while not is_enough.is_set():
            for folder in campaign_folders(campaigns_path(home)):
                runner_of(folder)
            CampaignJobs(home, SystemClock()).list()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(3):
            campaign = jobs.start(wish(max_iterations=1))
            assert wait_until(jobs, campaign.id, is_over).state == "budget_exhausted"
            run("campaign", "resume", campaign.id, "--evals", 2, "--home", home)
    finally:
        is_enough.set()
        looker.join()


def test_an_id_is_taken_once(jobs: CampaignJobs, home: Path, table: Path, tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(yaml.safe_dump({"kind": "routing", "data": str(table), "evals": 1}))
    asked = ("evolve", file, "--home", home, "--id")
    assert run(*asked, "mine", "--json").document["campaign"] == "mine"
    assert "campaign mine exists already" in run(*asked, "mine", code=2).errors
    for wrong in ("../up", "requested", "", "a b"):
        assert "is no campaign id" in run(*asked, wrong, code=2).errors
    run("dna", "branch", "campaign/other", "--home", home)
    assert "branch campaign/other exists already" in run(*asked, "other", code=2).errors


class Services:
    """What the routes need, without a platform."""

    def __init__(self, jobs: CampaignJobs, table: Path) -> None:
        self.campaigns = jobs
        self._table = table

    def live_commit(self) -> str:
        return "main"

    def training_table(self) -> Path | None:
        return self._table

    async def roll_back(self, principal: Principal, reason: str) -> dict[str, Any]:
        raise AssertionError("nothing is to be rolled back")


@contextlib.asynccontextmanager
async def served(services: Services) -> Any:
    """The routes on a port of this machine; a client of them."""
    app = FastAPI()
    app.include_router(evolution_router(services))

    async def authenticated(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "principal": Principal("k", "local", Role.OPERATOR)}, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))  # who connects before it is served waits in its queue
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(authenticated, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/evolution", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        await serving


def test_the_api_starts_a_campaign_and_answers_others_meanwhile(jobs: CampaignJobs, table: Path) -> None:
    async def go() -> None:
        async with served(Services(jobs, table)) as client:
            starting = asyncio.create_task(client.post("/start", json={"max_iterations": 4, "seed": 1}))
            waits = []
            while not starting.done():
                asked_s = time.monotonic()
                assert (await client.get("/campaigns")).status_code == 200
                waits.append(time.monotonic() - asked_s)
            answer = starting.result()
            assert answer.status_code == 202
            assert sorted(waits)[len(waits) // 2] < 0.2
            campaign = answer.json()["id"]
            give_up_s = time.monotonic() + LONGEST_S
            while (status := (await client.get(f"/status/{campaign}")).json())["state"] in ("created", "running"):
                assert time.monotonic() < give_up_s
                await asyncio.sleep(0.1)
            assert (status["state"], status["iterations"]) == ("budget_exhausted", 4)
            assert status["winner"]

    asyncio.run(go())
