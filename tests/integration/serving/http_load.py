"""A small constant load of HTTP requests that counts every way in which one can fail."""

import asyncio
from collections import Counter
from typing import Self

__all__ = ["HttpLoad", "get"]

_REQUEST = b"GET %s HTTP/1.1\r\nhost: test\r\n\r\n"


class _Lost(Exception):  # noqa: N818 - not an error: what is counted
    """A request that was sent and not answered."""


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection stays."""
    try:
        writer.write(_REQUEST % path.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError) as exc:
        raise _Lost(type(exc).__name__) from exc
    return int(head.split(b" ", 2)[1]), body, b"connection: close" not in head


async def get(port: int, path: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        status, body, _ = await _exchange(reader, writer, path)
    finally:
        writer.close()
    return status, body


class HttpLoad:
    """`kept` connections that stay open and `fresh` clients that open one for each request, until `stop`."""

    def __init__(self, port: int, *, kept: int, fresh: int, pause_s: float = 0.005, path: str = "/") -> None:
        self._port = port
        self._path = path
        self._kept, self._fresh = kept, fresh
        self._pause_s = pause_s
        self._is_over = asyncio.Event()
        self.answered = 0
        self.failed: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        clients = [self._client(is_kept=True) for _ in range(self._kept)]
        clients += [self._client(is_kept=False) for _ in range(self._fresh)]
        self._tasks = [asyncio.create_task(client) for client in clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    async def _client(self, *, is_kept: bool) -> None:
        while not self._is_over.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as exc:
                self.failed[f"connect: {type(exc).__name__}"] += 1
                await asyncio.sleep(0.05)
                continue
            try:
                await self._use(reader, writer, is_kept=is_kept)
            except _Lost as exc:
                self.failed[str(exc)] += 1
            finally:
                writer.close()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_kept: bool) -> None:
        stays = True
        while stays and not self._is_over.is_set():
            status, _, stays = await _exchange(reader, writer, self._path)
            if status == 200:
                self.answered += 1
            else:
                self.failed[f"status {status}"] += 1
            await asyncio.sleep(self._pause_s)
            stays = stays and is_kept
