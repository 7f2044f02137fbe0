"""What a framework is told, what it takes from the environment, and what it refuses."""

import pytest

from evolving_ai import EvolutionFramework
from evolving_ai.errors import UsageError
from evolving_ai.sdk.options import ClientOptions


def resolved(api_key: str | None = None, base_url: str | None = None, **environment: str) -> ClientOptions:
    return ClientOptions.resolve(
        api_key, base_url, None, timeout_s=1.0, connect_timeout_s=1.0, max_retries=0, environment=environment
    )


def test_without_a_word_it_is_the_default_of_up() -> None:
    options = resolved()
    assert (options.base_url, options.api_key, options.is_loopback) == ("http://127.0.0.1:8000", None, True)


def test_the_environment_is_asked_for_what_the_caller_left_out() -> None:
    named = {"EVOLVING_AI_API_KEY": "k", "EVOLVING_AI_BASE_URL": "https://gateway.example/team/"}
    options = resolved(**named)
    assert (options.base_url, options.api_key, options.is_loopback) == ("https://gateway.example/team", "k", False)
    assert resolved("mine", "http://[::1]:9", **named) == resolved("mine", "http://[::1]:9")


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLVING_AI_BASE_URL", "http://127.0.0.1:8123/")
    assert EvolutionFramework().base_url == "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:0",
        "http://x?a=1",
        "http://x#a",
        "http://[::1",
        "http://user:pa55@x?a=1",
        "http://x/v1",
        "http://x/api/v1/",
    ],
)
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(UsageError, match="expected the address of a gateway") as raised:
        resolved(base_url=url)
    assert "\n" not in str(raised.value)
    assert "pa55" not in str(raised.value)


@pytest.mark.parametrize("key", ["k3y\nb", " k3y", "k3yü", "k3y "])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="api_key cannot be sent") as raised:
        resolved(key)
    assert "k3y" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [{"timeout_s": 0.0}, {"timeout_s": float("nan")}, {"connect_timeout_s": float("inf")}, {"max_retries": -1}],
)
def test_impatience_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        EvolutionFramework(**wrong)  # type: ignore[arg-type]


def test_the_key_is_in_the_header_and_in_no_text() -> None:
    options = ClientOptions(api_key="very-secret", region="eu")
    assert options.headers["authorization"] == "Bearer very-secret"
    assert options.headers["x-evolving-region"] == "eu"
    assert "very-secret" not in repr(options)
