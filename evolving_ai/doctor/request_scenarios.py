"""Scenarios of ordinary use: health, models, chat, a stream, the decision explained, feedback."""

from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.scenario import Patient, Scenario

__all__ = ["REQUEST_SCENARIOS"]

_HEADERS = ("x-request-id", "x-evolving-dna", "x-evolving-snapshot", "x-evolving-target", "x-evolving-attempts")
_COST_HEADER = "x-evolving-cost-usd"
_RECORDED_WITHIN_S = 5.0
_SCORE = 0.75


def _health(patient: Patient) -> str:
    answer = patient.gateway.ask("GET", "/api/v1/system/health", key="")
    expect(answer.status == 200, f"health was answered {answer.shown}: expected 200")
    health = answer.document()
    expect(health["status"] == "ok", f"health is {health['status']}: expected ok (control there: {health['control']})")
    return f"version {health['version']}, generation {health['live']['generation']}"


def _models(patient: Patient) -> str:
    listed = patient.gateway.fetch("GET", "/v1/models")
    names = [entry["id"] for entry in listed["data"]]
    expect("auto" in names and len(names) > 1, f"{', '.join(names) or 'nothing'} is listed: expected auto and a model")
    return f"{len(names)} names"


def _chat(patient: Patient) -> str:
    answer = patient.gateway.chat(patient.model)
    expect(answer.status == 200, f"a chat was answered {answer.shown}: expected 200")
    text = answer.document()["choices"][0]["message"]["content"]
    expect(isinstance(text, str), "the answer has no text")
    for name in (*_HEADERS, _COST_HEADER):
        answer.header(name)
    return f"answered by {answer.header('x-evolving-target')} for {answer.header(_COST_HEADER)} USD"


def _stream(patient: Patient) -> str:
    answer = patient.gateway.chat(patient.model, is_stream=True)
    expect(answer.status == 200, f"a stream was answered {answer.shown}: expected 200")
    kind = answer.header("content-type")
    expect(kind.startswith("text/event-stream"), f"the stream is {kind}: expected text/event-stream")
    for name in _HEADERS:
        answer.header(name)
    events = [event for event in answer.text.split("\n\n") if event]
    expect(bool(events) and events[-1] == "data: [DONE]", "the stream does not end with data: [DONE]")
    costs = [event for event in events if event.startswith(f": {_COST_HEADER} ")]
    expect(len(costs) == 1, f"the stream has {len(costs)} comments with the cost: expected one")
    chunks = [event for event in events[:-1] if event.startswith("data: ")]
    expect(bool(chunks), "the stream has no chunks")
    return f"{len(chunks)} chunks, cost {costs[0].split()[-1]} USD"


def _decision(patient: Patient) -> str:
    answer = patient.gateway.chat(patient.model)
    expect(answer.status == 200, f"a chat was answered {answer.shown}: expected 200")
    path = f"/api/v1/ai/decisions/{answer.header('x-request-id')}"
    late = "the decision of an answered request is not known"
    patient.wait_until(lambda: patient.gateway.ask("GET", path).status == 200, _RECORDED_WITHIN_S, late)
    found = patient.gateway.fetch("GET", path)
    expect(found["target"] == answer.header("x-evolving-target"), "the decision names another target than the answer")
    expect(found["dna_hash"].startswith(answer.header("x-evolving-dna")), "the decision names another DNA")
    expect(found["cost_usd"] == answer.header(_COST_HEADER), "the decision names another cost")
    expect(0 < found["propensity"] <= 1, f"the propensity is {found['propensity']}: expected more than 0, at most 1")
    chosen = [candidate["model"] for candidate in found["candidates"] if candidate["is_chosen"]]
    expect(len(chosen) == 1, f"{len(chosen)} candidates are chosen: expected one")
    return f"{chosen[0]} of {len(found['candidates'])} candidates, propensity {found['propensity']:g}"


def _feedback(patient: Patient) -> str:
    answer = patient.gateway.chat(patient.model)
    expect(answer.status == 200, f"a chat was answered {answer.shown}: expected 200")
    decision_id = answer.header("x-request-id")
    said = {"decision_id": decision_id, "score": _SCORE}
    patient.gateway.fetch("POST", "/api/v1/ai/feedback", said)  # it may be there before the decision is
    path = f"/api/v1/ai/decisions/{decision_id}"

    def is_kept() -> bool:
        found = patient.gateway.ask("GET", path)
        feedback = found.document()["feedback"] if found.status == 200 else None
        return feedback is not None and feedback["score"] == _SCORE

    patient.wait_until(is_kept, _RECORDED_WITHIN_S, "feedback that was taken does not stand with its decision")
    return f"a score of {_SCORE:g} stands with its decision"


REQUEST_SCENARIOS = (
    Scenario("health", _health),
    Scenario("models are listed", _models),
    Scenario("chat", _chat),
    Scenario("a stream is complete", _stream),
    Scenario("a decision is explained", _decision),
    Scenario("feedback is kept", _feedback, needs_own=True),  # the system learns from it
)
