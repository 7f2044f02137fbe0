"""What a check or a scenario found: a verdict, in a line."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Verdict", "has_failed"]


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"  # it works, but not well, or not for long
    FAILED = "failed"
    SKIPPED = "skipped"  # it does not apply here; the detail says why


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result. `seconds` is what it took to find out, `advice` what to do about it (empty: nothing)."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {**asdict(self), "verdict": self.verdict.value, "seconds": round(self.seconds, 3)}


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether any of them is a failure."""
    return any(finding.verdict is Verdict.FAILED for finding in findings)
