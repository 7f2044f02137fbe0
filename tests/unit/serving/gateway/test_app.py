"""The HTTP surface, driven as a server would drive it: authentication, bodies, errors, clients that leave."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.domain.outcome import AttemptResult
from evolving_ai.domain.problem import PROBLEMS
from evolving_ai.errors import RequestError, UpstreamError
from evolving_ai.serving.gateway.app import Exchange, GatewayApp
from evolving_ai.serving.gateway.messages import send_json
from evolving_ai.serving.gateway.openai_routes import add_openai_routes
from tests.doubles.asgi_exchange import AsgiExchange, Disconnect, HttpAnswer, ask
from tests.doubles.gateway_fakes import (
    WHOLE_STREAM,
    Answers,
    Fails,
    FakeKeyRing,
    Hangs,
    RecordingPurse,
    Streams,
    completion_body,
    content_part,
)
from tests.doubles.gateway_world import TARGETS, GatewayWorld
from tests.doubles.virtual_time import run_in_virtual_time

CHAT = "/v1/chat/completions"
HELLO = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**HELLO, "stream": True}
KEYS = {
    "sk-viewer": Principal("key-1", "tenant-1", Role.VIEWER),
    "sk-operator": Principal("key-2", "tenant-1", Role.OPERATOR),
}
AUTHORIZED = (b"authorization", b"Bearer sk-viewer")
LIMIT = 20_000
WATCH_S = 1.0
DONE = b"data: [DONE]\n\n"


class Gateway(GatewayWorld):
    """A world with the application over it."""

    def __init__(self, clock: ManualClock, **options: Any) -> None:
        super().__init__(clock, **options)
        self.app = GatewayApp(
            self.path,
            FakeKeyRing(KEYS),
            clock,
            max_body_bytes=LIMIT,
            record_content=frozenset({"tenant-2"}),
            watch_after_s=WATCH_S,
        )
        add_openai_routes(self.app, is_replay=False)

    async def chat(self, body: Any = HELLO, **options: Any) -> HttpAnswer:
        """Ask for a chat completion."""
        return await ask(self.app, "POST", CHAT, body, key="sk-viewer", **options)


def at_gateway(test: Callable[[Gateway], Awaitable[None]], **options: Any) -> None:
    """Run `test` at a gateway of its own, in which nothing may be left open at the end."""

    async def main(clock: ManualClock) -> None:
        gateway = Gateway(clock, **options)
        await test(gateway)
        gateway.assert_quiet()

    run_in_virtual_time(main)


def error_of(answer: HttpAnswer, status: int, code: str | None = None) -> dict[str, Any]:
    """The error object of OpenAI's dialect, checked for all that clients rely on."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req-")
    assert answer.headers["x-should-retry"] in ("true", "false")
    error: dict[str, Any] = answer.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    if code is not None:
        assert error["code"] == code
        assert (PROBLEMS[code].status, PROBLEMS[code].openai_type) == (status, error["type"])
    return error


# --- Answers ----------------------------------------------------------------------------------------------------------


def test_a_chat_completion_is_answered_with_everything_that_clients_read() -> None:
    async def test(gateway: Gateway) -> None:
        answer = await gateway.chat()

        assert (answer.status, answer.body) == (200, completion_body())
        assert answer.headers == {
            "content-type": "application/json",
            "content-length": str(len(completion_body())),
            "x-request-id": gateway.outcome.decision_id,
            "x-evolving-dna": "a" * 12,
            "x-evolving-snapshot": "a" * 12,
            "x-evolving-target": "p/one",
            "x-evolving-attempts": "1",
            "x-evolving-cost-usd": "0.000022",
        }
        assert gateway.outcome.tenant == "tenant-1"
        assert (gateway.app.answered, gateway.app.failed) == (1, 0)

    at_gateway(test)


def test_a_stream_is_server_sent_events() -> None:
    async def test(gateway: Gateway) -> None:
        answer = await gateway.chat({**STREAM, "stream_options": {"include_usage": True}})

        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-request-id"] == gateway.outcome.decision_id
        assert "content-length" not in answer.headers
        assert "x-evolving-cost-usd" not in answer.headers
        events = answer.body.split(b"\n\n")
        assert events[-1] == b""
        chunks = [orjson.loads(event.removeprefix(b"data: ")) for event in events[:-3]]
        assert [chunk["choices"] == [] for chunk in chunks] == [False, False, False, False, True]
        assert events[-3] == b": x-evolving-cost-usd 0.000022"
        assert events[-2] == b"data: [DONE]"
        assert all(part.endswith(b"\n\n") for part in answer.parts)

    at_gateway(test)


def test_each_event_goes_out_as_soon_as_it_is_there() -> None:
    async def test(gateway: Gateway) -> None:
        gate = asyncio.Event()
        gateway.script("p/one", Streams((content_part("a"), gate, content_part("b"))))
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(STREAM)])
        task = asyncio.create_task(exchange.run(gateway.app))
        await asyncio.sleep(0.5)
        assert exchange.parts == [b"data: " + content_part("a").data + b"\n\n"]
        gate.set()
        await task

    at_gateway(test)


# --- Who asks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/one", "/nothing", "/", "/api/v1/evolution/start"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([(b"authorization", b"")], "missing_api_key"),
        ([(b"authorization", b"Bearer ")], "missing_api_key"),
        ([(b"authorization", b"Bearer sk-nobody")], "invalid_api_key"),
        ([(b"authorization", b"Basic c2s6")], "invalid_api_key"),
        ([(b"x-api-key", b"sk-nobody")], "invalid_api_key"),
        ([(b"authorization", b"Bearer \xff\xfe")], "invalid_api_key"),
    ],
)
def test_authentication_comes_before_the_body_and_the_route(
    path: str, headers: list[tuple[bytes, bytes]], code: str
) -> None:
    async def test(gateway: Gateway) -> None:
        exchange = AsgiExchange("POST", path, headers, [b"x" * LIMIT * 2])

        answer = await exchange.run(gateway.app)

        assert exchange.read == 0
        assert answer.headers["www-authenticate"] == "Bearer"
        if path.startswith("/api/"):
            assert answer.json["error"]["code"] == code
        else:
            error_of(answer, 401, code)
        assert gateway.limiter.admitted == 0

    at_gateway(test)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer sk-viewer")],
        [(b"authorization", b"bearer sk-viewer")],
        [(b"authorization", b"Bearer   sk-viewer ")],
        [(b"authorization", b"sk-viewer")],
        [(b"x-api-key", b"sk-viewer")],
        [(b"x-api-key", b"sk-nobody"), (b"authorization", b"Bearer sk-viewer")],
        [(b"authorization", b"Bearer sk-viewer"), (b"x-api-key", b"sk-nobody")],
    ],
)
def test_a_key_is_taken_from_either_header(headers: list[tuple[bytes, bytes]]) -> None:
    async def test(gateway: Gateway) -> None:
        answer = await AsgiExchange(headers=headers, body=[orjson.dumps(HELLO)]).run(gateway.app)

        assert answer.status == 200

    at_gateway(test)


def test_keys_that_were_exchanged_count_from_the_next_request_on() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.app.keys = FakeKeyRing({})

        error_of(await gateway.chat(), 401, "invalid_api_key")

    at_gateway(test)


def test_a_secret_is_never_repeated() -> None:
    async def test(gateway: Gateway) -> None:
        answer = await ask(gateway.app, "POST", CHAT, HELLO, key="sk-secret-of-somebody")

        assert b"secret" not in answer.body

    at_gateway(test)


# --- Bodies -----------------------------------------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read() -> None:
    async def test(gateway: Gateway) -> None:
        for length in (str(LIMIT + 1), "9" * 18, "9" * 5000):
            headers = [AUTHORIZED, (b"content-length", length.encode())]
            exchange = AsgiExchange(headers=headers, body=[b"x" * (LIMIT + 1)])

            answer = await exchange.run(gateway.app)

            error_of(answer, 413, "body_too_large")
            assert answer.headers["connection"] == "close"
            assert exchange.read_until_answered == 0

    at_gateway(test)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")], [(b"content-length", b"many")]])
def test_a_body_that_grows_too_large_is_refused_while_it_comes(headers: list[tuple[bytes, bytes]]) -> None:
    async def test(gateway: Gateway) -> None:
        exchange = AsgiExchange(headers=[AUTHORIZED, *headers], body=[b"x" * 1000] * 1000)

        error_of(await exchange.run(gateway.app), 413, "body_too_large")

        assert exchange.read_until_answered is not None
        assert exchange.read_until_answered <= LIMIT + 1000

    at_gateway(test)


def test_what_still_comes_of_a_refused_body_is_read_so_that_the_client_sees_the_answer() -> None:
    async def test(gateway: Gateway) -> None:
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[b"x" * 1000] * 1000)

        await exchange.run(gateway.app)

        assert exchange.read == 1000 * 1000

    at_gateway(test)


def test_a_body_at_its_limit_is_read() -> None:
    async def test(gateway: Gateway) -> None:
        raw = orjson.dumps({**HELLO, "user": ""})
        raw = raw[:-2] + b"x" * (LIMIT - len(raw)) + raw[-2:]
        assert len(raw) == LIMIT

        assert (await gateway.chat(raw)).status == 200
        error_of(await gateway.chat(raw + b" "), 413)

    at_gateway(test)


@given(st.lists(st.integers(0, 200), max_size=8))
def test_a_body_may_come_in_any_pieces(cuts: list[int]) -> None:
    async def test(gateway: Gateway) -> None:
        raw = orjson.dumps(HELLO)
        places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        pieces: list[Any] = [raw[start:end] for start, end in itertools.pairwise(places)]

        answer = await AsgiExchange(headers=[AUTHORIZED], body=pieces).run(gateway.app)

        assert answer.status == 200

    at_gateway(test)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"gzip, identity"])
def test_a_compressed_body_is_refused_unread(encoding: bytes) -> None:
    async def test(gateway: Gateway) -> None:
        exchange = AsgiExchange(headers=[AUTHORIZED, (b"content-encoding", encoding)], body=[b"\x1f\x8b"])

        error_of(await exchange.run(gateway.app), 415, "unsupported_encoding")

        assert exchange.read == 0

    at_gateway(test)


def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async def test(gateway: Gateway) -> None:
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[b'{"model":', asyncio.Event(), b"x"])

        error = error_of(await exchange.run(gateway.app), 400, "invalid_request")

        assert error["message"] == "the body did not arrive within 30 s"
        assert gateway.clock.monotonic_s() == pytest.approx(30)

    at_gateway(test)


@pytest.mark.parametrize("body", [[Disconnect()], [b'{"model":', Disconnect()]])
def test_a_client_that_leaves_while_it_sends_the_body_asks_for_nothing(body: list[Any]) -> None:
    async def test(gateway: Gateway) -> None:
        answer = await AsgiExchange(headers=[AUTHORIZED], body=body).run(gateway.app)

        error_of(answer, 499, "client_closed")
        assert gateway.provider.calls == []

    at_gateway(test)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"model": NaN}', "invalid_json"),
        (b'{"a":' * 1900 + b"1" + b"}" * 1900, "invalid_json"),
        (b"\xff\xff", "invalid_json"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        ({"model": "auto"}, "invalid_request"),
        ({**HELLO, "messages": [[]]}, "invalid_request"),
        ({**HELLO, "stream": "yes"}, "invalid_request"),
        (b'{"model":' + b"[" * 900 + b"]" * 900 + b"}", "invalid_request"),
        (
            b'{"model":"auto","messages":[{"role":"user"}],"x":' + b"[" * 900 + b"]" * 900 + b"}",
            "invalid_request",
        ),
    ],
)
def test_a_malformed_body_is_the_callers_mistake(body: Any, code: str) -> None:
    async def test(gateway: Gateway) -> None:
        answer = await gateway.chat(body)

        error_of(answer, 400, code)
        assert answer.headers["x-should-retry"] == "false"

    at_gateway(test)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
likely_bodies = st.fixed_dictionaries(
    {"model": st.sampled_from(["auto", "one", "p/two", "nine"]) | json_values},
    optional={
        "messages": st.just(HELLO["messages"])
        | st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": json_values}), max_size=2)
        | json_values,
        "stream": st.booleans() | json_values,
        "stream_options": json_values,
        "max_tokens": st.integers(-1, 5) | json_values,
        "n": json_values,
        "x": json_values,
    },
)


@given(st.binary(max_size=200) | json_values.map(orjson.dumps) | likely_bodies.map(orjson.dumps))
def test_no_body_makes_the_gateway_fail(raw: bytes) -> None:
    async def test(gateway: Gateway) -> None:
        answer = await gateway.chat(raw)

        assert answer.status == 200 or 400 <= answer.status < 500
        assert (len(gateway.recorder.outcomes) == 1) == (answer.status == 200)

    at_gateway(test)


header_names = st.sampled_from(
    [
        b"authorization",
        b"x-api-key",
        b"content-length",
        b"content-encoding",
        *[
            b"x-evolving-" + name
            for name in (b"max-cost-usd", b"min-quality", b"deadline-ms", b"tags", b"dna", b"region")
        ],
        b"x-evolving-",
        b"x-evolving-unknown",
    ]
)
header_values = st.sampled_from([b"Bearer sk-viewer", b"Bearer sk-operator", b"0", b"1", b"nan", b"abcd"]) | st.binary(
    max_size=30
)


@given(st.lists(st.tuples(header_names, header_values), max_size=6), st.sampled_from([HELLO, STREAM]))
def test_no_header_makes_the_gateway_fail(headers: list[tuple[bytes, bytes]], body: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        answer = await AsgiExchange(headers=headers, body=[orjson.dumps(body)]).run(gateway.app)

        assert answer.status == 200 or 400 <= answer.status < 500

    at_gateway(test)


# --- Routes -----------------------------------------------------------------------------------------------------------


def test_what_is_not_there_and_what_is_not_done_there_are_told_apart() -> None:
    async def test(gateway: Gateway) -> None:
        error_of(await ask(gateway.app, "GET", "/v1/nothing", key="sk-viewer"), 404, "not_found")
        error = error_of(await ask(gateway.app, "GET", CHAT, key="sk-viewer"), 405, "method_not_allowed")
        assert error["message"] == f"GET {CHAT}: expected POST"
        long = await ask(gateway.app, "GET", "/" + "x" * 5000, key="sk-viewer")
        assert len(long.body) < 500

    at_gateway(test)


def test_errors_under_api_have_the_own_form() -> None:
    async def test(gateway: Gateway) -> None:
        answer = await ask(gateway.app, "GET", "/api/v1/nothing", key="sk-viewer")

        assert answer.status == 404
        error = answer.json["error"]
        assert error.keys() == {"code", "message", "hint", "request_id"}
        assert error["code"] == "not_found"
        assert error["request_id"] == answer.headers["x-request-id"]

    at_gateway(test)


def test_what_is_left_of_the_api_goes_to_the_fallback_and_nothing_else_does() -> None:
    async def test(gateway: Gateway) -> None:
        asked = []

        async def fallback(exchange: Exchange, principal: Principal) -> None:
            asked.append((exchange.request.path, principal.key_id))
            await send_json(exchange.send, 200, {})

        gateway.app.fallback = fallback
        for path in ("/api/v1/dna", "/v1/models/p/one", "/v1/other", "/api/v2/dna", "/api/v1"):
            await ask(gateway.app, "GET", path, key="sk-viewer")

        assert asked == [("/api/v1/dna", "key-1"), ("/v1/models/p/one", "key-1")]

    at_gateway(test)


def test_an_open_route_asks_for_no_key() -> None:
    async def test(gateway: Gateway) -> None:
        async def health(exchange: Exchange) -> None:
            await send_json(exchange.send, 200, {"status": "ok"})

        gateway.app.open_routes["GET", "/api/v1/system/health"] = health

        assert (await ask(gateway.app, "GET", "/api/v1/system/health")).json == {"status": "ok"}
        assert (await ask(gateway.app, "POST", "/api/v1/system/health")).status == 401

    at_gateway(test)


def test_other_protocols_are_left_alone() -> None:
    async def test(gateway: Gateway) -> None:
        async def nothing(*_: Any) -> Any:
            raise AssertionError("nothing is to be said")

        await gateway.app({"type": "lifespan"}, nothing, nothing)
        await gateway.app({"type": "websocket", "path": "/", "headers": []}, nothing, nothing)

    at_gateway(test)


def test_closing_gives_back_what_the_application_was_composed_with() -> None:
    async def test(gateway: Gateway) -> None:
        closed = []

        async def close() -> None:
            closed.append(True)

        app = GatewayApp(gateway.path, FakeKeyRing({}), gateway.clock, max_body_bytes=LIMIT, on_close=close)
        await app.close()
        await gateway.app.close()

        assert closed == [True]

    at_gateway(test)


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_a_limit_tells_sdks_when_to_come_back() -> None:
    async def test(gateway: Gateway) -> None:
        for wait_s, seconds, milliseconds in ((0.2, "1", "200"), (1.0, "1", "1000"), (2.0001, "3", "2001")):
            gateway.limiter.wait_s = wait_s
            answer = await gateway.chat()

            error_of(answer, 429, "rate_limit_exceeded")
            assert answer.headers["x-should-retry"] == "true"
            assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (seconds, milliseconds)

    at_gateway(test)


def test_a_used_up_budget_is_not_to_be_asked_again() -> None:
    async def test(gateway: Gateway) -> None:
        for body in (HELLO, STREAM):
            answer = await gateway.chat(body)

            assert error_of(answer, 429, "budget_exceeded")["type"] == "insufficient_quota"
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers

    at_gateway(test, purse=RecordingPurse(grants=0))


@pytest.mark.parametrize("body", [HELLO, STREAM])
def test_after_all_targets_failed_clients_do_not_ask_again_at_once(body: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        for target in TARGETS:
            gateway.script(target.name, Fails.by(AttemptResult.SERVER_ERROR, status=500))
        answer = await gateway.chat(body)

        error_of(answer, 502, "all_targets_failed")
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["x-request-id"] == gateway.outcome.decision_id

    at_gateway(test)


@pytest.mark.parametrize("body", [HELLO, STREAM])
@pytest.mark.parametrize(("status", "seen"), [(400, 400), (404, 404), (413, 413), (422, 422), (None, 400), (500, 400)])
def test_a_providers_refusal_is_passed_on_as_it_came(body: dict[str, Any], status: int | None, seen: int) -> None:
    said = b'{"error":{"message":"context too long","type":"invalid_request_error","param":null,"code":"context"}}'

    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Fails.by(AttemptResult.REFUSED, status=status, body=said))
        answer = await gateway.chat(body)

        assert (answer.status, answer.body) == (seen, said)
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["x-request-id"] == gateway.outcome.decision_id
        assert gateway.outcome.status == seen

    at_gateway(test)


def test_a_refusal_without_an_object_of_its_own_gets_one() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Fails.by(AttemptResult.REFUSED, status=422))

        error = error_of(await gateway.chat(), 422)

        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")

    at_gateway(test)


@pytest.mark.parametrize("body", [HELLO, STREAM])
def test_a_defect_becomes_a_500_without_details(body: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Fails(ZeroDivisionError("secret detail")))
        with caplog.at_level(logging.ERROR):
            answer = await gateway.chat(body)

        error_of(answer, 500, "internal_error")
        assert b"secret" not in answer.body
        assert b"Traceback" not in answer.body
        assert answer.headers["x-request-id"] in caplog.text
        assert "secret detail" in caplog.text
        assert (gateway.app.answered, gateway.app.failed) == (0, 1)
        # It can still serve.
        gateway.script("p/one", Answers(), WHOLE_STREAM)
        assert (await gateway.chat()).status == 200

    at_gateway(test)


def test_a_defect_in_the_middle_of_a_stream_leaves_it_without_an_end() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Streams((content_part("hello"), ZeroDivisionError("defect"))))
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(STREAM)])

        with pytest.raises(ZeroDivisionError):
            await exchange.run(gateway.app)

        assert not exchange.is_complete
        assert DONE not in exchange.parts
        assert gateway.outcome.error_code == "internal_error"

    at_gateway(test)


def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    async def test(gateway: Gateway) -> None:
        cut = UpstreamError(AttemptResult.CONNECTION, "the connection broke")
        gateway.script("p/one", Streams((content_part("hello"), cut)))

        answer = await gateway.chat(STREAM)

        assert answer.status == 200
        assert DONE not in answer.parts
        error = orjson.loads(answer.parts[-2].removeprefix(b"data: "))["error"]
        assert (error["code"], error["request_id"]) == ("all_targets_failed", answer.headers["x-request-id"])

    at_gateway(test)


def test_every_answer_has_an_identifier_of_its_own() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.limiter.wait_s = None
        answers = [
            await gateway.chat(),
            await gateway.chat(STREAM),
            await gateway.chat(b"{"),
            await gateway.chat({**HELLO, "model": "nine"}),
            await ask(gateway.app, "GET", "/v1/models", key="sk-viewer"),
            await ask(gateway.app, "GET", "/v1/models"),
            await ask(gateway.app, "GET", "/nothing", key="sk-viewer"),
        ]

        ids = [answer.headers["x-request-id"] for answer in answers]
        assert len(set(ids)) == len(ids)
        assert [outcome.decision_id for outcome in gateway.recorder.outcomes] == ids[:2]

    at_gateway(test)


# --- Clients that leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [HELLO, STREAM])
def test_a_client_that_leaves_while_waiting_cancels_the_call(body: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Hangs())
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(body)])
        task = asyncio.create_task(exchange.run(gateway.app))
        await asyncio.sleep(5)
        assert gateway.provider.open_calls == 1
        exchange.leave.set()
        answer = await task

        assert gateway.clock.monotonic_s() == pytest.approx(5)
        assert gateway.provider.open_calls == 0
        assert answer.status == 499
        assert gateway.outcome.error_code == "client_closed"
        assert gateway.provider.called == ["p/one"]

    at_gateway(test)


def test_a_client_that_leaves_early_is_noticed_once_watching_begins() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Hangs())
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(HELLO)])
        exchange.leave.set()
        await exchange.run(gateway.app)

        assert gateway.clock.monotonic_s() == pytest.approx(WATCH_S)

    at_gateway(test)


def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_it() -> None:
    """Rule broken: an answer begins once; a second head was sent after a client had left."""

    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Streams((content_part("hello"), asyncio.Event())))
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(STREAM)])
        exchange.leave.set()
        with pytest.raises(AssertionError, match="the answer has no end"):
            await exchange.run(gateway.app)

        assert exchange.status == 200
        assert DONE not in exchange.parts
        assert gateway.outcome.error_code == "client_closed"
        assert gateway.outcome.attempts[0].result is AttemptResult.CANCELLED

    at_gateway(test)


@pytest.mark.parametrize("place", [1, 2, 3, 6])
def test_a_connection_that_breaks_while_events_are_sent_ends_the_call(place: int) -> None:
    async def test(gateway: Gateway) -> None:
        def on_part(_: bytes) -> None:
            if len(exchange.parts) == place:
                raise ConnectionResetError("gone")

        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(STREAM)], on_part=on_part)
        with pytest.raises(ConnectionResetError):
            await exchange.run(gateway.app)

        assert gateway.outcome.error_code == (None if place == 6 else "client_closed")

    at_gateway(test)


def test_a_connection_that_breaks_before_the_first_event_ends_the_call() -> None:
    """Rule broken: every ending settles; a stream whose head could not be sent was never closed."""

    async def test(gateway: Gateway) -> None:
        async def send(_: Any) -> None:
            raise ConnectionResetError("gone")

        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(STREAM)])
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [AUTHORIZED]}
        with pytest.raises(ConnectionResetError):
            await gateway.app(scope, exchange.receive, send)

        assert gateway.outcome.error_code == "client_closed"

    at_gateway(test)


def test_a_connection_that_breaks_under_a_whole_answer_is_not_answered_twice() -> None:
    async def test(gateway: Gateway) -> None:
        def on_part(_: bytes) -> None:
            raise ConnectionResetError("gone")

        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(HELLO)], on_part=on_part)
        with pytest.raises(ConnectionResetError):
            await exchange.run(gateway.app)

        assert gateway.outcome.status == 200

    at_gateway(test)


@pytest.mark.parametrize("body", [HELLO, STREAM])
def test_a_server_that_cancels_gets_its_cancellation(body: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Hangs())
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(body)])
        task = asyncio.create_task(exchange.run(gateway.app))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert gateway.outcome.error_code == "client_closed"

    at_gateway(test)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_server_that_cancels_while_the_client_leaves_gets_its_cancellation(is_first: bool) -> None:
    async def test(gateway: Gateway) -> None:
        gateway.script("p/one", Hangs())
        exchange = AsgiExchange(headers=[AUTHORIZED], body=[orjson.dumps(HELLO)])
        task = asyncio.create_task(exchange.run(gateway.app))
        await asyncio.sleep(5)
        exchange.leave.set()
        if is_first:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert len(gateway.recorder.outcomes) == 1

    at_gateway(test)


# --- Content ----------------------------------------------------------------------------------------------------------


def test_content_is_recorded_for_tenants_that_want_it_alone() -> None:
    async def test(gateway: Gateway) -> None:
        gateway.app.keys = FakeKeyRing({**KEYS, "sk-other": Principal("key-9", "tenant-2", Role.VIEWER)})
        await gateway.chat()
        await ask(gateway.app, "POST", CHAT, HELLO, key="sk-other")

        assert [outcome.content is not None for outcome in gateway.recorder.outcomes] == [False, True]

    at_gateway(test)


def test_demands_reach_the_request_and_pins_are_for_operators() -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.chat(headers={"x-evolving-tags": "a, b"})
        assert gateway.outcome.tags == ("a", "b")

        error_of(await gateway.chat(headers={"x-evolving-dna": "aaaa"}), 403, "permission_denied")
        pinned = await ask(gateway.app, "POST", CHAT, HELLO, key="sk-operator", headers={"x-evolving-dna": "aaaa"})
        assert pinned.status == 200
        error = error_of(await gateway.chat(headers={"x-evolving-min-quality": "much"}), 400, "invalid_request")
        assert error["param"] == "x-evolving-min-quality"

    at_gateway(test)


def test_a_problem_without_an_answer_begun_is_said_whatever_the_route() -> None:
    async def test(gateway: Gateway) -> None:
        async def broken(exchange: Exchange, principal: Principal) -> None:
            raise RequestError("conflict", "two at once", hint="wait", param="id")

        gateway.app.routes["POST", "/v1/broken"] = broken

        error = error_of(await ask(gateway.app, "POST", "/v1/broken", key="sk-viewer"), 409, "conflict")
        assert (error["message"], error["param"]) == ("two at once (wait)", "id")

    at_gateway(test)


def test_a_problem_after_the_answer_has_begun_is_left_to_the_server() -> None:
    async def test(gateway: Gateway) -> None:
        async def broken(exchange: Exchange, principal: Principal) -> None:
            exchange.has_begun = True
            await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
            raise RequestError("conflict", "two at once")

        gateway.app.routes["POST", "/v1/broken"] = broken

        with pytest.raises(RequestError, match="two at once"):
            await ask(gateway.app, "POST", "/v1/broken", key="sk-viewer")

    at_gateway(test)
