"""A platform that the doctor starts for itself: a temporary home, a free port, replay providers that answer at once.

The rule kept here: whatever ends the block, the platform, the providers and the home are gone afterwards. Keys of real
providers in the environment are not used: the settings name the replay providers.
"""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from evolving_ai._common.clock import Clock
from evolving_ai.doctor.expectation import expect
from evolving_ai.doctor.model_groups import GROUPS, ModelGroup
from evolving_ai.errors import PlatformError
from evolving_ai.serving.children import replay_providers
from evolving_ai.serving.detached import start_detached
from evolving_ai.serving.ending import end_platform
from evolving_ai.serving.replay_provider.faults import FaultKind
from evolving_ai.serving.supervisor_desk import ask_supervisor
from evolving_ai.stores.history import MAIN
from evolving_ai.wiring.platform_state import PlatformState, read_state
from evolving_ai.wiring.stores import open_history

__all__ = ["StartedPlatform", "platform_settings", "started_platform"]

_PRICES = ("0.1", "0.2", "0.3")
"""Dollars for a million tokens, by the place in a group: which model is chosen is no chance."""
_OTHER_BRANCH = "doctor"
_OTHER_WEIGHT = 0.5
_TIMEOUT_S = 5.0


class StartedPlatform:
    """The `OwnPlatform` of a block of `started_platform`."""

    def __init__(self, home: Path, state: PlatformState, providers: Mapping[str, str]) -> None:
        self.home = home
        self.url = state.url
        self._state = state
        self._faults_url = next(iter(providers.values())).removesuffix("/v1") + "/replay/faults"

    @property
    def api_key(self) -> str:
        """The administrator's."""
        return (self.home / "admin.token").read_text(encoding="utf-8").strip()

    def order_fault(self, model: str, kind: FaultKind, *, seconds: float = 0.0, share: float = 1.0) -> None:
        """As the port says."""
        self._change_faults("POST", {"model": model, "kind": kind.value, "seconds": seconds, "share": share})

    def clear_faults(self) -> None:
        """As the port says."""
        self._change_faults("DELETE", None)

    def other_dna(self) -> str:
        """As the port says: a branch with another weight of cost."""
        with open_history(self.home) as history:
            if _OTHER_BRANCH not in history.branches():
                history.create_branch(_OTHER_BRANCH, MAIN)
            changes = {"score.cost_weight": _OTHER_WEIGHT}
            return history.change(_OTHER_BRANCH, changes, author="doctor", message="Weigh cost differently").hash

    def processes(self, part: str) -> frozenset[int]:
        """As the port says."""
        if part == "listener":
            state = read_state(self.home)
            return frozenset() if state is None else frozenset({state.children[part]})
        try:
            applications = ask_supervisor(self._state, {"ask": "status"}, timeout_s=_TIMEOUT_S)
        except PlatformError:  # it may be busy with what was done to it
            return frozenset()
        return frozenset(_replicas(applications, part))

    def kill(self, process_id: int) -> None:
        """As the port says."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)

    def _change_faults(self, method: str, body: Mapping[str, Any] | None) -> None:
        try:
            with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
                answer = client.request(method, self._faults_url, json=body)
        except httpx.HTTPError as exc:
            raise PlatformError(f"the replay providers do not answer: {exc}") from exc
        expect(answer.status_code == 200, f"the replay providers refused a fault: {answer.text[:200]}")


def _replicas(applications: Sequence[Mapping[str, Any]], part: str) -> Iterator[int]:
    for application in applications:
        for deployment in application["deployments"]:
            if deployment["name"] == part:
                yield from (replica["pid"] for replica in deployment["replicas"] if replica["state"] == "RUNNING")


@contextlib.contextmanager
def started_platform(
    clock: Clock, *, note: Callable[[str], None], check: Callable[[], None]
) -> Iterator[StartedPlatform]:
    """Start one, healthy inside the block. PlatformError when it cannot start.

    `check` is called while it starts, and may raise; Ctrl-C must not interrupt anything else in here (see
    `_common.stop_request`), or processes could be left behind.
    """

    def told(text: str) -> None:
        check()
        note(text)

    scratch = Path(tempfile.mkdtemp(prefix="evd"))
    try:
        table, home = scratch / "recorded.parquet", scratch / "home"
        home.mkdir(mode=0o700)
        _write_table(table)
        with replay_providers(scratch, table, 0.0, scratch / "replay.log", clock, check) as providers:
            settings = scratch / "settings.yaml"
            settings.write_text(json.dumps(platform_settings(providers.base_urls)), encoding="utf-8")
            try:
                state = start_detached(home, ["--config", str(settings), "--port", "0"], note=told)
                yield StartedPlatform(home, state, providers.base_urls)
            finally:
                end_platform(home, clock, note=note)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_table(path: Path) -> None:
    """A row for each model: replay providers need to know who they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    models = [model for group in GROUPS for model in group.models]
    size = len(models)
    columns = {
        "query_id": ["doctor-0"] * size,
        "prompt": ["What is replayed here?"] * size,
        "model": models,
        "score": [1.0] * size,
        "prompt_tokens": [6] * size,
        "completion_tokens": [8] * size,
        "cost_usd": [0.00001] * size,
    }
    pq.write_table(pa.table(columns), path)


def platform_settings(base_urls: Mapping[str, str]) -> dict[str, Any]:
    """`config.yaml` of a platform whose providers are the replay providers at `base_urls`, by model."""
    return {
        "dashboard": False,
        "providers": {model: _provider(group, base_urls[model]) for group in GROUPS for model in group.models},
        "targets": [_target(model, place) for group in GROUPS for place, model in enumerate(group.models)],
        "aliases": {group.alias: list(group.models) for group in GROUPS},
    }


def _provider(group: ModelGroup, base_url: str) -> dict[str, Any]:
    timeouts = {"timeout_s": group.timeout_s, "first_byte_timeout_s": group.timeout_s}
    return {"kind": "openai", "base_url": base_url, **timeouts}


def _target(model: str, place: int) -> dict[str, Any]:
    price = {"input_usd_per_million": _PRICES[place], "output_usd_per_million": _PRICES[place]}
    return {"provider": model, "model": model, "price": price, "max_output_tokens": 1000}
