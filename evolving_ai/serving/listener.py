"""How a replica comes by the listening socket of its node: it asks the process that holds it, over a Unix socket."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from evolving_ai.errors import PlatformError

__all__ = ["LISTENER_VARIABLE", "receive_listener"]

LISTENER_VARIABLE = "EVOLVING_AI_LISTENER"
"""In the environment of the platform's processes: the path of the holder's Unix socket."""
_TIMEOUT_S = 10.0


def receive_listener(environment: Mapping[str, str] | None = None) -> socket.socket:
    """A duplicate of the listening socket; the caller closes it. PlatformError when the holder does not answer."""
    path = (os.environ if environment is None else environment).get(LISTENER_VARIABLE)
    if not path:
        raise PlatformError(f"no listening socket: expected ${LISTENER_VARIABLE}, which `evolving-ai up` sets")
    try:
        with socket.socket(socket.AF_UNIX) as desk:
            desk.settimeout(_TIMEOUT_S)
            desk.connect(str(Path(path)))
            _, descriptors, _, _ = socket.recv_fds(desk, 16, 1)
    except OSError as exc:
        raise PlatformError(f"the holder of the listening socket does not answer at {path}: {exc}") from exc
    if not descriptors:
        raise PlatformError(f"the holder of the listening socket at {path} gave none: start the platform again")
    return socket.socket(fileno=descriptors[0])
