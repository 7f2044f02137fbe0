"""Requests that cannot be: the right status, the error form of the route, no traceback, and nothing harmed."""

import http.client
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from evolving_ai._common.processes import command_of, marked_processes, memory_bytes
from evolving_ai.serving.platform_status import kind_of
from tests.integration.installation.conftest import BODY_LIMIT
from tests.integration.installation.installed import Installed, error_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CHAT = "/v1/chat/completions"
OWN_CHAT = "/api/v1/ai/chat"
HELLO: Any = [{"role": "user", "content": "Hello"}]
MANY_BYTES = 64 * 2**20
PIECE = b"x" * 2**16
GROWTH = 24 * 2**20
PATIENCE_S = 20


@pytest.mark.parametrize("path", [CHAT, OWN_CHAT, "/api/v1/keys", "/v1/models", "/api/v1/nothing", "/nothing"])
def test_without_a_key_or_with_a_wrong_one_nothing_is_told(platform: Installed, path: str) -> None:
    missing = platform.send("POST", path, {}, key=None)
    wrong = platform.send("POST", path, {}, key="sk-" + "0" * 40)
    garbled = platform.send("POST", path, {}, key=None, headers={"authorization": b"Bearer \xff\xfe"})

    assert error_of(missing, 401)["code"] == "missing_api_key"
    assert error_of(wrong, 401)["code"] == "invalid_api_key"
    assert error_of(garbled, 401)["code"] == "invalid_api_key"
    assert missing.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [CHAT, OWN_CHAT])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 5000, "invalid_json"),
        (b"[]", "invalid_request"),
        (b'{"model": "auto"}', "invalid_request"),
        (b'{"model": "auto", "messages": "hello"}', "invalid_request"),
        (b'{"model": "auto", "messages": [{"content": "no role"}]}', "invalid_request"),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1}', "invalid_request"),
    ],
)
def test_a_body_that_is_no_chat_is_refused(platform: Installed, path: str, content: bytes, code: str) -> None:
    answer = platform.send("POST", path, content=content)

    assert error_of(answer, 400)["code"] == code


@pytest.mark.parametrize("path", [CHAT, OWN_CHAT])
def test_an_unknown_model_is_refused(platform: Installed, path: str) -> None:
    for name in ("nothing-of-that-name", "replay/nothing", "a/b/c", "x" * 3000):
        answer = platform.send("POST", path, {"model": name, "messages": HELLO})
        assert error_of(answer, 404)["code"] == "model_not_found"
        assert len(answer.content) < 2000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/ai/decisions/req-nothing", 404),
        ("GET", "/api/v1/ai/decisions/..%2f..%2fetc", 404),
        ("GET", "/api/v1/evolution/status/..%2f..%2fetc", 404),
        ("GET", CHAT, 405),
        ("PUT", "/v1/models", 405),
        ("DELETE", "/v1/models/auto", 405),
        ("DELETE", "/api/v1/keys/local-admin-not", 404),
        ("GET", "/api/v1/budgets/cost?since=yesterday", 400),
        ("GET", "/api/v1/audit/entries?limit=0", 400),
        ("GET", "/api/v1/audit/verify?sequence=1", 400),
    ],
)
def test_what_is_not_there_is_refused(platform: Installed, method: str, path: str, status: int) -> None:
    with httpx.Client(trust_env=False) as client:
        request = client.build_request(method, platform.url, headers={"authorization": f"Bearer {platform.admin_key}"})
        request.url = request.url.copy_with(raw_path=path.encode())  # as it stands, without being tidied
        error_of(client.send(request), status)


def test_a_path_with_dots_is_no_way_around_a_role(platform: Installed) -> None:
    viewer = platform.new_key("dots")["secret"]
    connection = http.client.HTTPConnection("127.0.0.1", platform.state.port, timeout=PATIENCE_S)
    for path in ("/api/v1/dna/../keys", "/api/v1/ai/%2e%2e/keys", "//api/v1/keys", "/v1/models/../../api/v1/keys"):
        connection.request("GET", path, headers={"authorization": f"Bearer {viewer}"})
        answer = connection.getresponse()
        assert answer.status in (403, 404), path
        assert b"local-admin" not in answer.read()
    connection.close()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/keys", {"tenant": "t", "role": "emperor"}, 400),
        ("/api/v1/keys", {"tenant": "T T", "role": "viewer"}, 400),
        ("/api/v1/keys", {"tenant": "t", "role": "viewer", "colour": "red"}, 400),
        ("/api/v1/budgets", {"scope": "nobody", "cap_usd": "1"}, 400),
        ("/api/v1/budgets", {"scope": "tenant:t", "cap_usd": "much"}, 400),
        ("/api/v1/budgets", {"scope": "tenant:t", "cap_usd": "-1"}, 400),
        ("/api/v1/budgets", {"scope": "tenant:t", "cap_usd": "1", "window": "eon"}, 400),
        ("/api/v1/dna/promote", {"ref": "no-such-branch"}, 404),
        ("/api/v1/dna/promote", {}, 400),
        ("/api/v1/ai/feedback", {"decision_id": "req-nothing", "score": 1}, 404),
        ("/api/v1/ai/feedback", {"decision_id": "req-nothing", "score": 2}, 400),
        ("/api/v1/evolution/start", {"campaign": "/etc/passwd"}, 400),
        ("/api/v1/evolution/start", {"target_fitness": 2}, 400),
        ("/api/v1/system/config", {"aliases": {"a": ["no-such-model"]}}, 400),
        ("/api/v1/system/config", {"port": 1}, 400),
    ],
)
def test_a_body_that_means_nothing_is_refused(
    platform: Installed, path: str, body: dict[str, Any], status: int
) -> None:
    assert "root:" not in str(error_of(platform.send("POST", path, body), status))


@pytest.mark.parametrize(
    "headers",
    [
        {"x-evolving-max-cost-usd": "cheap"},
        {"x-evolving-min-quality": "7"},
        {"x-evolving-deadline-ms": "nan"},
        {"x-evolving-tags": ",".join("abcdefghijklmnopqrstuvwxyz")},
        {"x-evolving-dna": "../../etc"},
    ],
)
def test_a_demand_that_cannot_be_is_refused(platform: Installed, headers: dict[str, str]) -> None:
    assert error_of(platform.chat("Hello", headers=headers), 400)["code"] == "invalid_request"


@pytest.mark.parametrize("path", [CHAT, OWN_CHAT, "/api/v1/keys"])
def test_a_body_that_says_that_it_is_too_large_is_refused(platform: Installed, path: str) -> None:
    answer = platform.send("POST", path, content=b"x" * (BODY_LIMIT + 1))

    assert error_of(answer, 413)["code"] == "body_too_large"


def endless(sent: list[int]) -> Iterator[bytes]:
    """A body in chunks, without a length; `sent` counts."""
    for _ in range(MANY_BYTES // len(PIECE)):
        sent.append(len(PIECE))
        yield PIECE


def memory_of(platform: Installed) -> int:
    """What the processes hold that a body passes through: the replicas, and Serve's proxy where there is one."""
    through = ("Serve proxy", "gateway")
    return sum(
        memory_bytes(pid) or 0 for pid in marked_processes(platform.state.mark) if kind_of(command_of(pid)) in through
    )


@pytest.mark.parametrize(("path", "key", "status"), [(CHAT, "", 413), (OWN_CHAT, "", 413), (CHAT, None, 401)])
def test_a_body_without_an_end_is_refused_while_it_comes_in_constant_memory(
    platform: Installed, path: str, key: str | None, status: int
) -> None:
    before = memory_of(platform)
    for _ in range(3):
        sent: list[int] = []
        try:
            answer = platform.send("POST", path, content=endless(sent), key=key)
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            continue  # the connection was closed while we were still sending: refused as well
        error_of(answer, status)

    assert memory_of(platform) - before < GROWTH
    assert platform.chat("Hello").status_code == 200


def test_the_refusal_of_a_body_that_is_too_large_is_read_by_who_listens(platform: Installed) -> None:
    """A client that looks at the answer while it sends: it gets all of it."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {platform.admin_key}\r\n"
    with socket.create_connection(("127.0.0.1", platform.state.port), timeout=PATIENCE_S) as client:
        client.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(BODY_LIMIT // len(PIECE) + 1):
            client.sendall(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
        got = b""
        while b"body_too_large" not in got and (part := client.recv(65536)):
            got += part

    assert got.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in got


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, to a port that speaks none
        b"HELLO\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-long: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_harms_nothing(platform: Installed, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", platform.state.port), timeout=PATIENCE_S) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while part := client.recv(65536):
                got += part
        except ConnectionResetError:
            pass  # closed on bytes that nobody wanted to read
    assert got == b"" or got.startswith(b"HTTP/1.1 4"), got[:200]
    assert b"Traceback" not in got
    assert platform.chat("Hello").status_code == 200


def test_a_used_up_budget_is_told_in_the_form_of_the_route(platform: Installed) -> None:
    key = platform.new_key("broke")
    body = {"scope": "tenant:broke", "cap_usd": "0.000001", "window": "day"}
    assert platform.send("POST", "/api/v1/budgets", body).status_code == 200

    for path in (CHAT, OWN_CHAT):
        answer = platform.send("POST", path, {"model": "auto", "messages": HELLO}, key=key["secret"])
        assert error_of(answer, 429)["code"] == "budget_exceeded"
        assert answer.headers["x-should-retry"] == "false"


def test_a_rate_limit_says_when_to_come_back(platform: Installed) -> None:
    key = platform.new_key("hasty", requests_per_minute=2)["secret"]

    answers = [platform.chat("Hello", key=key) for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]

    assert refused
    assert error_of(refused[0], 429)["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    assert refused[0].headers["x-should-retry"] == "true"
