"""A small steady load on a platform while something is done to it, and what became of each request."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evolving_ai._common.clock import Clock
from evolving_ai.doctor.gateway import Gateway
from evolving_ai.errors import PlatformError

__all__ = ["WORKERS", "Load", "Sent", "failures", "running_load"]

WORKERS = 4
_PAUSE_S = 0.02
_HEADERS = ("x-evolving-dna", "x-evolving-snapshot")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request and what became of it. `at_s` is monotonic, of its beginning; `problem` is empty when it succeeded.

    `version` holds the first digits of the DNA and the snapshot that decided it; None when it failed.
    """

    at_s: float
    problem: str = ""
    version: tuple[str, str] | None = None


@dataclass
class Load:
    """The requests that have ended so far; threads add to it."""

    sent: list[Sent] = field(default_factory=list)


@contextlib.contextmanager
def running_load(gateway: Gateway, model: str, clock: Clock) -> Iterator[Load]:
    """Ask for `model` all the time inside the block, each of WORKERS threads one request after the other.

    When the block has ended, however it does, so have all requests. Every other one has a connection of its own.
    """
    load, stop = Load(), threading.Event()

    def work() -> None:
        is_alone = False
        while not stop.wait(_PAUSE_S):
            load.sent.append(_send(gateway, model, clock, is_alone=is_alone))
            is_alone = not is_alone

    threads = [threading.Thread(target=work, name=f"load-{number}") for number in range(WORKERS)]
    try:
        for thread in threads:
            thread.start()
        yield load
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _send(gateway: Gateway, model: str, clock: Clock, *, is_alone: bool) -> Sent:
    at_s = clock.monotonic_s()
    try:
        answer = gateway.chat(model, is_alone=is_alone)
        if answer.status != 200:
            return Sent(at_s, answer.shown)
        dna, snapshot = (answer.header(name) for name in _HEADERS)
    except PlatformError as exc:
        return Sent(at_s, str(exc))
    return Sent(at_s, version=(dna, snapshot))


def failures(sent: Sequence[Sent]) -> list[Sent]:
    """The requests that did not succeed, the earliest first."""
    return sorted((one for one in sent if one.problem), key=lambda one: one.at_s)
