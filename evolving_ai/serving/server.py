"""An HTTP server on a socket that other processes accept on too, and that loses no request when it stops.

uvicorn's protocol over httptools speaks HTTP; what is added here is how connections begin and end. One connection is
accepted at a time, so that the processes that share the socket share the connections. A server that drains leaves the
listening socket to the others, says `Connection: close` in every answer from then on, and closes an idle connection
only when it stayed silent for a while. A head that is too long, or that never ends, is refused. No TLS, no websockets.

It depends on names inside uvicorn; `tests/integration/serving/test_server.py` names those that an upgrade broke.
"""

import array
import asyncio
import fcntl
import logging
import socket
import termios
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

__all__ = ["DrainingProtocol", "ReplicaServer"]

_LOG = logging.getLogger(__name__)
_KEEP_ALIVE_S = 75
"""Longer than the clients' own patience (httpx 5 s, nginx 60 s): it is they who close what they do not use."""
_MAX_HEAD_BYTES = 64 * 2**10
_HEAD_TIMEOUT_S = 30.0
_BODY_SILENCE_S = 30.0
_MOST_HELD_BYTES = 64 * 2**10
_LINGER_S = 1.0
_LOOK_EVERY_S = 0.05
_DATE_EVERY_S = 1.0
_NO_DESCRIPTOR_PAUSE_S = 0.1
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _State(ServerState):
    """uvicorn's state of a server, and whether that is ending."""

    def __init__(self) -> None:
        super().__init__()
        self.is_draining = False


class _OneWrite:
    """A transport that hands what was written in one turn of the loop to the system at once.

    uvicorn writes the head and the body of an answer separately, and a call of the system costs as much as a tenth of
    all that a request takes.
    """

    __slots__ = ("_loop", "_parts", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send with what else comes in this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST_HELD_BYTES:
            self._flush()  # so that the transport can say that the client reads too slowly

    def _flush(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            if not self._transport.is_closing():
                self._transport.write(data)

    def write_eof(self) -> None:
        """Send what there is, and that nothing follows."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what there is, then close."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is gone."""
        self._parts.clear()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class DrainingProtocol(HttpToolsProtocol):
    """One connection. While it awaits a request, `timeout_keep_alive_task` is set: uvicorn's own sign of being idle."""

    server_state: _State

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _OneWrite(transport, self.loop)  # type: ignore[assignment] # all that uvicorn uses of one
        self._is_refused = False
        self._reads_head = False
        self._head_bytes = 0
        self._slow_timer: asyncio.TimerHandle | None = None
        self._quiet_since_s: float | None = None
        # uvicorn waits for the first request of a connection without an end
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_slow_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if not self._reads_head:
            self._await_body()
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse()
        elif self._slow_timer is None:
            self._slow_timer = self.loop.call_later(_HEAD_TIMEOUT_S, self.timeout_keep_alive_handler)

    def _await_body(self) -> None:
        """Give up a body that stops coming; one that comes slowly is not."""
        cycle = self.cycle
        if not getattr(cycle, "response_complete", True):  # None before the first request
            if cycle.more_body:
                self._stop_slow_timer()
                self._slow_timer = self.loop.call_later(_BODY_SILENCE_S, self.timeout_keep_alive_handler)
        elif self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # The rest of a body that was answered before it came: the connection is idle again.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _refuse(self) -> None:
        """Say why, and read on for a moment: to close on unread bytes would take the answer back."""
        self._is_refused = True
        self._stop_slow_timer()
        self.transport.write(_TOO_LONG)
        self.transport.write_eof()
        self._slow_timer = self.loop.call_later(_LINGER_S, self.timeout_keep_alive_handler)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._slow_timer is not None:
            self._stop_slow_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._reads_head = False
        if self._slow_timer is not None:
            self._stop_slow_timer()
        if self.server_state.is_draining:
            self.cycle.keep_alive = False

    def _stop_slow_timer(self) -> None:
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None

    def begin_to_drain(self) -> None:
        """An answer that has not begun will say that it is the last; one that has begun is finished as it is."""
        if not getattr(self.cycle, "response_started", True):  # None before the first request
            self.cycle.keep_alive = False

    def close_if_quiet(self, now_s: float, quiet_s: float) -> None:
        """Close when no request was awaited in vain for `quiet_s`, and none lies in the socket at this moment."""
        if self.timeout_keep_alive_task is None:
            self._quiet_since_s = None
        elif self._quiet_since_s is None:
            self._quiet_since_s = now_s
        elif now_s - self._quiet_since_s >= quiet_s and not _unread_bytes(self.transport):
            self.transport.close()


def _unread_bytes(transport: asyncio.Transport) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, waiting)
    return waiting[0]


class ReplicaServer:
    """Serves the ASGI application `app` on `listener`, a listening socket, in the running event loop.

    The server owns its duplicate of the socket and closes it; it never shuts it down, so that others go on.
    """

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._listener = listener
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            http=DrainingProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._state = _State()
        self._uvicorn = uvicorn.Server(self._config)
        self._uvicorn.server_state = self._state
        self._adopted: set[asyncio.Task[None]] = set()
        self._dating: asyncio.Task[None] | None = None
        self._resumption: asyncio.TimerHandle | None = None
        self._is_accepting = False

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return len(self._state.tasks)

    async def start(self) -> None:
        """Begin to accept."""
        self._config.load()
        self._listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        await self._uvicorn.on_tick(0)
        self._dating = asyncio.create_task(self._keep_date())
        self._is_accepting = True
        self._loop.add_reader(self._listener, self._accept)

    async def drain(self, *, quiet_s: float, patience_s: float) -> int:
        """Accept no more, answer everything that was asked, close everything; how many requests had to be cut off.

        An idle connection is closed after `quiet_s` without a request. After `patience_s` the rest is cut off.
        """
        self._stop_accepting()
        await asyncio.gather(*self._adopted, return_exceptions=True)
        self._state.is_draining = True
        for connection in self._connections():
            connection.begin_to_drain()
        give_up_s = self._loop.time() + patience_s
        while (self._state.connections or self._state.tasks) and self._loop.time() < give_up_s:
            for connection in self._connections():
                connection.close_if_quiet(self._loop.time(), quiet_s)
            await asyncio.sleep(_LOOK_EVERY_S)
        return await self._cut_off()

    def _connections(self) -> list[DrainingProtocol]:
        return [each for each in self._state.connections if isinstance(each, DrainingProtocol)]

    async def _cut_off(self) -> int:
        if self._dating is not None:
            self._dating.cancel()
        left = list(self._state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for connection in self._connections():
            connection.transport.abort()
        if left:
            _LOG.warning("%d requests were cut off: they took longer than the time to drain", len(left))
        return len(left)

    def _stop_accepting(self) -> None:
        if self._resumption is not None:
            self._resumption.cancel()
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client is gone again
        except OSError as exc:
            _LOG.warning("no connection can be accepted for a moment: %s", exc)
            self._loop.remove_reader(self._listener)
            self._resumption = self._loop.call_later(_NO_DESCRIPTOR_PAUSE_S, self._resume)
            return
        task = self._loop.create_task(self._adopt(connection))
        self._adopted.add(task)
        task.add_done_callback(self._adopted.discard)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as exc:  # the client is gone already
            _LOG.debug("a connection ended before it began: %s", exc)
            connection.close()

    def _protocol(self) -> DrainingProtocol:
        return DrainingProtocol(self._config, self._state, {}, self._loop)

    async def _keep_date(self) -> None:
        while True:
            await asyncio.sleep(_DATE_EVERY_S)
            await self._uvicorn.on_tick(0)
