"""Providers of `config.yaml` in place of replayed ones: what is passed on, whose key is shown, what is refused."""

import json
from typing import Any

import openai
import pytest

from tests.integration.installation.installed import Installed, error_of
from tests.integration.installation.recording_upstream import TOOL_CALL, RecordingUpstream

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("platform", ["configured"], indirect=True),
]

HELLO: Any = [{"role": "user", "content": "What is the weather in Ulm?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]
FIELDS: Any = {
    "tools": TOOLS,
    "tool_choice": "auto",
    "temperature": 0.25,
    "max_completion_tokens": 50,
    "response_format": {"type": "json_object"},
    "seed": 7,
    "user": "u-1",
}


def test_tools_and_other_fields_are_passed_through(platform: Installed, upstream: RecordingUpstream) -> None:
    with openai.OpenAI(api_key=platform.admin_key, base_url=f"{platform.url}/v1") as client:
        answer = client.chat.completions.create(model="recorder", messages=HELLO, **FIELDS, extra_body={"new": [1]})
    headers, body = upstream.seen[-1]

    assert body == {"model": "recorder", "messages": HELLO, **FIELDS, "new": [1]}
    assert headers["authorization"] == f"Bearer {upstream.good_key}"
    assert platform.admin_key not in json.dumps(headers)
    assert not [name for name in headers if name.startswith("x-evolving")]
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.to_dict() == TOOL_CALL


def test_tool_calls_are_streamed_through(platform: Installed, upstream: RecordingUpstream) -> None:
    with openai.OpenAI(api_key=platform.admin_key, base_url=f"{platform.url}/v1") as client:
        chunks = list(client.chat.completions.create(model="recorder", messages=HELLO, stream=True, **FIELDS))
    _, body = upstream.seen[-1]

    assert {name: body[name] for name in FIELDS} == FIELDS
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert [(call.id, call.function and call.function.name) for call in calls] == [("call_1", "weather")]
    assert all(chunk.choices for chunk in chunks), "usage was not asked for"


def test_answers_say_nothing_of_replay_and_cost_what_the_price_says(platform: Installed) -> None:
    answer = platform.chat("Hello", model="recorder")

    assert answer.headers["x-evolving-target"] == "good/recorder"
    assert answer.headers["x-evolving-cost-usd"] == "0.000025"  # 11 tokens at 1 and 7 at 2 dollars a million
    assert "x-replay-score" not in answer.headers
    assert "replay" not in platform.send("GET", "/v1/models").text


def test_a_provider_that_refuses_our_key_is_told_without_the_key(
    platform: Installed, upstream: RecordingUpstream
) -> None:
    answer = platform.chat("Hello", model="refused/locked")
    decision = platform.decision(answer.headers["x-request-id"])

    assert error_of(answer, 502)["code"] == "provider_refused"
    assert [attempt["result"] for attempt in decision["attempts"]] == ["credentials"]
    for text in (answer.text, json.dumps(decision), *everything_written(platform)):
        assert upstream.refused_key not in text
        assert upstream.good_key not in text


def test_another_provider_answers_for_one_that_refuses_our_key(platform: Installed) -> None:
    answers = [platform.chat("Hello") for _ in range(6)]

    assert {answer.headers.get("x-evolving-target") for answer in answers} == {"good/recorder"}


def test_providers_are_shown_with_their_kind_and_without_their_key(
    platform: Installed, upstream: RecordingUpstream
) -> None:
    answer = platform.send("GET", "/api/v1/ai/providers")
    shown = {each["name"]: (each["kind"], each["is_ready"]) for each in answer.json()["providers"]}

    assert shown == {"good": ("openai", True), "refused": ("openai", True)}
    assert upstream.good_key not in answer.text


def everything_written(platform: Installed) -> list[str]:
    """The text of every file of the home: databases, logs, what replicas load."""
    return [path.read_bytes().decode("latin-1") for path in platform.home.rglob("*") if path.is_file()]
