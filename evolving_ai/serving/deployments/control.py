"""The control deployment: one replica around the control plane, which owns the databases."""

import contextlib
from typing import Any

from evolving_ai.home import resolve_home
from evolving_ai.serving.answers import Answer, answer_of
from evolving_ai.serving.deployments.factory import load_factory
from evolving_ai.serving.handles import DeploymentCaller, ReplicaBroadcast
from evolving_ai.serving.process_log import log_to_home

__all__ = ["Control"]


class Control:
    """Forwards calls to the control plane."""

    async def __init__(self, builder: str) -> None:  # type: ignore[misc]
        home = resolve_home(None)
        log_to_home(home, "control")
        gateways, learner = ReplicaBroadcast("gateway", "gateway"), DeploymentCaller("decision", "decision")
        self._plane: Any = load_factory(builder)(home, gateways, learner)
        await self._plane.start()

    async def call(self, method: str, payload: bytes) -> Answer:
        """Answer a question of another deployment."""
        return await answer_of(self._plane.call(method, payload))

    def check_health(self) -> None:
        """Serve asks every other second, and replaces a replica that raises."""
        self._plane.check()

    async def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it never came to that: its constructor failed
            await self._plane.stop()
