"""Processes are told apart by their command lines."""

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.home import open_home
from evolving_ai.serving.platform_status import kind_of, platform_status


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("ray::ServeReplica:gateway:gateway", "gateway"),
        ("ray::ServeReplica:control:control", "control"),
        ("ray::ServeController", "Serve controller"),
        ("ray::IDLE", "idle worker"),
        ("python -m evolving_ai.serving.listener_host --bind 127.0.0.1", "listener"),
        ("/lib/ray/core/src/ray/raylet/raylet --raylet_socket_name", "Ray"),
        ("python -u /lib/ray/dashboard/dashboard.py --host=127.0.0.1", "dashboard"),
        ("sleep 1", "other"),
    ],
)
def test_a_process_is_called_by_what_it_does(command: str, kind: str) -> None:
    assert kind_of(command) == kind


def test_a_home_without_a_platform_is_stopped() -> None:
    assert platform_status(open_home(None), ManualClock()) == {"state": "stopped"}
