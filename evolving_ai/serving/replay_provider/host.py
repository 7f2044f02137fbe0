"""The process of the replay providers: one server, one port on loopback for each model.

It ends on SIGTERM or SIGINT, and by itself when the process that started it is gone.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import uvicorn
import uvloop

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.files import write_atomically
from evolving_ai.errors import PlatformError, UsageError
from evolving_ai.serving.replay_provider.app import ReplayApp
from evolving_ai.serving.replay_provider.table import load_replay_table

__all__ = ["run_replay_providers"]

_HOST = "127.0.0.1"
_BACKLOG = 1024
_LOOK_AFTER_PARENT_S = 0.5
_LOOK_AFTER_START_S = 0.01
_FINISH_S = 1
"""What requests in flight get when the process is told to end."""


def run_replay_providers(table: Path, *, ports: Sequence[int], latency_scale: float, ready_file: Path) -> None:
    """Serve until told to end. `ports`: one for each model, models sorted; of one port those after it are used, too,
    and of none, or 0, any that are free.

    `ready_file` is written once every port answers: `{"pid": ..., "models": {model: base URL}}`. DataError when `table`
    is none; UsageError for another number of ports than models; PlatformError when a port is taken; StorageError when
    the file cannot be written.
    """
    parent = os.getppid()
    recorded = load_replay_table(table)
    ready_file.unlink(missing_ok=True)
    with _sockets(_ports(len(recorded.models), ports)) as sockets:
        bound = [listener.getsockname()[1] for listener in sockets]
        places = {port: place for place, port in enumerate(bound)}
        app = ReplayApp(recorded, places, clock=SystemClock(), latency_scale=latency_scale)
        urls = {model: f"http://{_HOST}:{port}/v1" for model, port in zip(recorded.models, bound, strict=True)}
        ready = orjson.dumps({"pid": os.getpid(), "models": urls})
        # uvicorn catches these while it serves, and raises them once more for whoever waits: nobody does.
        for caught in (signal.SIGTERM, signal.SIGINT):
            signal.signal(caught, lambda *_: None)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(app, sockets, ready_file, ready, parent))


async def _serve(app: ReplayApp, sockets: list[socket.socket], ready_file: Path, ready: bytes, parent: int) -> None:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_FINISH_S,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets))
        while not server.started and not serving.done():
            await asyncio.wait([serving], timeout=_LOOK_AFTER_START_S)
        write_atomically(ready_file, ready)
        while not serving.done():
            if os.getppid() != parent:
                server.should_exit = True
            await asyncio.wait([serving], timeout=_LOOK_AFTER_PARENT_S)


def _ports(count: int, asked: Sequence[int]) -> Sequence[int]:
    if len(asked) > 1 and len(asked) != count:
        raise UsageError(f"{len(asked)} ports were given for {count} models: expected one for each, or the first")
    first = asked[0] if asked else 0
    return asked if len(asked) == count else [first and first + number for number in range(count)]


@contextlib.contextmanager
def _sockets(ports: Sequence[int]) -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for port in ports:
            listener = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(listener, port)
            sockets.append(listener)
        yield sockets


def _bind(listener: socket.socket, port: int) -> None:
    try:
        listener.bind((_HOST, port))
    except (OSError, OverflowError) as exc:
        raise PlatformError(f"port {port} of {_HOST} is not free: choose other --ports, or 0 for any") from exc
