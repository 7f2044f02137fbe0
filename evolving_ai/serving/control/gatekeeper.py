"""Asking the gates of a rollout, in a process of their own: fitting takes a core for seconds, control has to answer."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evolving_ai.errors import PlatformError
from evolving_ai.rollout.plan import RolloutPlan

__all__ = ["Gatekeeper", "GatesProcess"]

_PATIENCE_S = 300.0


class Gatekeeper(Protocol):
    """Knows whether a candidate may be tried."""

    async def ask(self, home: Path, candidate: str, live: str, plan: RolloutPlan) -> Sequence[Mapping[str, Any]]:
        """What each gate says of the commit `candidate` beside the commit `live`. PlatformError when none can say."""
        ...


class GatesProcess:
    """Implements `Gatekeeper` by `python -m evolving_ai.wiring.rollout_gates`."""

    async def ask(self, home: Path, candidate: str, live: str, plan: RolloutPlan) -> Sequence[Mapping[str, Any]]:
        try:
            return await self._ask(home, candidate, live, plan)
        except OSError as exc:  # no file, or no process
            raise PlatformError(f"the gates could not be asked: {exc.strerror or exc}") from exc

    async def _ask(self, home: Path, candidate: str, live: str, plan: RolloutPlan) -> Sequence[Mapping[str, Any]]:
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=home / "live", delete=True) as file:
            json.dump(plan.to_json(), file)
            file.flush()
            arguments = ["-m", "evolving_ai.wiring.rollout_gates", str(home), candidate, live, file.name]
            # The program is this interpreter; the arguments are a list that no shell reads.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    output, errors = await process.communicate()
            except TimeoutError as exc:
                raise PlatformError(f"the gates did not answer within {_PATIENCE_S:g} s") from exc
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        return _read(process.returncode, output, errors)


def _read(code: int | None, output: bytes, errors: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        if code == 0:
            gates: Sequence[Mapping[str, Any]] = json.loads(output)["gates"]
            return gates
    except (ValueError, KeyError, TypeError):
        pass
    lines = errors.decode(errors="replace").strip().splitlines() or [f"the process ended with code {code}"]
    raise PlatformError(f"the gates could not be asked: {lines[-1][:300].removeprefix('error: ')}")
