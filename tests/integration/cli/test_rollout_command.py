"""`evolving-ai rollout` as a user runs it, against a server that answers as the platform does."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.platform_server import PlatformServer, Scripted, Stalled, running_platform
from tests.doubles.rollout_views import gate_view, rollout_view, transition_view
from tests.integration.cli.program import LONGEST_S, PROGRAM, Done, refused, run

ID, OTHER = "rollout-0000000001", "rollout-0000000002"


@pytest.fixture(scope="module")
def shared() -> Iterator[PlatformServer]:
    with running_platform() as platform:
        yield platform


@pytest.fixture
def platform(shared: PlatformServer) -> Iterator[PlatformServer]:
    shared.reset()
    yield shared
    assert not shared.script, f"nobody asked for {shared.script}"


@pytest.fixture
def environment(platform: PlatformServer, tmp_path: Path) -> dict[str, str]:
    return {
        "EVOLVING_AI_BASE_URL": platform.url,
        "EVOLVING_AI_API_KEY": "key",
        "EVOLVING_AI_HOME": str(tmp_path / "home"),
    }


def answers(platform: PlatformServer, *documents: Any) -> None:
    platform.script.extend(Scripted(200, document) for document in documents)


def refusal(status: int, code: str, message: str, hint: str) -> Scripted:
    return Scripted(status, {"error": {"code": code, "message": message, "hint": hint, "request_id": "req-1"}})


def asked(platform: PlatformServer) -> list[tuple[str, str, Any]]:
    return [(request.method, request.path.removeprefix("/api/v1/rollouts"), request.body) for request in platform.seen]


def test_start_sends_the_plan_that_was_asked_for(
    platform: PlatformServer, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("margins: {cost: 0.2}\nmax_requests: 5000\n")
    options = ("--plan", file, "--share", "0.2", "--quality-points", "2", "--approve-by-hand", "--reason", "cheaper")

    done = run("rollout", "start", "campaign/x", *options, environment=environment)

    plan = {
        "margins": {"cost": 0.2, "quality": 0.02},
        "max_requests": 5000,
        "stages": [{"share": 0.2, "min_requests": 1000}],
        "needs_approval": True,
    }
    assert asked(platform) == [("POST", "", {"ref": "campaign/x", "plan": plan, "reason": "cheaper"})]
    assert done.output == f"{ID} of dna dddddddddddd: gating\n"
    assert "rollout status --follow" in done.errors
    assert platform.seen[0].headers["authorization"] == "Bearer key"


def test_a_plan_that_cannot_be_is_refused_before_anything_is_sent(
    platform: PlatformServer, environment: dict[str, str]
) -> None:
    assert "expected growing" in refused(
        "rollout", "start", "main", "--share", "0.5,0.1", code=2, environment=environment
    )
    assert platform.seen == []


def follow_to(platform: PlatformServer, environment: dict[str, str], end: str, code: int, *options: str) -> Done:
    steps = [transition_view("gating", reason="started"), transition_view("canary", share=0.1, reason="all passed")]
    last = rollout_view(ID, end, reason="because", transitions=[*steps, transition_view(end, reason="because")])
    answers(
        platform,
        rollout_view(ID, "gating", transitions=steps[:1]),
        rollout_view(ID, "gating", transitions=steps[:1]),
        rollout_view(ID, gates=[gate_view()], transitions=steps),
        last,
    )
    return run("rollout", "start", "main", "--follow", *options, code=code, environment=environment)


@pytest.mark.parametrize(("end", "code"), [("promoted", 0), ("rolled_back", 1), ("refused", 1), ("stopped", 1)])
def test_a_rollout_is_followed_to_its_end_and_its_exit_code_tells_which(
    platform: PlatformServer, environment: dict[str, str], end: str, code: int
) -> None:
    done = follow_to(platform, environment, end, code)

    assert done.output.splitlines()[0] == f"rollout    {ID}: {end.replace('_', ' ')}: because"
    assert done.errors.splitlines() == [
        "gating: started",
        "gate genome passed: 6 genes are legal",
        "canary, 10 % of the requests: all passed",
        f"{end.replace('_', ' ')}: because",
    ]
    assert asked(platform)[1:] == [("GET", f"/{ID}", None)] * 3


def test_followed_with_json_there_is_one_document(platform: PlatformServer, environment: dict[str, str]) -> None:
    assert follow_to(platform, environment, "rolled_back", 1, "--json").document["state"] == "rolled_back"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaving_while_following_leaves_the_rollout_running(
    platform: PlatformServer, environment: dict[str, str], number: signal.Signals
) -> None:
    answers(platform, rollout_view(ID, "gating"))
    platform.script.append(Stalled())
    process = subprocess.Popen(
        [PROGRAM, "rollout", "start", "main", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        while len(platform.seen) < 2:
            assert platform.was_asked.wait(LONGEST_S)
            platform.was_asked.clear()
        process.send_signal(number)
        output, errors = process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()

    assert (process.returncode, output) == (130, "")
    left, last = errors.splitlines()
    assert left.startswith(f"{ID} is left as it is: `evolving-ai rollout status {ID} --follow` follows it")
    assert last == "interrupted"
    assert [method for method, _, _ in asked(platform)] == ["POST", "GET"], "nothing was stopped"


def test_status_is_that_of_the_active_rollout_else_of_the_last(
    platform: PlatformServer, environment: dict[str, str]
) -> None:
    over = rollout_view(ID, "refused")
    for listed, chosen in (([over, rollout_view(OTHER)], OTHER), ([over, rollout_view(OTHER, "stopped")], ID)):
        platform.reset()
        answers(platform, {"rollouts": listed}, rollout_view(chosen))
        done = run("rollout", "status", environment=environment)
        assert asked(platform)[1] == ("GET", f"/{chosen}", None)
        assert done.output.startswith(f"rollout    {chosen}: canary, 10 % of the requests\n")


def test_status_shows_evidence_gates_and_steps(platform: PlatformServer, environment: dict[str, str]) -> None:
    done = run("rollout", "status", ID, environment=environment)
    document = run("rollout", "status", ID, "--json", environment=environment).document

    for word in ("control (n)", "against", "quality", "cost", "latency", "errors", "genome", "local-admin"):
        assert word in done.output
    assert document == rollout_view(ID)


def test_a_list_of_none_says_how_to_begin(platform: PlatformServer, environment: dict[str, str]) -> None:
    answers(platform, {"rollouts": []}, {"rollouts": []}, {"rollouts": []})

    assert "`evolving-ai rollout start REF` begins one" in run("rollout", "list", environment=environment).errors
    assert run("rollout", "list", "--json", environment=environment).document == {"rollouts": []}
    assert "there is no rollout so far" in refused("rollout", "status", environment=environment)


def test_a_list_tells_all(platform: PlatformServer, environment: dict[str, str]) -> None:
    table = run("rollout", "list", environment=environment).output

    assert [line.split()[0] for line in table.splitlines()] == ["rollout", OTHER, ID]


@pytest.mark.parametrize(("command", "body"), [("approve", {}), ("stop", {"reason": ""})])
def test_the_active_rollout_needs_no_name(
    platform: PlatformServer, environment: dict[str, str], command: str, body: dict[str, str]
) -> None:
    answers(platform, {"rollouts": [rollout_view(OTHER, "awaiting_approval"), rollout_view(ID, "refused")]})

    done = run("rollout", command, environment=environment)

    assert asked(platform)[1] == ("POST", f"/{OTHER}/{command}", body)
    assert done.output.startswith(f"{OTHER} is now ")


def test_a_rollout_is_stopped_by_its_name_with_a_reason(platform: PlatformServer, environment: dict[str, str]) -> None:
    done = run("rollout", "stop", ID, "--reason", "too late", "--json", environment=environment)

    assert asked(platform) == [("POST", f"/{ID}/stop", {"reason": "too late"})]
    assert (done.document["state"], done.document["reason"]) == ("stopped", "too late")


def test_without_an_active_rollout_nothing_is_approved_or_stopped(
    platform: PlatformServer, environment: dict[str, str]
) -> None:
    answers(platform, {"rollouts": [rollout_view(ID, "promoted")]}, {"rollouts": []})

    assert "no rollout is active" in refused("rollout", "approve", environment=environment)
    assert "no rollout is active" in refused("rollout", "stop", environment=environment)
    assert [method for method, _, _ in asked(platform)] == ["GET", "GET"]


@pytest.mark.parametrize("wrong", ["..", "", "a/b", "-", "x?y"])
def test_an_id_that_cannot_be_is_refused_before_anything_is_sent(
    platform: PlatformServer, environment: dict[str, str], wrong: str
) -> None:
    assert "is not the id of a rollout" in refused("rollout", "status", "--", wrong, code=2, environment=environment)
    assert platform.seen == []


def test_refusals_of_the_platform_are_one_line(platform: PlatformServer, environment: dict[str, str]) -> None:
    message, hint = f"{OTHER} is under way", "wait until it is over"
    platform.script.append(refusal(409, "conflict", message, hint))
    assert refused("rollout", "start", "main", environment=environment) == f"error: {message} ({hint})"

    platform.script.append(refusal(409, "conflict", message, hint))
    answer = run("rollout", "start", "main", "--json", code=1, environment=environment)
    assert json.loads(answer.output)["error"]["message"] == f"{message} ({hint})"


def test_without_a_platform_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    for command in (("start", "main"), ("status",), ("list",), ("approve",), ("stop",)):
        assert refused("rollout", *command, "--home", tmp_path) == (
            "error: the platform is not running: start it with `evolving-ai up`"
        )
