"""What `evolving-ai status` shows: asked of the supervisor and of /proc, without joining Ray."""

from datetime import datetime
from pathlib import Path
from typing import Any

from evolving_ai._common.clock import Clock
from evolving_ai._common.processes import command_of, marked_processes, memory_bytes
from evolving_ai.errors import PlatformError
from evolving_ai.serving.supervisor_desk import ask_supervisor
from evolving_ai.wiring.platform_state import PlatformState, read_state, supervisor_of

__all__ = ["kind_of", "platform_status"]

_TIMEOUT_S = 5.0
_KINDS = (
    ("ray::ServeReplica:", ""),
    ("ray::ServeController", "Serve controller"),
    ("ray::ProxyActor", "Serve proxy"),
    ("ray::IDLE", "idle worker"),
    ("ray::DashboardAgent", "dashboard"),
    ("ray::", "other worker"),
    ("listener_host", "listener"),
    ("replay_provider", "replay providers"),
    ("/dashboard/", "dashboard"),
    ("gcs_server", "Ray"),
    ("raylet", "Ray"),
    ("/ray/", "Ray"),
)


def platform_status(home: Path, clock: Clock) -> dict[str, Any]:
    """The platform of `home` as JSON: `state` is stopped, starting, running or unreachable. Memory in bytes (PSS)."""
    state = read_state(home)
    if supervisor_of(home) is None or state is None:
        return {"state": "stopped"}
    condition, applications = _asked(state)
    return {
        "state": condition,
        "url": state.url,
        "profile": state.profile,
        "pid": state.pid,
        "version": state.version,
        "started": state.started,
        "uptime_s": max(0.0, (clock.now() - datetime.fromisoformat(state.started)).total_seconds()),
        "dashboard_url": state.dashboard_url,
        "ray_address": state.ray_address,
        "applications": applications,
        "memory": _memory(state),
    }


def _asked(state: PlatformState) -> tuple[str, list[dict[str, Any]]]:
    if not state.is_healthy:
        return "starting", []
    try:
        return "running", ask_supervisor(state, {"ask": "status"}, timeout_s=_TIMEOUT_S)
    except PlatformError:
        return "unreachable", []


def _memory(state: PlatformState) -> dict[str, Any]:
    kinds: dict[str, dict[str, int]] = {}
    for process_id in (state.pid, *marked_processes(state.mark)):
        used = memory_bytes(process_id)
        if used is None:
            continue
        name = "supervisor" if process_id == state.pid else kind_of(command_of(process_id))
        kind = kinds.setdefault(name, {"processes": 0, "bytes": 0})
        kind["processes"] += 1
        kind["bytes"] += used
    return {
        "processes": sum(kind["processes"] for kind in kinds.values()),
        "bytes": sum(kind["bytes"] for kind in kinds.values()),
        "kinds": dict(sorted(kinds.items(), key=lambda item: -item[1]["bytes"])),
    }


def kind_of(command: str) -> str:
    """What a process of the platform is for, by its command line; a replica is named after its deployment."""
    for part, kind in _KINDS:
        if part in command:
            return kind or command.partition(part)[2].partition(":")[0]
    return "other"
