"""How fast replayed answers come."""

import pytest

from evolving_ai.serving.replay_provider.pace import pace_of


def test_larger_models_are_slower() -> None:
    sizes = ["qwen2.5-3b", "mistral-7b-instruct-v0.3", "phi-14b", "yi-34b", "llama3-chatqa-1.5-70b", "llama-405b"]
    paces = [pace_of(model) for model in sizes]

    assert sorted(paces, key=lambda pace: -pace.tokens_per_s) == paces
    assert sorted(paces, key=lambda pace: pace.first_token_s) == paces


@pytest.mark.parametrize("name", ["acme/llama-3.1-8b-instruct", "LLAMA-3.1-8B", "gemma-2-9b-it"])
def test_the_size_is_read_from_the_name(name: str) -> None:
    assert pace_of(name) == pace_of("any-8b")


def test_the_longest_known_name_counts() -> None:
    assert pace_of("gpt-4o-mini-2024-07-18") != pace_of("gpt-4o") != pace_of("gpt-4-turbo")


def test_an_unknown_model_has_a_pace() -> None:
    assert pace_of("frobnicator").duration_s(100) > 1


def test_a_duration_is_the_first_token_and_then_each() -> None:
    pace = pace_of("x-8b")

    assert pace.duration_s(0) == pace.first_token_s
    assert pace.duration_s(130) == pytest.approx(pace.first_token_s + 130 / pace.tokens_per_s)
