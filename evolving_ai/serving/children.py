"""The processes that the supervisor starts beside Ray: the holder of the listening socket, the replay providers, and
the one that makes the home ready.

They die with the supervisor, also when that is killed with -9.
"""

import contextlib
import json
import subprocess  # nosec B404 - our own command lines
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from evolving_ai._common.clock import Clock
from evolving_ai._common.port_owner import port_owner
from evolving_ai._common.processes import die_with_parent
from evolving_ai.errors import PlatformError
from evolving_ai.serving.listener import LISTENER_VARIABLE, receive_listener

__all__ = [
    "Preparation",
    "ReplayProviders",
    "SocketHolder",
    "check_port",
    "preparation",
    "replay_providers",
]

_END_S = 3.0
_POLL_S = 0.05
_REPLAY_START_S = 60.0
_SHORTEST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class SocketHolder:
    """The process that holds the listening socket for `bind` and `port`; a context manager.

    The supervisor keeps a duplicate of the socket: should the holder be killed, another takes its place, and no
    connection notices.
    """

    def __init__(self, folder: Path, bind: str, port: int) -> None:
        self.desk = folder / "listener.sock"
        self.port = port
        self._bind = bind
        self._stack = contextlib.ExitStack()
        self._process: Any = None

    def __enter__(self) -> Self:
        """PlatformError when the address cannot be had."""
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._start()
            self._listener = stack.enter_context(receive_listener({LISTENER_VARIABLE: str(self.desk)}))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """The process, now."""
        return int(self._process.pid)

    def keep(self) -> bool:
        """Start another holder if this one has ended; whether that was needed."""
        if self._process.poll() is None:
            return False
        self.desk.unlink(missing_ok=True)
        self._start("--inherit", str(self._listener.fileno()), pass_fds=(self._listener.fileno(),))
        return True

    def _start(self, *further: str, **options: Any) -> None:
        module = "evolving_ai.serving.listener_host"
        command = [sys.executable, "-m", module, "--bind", self._bind, "--port", str(self.port)]
        command += ["--desk", str(self.desk), *further]
        process = _child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        self._process = self._stack.enter_context(process)
        line = self._process.stdout.readline().strip()
        if not line.startswith("ready "):
            raise check_port(line or "EINVAL the holder of the socket did not start", self._bind, self.port)
        self.port = int(line.split()[1])


class ReplayProviders:
    """The process of the replay providers, and the base URL of each model's: made by `replay_providers`."""

    def __init__(self, command: Sequence[str], ready_file: Path, log: Path, clock: Clock) -> None:
        self.ready_file = ready_file
        self.base_urls: Mapping[str, str] = {}
        self._command = [*command, "--ready-file", str(ready_file)]
        self._log = log
        self._clock = clock
        self._pause_s = 0.0
        self._started_s = 0.0
        self._stack = contextlib.ExitStack()
        self._process: Any = None

    @property
    def pid(self) -> int:
        """The process, now."""
        return int(self._process.pid)

    def start(self, check: Callable[[], None]) -> None:
        """Start it, and wait until it answers. PlatformError when it does not; `check` may raise meanwhile."""
        self._start("wb")
        give_up_s = self._started_s + _REPLAY_START_S
        pause = threading.Event()
        while not self.ready_file.exists():
            check()
            if self._process.poll() is not None:
                raise PlatformError(f"the replay providers did not start: {_last_words(self._log)}")
            if self._clock.monotonic_s() > give_up_s:
                raise PlatformError(f"the replay providers did not start within {_REPLAY_START_S:g} s: see {self._log}")
            pause.wait(_POLL_S)
        self.base_urls = json.loads(self.ready_file.read_bytes())["models"]

    def keep(self) -> bool:
        """Start it again, at the same addresses, if it has ended; whether that was done. It answers a moment later.

        One that ends again and again is left alone for longer each time, up to a minute. Faults that were ordered
        are forgotten.
        """
        lived_s = self._clock.monotonic_s() - self._started_s
        if self._process.poll() is None:
            self._pause_s = 0.0 if lived_s > _LONGEST_PAUSE_S else self._pause_s
            return False
        if lived_s < self._pause_s:
            return False
        self._pause_s = min(max(_SHORTEST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        ports = (str(urlsplit(self.base_urls[model]).port) for model in sorted(self.base_urls))
        self._start("ab", "--ports", *ports)
        return True

    def _start(self, mode: str, *further: str) -> None:
        self.end()
        self._started_s = self._clock.monotonic_s()
        with self._log.open(mode) as said:
            child = _child([*self._command, *further], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            self._process = self._stack.enter_context(child)

    def end(self) -> None:
        self._stack.close()


def check_port(reason: str, bind: str, port: int) -> PlatformError:
    """The error for an address that cannot be had, because of `reason`."""
    if not reason.startswith("EADDRINUSE"):
        return PlatformError(f"{bind}:{port} cannot be listened on: {reason.partition(' ')[2] or reason}")
    owner = port_owner(port) or "another process"
    return PlatformError(f"port {port} is taken by {owner}: stop that, or choose another with --port")


@contextlib.contextmanager
def replay_providers(
    folder: Path, table: Path, latency_scale: float, log: Path, clock: Clock, check: Callable[[], None]
) -> Iterator[ReplayProviders]:
    """Replay providers over `table`, ready to answer. `check` is called while they start, and may raise."""
    command = [sys.executable, "-m", "evolving_ai.serving.replay_provider", "--table", str(table)]
    command += ["--latency-scale", str(latency_scale)]
    providers = ReplayProviders(command, folder / "replay.json", log, clock)
    try:
        providers.start(check)
        yield providers
    finally:
        providers.end()


class Preparation:
    """A process that makes the home ready (`evolving_ai.wiring.prepare`), running while other things start."""

    def __init__(self, process: Any, log: Path) -> None:
        self._process = process
        self._log = log

    def wait(self, check: Callable[[], None]) -> None:
        """Until it is done. PlatformError with its reason when it failed; `check` may raise meanwhile."""
        pause = threading.Event()
        while self._process.poll() is None:
            check()
            pause.wait(_POLL_S)
        if self._process.returncode != 0:
            raise PlatformError(f"the home cannot be made ready: {_last_words(self._log)}")


@contextlib.contextmanager
def preparation(home: Path, replay_file: Path | None, log: Path) -> Iterator[Preparation]:
    """Begin to make `home` ready; `replay_file` says where the replay providers are."""
    command = [sys.executable, "-m", "evolving_ai.wiring.prepare", str(home)]
    command += [] if replay_file is None else [str(replay_file)]
    with log.open("wb") as said, _child(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process:
        yield Preparation(process, log)


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ")[:300] if lines else f"it said nothing in {log}"


@contextlib.contextmanager
def _child(command: list[str], **options: Any) -> Iterator[Any]:
    """A process in a session of its own, so that Ctrl-C does not end it before the rest; ended with the block."""
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent(), **options)  # noqa: S603 # nosec B603 - no shell, our own arguments
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.terminate()  # nothing happens to one that has ended: its number may be another's by now
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
