"""A conversation with the platform: messages go out, answers are printed as they come, and each can be judged."""

import math
from typing import Any

from evolving_ai.cli.output import note, note_dim, print_piece, print_table, print_text
from evolving_ai.domain.money import NANO_PER_USD, format_usd
from evolving_ai.errors import UsageError
from evolving_ai.sdk import ChatResult, NotFoundError, SyncEvolutionFramework
from evolving_ai.sdk.results import Candidate

__all__ = ["Conversation", "figures", "result_json"]


class Conversation:
    """`model` None: the live DNA chooses. What fails or is interrupted is not part of the conversation afterwards."""

    def __init__(self, framework: SyncEvolutionFramework, *, model: str | None, is_streamed: bool) -> None:
        self._framework = framework
        self._model = model
        self._is_streamed = is_streamed
        self._messages: list[dict[str, Any]] = []
        self._last: ChatResult | None = None

    def answer(self, text: str) -> ChatResult:
        """The answer to `text`, not printed."""
        return self._added(text, self._framework.ai.chat(self._with(text), model=self._model))

    def say(self, text: str) -> None:
        """Print the answer to `text` on stdout, as it comes unless that was not wanted, and its figures on stderr."""
        if self._is_streamed:
            result = self._added(text, self._streamed(text))
        else:
            result = self.answer(text)
            print_text(result.text)
        note_dim(figures(result))

    def rate(self, score: float, comment: str | None) -> None:
        """Say how good the last answer was."""
        self._framework.ai.feedback(self._decided().decision_id, score, comment)
        note("noted: the platform learns from it")

    def explain(self) -> None:
        """Print why the last answer came from where it came."""
        try:
            decision = self._framework.ai.decision(self._decided().decision_id)
        except NotFoundError:
            note("the decision is not recorded yet: ask again in a second")
            return
        rows = [
            (
                "*" if candidate.is_chosen else "",
                candidate.model,
                candidate.quality,
                candidate.cost_usd,
                candidate.score,
            )
            for candidate in sorted(decision.candidates, key=_worth, reverse=True)
        ]
        print_table(("", "model", "quality", "cost USD", "score"), rows)
        unmet = f"; no model met {', '.join(decision.relaxed)}" if decision.relaxed else ""
        note(f"chosen with probability {decision.propensity:g}{unmet}")
        for attempt in decision.attempts:
            note(f"{attempt.target}: {attempt.result} after {attempt.latency_s:.3f} s")

    def _streamed(self, text: str) -> ChatResult:
        with self._framework.ai.chat(self._with(text), model=self._model, stream=True) as stream:
            try:
                for chunk in stream:
                    print_piece(chunk.text)
            finally:
                print_piece("\n")
            return stream.result

    def _with(self, text: str) -> list[dict[str, Any]]:
        return [*self._messages, {"role": "user", "content": text}]

    def _added(self, text: str, result: ChatResult) -> ChatResult:
        self._messages = [*self._with(text), result.message]
        self._last = result
        return result

    def _decided(self) -> ChatResult:
        if self._last is None:
            raise UsageError("there is no answer yet: say something first")
        return self._last


def figures(result: ChatResult) -> str:
    """Who answered, for how much, under which DNA, and the id to ask with."""
    cost = "cost unknown" if result.cost_usd is None else f"{_usd(result)} USD"
    attempts = "" if result.attempts == 1 else f" after {result.attempts} attempts"
    return f"{result.target}{attempts}, {cost}, dna {result.dna}, {result.decision_id}"


def result_json(result: ChatResult) -> dict[str, Any]:
    """The answer as `--json` prints it."""
    return {
        "text": result.text,
        "model": result.model,
        "target": result.target,
        "decision_id": result.decision_id,
        "finish_reason": result.finish_reason,
        "usage": {"input_tokens": result.usage.input_tokens, "output_tokens": result.usage.output_tokens},
        "cost_usd": None if result.cost_usd is None else _usd(result),
        "attempts": result.attempts,
        "dna": result.dna,
        "snapshot": result.snapshot,
    }


def _usd(result: ChatResult) -> str:
    return format_usd(int((result.cost_usd or 0) * NANO_PER_USD))


def _worth(candidate: Candidate) -> float:
    return -math.inf if candidate.score is None else candidate.score
