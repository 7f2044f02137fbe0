"""The process that owns the listening socket of a node: `python -m evolving_ai.serving.listener_host`.

It binds and listens, and hands a duplicate of the socket to whoever connects to its Unix socket. It accepts no
connection itself. It ends when its standard input does, which is when the process that started it ends. It imports
the standard library only, so that it stays small.
"""

import argparse
import contextlib
import errno
import os
import selectors
import socket
import sys
from pathlib import Path

__all__ = ["hand_out", "open_listener"]

_BACKLOG = 4096


def open_listener(bind: str, port: int) -> socket.socket:
    """A socket that listens on `bind` (a name or an address) and `port` (0: a free one). OSError when it cannot."""
    family, kind, protocol, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def hand_out(listener: socket.socket, desk: socket.socket, leash: int) -> None:
    """Send `listener` to every process that connects to `desk`, until the descriptor `leash` reaches its end."""
    with selectors.DefaultSelector() as selector:
        selector.register(desk, selectors.EVENT_READ)
        selector.register(leash, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == leash:
                    if not os.read(leash, 1024):
                        return
                    continue
                # One that went away while it waited is no concern of the others.
                with contextlib.suppress(OSError), desk.accept()[0] as peer:
                    socket.send_fds(peer, [b"1"], [listener.fileno()])


def main() -> int:
    """Bind, say so, hand out; 1 when the address cannot be had, with the reason on stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--desk", type=Path, required=True)
    parser.add_argument("--inherit", type=int, help="a descriptor of a socket that listens already")
    options = parser.parse_args()
    try:
        inherited = options.inherit
        listener = open_listener(options.bind, options.port) if inherited is None else socket.socket(fileno=inherited)
    except OSError as exc:
        sys.stdout.write(f"{errno.errorcode.get(exc.errno or 0, 'EINVAL')} {exc.strerror or exc}\n")
        return 1
    with listener, socket.socket(socket.AF_UNIX) as desk:
        desk.bind(str(options.desk))
        desk.listen(64)
        sys.stdout.write(f"ready {listener.getsockname()[1]}\n")
        sys.stdout.flush()
        hand_out(listener, desk, sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
