"""`evolving-ai chat` as a user runs it: once, through a pipe, and in a conversation on a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.platform_server import PlatformServer, Scripted, Stream, running_platform
from tests.integration.cli.program import PROGRAM, refused, run

COST = b": x-evolving-cost-usd 0.000123\n\n"
DONE = b"data: [DONE]\n\n"
FIGURES = "acme/small after 2 attempts, 0.000123 USD, dna dddddddddddd, req-0000000000000000000000"
PATIENCE_S = 30.0


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


def answer(*texts: str) -> Stream:
    return Stream((*map(event, texts), COST, DONE))


@pytest.fixture(scope="module")
def shared() -> Iterator[PlatformServer]:
    with running_platform() as platform:
        yield platform


@pytest.fixture
def platform(shared: PlatformServer) -> PlatformServer:
    shared.reset()
    return shared


@pytest.fixture
def home(platform: PlatformServer, tmp_path: Path) -> Path:
    """A home in which `up` says that it runs."""
    (tmp_path / "run.json").write_text(json.dumps({"url": platform.url}))
    (tmp_path / "admin.token").write_text("token-of-the-home")
    return tmp_path


class Terminal:
    """A conversation on a pseudo-terminal; stderr is the terminal's, too."""

    def __init__(self, *arguments: object) -> None:
        self._fd, slave = pty.openpty()
        self.process = subprocess.Popen(
            [PROGRAM, "chat", *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(slave)
        self._unread = ""

    def expect(self, text: str) -> str:
        """Wait until `text` is on the screen; what was there up to it."""
        assert self._appears(text, PATIENCE_S), f"{text!r} did not appear, but {self._unread!r}"
        seen, _, self._unread = self._unread.partition(text)
        return seen + text

    def interrupt(self, text: str) -> None:
        """Ctrl-C until `text` is on the screen: one that comes just before a system call is heard only after it."""
        for _ in range(10):
            os.kill(self.process.pid, signal.SIGINT)
            if self._appears(text, 3.0):
                break
        self.expect(text)

    def prompted(self) -> None:
        """Wait for the prompt: what is typed before it could be lost while the terminal changes its mode."""
        self.expect("> ")

    def _appears(self, text: str, within_s: float) -> bool:
        give_up = time.monotonic() + within_s
        while text not in self._unread:
            if not select.select([self._fd], [], [], max(0.0, give_up - time.monotonic()))[0]:
                return False
            self._unread += os.read(self._fd, 4096).decode()
        return True

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    opened = Terminal("--home", home)
    yield opened
    opened.close()


def test_one_message_is_streamed_to_stdout_and_its_figures_to_stderr(platform: PlatformServer, home: Path) -> None:
    platform.script.append(answer("Good", " day"))

    done = run("chat", "Hello", "--home", home)

    assert (done.output, done.errors) == ("Good day\n", f"{FIGURES}\n")
    asked = platform.seen[0]
    assert (asked.body["model"], asked.body["stream"]) == ("auto", True)
    assert asked.body["messages"] == [{"role": "user", "content": "Hello"}]
    assert asked.headers["authorization"] == "Bearer token-of-the-home"


def test_a_message_comes_from_stdin_where_none_is_given(home: Path, platform: PlatformServer) -> None:
    command = [PROGRAM, "chat", "--no-stream", "--model", "fast", "--home", str(home)]
    done = subprocess.run(command, input="Hello\nthere\n", capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "You said: Hello\nthere\n"
    assert platform.seen[0].body["model"] == "fast"


def test_json_is_one_document_with_all_figures(home: Path) -> None:
    document = run("chat", "Hello", "--json", "--home", home).document

    assert document == {
        "text": "You said: Hello",
        "model": "small",
        "target": "acme/small",
        "decision_id": "req-0000000000000000000000",
        "finish_reason": "stop",
        "usage": {"input_tokens": 9, "output_tokens": 3},
        "cost_usd": "0.000123",
        "attempts": 1,
        "dna": "d" * 12,
        "snapshot": "5" * 12,
    }


def test_an_answer_cannot_move_the_cursor(home: Path, platform: PlatformServer) -> None:
    platform.script.append(answer("\x1b[2Jboo\n", "\x07!"))
    assert run("chat", "Hello", "--home", home).output == "\\x1b[2Jboo\n\\x07!\n"


def test_another_platform_is_named_with_its_key(platform: PlatformServer, tmp_path: Path) -> None:
    environment = {"EVOLVING_AI_API_KEY": "my-key"}
    run("chat", "Hello", "--no-stream", "--url", platform.url, "--home", tmp_path, environment=environment)
    assert platform.seen[0].headers["authorization"] == "Bearer my-key"
    line = refused("chat", "Hello", "--url", platform.url, "--home", tmp_path, code=2)
    assert "set $EVOLVING_AI_API_KEY" in line


def test_what_cannot_be_is_refused_in_one_line(platform: PlatformServer, home: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert refused("chat", "Hello", "--home", nowhere) == (
        "error: the platform is not running: start it with `evolving-ai up`"
    )
    assert not nowhere.exists()
    assert "there is nothing to say" in refused("chat", " ", "--home", home, code=2)
    (home / "run.json").write_text('{"url": "http://127.0.0.1:1"}')
    assert "is the platform running (`evolving-ai up`)" in refused("chat", "Hello", "--home", home)


def test_a_refusal_of_the_platform_is_one_line(platform: PlatformServer, home: Path) -> None:
    error = {"code": "budget_exceeded", "message": "the budget is used up", "hint": "it ends at midnight"}
    platform.script.append(Scripted(429, {"error": error}))
    assert refused("chat", "Hello", "--home", home) == "error: the budget is used up (it ends at midnight)"


def test_an_answer_that_breaks_off_is_an_error_after_what_came(platform: PlatformServer, home: Path) -> None:
    platform.script.append(Stream((event("Good"),), is_cut=True))
    done = run("chat", "Hello", "--home", home, code=1)
    assert done.output == "Good\n"
    assert done.errors.startswith("error: the connection broke")


def test_a_conversation_remembers_and_its_answers_are_judged(platform: PlatformServer, terminal: Terminal) -> None:
    terminal.prompted()
    terminal.type("/why\n")
    terminal.expect("there is no answer yet")
    terminal.prompted()
    platform.script += [answer("First"), answer("Second")]
    terminal.type("one\n")
    terminal.expect("First")
    assert "\x1b[2m" in terminal.expect(FIGURES), "figures are dim"
    terminal.prompted()
    terminal.type("two\n")
    terminal.expect("Second")
    terminal.expect(FIGURES)
    terminal.prompted()
    terminal.type("/bad too short\n")
    terminal.expect("noted")
    terminal.prompted()
    terminal.type("/good\n")
    terminal.expect("noted")
    terminal.prompted()
    terminal.type("/why\n")
    shown = terminal.expect("acme/small: ok after 0.200 s")
    terminal.prompted()
    terminal.type("/what\n")
    terminal.expect("/good [comment]")
    terminal.prompted()
    terminal.type("\x04")
    assert terminal.process.wait(PATIENCE_S) == 0

    bodies: list[Any] = [request.body for request in platform.seen]
    assert bodies[1]["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "First"},
        {"role": "user", "content": "two"},
    ]
    assert (bodies[2]["score"], bodies[2]["comment"], bodies[3]["score"]) == (0.0, "too short", 1.0)
    assert "chosen with probability 0.95; no model met min_quality" in shown
    assert shown.index("small") < shown.index("large"), "best first"


def test_ctrl_c_cancels_the_answer_and_not_the_conversation(platform: PlatformServer, terminal: Terminal) -> None:
    terminal.prompted()
    platform.script += [Stream((event("Never"),), stalls=True), answer("Still here")]
    terminal.type("one\n")
    terminal.expect("Never")
    terminal.interrupt("cancelled")
    assert platform.client_left.wait(PATIENCE_S), "the platform is told"
    terminal.prompted()
    terminal.interrupt("\r\n> ")
    terminal.type("two\n")
    terminal.expect("Still here")
    terminal.expect(FIGURES)
    assert platform.seen[1].body["messages"] == [{"role": "user", "content": "two"}]


def test_a_failure_does_not_end_the_conversation(platform: PlatformServer, terminal: Terminal) -> None:
    terminal.prompted()
    platform.script += [Scripted(500, {"error": {"code": "internal_error", "message": "oh"}}), answer("Fine")]
    terminal.type("one\n")
    terminal.expect("error: oh")
    terminal.prompted()
    terminal.type("two\n")
    terminal.expect("Fine")


def test_json_is_for_one_message(home: Path) -> None:
    terminal = Terminal("--json", "--home", home)
    try:
        terminal.expect("--json answers one message")
        assert terminal.process.wait(PATIENCE_S) == 2
    finally:
        terminal.close()
