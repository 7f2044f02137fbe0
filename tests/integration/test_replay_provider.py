"""The process of the replay providers, driven as a gateway, a test and the OpenAI SDK drive it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

START_S = 30.0
END_S = 5.0
TOKENS = 20
PROMPT = "Why is the sky blue?"
MODELS = ("large-70b", "small-7b")
KEY = "unused"


@dataclass(frozen=True)
class Running:
    """A running process and the addresses that it wrote down."""

    process: subprocess.Popen[bytes]
    urls: dict[str, str]

    @property
    def faults(self) -> str:
        return self.urls["small-7b"].removesuffix("/v1") + "/replay/faults"

    def ask(self, prompt: str = PROMPT, model: str = "small-7b", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **more}
        return httpx.post(f"{self.urls[model]}/chat/completions", json=body, trust_env=False)


def command(folder: Path, scale: float) -> list[str]:
    rows = [
        {"query_id": "1", "prompt": PROMPT, "model": model, "score": score, "prompt_tokens": 9}
        | {"completion_tokens": TOKENS, "cost_usd": 0.001}
        for model, score in zip(MODELS, (1.0, 0.5), strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    program = [sys.executable, "-m", "evolving_ai.serving.replay_provider", "--latency-scale", str(scale)]
    return [*program, "--table", str(folder / "table.parquet"), "--ready-file", str(folder / "ready.json")]


def eventually(check: Callable[[], Any], patience_s: float) -> Any:
    give_up = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)
    return found


def written(folder: Path) -> dict[str, Any]:
    ready: dict[str, Any] = eventually(lambda: (folder / "ready.json").is_file() and readable(folder), START_S)
    return ready


def readable(folder: Path) -> dict[str, Any]:
    ready: dict[str, Any] = json.loads((folder / "ready.json").read_bytes())
    return ready


def started(folder: Path, scale: float = 0.0) -> Running:
    process = subprocess.Popen(command(folder, scale))
    ready = written(folder)
    assert ready["pid"] == process.pid
    return Running(process, ready["models"])


@contextmanager
def ended(running: Running) -> Iterator[Running]:
    """Ends the process in any case."""
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(END_S)


@pytest.fixture(scope="module")
def prompt_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ended(started(tmp_path_factory.mktemp("replay"))) as running:
        yield running


@pytest.fixture
def running(prompt_process: Running) -> Iterator[Running]:
    """Answers at once, and without faults but those that the test orders."""
    yield prompt_process
    httpx.delete(prompt_process.faults, trust_env=False)


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Takes a tenth of the time that such models take."""
    with ended(started(tmp_path_factory.mktemp("replay"), 0.1)) as running:
        yield running


def frames_of(response: httpx.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


def test_a_known_prompt_gets_the_recorded_outcome(running: Running) -> None:
    answers = {model: running.ask(model=model) for model in MODELS}

    for model, score in zip(MODELS, ("1.0", "0.5"), strict=True):
        body = answers[model].json()
        words = body["choices"][0]["message"]["content"].removeprefix(f"[replay {model}] ").split()
        assert len(words) == TOKENS
        assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": 9 + TOKENS}
        assert body["model"] == model
        assert answers[model].headers["x-replay-score"] == score


def test_every_answer_says_what_it_is(running: Running) -> None:
    for answer in (running.ask(), running.ask("Something else"), running.ask(stream=True)):
        assert answer.headers["x-evolving-provider"] == "replay"
        assert '"system_fingerprint":"replay"' in answer.text


def test_the_last_message_of_the_user_counts_with_its_parts_joined(running: Running) -> None:
    messages = [
        {"role": "user", "content": "Something else"},
        {"role": "user", "content": [{"type": "text", "text": PROMPT[:5]}, {"type": "text", "text": PROMPT[5:]}]},
        {"role": "assistant", "content": "Because"},
    ]

    assert "x-replay-score" in running.ask(messages=messages).headers


def test_an_unknown_prompt_gets_no_score_but_advice(running: Running) -> None:
    answer = running.ask("Something else")

    text = answer.json()["choices"][0]["message"]["content"]
    assert "replay provider" in text
    assert "OPENAI_API_KEY" in text
    assert "x-replay-score" not in answer.headers
    assert answer.json()["usage"]["completion_tokens"] == len(text.replace("[replay small-7b]", "x x").split())


def test_a_stream_comes_in_frames_of_eight_tokens(running: Running) -> None:
    answer = running.ask(stream=True, stream_options={"include_usage": True})

    *events, mark = frames_of(answer)
    chunks = [json.loads(event) for event in events]
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert mark == "[DONE]"
    assert "".join(texts) == running.ask().json()["choices"][0]["message"]["content"]
    assert max(len(text.removeprefix("[replay small-7b]").split()) for text in texts) <= 8
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == TOKENS
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_is_not_sent_unasked(running: Running) -> None:
    assert "usage" not in running.ask(stream=True).text


def test_the_latency_is_that_of_the_model(paced: Running) -> None:
    # 70b: 0.5 s and 20 tokens at 42/s, a tenth of it; 7b: 0.2 s and 20 at 130/s.
    assert paced.ask(model="large-70b").elapsed.total_seconds() == pytest.approx(0.0976, abs=0.05)
    assert paced.ask(model="small-7b").elapsed.total_seconds() == pytest.approx(0.0354, abs=0.05)


def test_a_paced_stream_arrives_bit_by_bit(paced: Running) -> None:
    body = {"model": "x", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    url = f"{paced.urls['large-70b']}/chat/completions"
    with httpx.stream("POST", url, json=body, trust_env=False) as answer:
        arrivals = [time.monotonic() for _ in answer.iter_raw()]

    assert arrivals[-1] - arrivals[0] > 0.03


def test_models_are_listed(running: Running) -> None:
    listed = httpx.get(f"{running.urls['large-70b']}/models", trust_env=False).json()["data"]

    assert [model["id"] for model in listed] == ["large-70b"]
    assert "replay provider" in listed[0]["description"]


def test_an_ordered_error_hits_its_share_until_it_is_cleared(running: Running) -> None:
    fault = {"model": "small-7b", "kind": "error", "share": 0.5, "status": 529}
    assert httpx.post(running.faults, json=fault, trust_env=False).status_code == 200

    statuses = [running.ask().status_code for _ in range(8)]
    others = [running.ask(model="large-70b").status_code for _ in range(2)]
    in_force = httpx.get(running.faults, trust_env=False).json()["faults"]
    httpx.delete(running.faults, trust_env=False)

    assert sorted(statuses) == [200] * 4 + [529] * 4
    assert others == [200, 200]
    assert in_force == [fault | {"seconds": 0.0}]
    assert running.ask().status_code == 200


def test_an_ordered_rate_limit_says_when_to_come_back(running: Running) -> None:
    httpx.post(running.faults, json={"kind": "rate_limit", "seconds": 7}, trust_env=False)

    answer = running.ask()

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


def test_slow_and_stalled_answers_take_their_time(running: Running) -> None:
    httpx.post(running.faults, json={"kind": "slow", "seconds": 0.2}, trust_env=False)
    slow = running.ask()
    httpx.post(running.faults, json={"kind": "stall", "seconds": 0.2}, trust_env=False)
    stalled = running.ask()

    assert (slow.status_code, stalled.status_code) == (200, 500)
    assert min(slow.elapsed.total_seconds(), stalled.elapsed.total_seconds()) >= 0.2


def test_a_model_that_got_worse_answers_as_ever_but_wrongly_and_says_so(running: Running) -> None:
    before = running.ask(model="large-70b")
    fault = {"model": "large-70b", "kind": "wrong"}
    assert httpx.post(running.faults, json=fault, trust_env=False).status_code == 200

    whole, other = running.ask(model="large-70b"), running.ask()
    stream = running.ask(model="large-70b", stream=True)
    unknown = running.ask("Something else", model="large-70b")

    assert (whole.status_code, whole.headers["x-replay-score"]) == (200, "0.0")
    assert whole.json()["usage"] == before.json()["usage"]
    assert whole.json()["choices"][0]["message"]["content"].startswith("[degraded replay large-70b] ")
    assert (stream.status_code, stream.headers["x-replay-score"]) == (200, "0.0")
    assert "[degraded replay large-70b] " in stream.text
    assert (unknown.status_code, unknown.headers["x-replay-score"]) == (200, "0.0")
    assert other.headers["x-replay-score"] == "0.5"


def test_a_wrong_answer_takes_as_long_as_a_right_one(paced: Running) -> None:
    faults = paced.urls["large-70b"].removesuffix("/v1") + "/replay/faults"
    httpx.post(faults, json={"kind": "wrong"}, trust_env=False)
    took_s = paced.ask(model="large-70b").elapsed.total_seconds()
    httpx.delete(faults, trust_env=False)

    assert took_s == pytest.approx(0.0976, abs=0.05)


def test_one_model_s_fault_is_cleared_alone(running: Running) -> None:
    for model in MODELS:
        httpx.post(running.faults, json={"model": model, "kind": "wrong"}, trust_env=False)

    cleared = httpx.delete(running.faults, params={"model": "small-7b"}, trust_env=False)
    refused = httpx.delete(running.faults, params={"model": "unknown"}, trust_env=False)

    assert [fault["model"] for fault in cleared.json()["faults"]] == ["large-70b"]
    assert refused.status_code == 400
    assert "expected * or one of" in refused.json()["error"]["message"]
    assert running.ask().headers["x-replay-score"] == "0.5"
    assert running.ask(model="large-70b").headers["x-replay-score"] == "0.0"


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b'{"kind": "explode"}', 400), (b"[]", 400)])
def test_a_fault_that_is_none_is_refused(running: Running, body: bytes, status: int) -> None:
    answer = httpx.post(running.faults, content=body, trust_env=False)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "x"}', b'{"model": "x", "messages": [3]}'])
def test_a_request_that_is_none_is_refused(running: Running, body: bytes) -> None:
    answer = httpx.post(f"{running.urls['small-7b']}/chat/completions", content=body, trust_env=False)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_path_is_not_found(running: Running) -> None:
    assert httpx.get(f"{running.urls['small-7b']}/nothing", trust_env=False).status_code == 404


def test_the_openai_sdk_is_answered(running: Running) -> None:
    with openai.OpenAI(api_key=KEY, base_url=running.urls["small-7b"], max_retries=0) as client:
        messages: Any = [{"role": "user", "content": PROMPT}]
        whole = client.chat.completions.create(model="small-7b", messages=messages)
        stream = client.chat.completions.create(
            model="small-7b", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)

    assert whole.usage is not None
    assert whole.usage.completion_tokens == TOKENS
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_it_ends_when_told_to(tmp_path: Path) -> None:
    running = started(tmp_path)
    httpx.post(running.faults, json={"kind": "stall"}, trust_env=False)
    body = {"model": "x", "messages": [{"role": "user", "content": PROMPT}]}
    with pytest.raises(httpx.TimeoutException):
        httpx.post(f"{running.urls['small-7b']}/chat/completions", json=body, timeout=0.1, trust_env=False)

    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(END_S) == 0


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    arguments = json.dumps(command(tmp_path, 0.0))
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, time; subprocess.Popen({arguments}); time.sleep(600)"]
    )
    pid = written(tmp_path)["pid"]

    parent.kill()
    parent.wait(END_S)

    eventually(lambda: not is_running(pid), END_S)


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_port_that_is_taken_is_said_in_one_line(running: Running, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    port = running.urls["small-7b"].split(":")[-1].removesuffix("/v1")

    failed = subprocess.run([*command(other, 0.0), "--ports", port], capture_output=True, text=True, timeout=START_S)

    assert failed.returncode == 1
    assert failed.stderr == f"error: port {port} of 127.0.0.1 is not free: choose other --ports, or 0 for any\n"
    assert not (other / "ready.json").exists()


def test_another_number_of_ports_than_models_is_said_in_one_line(tmp_path: Path) -> None:
    failed = subprocess.run(
        [*command(tmp_path, 0.0), "--ports", "0", "0", "0"], capture_output=True, text=True, timeout=START_S
    )

    assert failed.returncode == 2
    assert failed.stderr == "error: 3 ports were given for 2 models: expected one for each, or the first\n"


def test_a_table_that_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    arguments = command(tmp_path, 0.0)
    (tmp_path / "table.parquet").unlink()

    failed = subprocess.run(arguments, capture_output=True, text=True, timeout=START_S)

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1
