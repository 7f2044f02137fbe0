"""A small steady load of chat completions that counts every way in which a request can fail or be torn."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import httpx

from tests.integration.installation.installed import Installed

__all__ = ["Traffic"]

CLIENTS = 4
PAUSE_S = 0.01
TIMEOUT_S = 20.0
BODY: Any = {"model": "auto", "messages": [{"role": "user", "content": "Keep going."}]}


class Traffic:
    """`CLIENTS` clients, each with its connection and one request at a time, until the block ends.

    `kinds` counts answers by what decided them, `(dna, snapshot)`; `failed` whatever was not answered with 200.
    `spent_usd` is the sum of what the answers said that they cost.
    """

    def __init__(self, platform: Installed, *, key: str = "") -> None:
        self._platform = platform
        self._key = key or platform.admin_key
        self._is_over = asyncio.Event()
        self._progress = asyncio.Condition()
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.spent_micro_usd = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    async def answers(self, count: int, within_s: float = 20.0) -> None:
        """Wait for so many further answers."""
        wanted = self.answered + count
        async with asyncio.timeout(within_s), self._progress:
            await self._progress.wait_for(lambda: self.answered >= wanted)

    async def _client(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        async with httpx.AsyncClient(
            base_url=self._platform.url, headers=headers, trust_env=False, timeout=TIMEOUT_S
        ) as client:
            while not self._is_over.is_set():
                await self._ask(client)
                async with self._progress:
                    self._progress.notify_all()
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.post("/v1/chat/completions", json=BODY)
        except httpx.HTTPError as exc:
            self.failed[type(exc).__name__] += 1
            return
        if answer.status_code != 200:
            code = answer.json()["error"]["code"] if "json" in answer.headers.get("content-type", "") else answer.text
            self.failed[f"{answer.status_code} {code}"] += 1
            return
        self.answered += 1
        self.kinds[answer.headers["x-evolving-dna"], answer.headers["x-evolving-snapshot"]] += 1
        self.spent_micro_usd += round(float(answer.headers["x-evolving-cost-usd"]) * 1e6)
