"""The text and the JSON of replayed answers, in OpenAI's format."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from evolving_ai.serving.replay_provider.table import RecordedOutcome

__all__ = ["ReplayedAnswer", "events_of", "recorded_answer", "unknown_answer", "whole_answer", "wrong_answer"]

_FRAME_TOKENS = 8
_FINGERPRINT = "replay"
_FILLER = ("this", "text", "stands", "in", "for", "the", "recorded", "answer", "whose", "words", "were", "not", "kept")
_UNKNOWN_TEXT = (
    "[replay {model}] This is a replay provider: it knows the prompts of its table only, and this is none of them. "
    "To get real answers, set a provider's key in the environment (for example OPENAI_API_KEY) and start again."
)
_BYTES_PER_TOKEN = 4


class ReplayedAnswer(NamedTuple):
    """What is answered: `words` are counted as tokens. `score` None: nothing was recorded for this prompt."""

    model: str
    words: list[str]
    prompt_tokens: int
    completion_tokens: int
    score: float | None


def recorded_answer(model: str, outcome: RecordedOutcome) -> ReplayedAnswer:
    """As many filler words as the recorded answer had tokens, after `[replay MODEL]`."""
    count = outcome.completion_tokens
    words = [f"[replay {model}]", *_filler(count)]
    return ReplayedAnswer(model, words, outcome.prompt_tokens, count, outcome.score)


def unknown_answer(model: str, prompt: str) -> ReplayedAnswer:
    """What this is, and how to get a real answer. Usage is what this text takes, estimated."""
    words = _UNKNOWN_TEXT.format(model=model).split(" ")
    return ReplayedAnswer(
        model, words, len(prompt.encode("utf-8", "replace")) // _BYTES_PER_TOKEN + 1, len(words), None
    )


def wrong_answer(answer: ReplayedAnswer) -> ReplayedAnswer:
    """What a model that got worse says instead: as long and as dear, worth nothing, and it says what it is."""
    words = [f"[degraded replay {answer.model}]", *_filler(answer.completion_tokens)]
    return answer._replace(words=words, score=0.0)


def _filler(count: int) -> list[str]:
    return list((_FILLER * (count // len(_FILLER) + 1))[:count])


def whole_answer(answer: ReplayedAnswer, request_id: str, created_s: int) -> bytes:
    """The JSON of a chat completion."""
    message = {"role": "assistant", "content": " ".join(answer.words), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    document = {**_head(answer, request_id, created_s, "chat.completion"), "choices": [choice], "usage": _usage(answer)}
    return orjson.dumps(document)


def events_of(answer: ReplayedAnswer, request_id: str, created_s: int, *, with_usage: bool) -> Iterator[bytes]:
    """The events of a stream, each with eight words; then the end, the usage where it was asked for, and the mark."""
    head = _head(answer, request_id, created_s, "chat.completion.chunk")
    if with_usage:
        head["usage"] = None
    yield _event(head, {"role": "assistant", "content": ""}, None)
    words = answer.words
    for start in range(0, len(words), _FRAME_TOKENS):
        text = " ".join(words[start : start + _FRAME_TOKENS])
        yield _event(head, {"content": text if start == 0 else f" {text}"}, None)
    yield _event(head, {}, "stop")
    if with_usage:
        yield b"data: " + orjson.dumps({**head, "choices": [], "usage": _usage(answer)}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _head(answer: ReplayedAnswer, request_id: str, created_s: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{request_id}",
        "object": kind,
        "created": created_s,
        "model": answer.model,
        "system_fingerprint": _FINGERPRINT,
    }


def _event(head: dict[str, Any], delta: dict[str, Any], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"


def _usage(answer: ReplayedAnswer) -> dict[str, int]:
    total = answer.prompt_tokens + answer.completion_tokens
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": total,
    }
