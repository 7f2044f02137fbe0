"""A whole installation in one process, without Ray: control, learner and any number of gateway replicas.

Everything is real, but the way between the deployments: calls go straight to the other object, and errors cross as they
do between processes. Control and learner can be taken away and brought back, replicas can be made deaf.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from evolving_ai._common.clock import SystemClock
from evolving_ai.decision.learning.live_learner import LearnerSettings
from evolving_ai.errors import PlatformError
from evolving_ai.serving.answers import answer_of, result_of
from evolving_ai.serving.control.gatekeeper import Gatekeeper
from evolving_ai.serving.control.plane import ControlPlane
from evolving_ai.serving.gateway.replica import Gateway, build_gateway
from evolving_ai.serving.learner.learner import Learner
from evolving_ai.wiring.prepare import prepare_home

__all__ = [
    "Answering",
    "Installation",
    "LocalBroadcast",
    "LocalCaller",
    "Providers",
    "Replica",
    "eventually",
    "installed",
    "made_home",
    "replay_providers",
]

MODELS = ("large", "medium", "small")
PRICES = {"large": 0.003, "medium": 0.001, "small": 0.0002}
SKILLS = {"large": (1.0, 1.0), "medium": (1.0, 0.5), "small": (1.0, 0.0)}
TOKENS = 20
PATIENCE_S = 15.0


class Answering(Protocol):
    """A deployment's plain object."""

    async def call(self, method: str, payload: bytes) -> bytes: ...


class LocalCaller:
    """Another deployment in the same process: an `evolving_ai.serving.envelope.Caller`.

    Without a `target` it is away. `loses_answers` holds methods whose calls succeed and whose answers never arrive.
    """

    def __init__(self) -> None:
        self.target: Answering | None = None
        self.loses_answers: set[str] = set()
        self.calls: list[str] = []

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        target = self.target
        if target is None:
            raise PlatformError("the other deployment is away")
        self.calls.append(method)
        answer = result_of(await answer_of(target.call(method, payload)))
        if method in self.loses_answers:
            raise PlatformError("the answer was lost")
        return answer


class LocalBroadcast:
    """Reaches every replica that is not deaf."""

    def __init__(self) -> None:
        self.gateways: list[Gateway] = []
        self.is_deaf = False

    async def broadcast(self, update: bytes) -> None:
        if self.is_deaf:
            raise PlatformError("no replica can be reached")
        for gateway in self.gateways:
            await gateway.apply(update)


class Replica:
    """A gateway with a client of its own."""

    def __init__(self, gateway: Gateway, secret: str) -> None:
        self.gateway = gateway
        # What the application raises is a defect that a server would hide: let the test see it.
        transport = httpx.ASGITransport(app=gateway.app)
        headers = {"authorization": f"Bearer {secret}"}
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers, timeout=60)

    async def ask(
        self, method: str, path: str, body: Any = None, *, secret: str | None = None, **options: Any
    ) -> httpx.Response:
        """One request, with the administrator's key or another."""
        headers = {**options.pop("headers", {})}
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        if body is not None:
            options["json"] = body
        return await self.client.request(method, path, headers=headers, **options)

    async def chat(self, text: str = "easy 1", model: str = "auto", **options: Any) -> httpx.Response:
        """One chat completion; further body fields by `body`."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **options.pop("body", {})}
        return await self.ask("POST", "/v1/chat/completions", body, **options)


@dataclass(frozen=True)
class Providers:
    """Replay providers that answer, and the table that they answer from."""

    table: Path
    urls: Mapping[str, str]


class Installation:
    """An installation at `home`. Nothing runs until it is started; `close` ends what still runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.control, self.learner_caller, self.cast = LocalCaller(), LocalCaller(), LocalBroadcast()
        self.plane: ControlPlane | None = None
        self.learner: Learner | None = None
        self.replicas: list[Replica] = []
        self.gatekeeper: Gatekeeper | None = None
        self._names = 0

    @property
    def live(self) -> ControlPlane:
        """Control, which runs."""
        assert self.plane is not None, "control does not run"
        return self.plane

    @property
    def admin_secret(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    async def start_control(self) -> ControlPlane:
        """Control answers from now on."""
        plane = ControlPlane(self.home, self.cast, self.learner_caller, gatekeeper=self.gatekeeper)
        await plane.start()
        self.plane = self.control.target = plane
        return plane

    async def kill_control(self) -> None:
        """Nobody can ask control any more; its files are left as they are."""
        plane, self.plane, self.control.target = self.plane, None, None
        if plane is not None:
            await plane.stop()

    async def start_learner(self, settings: LearnerSettings | None = None, *, learns: bool = True) -> Learner:
        """A learner answers from now on; unless it `learns` by itself, `learn_once` does it."""
        learner = Learner(self.home, self.control, settings=settings)
        self.learner = self.learner_caller.target = learner
        await learner.start()
        if not learns:
            await learner.stop()
        return learner

    async def kill_learner(self) -> None:
        """Nobody can ask the learner any more."""
        learner, self.learner, self.learner_caller.target = self.learner, None, None
        if learner is not None:
            await learner.stop()

    async def start_gateway(self) -> Replica:
        """One more replica."""
        self._names += 1
        gateway = build_gateway(self.home, f"gw-{self._names}", self.control, environment={})
        await gateway.start()
        self.cast.gateways.append(gateway)
        replica = Replica(gateway, self.admin_secret)
        self.replicas.append(replica)
        return replica

    async def stop_gateway(self, replica: Replica) -> None:
        """As when Serve ends it: what it holds is handed over."""
        self.cast.gateways.remove(replica.gateway)
        self.replicas.remove(replica)
        await replica.client.aclose()
        await replica.gateway.drain()

    async def close(self) -> None:
        """End everything; replicas first."""
        for replica in list(self.replicas):
            await self.stop_gateway(replica)
        await self.kill_learner()
        await self.kill_control()

    # --- Shortcuts ----------------------------------------------------------------------------------------------------

    async def key(self, tenant: str, role: str = "viewer", **fields: Any) -> dict[str, Any]:
        """A new key: its `id` and its `secret` among others."""
        answer = await self.replicas[0].ask("POST", "/api/v1/keys", {"tenant": tenant, "role": role, **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def audited(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The entries of the audit log, oldest first."""
        query = {} if kind is None else {"kind": kind}
        answer = await self.replicas[0].ask("GET", "/api/v1/audit/entries", params=query)
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    async def recorded(self, count: int) -> None:
        """Wait until so many outcomes are stored."""
        await eventually(lambda: self.live.services.outcomes.counts().recent >= count)

    def change_dna(self, **genes: Any) -> str:
        """Commit other genes to `main`; the hash of the genome."""
        changes = {name.replace("__", "."): value for name, value in genes.items()}
        return self.live.services.history.change("main", changes, author="test", message="change").genome.hash


async def eventually(check: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Wait until `check` holds; AssertionError when it does not in time."""
    async with asyncio.timeout(patience_s):
        while not check():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def installed(
    home: Path,
    *,
    replicas: int = 1,
    has_learner: bool = False,
    settings: LearnerSettings | None = None,
    gatekeeper: Gatekeeper | None = None,
) -> AsyncIterator[Installation]:
    """A running installation; ended with the block."""
    installation = Installation(home)
    installation.gatekeeper = gatekeeper
    try:
        await installation.start_control()
        if has_learner:
            await installation.start_learner(settings)
        for _ in range(replicas):
            await installation.start_gateway()
        yield installation
    finally:
        await installation.close()


def made_home(path: Path, providers: Providers, *, template: Path | None = None, **config: Any) -> Path:
    """A home that is ready to serve: a copy of `template`, or prepared with `config` in its settings."""
    if template is not None:
        shutil.copytree(template, path)
        return path
    path.mkdir(mode=0o700)
    document = {"replay": {"table": str(providers.table)}, "aliases": {"cheap": ["small", "medium"]}, **config}
    (path / "config.yaml").write_text(yaml.safe_dump(document))
    prepare_home(path, replay_urls=providers.urls)
    return path


@contextlib.contextmanager
def replay_providers(folder: Path) -> Iterator[Providers]:
    """A process of replay providers over a small table: `easy N` is answered well by all, `hard N` by `large` alone."""
    rows = [
        {"query_id": f"{kind}-{number}", "prompt": f"{kind} {number}", "model": model, "score": SKILLS[model][place]}
        | {"prompt_tokens": 9, "completion_tokens": TOKENS, "cost_usd": PRICES[model], "split": "train"}
        for place, kind in enumerate(("easy", "hard"))
        for number in range(20)
        for model in MODELS
    ]
    table, ready = folder / "table.parquet", folder / "ready.json"
    pq.write_table(pa.Table.from_pylist(rows), table)
    program = [sys.executable, "-m", "evolving_ai.serving.replay_provider", "--latency-scale", "0"]
    process = subprocess.Popen([*program, "--table", str(table), "--ready-file", str(ready)])
    try:
        urls = _urls(ready, process)
        yield Providers(table, urls)
    finally:
        process.terminate()
        process.wait(10)


def _urls(ready: Path, process: "subprocess.Popen[bytes]") -> dict[str, str]:
    clock = SystemClock()
    give_up_s = clock.monotonic_s() + 60
    while not ready.is_file():
        assert process.poll() is None, "the replay providers ended"
        assert clock.monotonic_s() < give_up_s, "the replay providers did not begin in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    urls: dict[str, str] = json.loads(ready.read_bytes())["models"]
    return urls
