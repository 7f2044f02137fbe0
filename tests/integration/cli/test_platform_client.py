"""What a command is told by a platform, by something else on its port, and by nobody."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.errors import PlatformError, RequestError
from tests.integration.cli.keys_platform import keys_platform, serve


@pytest.fixture(autouse=True)
def _no_other_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVOLVING_AI_BASE_URL", "EVOLVING_AI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # must not be asked
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


def pretend(home: Path, url: str) -> PlatformClient:
    (home / "run.json").write_text(json.dumps({"url": url}))
    (home / "admin.token").write_text("secret-of-the-home\n")
    return PlatformClient(home)


def answering(status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        await send({"type": "http.response.body", "body": body})

    return app


def test_the_platform_of_a_home_is_asked_with_its_token(tmp_path: Path) -> None:
    with keys_platform(tmp_path):
        client = PlatformClient(tmp_path)
        made = client.request("POST", "/api/v1/keys", {"tenant": "acme", "role": "viewer"})
        listed = client.request("GET", "/api/v1/keys", params={"tenant": "acme"})

    assert [key["id"] for key in listed["keys"]] == [made["id"]]


def test_a_refusal_is_one_line_with_its_hint_and_code(tmp_path: Path) -> None:
    with keys_platform(tmp_path), pytest.raises(RequestError) as caught:
        PlatformClient(tmp_path).request("DELETE", "/api/v1/keys/key-x")

    assert caught.value.code == "not_found"
    assert str(caught.value) == "there is no key 'key-x' (`evolving-ai keys list` shows the keys there are)"


def test_a_home_where_nothing_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"^the platform is not running: start it with `evolving-ai up`$"):
        PlatformClient(tmp_path).request("GET", "/api/v1/keys")


def test_a_platform_that_died_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with pytest.raises(PlatformError, match=r"the platform is not running \(nobody answers at .*\): start it with"):
        pretend(tmp_path, url).request("GET", "/api/v1/keys")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_something_else_on_the_port_is_told(tmp_path: Path, status: int, body: bytes) -> None:
    with serve(answering(status, body)) as url, pytest.raises(PlatformError, match="is not the platform"):
        pretend(tmp_path, url).request("GET", "/api/v1/keys")


@pytest.mark.parametrize("body", [b"{}", b'{"error": "x"}', b'{"error": {"code": "unheard_of", "message": null}}'])
def test_an_error_of_an_unknown_form_is_one_line(tmp_path: Path, body: bytes) -> None:
    with serve(answering(503, body)) as url, pytest.raises(RequestError, match="refused with status 503"):
        pretend(tmp_path, url).request("GET", "/api/v1/keys")


def test_a_redirect_is_not_followed_so_that_the_token_stays_here(tmp_path: Path) -> None:
    asked: list[str] = []

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])

    with serve(elsewhere) as other:
        moved = answering(307, b"{}", [(b"location", f"{other}/api/v1/keys".encode())])
        with serve(moved) as url, pytest.raises(RequestError):
            pretend(tmp_path, url).request("GET", "/api/v1/keys")

    assert asked == []


def test_a_connection_that_breaks_is_one_line(tmp_path: Path) -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})

    with serve(breaks) as url, pytest.raises(PlatformError, match="cannot be asked"):
        pretend(tmp_path, url).request("GET", "/api/v1/keys")
