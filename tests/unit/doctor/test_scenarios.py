"""Each scenario passes on a platform that does what it must, and fails, in a line, on one that does not."""

from collections.abc import Callable

import httpx
import pytest

from evolving_ai.doctor.access_scenarios import ACCESS_SCENARIOS
from evolving_ai.doctor.chaos_scenarios import chaos_scenarios
from evolving_ai.doctor.exchange_scenario import EXCHANGE_SCENARIOS
from evolving_ai.doctor.failover_scenarios import FAILOVER_SCENARIOS
from evolving_ai.doctor.finding import Verdict
from evolving_ai.doctor.model_groups import STORMY
from evolving_ai.doctor.refusal_scenarios import REFUSAL_SCENARIOS
from evolving_ai.doctor.request_scenarios import REQUEST_SCENARIOS
from evolving_ai.doctor.scenario import Patient, Scenario, run_scenario
from tests.unit.doctor.fake_platform import FakePlatform, refusal

USUAL = (*REQUEST_SCENARIOS, *REFUSAL_SCENARIOS, *ACCESS_SCENARIOS, *FAILOVER_SCENARIOS)
BY_NAME = {scenario.name: scenario for scenario in USUAL}
STORM = next(scenario for scenario in chaos_scenarios(0) if scenario.name == "providers fail at random")
CHAT = "POST /v1/chat/completions"
OK_CHAT = {"choices": [{"message": {"content": "yes"}}]}


def reply(response: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: response


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.mark.parametrize("scenario", [*USUAL, STORM], ids=lambda scenario: scenario.name)
def test_a_platform_that_does_what_it_must_passes(scenario: Scenario, platform: FakePlatform) -> None:
    finding = run_scenario(scenario, platform.patient())

    assert finding.verdict is Verdict.OK, finding.detail
    assert finding.detail
    assert not platform.faults
    assert set(platform.keys) == platform.revoked
    assert not platform.capped


WRONG = [
    ("health", "GET /api/v1/system/health", refusal("not_ready"), "expected 200"),
    (
        "health",
        "GET /api/v1/system/health",
        httpx.Response(200, json={"status": "degraded", "control": False}),
        "health is degraded: expected ok",
    ),
    ("models are listed", "GET /v1/models", httpx.Response(200, json={"data": []}), "nothing is listed"),
    ("models are listed", "GET /v1/models", httpx.Response(200, text="<html>"), "no JSON"),
    ("models are listed", "GET /v1/models", httpx.Response(200, json={"models": []}), "not the form"),
    ("chat", CHAT, refusal("all_targets_failed"), "502"),
    ("chat", CHAT, httpx.Response(200, json=OK_CHAT), "no header x-request-id"),
    ("a stream is complete", CHAT, httpx.Response(200, json=OK_CHAT), "expected text/event-stream"),
    ("feedback is kept", "POST /api/v1/ai/feedback", refusal("not_found"), "404"),
    ("feedback is kept", "POST /api/v1/ai/feedback", httpx.Response(200, json={}), "within 5 s"),
    ("no key is refused", CHAT, httpx.Response(200, json=OK_CHAT), "expected 401 missing_api_key"),
    ("a wrong key is refused", CHAT, refusal("internal_error"), "expected 401 invalid_api_key"),
    ("an unknown model is refused", CHAT, refusal("invalid_request"), "expected 404 model_not_found"),
    ("malformed JSON is refused", CHAT, httpx.Response(400, text="no"), "expected 400 invalid_json"),
    ("malformed JSON is refused", CHAT, refusal("invalid_json", more={"at": "Traceback (most"}), "shows a traceback"),
    ("a chat without messages is refused", CHAT, refusal("invalid_request", 500), "expected 400"),
    ("a body of 32 MiB is refused", CHAT, refusal("invalid_json"), "expected 413 body_too_large"),
    ("a budget of nothing refuses", "POST /api/v1/budgets", httpx.Response(200, json={}), "within 5 s"),
    ("a revoked key is refused", CHAT, refusal("invalid_api_key"), "expected 200"),
    ("a viewer may not manage keys", "POST /api/v1/keys", refusal("control_unavailable"), "503"),
]


@pytest.mark.parametrize(("name", "route", "response", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_answer_fails_in_a_line(
    name: str, route: str, response: httpx.Response, text: str, platform: FakePlatform
) -> None:
    platform.replies[route] = reply(response)

    finding = run_scenario(BY_NAME[name], platform.patient())

    assert finding.verdict is Verdict.FAILED
    assert text in finding.detail
    assert "\n" not in finding.detail


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (": x-evolving-cost-usd 0.000001\n\n", "does not end with data: [DONE]"),
        ("data: [DONE]\n\n", "0 comments with the cost"),
    ],
)
def test_a_stream_that_lacks_its_end_fails(ending: str, text: str, platform: FakePlatform) -> None:
    names = ("x-request-id", "x-evolving-dna", "x-evolving-snapshot", "x-evolving-target", "x-evolving-attempts")
    headers = {**dict.fromkeys(names, "1"), "content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, text=f'data: {{"choices": []}}\n\n{ending}')
    platform.replies[CHAT] = reply(response)

    assert text in run_scenario(BY_NAME["a stream is complete"], platform.patient()).detail


def test_a_decision_that_tells_another_story_fails(platform: FakePlatform) -> None:
    story = {"target": "other/other", "dna_hash": "0" * 64, "cost_usd": "1"}
    platform.replies["GET /api/v1/ai/decisions/req-0"] = reply(httpx.Response(200, json=story))

    finding = run_scenario(BY_NAME["a decision is explained"], platform.patient())

    assert finding.detail == "the decision names another target than the answer"


def test_a_revoked_key_that_still_opens_fails_after_five_seconds(platform: FakePlatform) -> None:
    platform.replies["DELETE /api/v1/keys/secret-0"] = reply(httpx.Response(200, json={"is_valid": False}))

    finding = run_scenario(BY_NAME["a revoked key is refused"], platform.patient())

    assert finding.verdict is Verdict.FAILED
    assert "not refused everywhere within 5 s" in finding.detail
    assert finding.seconds == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("scenario", FAILOVER_SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_failover_fails_and_the_fault_is_taken_back(scenario: Scenario, platform: FakePlatform) -> None:
    platform.takes_over = False

    finding = run_scenario(scenario, platform.patient())

    assert finding.verdict is Verdict.FAILED
    assert "502" in finding.detail
    assert not platform.faults


def test_a_storm_that_is_answered_with_an_error_fails(platform: FakePlatform) -> None:
    platform.takes_over = False

    finding = run_scenario(STORM, platform.patient())

    assert finding.verdict is Verdict.FAILED
    assert not platform.faults


def test_a_storm_repeats_itself_from_its_seed_and_spares_a_model() -> None:
    stories = []
    for seed in (7, 7, 8):
        platform = FakePlatform()
        run_scenario(chaos_scenarios(seed)[-1], platform.patient())
        stories.append(platform.ordered)

    assert stories[0] == stories[1] != stories[2]
    assert len(stories[0]) % (len(STORMY.models) - 1) == 0
    assert all(0.5 <= share <= 1 for _, _, share in stories[0])


def test_only_harmless_scenarios_are_run_on_a_platform_of_others(platform: FakePlatform) -> None:
    everything = (*USUAL, *EXCHANGE_SCENARIOS, *chaos_scenarios(0))
    findings = [run_scenario(scenario, platform.patient(is_own=False)) for scenario in everything]

    skipped = [finding.name for finding in findings if finding.verdict is Verdict.SKIPPED]
    assert {finding.verdict for finding in findings} == {Verdict.OK, Verdict.SKIPPED}
    assert skipped == [scenario.name for scenario in everything if scenario.needs_own]
    assert not platform.keys
    assert not platform.ordered
    assert all(decision["feedback"] is None for decision in platform.decisions.values())


def test_no_answer_is_a_failure(platform: FakePlatform) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    platform.replies["GET /v1/models"] = refuse

    finding = run_scenario(BY_NAME["models are listed"], platform.patient())

    assert finding.detail == "GET /v1/models got no answer (ConnectError: refused)"


def test_being_asked_to_stop_ends_a_scenario(platform: FakePlatform) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    patient = platform.patient()
    asked = Patient(patient.gateway, patient.clock, stop, patient.model, platform)
    with pytest.raises(KeyboardInterrupt):
        run_scenario(BY_NAME["chat"], asked)
