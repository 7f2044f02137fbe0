"""Recorded answers, the headers that every answer carries, and the decision that explains them."""

import hashlib
from typing import Any

import pytest

from tests.integration.installation.installed import Installed, error_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHORT = 12


def test_a_known_prompt_gets_what_was_recorded_of_each_model(platform: Installed, table: list[dict[str, Any]]) -> None:
    assert {row["model"] for row in table} == set(platform.models())
    for row in table[::3]:
        answer = platform.chat(row["prompt"], model=row["model"])
        body = answer.json()

        assert answer.status_code == 200
        assert body["choices"][0]["message"]["content"].startswith(f"[replay {row['model']}]")
        assert body["usage"]["prompt_tokens"] == row["prompt_tokens"]
        assert body["usage"]["completion_tokens"] == row["completion_tokens"]
        assert float(answer.headers["x-replay-score"]) == row["score"]


def test_an_unknown_prompt_is_told_how_to_get_a_real_answer_and_has_no_score(platform: Installed) -> None:
    answer = platform.chat("A prompt that no table has, zanzibar 4711.")

    assert "x-replay-score" not in answer.headers
    assert "OPENAI_API_KEY" in answer.json()["choices"][0]["message"]["content"]


def test_the_headers_of_an_answer_agree_with_the_decision(platform: Installed, table: list[dict[str, Any]]) -> None:
    prompt = table[0]["prompt"]
    answer = platform.chat(prompt, headers={"x-evolving-tags": "night,batch"})
    headers = answer.headers
    decision = platform.decision(headers["x-request-id"])
    live = platform.send("GET", "/api/v1/dna/live").json()

    assert headers["x-evolving-dna"] == decision["dna_hash"][:SHORT] == live["dna_hash"][:SHORT]
    assert headers["x-evolving-snapshot"] == decision["snapshot_hash"][:SHORT]
    assert headers["x-evolving-target"] == decision["target"]
    assert int(headers["x-evolving-attempts"]) == len(decision["attempts"]) == 1
    assert headers["x-evolving-cost-usd"] == decision["cost_usd"]
    assert float(headers["x-replay-score"]) == decision["score"]
    assert (decision["status"], decision["error_code"], decision["requested_model"]) == (200, None, "auto")
    assert decision["tags"] == ["night", "batch"]
    assert decision["prompt_hash"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert decision["content"] is None
    assert prompt not in str(decision)
    (chosen,) = (each for each in decision["candidates"] if each["is_chosen"])
    assert f"replay/{chosen['model']}" == decision["target"]
    assert 0 < decision["propensity"] <= 1


def test_a_stream_tells_its_cost_before_its_end(platform: Installed, table: list[dict[str, Any]]) -> None:
    answer = platform.chat(table[0]["prompt"], stream=True)
    *_, cost, done = answer.text.strip().split("\n\n")
    decision = platform.decision(answer.headers["x-request-id"])

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "x-evolving-cost-usd" not in answer.headers
    assert done == "data: [DONE]"
    assert cost == f": x-evolving-cost-usd {decision['cost_usd']}"
    assert answer.headers["x-evolving-target"] == decision["target"]
    assert answer.headers["x-evolving-dna"] == decision["dna_hash"][:SHORT]
    assert answer.headers["x-evolving-attempts"] == "1"
    assert decision["is_stream"]
    assert (decision["finish_reason"], decision["output_tokens"]) == ("stop", decision["attempts"][0]["output_tokens"])


def test_demands_narrow_what_may_be_chosen(platform: Installed) -> None:
    candidates = platform.send("POST", "/api/v1/ai/route", {"prompt": "Hello"}).json()["candidates"]
    cheapest = min(candidates, key=lambda each: each["cost_usd"])
    best = max(candidates, key=lambda each: each["quality"])

    cheap = platform.chat("Hello", headers={"x-evolving-max-cost-usd": repr(cheapest["cost_usd"] * 1.01)})
    good = platform.chat("Hello", headers={"x-evolving-min-quality": repr(best["quality"] - 1e-6)})
    refused = platform.chat("Hello", headers={"x-evolving-max-cost-usd": "0.000000001"})

    assert cheap.headers["x-evolving-target"] == f"replay/{cheapest['model']}"
    assert good.headers["x-evolving-target"] == f"replay/{best['model']}"
    assert error_of(refused, 400)["param"] == "x-evolving-max-cost-usd"


def test_an_operator_pins_a_dna_and_a_viewer_may_not(platform: Installed) -> None:
    live = platform.send("GET", "/api/v1/dna/live").json()["dna_hash"]
    viewer = platform.new_key("pinning")["secret"]

    assert platform.chat("Hello", headers={"x-evolving-dna": live[:8]}).headers["x-evolving-dna"] == live[:SHORT]
    assert platform.chat("Hello", headers={"x-evolving-dna": live[:8]}, key=viewer).status_code == 403
