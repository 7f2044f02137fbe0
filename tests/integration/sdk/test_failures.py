"""What goes wrong comes out as one typed error, and is tried again only where that can do no harm."""

import asyncio
import socket
from typing import Any

import pytest

from evolving_ai import EvolutionFramework, SyncEvolutionFramework
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.sdk.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    AuthenticationError,
    BudgetExceededError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnavailableError,
    answered_error,
)
from evolving_ai.sdk.options import ClientOptions
from evolving_ai.sdk.synchronous.ai import Ai
from evolving_ai.sdk.synchronous.transport import SyncTransport
from tests.doubles.platform_server import Broken, PlatformServer, Scripted, Stalled
from tests.integration.sdk.conftest import Caller

HELLO = [{"role": "user", "content": "Hello"}]
NOW = {"x-should-retry": "true", "retry-after-ms": "1"}
NEVER = {"x-should-retry": "false"}


def problem(code: str, **headers: str) -> Scripted:
    """A refusal as the gateway words it on `/api/v1`."""
    error = {"code": code, "message": f"it is {code}", "hint": "do this", "request_id": "req-9"}
    return Scripted(PROBLEMS[code].status, {"error": error}, headers or NEVER)


def providers(framework: Any) -> Any:
    return framework.ai.providers()


def chat(framework: Any) -> Any:
    return framework.ai.chat(HELLO)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_request", InvalidRequestError),
        ("missing_api_key", AuthenticationError),
        ("invalid_api_key", AuthenticationError),
        ("permission_denied", PermissionDeniedError),
        ("model_not_found", NotFoundError),
        ("decision_not_found", NotFoundError),
        ("conflict", InvalidRequestError),
        ("body_too_large", InvalidRequestError),
        ("budget_exceeded", BudgetExceededError),
        ("rate_limit_exceeded", RateLimitError),
        ("all_targets_failed", UnavailableError),
        ("control_unavailable", UnavailableError),
        ("upstream_timeout", UnavailableError),
    ],
)
def test_each_problem_is_a_type_with_its_facts(
    call: Caller, platform: PlatformServer, code: str, kind: type[ApiError]
) -> None:
    platform.script.append(problem(code))
    with pytest.raises(ApiError) as raised:
        call(chat)

    error = raised.value
    assert type(error) is kind
    assert (error.code, error.status, error.hint) == (code, PROBLEMS[code].status, "do this")
    assert (error.message, error.request_id, str(error)) == (f"it is {code}", "req-9", f"it is {code} (do this)")


def test_every_problem_of_the_platform_has_a_type() -> None:
    errors = {code: answered_error(p.status, {}, {"error": {"code": code}}) for code, p in PROBLEMS.items()}
    plain = [code for code, error in errors.items() if type(error) is ApiError]
    assert plain == ["client_closed"], "which a client that went away never reads"


def test_the_error_object_of_openais_dialect_is_understood(call: Caller, platform: PlatformServer) -> None:
    said = {"message": "no such model", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    platform.script.append(Scripted(404, {"error": said}, {"x-request-id": "req-8"}))
    with pytest.raises(NotFoundError, match=r"^no such model$") as raised:
        call(chat)
    assert raised.value.request_id == "req-8"


def test_a_rate_limit_says_when_to_come_back(call: Caller, platform: PlatformServer) -> None:
    platform.script.append(problem("rate_limit_exceeded", **{"x-should-retry": "true", "retry-after": "90"}))
    with pytest.raises(RateLimitError) as raised:
        call(chat)
    assert raised.value.retry_after_s == 90, "longer than the client waits by itself"
    assert len(platform.seen) == 1


def test_what_the_platform_says_is_worth_a_retry_is_tried_again(call: Caller, platform: PlatformServer) -> None:
    platform.script += [problem("not_ready", **NOW), problem("rate_limit_exceeded", **NOW)]

    assert call(chat).text == "You said: Hello"
    assert len(platform.seen) == 3


def test_retries_are_bounded(call: Caller, platform: PlatformServer) -> None:
    platform.script += [problem("not_ready", **NOW)] * 3
    with pytest.raises(UnavailableError):
        call(chat)
    assert len(platform.seen) == 3


def test_retries_can_be_switched_off(call: Caller, platform: PlatformServer) -> None:
    platform.script += [problem("not_ready", **NOW)]
    with pytest.raises(UnavailableError):
        call(chat, max_retries=0)


def test_what_changes_something_is_not_tried_twice(call: Caller, platform: PlatformServer) -> None:
    platform.script += [problem("internal_error", **NOW)]
    with pytest.raises(UnavailableError):
        call(lambda framework: framework.start_evolution())
    assert len(platform.seen) == 1


def test_what_was_refused_before_it_changed_something_is_tried_again(call: Caller, platform: PlatformServer) -> None:
    platform.script += [problem("rate_limit_exceeded", **NOW)]
    assert call(lambda framework: framework.start_evolution()) == "routing-0123456789"


def test_a_lost_answer_is_asked_for_again_only_where_asking_costs_nothing(
    call: Caller, platform: PlatformServer
) -> None:
    platform.script += [Broken()]
    assert call(providers)[0].name == "acme"
    platform.script += [Broken()]
    with pytest.raises(ApiConnectionError, match=r"^the connection broke: "):
        call(chat)
    assert [request.method for request in platform.seen] == ["GET", "GET", "POST"]


def test_an_answer_that_does_not_come_is_a_timeout(call: Caller, platform: PlatformServer) -> None:
    platform.script += [Stalled()]
    with pytest.raises(ApiTimeoutError) as raised:
        call(lambda framework: framework.ai.chat(HELLO, timeout_s=0.1))

    assert (raised.value.code, raised.value.status) == ("timeout", None)
    assert platform.client_left.wait(5), "the connection is closed, so that the platform stops working"


def test_nobody_at_the_address_is_one_line_that_says_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            SyncEvolutionFramework(base_url=url, max_retries=0) as framework,
            pytest.raises(ApiConnectionError) as raised,
        ):
            framework.ai.providers()
    assert str(raised.value).startswith(f"{url} cannot be reached: ")
    assert "evolving-ai up" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_connection_that_cannot_be_made_is_tried_again() -> None:
    waits: list[float] = []
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        options = ClientOptions(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        transport = SyncTransport(options, pause=waits.append)
        with pytest.raises(ApiConnectionError):
            Ai(transport).chat(HELLO)
        transport.close()
    assert len(waits) == 2
    assert 0.375 <= waits[0] <= 0.5 < waits[1] <= 1.0


@pytest.mark.parametrize(
    ("status", "document"),
    [(200, "<html>"), (200, {}), (200, []), (200, {"providers": [{"name": 3}]}), (200, None), (302, "")],
)
def test_an_answer_of_something_else_is_told(
    call: Caller, platform: PlatformServer, status: int, document: Any
) -> None:
    platform.script.append(Scripted(status, document, {"location": "http://127.0.0.1:9/"}))
    with pytest.raises(ApiError, match="is base_url the address of an evolving_ai gateway") as raised:
        call(providers)
    assert raised.value.code == "malformed_answer"
    assert len(platform.seen) == 1


@pytest.mark.parametrize("document", ["Bad Gateway", {}, {"error": "no"}, {"error": {"message": ["a\nb"] * 500}}])
def test_an_error_in_a_foreign_form_is_an_error_all_the_same(
    call: Caller, platform: PlatformServer, document: Any
) -> None:
    platform.script.append(Scripted(502, document))
    with pytest.raises(UnavailableError) as raised:
        call(providers)
    assert raised.value.code == "http_502"
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= 500


def test_a_platform_that_is_starting_is_told_by_its_health(call: Caller, platform: PlatformServer) -> None:
    platform.script.append(Scripted(503, {"status": "starting", "version": "0.1.0", "live": None}))
    assert call(lambda framework: framework.system.health()).status == "starting"


def test_a_cancelled_call_closes_its_connection(platform: PlatformServer) -> None:
    async def main() -> None:
        async with EvolutionFramework(base_url=platform.url) as framework:
            platform.script.append(Stalled())
            task = asyncio.create_task(framework.ai.chat(HELLO))
            assert await asyncio.to_thread(platform.was_asked.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(platform.client_left.wait, 5)
            assert (await framework.ai.chat(HELLO)).text == "You said: Hello", "the framework goes on"

    asyncio.run(main())


def test_proxies_of_the_environment_are_not_asked_on_this_machine(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert call(providers, max_retries=0)[0].name == "acme"
