"""The routes of evolution: their shapes, their refusals, and what they ask of others."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import EvolvingAIError, RefNotFoundError, RequestError, UsageError
from evolving_ai.serving.api.evolution import evolution_router
from evolving_ai.stores.history import DnaHistory
from evolving_ai.wiring.campaign_jobs import CampaignJobs
from evolving_ai.wiring.routing_campaign import branch_of
from evolving_ai.wiring.stores import open_history
from tests.unit.wiring.launched import FakeLauncher
from tests.unit.wiring.test_campaign_winner import win

OPERATOR = Principal("key-1", "acme", Role.OPERATOR)
ROOT = "/api/v1/evolution"


class Services:
    """An installation whose live DNA is whatever the test says."""

    def __init__(self, home: Path, launcher: FakeLauncher, clock: ManualClock) -> None:
        self.campaigns = CampaignJobs(home, clock, launcher, limit=2)
        self.live = "main"
        self.rolled_back: list[tuple[Principal, str]] = []
        self.has_earlier = True
        self.candidate: str | None = None
        self.stopped: list[str] = []

    def live_commit(self) -> str:
        return self.live

    def training_table(self) -> Path | None:
        return Path("/data/table.parquet")

    def candidate_commit(self) -> str | None:
        return self.candidate

    async def stop_rollout(self, principal: Principal, reason: str) -> dict[str, Any]:
        self.stopped.append(reason)
        return {"commit": "live"}

    async def roll_back(self, principal: Principal, reason: str) -> dict[str, Any]:
        if not self.has_earlier:
            raise UsageError("there is no earlier live DNA")
        self.rolled_back.append((principal, reason))
        return {"commit": "before"}


@pytest.fixture
def launcher() -> Iterator[FakeLauncher]:
    made = FakeLauncher(ManualClock())
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def services(home: Path, launcher: FakeLauncher) -> Services:
    return Services(home, launcher, launcher._clock)


def code_of(exc: EvolvingAIError) -> str:
    if isinstance(exc, RequestError):
        return exc.code
    return "not_found" if isinstance(exc, RefNotFoundError) else "invalid_request"


async def answer_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, EvolvingAIError)
    return JSONResponse({"code": code_of(exc), "message": str(exc)}, PROBLEMS[code_of(exc)].status)


class Client:
    """The routes in an application, asked one after the other."""

    def __init__(self, services: Services) -> None:
        self._app = FastAPI()
        self._app.include_router(evolution_router(services))
        self._app.add_exception_handler(EvolvingAIError, answer_error)

    async def _authenticated(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "principal": OPERATOR}, receive, send)

    def ask(self, method: str, path: str, json: Any = None) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self._authenticated)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, ROOT + path, json=json)

        return asyncio.run(go())


@pytest.fixture
def client(services: Services) -> Client:
    return Client(services)


def test_a_campaign_is_started_looked_at_and_asked_to_stop(client: Client, launcher: FakeLauncher) -> None:
    started = client.ask("POST", "/start", {"target_fitness": 0.95, "max_iterations": 100})
    assert started.status_code == 202
    assert set(started.json()) == {"id", "state"}
    campaign = started.json()["id"]
    launcher.last.record("running", evaluations=3, best={"quality": 1.5}, highest_measures={"fitness_score": 0.5})
    status = client.ask("GET", f"/status/{campaign}").json()
    assert (status["state"], status["iterations"], status["max_iterations"]) == ("running", 3, 100)
    assert (status["fitness_score"], status["target_fitness"], status["winner"]) == (0.5, 0.95, None)
    assert client.ask("GET", "/campaigns").json() == {"campaigns": [status]}
    assert client.ask("POST", f"/stop/{campaign}").json() == {**status, "is_stop_requested": True}


def test_an_empty_wish_evolves_what_is_live_on_the_platform_s_table(client: Client, launcher: FakeLauncher) -> None:
    assert client.ask("POST", "/start", {}).status_code == 202
    assert (launcher.last.asked.start_from, str(launcher.last.asked.data)) == ("main", "/data/table.parquet")


@pytest.mark.parametrize(
    "wish",
    [
        {"target_fitness": 1.5},
        {"target_fitness": "high"},
        {"max_iterations": 0},
        {"max_iterations": 1.5},
        {"seed": -1},
        {"seed": 2**31},
        {"campaign": ""},
        {"maxiterations": 3},
        [],
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_starts_nothing(client: Client, launcher: FakeLauncher, wish: Any) -> None:
    assert client.ask("POST", "/start", wish).status_code == 422
    assert launcher.runners == []


def test_a_campaign_that_cannot_begin_is_a_conflict_with_its_own_reason(client: Client, launcher: FakeLauncher) -> None:
    launcher.at_first_wait = lambda runner: runner.die(1, "error: the table has no rows\n")
    refused = client.ask("POST", "/start", {})
    assert refused.status_code == 409
    assert refused.json()["message"] == "the campaign cannot begin: the table has no rows"


def test_one_too_many_is_a_conflict(client: Client) -> None:
    codes = [client.ask("POST", "/start", {}).status_code for _ in range(3)]
    assert codes == [202, 202, 409]


@pytest.mark.parametrize(("method", "path"), [("GET", "/status"), ("POST", "/stop"), ("POST", "/rollback")])
def test_an_unknown_campaign_is_not_found(client: Client, services: Services, method: str, path: str) -> None:
    answer = client.ask(method, f"{path}/absent")
    assert (answer.status_code, answer.json()["message"]) == (404, "there is no campaign absent")


@pytest.fixture
def campaign(client: Client) -> str:
    return str(client.ask("POST", "/start", {}).json()["id"])


@pytest.fixture
def history(home: Path) -> Iterator[DnaHistory]:
    with open_history(home) as opened:
        yield opened


def test_live_dna_that_won_a_campaign_is_rolled_back(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    services.live = win(history, campaign, 0.25).hash
    answer = client.ask("POST", f"/rollback/{campaign}")
    assert (answer.status_code, answer.json()) == (200, {"id": campaign, "live": {"commit": "before"}})
    assert services.rolled_back == [(OPERATOR, f"rollback of campaign {campaign}")]


def test_live_dna_that_was_made_from_a_winner_is_rolled_back(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    win(history, campaign, 0.25)
    edited = history.change(branch_of(campaign), {"features.bits": 10}, author="a", message="m")
    services.live = edited.hash
    assert client.ask("POST", f"/rollback/{campaign}").status_code == 200


def test_a_winner_that_is_being_rolled_out_is_taken_back_from_the_rollout(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    services.live = history.resolve("main").hash
    services.candidate = win(history, campaign, 0.25).hash
    answer = client.ask("POST", f"/rollback/{campaign}")
    assert (answer.status_code, answer.json()) == (200, {"id": campaign, "live": {"commit": "live"}})
    assert (services.stopped, services.rolled_back) == ([f"rollback of campaign {campaign}"], [])


def test_a_rollout_of_other_dna_is_left_alone(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    services.live = win(history, campaign, 0.25).hash
    services.candidate = history.resolve("main").hash
    assert client.ask("POST", f"/rollback/{campaign}").status_code == 200
    assert (services.stopped, len(services.rolled_back)) == ([], 1)


def test_live_dna_of_another_origin_stays_live(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    services.live = history.resolve("main").hash
    nothing = client.ask("POST", f"/rollback/{campaign}")
    won = win(history, campaign, 0.25)
    other = client.ask("POST", f"/rollback/{campaign}")
    services.live = win(history, "later", 0.5, start=won.hash).hash
    later = client.ask("POST", f"/rollback/{campaign}")
    assert [answer.status_code for answer in (nothing, other, later)] == [409, 409, 409]
    assert "has committed nothing new" in nothing.json()["message"]
    assert "it came from no campaign" in other.json()["message"]
    assert "it came from campaign later" in later.json()["message"]
    assert services.rolled_back == []


def test_without_earlier_dna_there_is_nothing_to_roll_back_to(
    client: Client, services: Services, campaign: str, history: DnaHistory
) -> None:
    services.live, services.has_earlier = win(history, campaign, 0.25).hash, False
    assert client.ask("POST", f"/rollback/{campaign}").status_code == 409
