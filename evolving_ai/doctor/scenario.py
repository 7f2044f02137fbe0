"""One thing that a platform must do, and how it is tried.

A scenario returns a line about how it went, or raises PlatformError with what was found and what was expected. It
leaves the platform as it found it, however it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evolving_ai._common.clock import Clock
from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.finding import Finding, Verdict
from evolving_ai.doctor.gateway import Gateway
from evolving_ai.doctor.ports import OwnPlatform
from evolving_ai.errors import EvolvingAIError, PlatformError

__all__ = ["Patient", "Scenario", "run_scenario"]

_POLL_S = 0.1


@dataclass(frozen=True)
class Patient:
    """The platform that is examined. `model` is what plain requests ask for; `own` is None for somebody else's.

    `pause` waits for so many seconds, and raises KeyboardInterrupt when the program was asked to stop.
    """

    gateway: Gateway
    clock: Clock
    pause: Callable[[float], None]
    model: str = "auto"
    own: OwnPlatform | None = None

    def owned(self) -> OwnPlatform:
        """The platform as one of our own; PlatformError when it is somebody else's."""
        if self.own is None:
            raise PlatformError("this is tried on a platform of our own only")
        return self.own

    def wait_until(self, is_so: Callable[[], bool], within_s: float, otherwise: str) -> float:
        """Wait; the seconds that it took. PlatformError with the text `otherwise` when it takes too long."""
        started_s = self.clock.monotonic_s()
        while not is_so():
            expect(self.clock.monotonic_s() - started_s < within_s, f"{otherwise} within {within_s:g} s")
            self.pause(_POLL_S)
        return self.clock.monotonic_s() - started_s


@dataclass(frozen=True)
class Scenario:
    """A name and what is done. `needs_own`: it breaks or changes something, so it is done to our own platform alone."""

    name: str
    run: Callable[[Patient], str]
    needs_own: bool = False


def run_scenario(scenario: Scenario, patient: Patient) -> Finding:
    """How it went. KeyboardInterrupt passes."""
    if scenario.needs_own and patient.own is None:
        detail = "not on a platform that others use: run the doctor without --url"
        return Finding(scenario.name, Verdict.SKIPPED, detail)
    started_s = patient.clock.monotonic_s()
    try:
        patient.pause(0.0)
        verdict, detail = Verdict.OK, scenario.run(patient)
    except EvolvingAIError as exc:
        verdict, detail = Verdict.FAILED, str(exc)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:  # another shape of answer
        verdict, detail = Verdict.FAILED, f"an answer has not the form that was expected ({type(exc).__name__}: {exc})"
    return Finding(scenario.name, verdict, detail, seconds=patient.clock.monotonic_s() - started_s)
