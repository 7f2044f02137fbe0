"""The official OpenAI SDK, unchanged, pointed at the platform: answers, streams, models, errors."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.integration.installation.installed import Installed

pytestmark = [pytest.mark.ray, pytest.mark.slow]

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(platform: Installed) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=platform.admin_key, base_url=f"{platform.url}/v1") as found:
        yield found


def awaited(platform: Installed, action: Any) -> Any:
    """What `action` gets of the asynchronous client."""

    async def main() -> Any:
        async with openai.AsyncOpenAI(api_key=platform.admin_key, base_url=f"{platform.url}/v1") as client:
            return await action(client)

    return asyncio.run(main())


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_chat_is_answered_synchronously_and_asynchronously(platform: Installed, client: openai.OpenAI) -> None:
    answers: list[ChatCompletion] = [
        client.chat.completions.create(model="auto", messages=HELLO),
        awaited(platform, lambda c: c.chat.completions.create(model="auto", messages=HELLO)),
    ]

    for answer in answers:
        assert str(answer.choices[0].message.content).startswith(f"[replay {answer.model}]")
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@pytest.mark.parametrize("with_usage", [False, True])
def test_a_stream_has_the_text_and_the_usage_that_was_asked_for(
    platform: Installed, client: openai.OpenAI, with_usage: bool
) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
    asked: Any = {"model": "auto", "messages": HELLO, "stream": True, **options}

    async def collect(asynchronous: openai.AsyncOpenAI) -> list[ChatCompletionChunk]:
        stream: Any = await asynchronous.chat.completions.create(**asked)
        return [chunk async for chunk in stream]

    whole = client.chat.completions.create(model="auto", messages=HELLO)
    streams: list[list[ChatCompletionChunk]] = [
        list(client.chat.completions.create(**asked)),
        awaited(platform, collect),
    ]

    for chunks in streams:
        usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
        assert text_of(chunks) == whole.choices[0].message.content
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert usages == ([whole.usage] if with_usage else [])
        assert all(chunk.choices for chunk in chunks) is not with_usage


def test_a_stream_that_is_left_early_leaves_the_platform_well(platform: Installed, client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="auto", messages=HELLO, stream=True) as stream:
        first = next(iter(stream))

    assert first.choices
    assert client.chat.completions.create(model="auto", messages=HELLO).choices


def test_models_are_listed_and_retrieved(platform: Installed, client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    model = platform.models()[0]

    assert {"auto", model, f"replay/{model}"} < names
    assert client.models.retrieve(model).id == model
    assert client.models.retrieve(f"replay/{model}").owned_by == "replay"
    assert "recorded" in str(client.models.retrieve("auto").to_dict()["replay"])
    assert {found.id for found in awaited(platform, lambda c: c.models.list()).data} == names


def test_a_wrong_key_is_an_authentication_error(platform: Installed) -> None:
    with (
        openai.OpenAI(api_key="sk-wrong", base_url=f"{platform.url}/v1") as wrong,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        wrong.models.list()

    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    for ask in (
        lambda: client.chat.completions.create(model="nothing-of-that-name", messages=HELLO),
        lambda: client.models.retrieve("nothing-of-that-name"),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            ask()
        assert refused.value.code == "model_not_found"


def test_what_cannot_be_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="auto", messages=[])

    assert (refused.value.code, refused.value.param) == ("invalid_request", "messages")


def test_a_used_up_budget_is_a_rate_limit_error_that_is_not_tried_again(platform: Installed) -> None:
    key = platform.new_key("openai-broke")
    budget = {"scope": f"key:{key['id']}", "cap_usd": "0.000001", "window": "total"}
    assert platform.send("POST", "/api/v1/budgets", budget).status_code == 200
    sent: list[str] = []

    with openai.OpenAI(api_key=key["secret"], base_url=f"{platform.url}/v1", max_retries=3) as client:
        client._client.event_hooks["request"].append(lambda request: sent.append(request.url.path))
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="auto", messages=HELLO)

    assert (refused.value.code, refused.value.type) == ("budget_exceeded", "insufficient_quota")
    assert len(sent) == 1


def test_headers_of_the_answer_are_within_reach_of_the_sdk(platform: Installed, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, extra_headers={"x-evolving-tags": "a,b"}
    )

    assert raw.headers["x-evolving-target"] == f"replay/{raw.parse().model}"
    assert platform.decision(raw.headers["x-request-id"])["tags"] == ["a", "b"]
