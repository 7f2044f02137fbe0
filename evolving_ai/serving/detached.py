"""Starting a platform in the background: a supervisor in a session of its own that tells, by a pipe, how it goes."""

import json
import os
import signal
import subprocess  # nosec B404 - our own command lines
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolving_ai import errors
from evolving_ai.errors import EvolvingAIError, PlatformError
from evolving_ai.serving.process_log import log_folder
from evolving_ai.wiring.platform_state import PlatformState, read_state

__all__ = ["start_detached"]

_END_S = 60.0


def start_detached(
    home: Path,
    arguments: Sequence[str],
    *,
    note: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> PlatformState:
    """Start `evolving-ai up` for `home` with `arguments` and wait until it is healthy; what `run.json` says then.

    `environment` is what it sees (default: this process's).
    The error that ended it, as it raised it, when it does not become healthy. KeyboardInterrupt ends it again.
    """
    log = log_folder(home) / "up.log"
    ours, theirs = os.pipe()
    command = [sys.executable, "-m", "evolving_ai.cli.entry", "up", "--home", str(home), *arguments]
    with log.open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 # nosec B603 - this program itself
            [*command, "--report-to", str(theirs)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            pass_fds=(theirs,),
            env=environment,
        )
    os.close(theirs)
    try:
        with open(ours, "rb") as pipe:  # noqa: PTH123 - a descriptor
            _follow(_messages(pipe), note, log)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait(_END_S)
        raise
    except EvolvingAIError:
        process.wait(_END_S)
        raise
    # It lives on; nobody waits for it.
    process.returncode = 0
    state = read_state(home)
    if state is None:
        raise PlatformError(f"the platform ended as soon as it was healthy: see {log}")
    return state


def _messages(pipe: Any) -> Iterator[dict[str, Any]]:
    for line in pipe:
        yield json.loads(line)


def _follow(messages: Iterator[dict[str, Any]], note: Callable[[str], None], log: Path) -> None:
    for message in messages:
        if "ready" in message:
            return
        if "error" in message:
            kind = getattr(errors, message["kind"], PlatformError)
            raise kind(message["error"]) if kind in _PLAIN else PlatformError(message["error"])
        note(message["note"])
    raise PlatformError(f"the platform ended while it started: see {log}")


_PLAIN = (errors.SettingsError, errors.UsageError, errors.DataError, errors.LockedError, errors.StorageError)
