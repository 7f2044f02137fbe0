"""What is refused before anything is sent."""

from typing import Any

import pytest

import evolving_ai
from evolving_ai.errors import UsageError
from evolving_ai.sdk.ai_calls import Demands, chat_call
from evolving_ai.sdk.call import encode_body, path_of


def chat(messages: Any, **fields: Any) -> bytes | None:
    options: dict[str, Any] = {"model": None, "auto_optimize": True, "stream": False, "timeout_s": None}
    return chat_call(messages, fields, Demands(), **options).content


@pytest.mark.parametrize("messages", ["Hello", b"Hello", {"role": "user"}])
def test_messages_are_a_list(messages: Any) -> None:
    with pytest.raises(UsageError, match="messages: expected a list"):
        chat(messages)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800", object()])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="no JSON form"):
        chat([{"role": "user", "content": "Hello"}], seed=value)


def test_a_body_that_contains_itself_is_refused() -> None:
    body: dict[str, Any] = {}
    body["self"] = body
    with pytest.raises(UsageError, match="no JSON form"):
        encode_body(body)


@pytest.mark.parametrize(
    "demands", [Demands(tags="ab"), Demands(tags=["a,b"]), Demands(tags=["ü"]), Demands(dna="a\n")]
)
def test_what_no_header_can_say_is_refused(demands: Demands) -> None:
    with pytest.raises(UsageError):
        demands.headers()


def test_no_demand_is_no_header() -> None:
    assert Demands().headers() == {}
    assert Demands(max_cost_usd=0, tags=[]).headers() == {"x-evolving-max-cost-usd": "0"}


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_that_would_change_the_path_is_refused(part: str) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        path_of("keys", part)


def test_a_part_is_one_step_of_the_path() -> None:
    assert path_of("budgets", "tenant:a/b") == "/api/v1/budgets/tenant%3Aa%2Fb"


def test_the_package_exports_the_sdk_when_asked_and_nothing_else() -> None:
    from evolving_ai.sdk import EvolutionFramework

    assert evolving_ai.EvolutionFramework is EvolutionFramework
    assert {"EvolutionFramework", "SyncEvolutionFramework", "__version__"} <= set(dir(evolving_ai))
    with pytest.raises(AttributeError, match="has no attribute 'Framework'"):
        _ = evolving_ai.Framework  # type: ignore[attr-defined]
