"""The processes of the spend storm: the books behind a Unix socket, and replicas that spend.

    python -m experiments.benchmarks.serving.spend_process control FOLDER
    python -m experiments.benchmarks.serving.spend_process replica FOLDER NAME SEED

Messages are lines of JSON. A replica appends what an attempt costs to its own log before it settles it: what it logged
is spent, whoever dies next. SIGTERM ends either one properly. The clocks are those of the machine.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.rng import derive_rng
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import PlatformError, RequestError
from evolving_ai.optimizer.budgets import BudgetBook, BudgetOptions
from evolving_ai.optimizer.leases import LeaseBook, LeaseOptions
from evolving_ai.optimizer.ports import LeaseGrant, LeaseRefusal, LeaseRequest, SettlementBatch, answer_from_json
from evolving_ai.stores.sqlite.spend_store import SqliteSpendStore

__all__ = ["BUDGETS", "KEYS", "OPTIONS", "TENANT", "call", "main"]

KEYS = ("ann", "bob")
TENANT = "acme"
BUDGETS = ("key:ann", "key:bob", "tenant:acme")
OPTIONS = BudgetOptions(lease_s=2.0)
_LEASES = LeaseOptions(skew_s=0.2, renew_below_s=1.0, refused_s=0.02)
_WORKERS = 8
_LARGEST_NANO_USD = 10_000
_CALL_TIMEOUT_S = 1.0


async def call(folder: Path, method: str, **arguments: Any) -> Any:
    """Ask the books. PlatformError when they are not there or do not answer within a second."""
    try:
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(folder / "books.sock")
            async with _closing(writer):
                writer.write(json.dumps({"method": method, **arguments}).encode() + b"\n")
                answer = await reader.readline()
    except (OSError, TimeoutError) as exc:
        raise PlatformError("the books do not answer") from exc
    if not answer.endswith(b"\n"):
        raise PlatformError("the books died while they answered")
    return json.loads(answer)


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- The books --------------------------------------------------------------------------------------------------------


def _answer(books: BudgetBook, question: dict[str, Any]) -> Any:
    match question.pop("method"):
        case "lease":
            return books.lease(question["replica"], LeaseRequest(**question["request"])).to_json()
        case "renew":
            grants = books.renew(question["replica"], question["leases"])
            return {lease: grant.to_json() for lease, grant in grants.items()}
        case "apply":
            return books.apply(question["replica"], SettlementBatch.from_json(question["batch"]))
        case "set_cap":
            for scope in BUDGETS:
                books.set_budget(scope, question["cap"], "total")
            return True
        case method:
            raise ValueError(f"the books have no method {method}")


async def _control(folder: Path) -> None:
    with SqliteSpendStore.open(folder / "spend.db") as store:
        books = BudgetBook(store, SystemClock(), options=OPTIONS)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with _closing(writer):
                with contextlib.suppress(OSError):
                    question = await reader.readline()
                    if question.endswith(b"\n"):  # else the replica died while it asked
                        writer.write(json.dumps(_answer(books, json.loads(question))).encode() + b"\n")
                        await writer.drain()

        socket = folder / "books.sock"
        socket.unlink(missing_ok=True)
        stopped = _stop_event()
        async with await asyncio.start_unix_server(serve, socket):
            print("ready", flush=True)
            while not await _is_set_within(stopped, 0.1):
                books.expire()


# --- A replica --------------------------------------------------------------------------------------------------------


class _Source:
    """A `LeaseSource` over the socket."""

    def __init__(self, folder: Path, replica: str) -> None:
        self._folder = folder
        self._replica = replica

    async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
        answer = await call(self._folder, "lease", replica=self._replica, request=request.to_json())
        return answer_from_json(answer)

    async def renew(self, leases: Sequence[str]) -> Mapping[str, LeaseGrant]:
        answer = await call(self._folder, "renew", replica=self._replica, leases=list(leases))
        return {lease: LeaseGrant(**grant) for lease, grant in answer.items()}

    async def apply(self, batch: SettlementBatch) -> None:
        await call(self._folder, "apply", replica=self._replica, batch=batch.to_json())


class _Replica:
    """Spends at random through a purse, and logs what it spends."""

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self._source = _Source(folder, name)
        self._purse = LeaseBook(self._source, SystemClock(), replica=name, options=_LEASES)
        self._purse.update_limits(frozenset(BUDGETS))
        self._chance = derive_rng(seed, "replica", name)
        self._log = os.open(folder / f"{name}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._stopped = _stop_event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(self._maintain()), group.create_task(self._hand_over())]
            workers = [group.create_task(self._work()) for _ in range(_WORKERS)]
            print("ready", flush=True)
            await asyncio.wait(workers)
            for loop in loops:
                loop.cancel()
        await self._purse.close()
        await self._empty()
        print(json.dumps({"overruns": self._purse.overruns, "forgotten": self._purse.forgotten}), flush=True)

    async def _work(self) -> None:
        chance = self._chance
        while not self._stopped.is_set():
            principal = Principal(KEYS[chance.integers(len(KEYS))], TENANT, Role.VIEWER)
            amount = int(chance.integers(1, _LARGEST_NANO_USD, endpoint=True))
            try:
                reservation = await self._purse.reserve(principal, amount)
            except RequestError as exc:
                self._note(exc.code, 0)
                await asyncio.sleep(0.01)
                continue
            cost = int(chance.integers(0, amount, endpoint=True))
            self._note(principal.key_id, cost)
            await asyncio.sleep(chance.random() * 0.01)
            self._purse.settle(reservation, principal, "storm/model", cost)

    def _note(self, what: str, cost: int) -> None:
        os.write(self._log, f"{what} {cost}\n".encode())

    async def _maintain(self) -> None:
        while True:
            with contextlib.suppress(PlatformError):
                await self._purse.maintain()
            await asyncio.sleep(0.05)

    async def _hand_over(self) -> None:
        while True:
            with contextlib.suppress(PlatformError):
                await self._hand_over_once()
            await asyncio.sleep(0.02)

    async def _hand_over_once(self) -> bool:
        batch = self._purse.drain()
        if batch is None:
            return False
        await self._source.apply(batch)
        self._purse.acknowledge(batch.sequence)
        return True

    async def _empty(self) -> None:
        while True:
            try:
                if not await self._hand_over_once():
                    return
            except PlatformError:
                await asyncio.sleep(0.05)


def _stop_event() -> asyncio.Event:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    return stopped


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def _run_replica(folder: Path, name: str, seed: int) -> None:
    await _Replica(folder, name, seed).run()


def main(arguments: Sequence[str]) -> None:
    """Be one of the processes, until SIGTERM."""
    role, folder = arguments[0], Path(arguments[1])
    asyncio.run(_control(folder) if role == "control" else _run_replica(folder, arguments[2], int(arguments[3])))


if __name__ == "__main__":
    main(sys.argv[1:])
