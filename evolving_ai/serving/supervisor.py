"""The process that starts a platform, watches over it and ends it: one for each home.

What it starts bears a mark in its environment, inherited by whatever that starts in turn; when the supervisor ends,
however it ends, everything that bears the mark is ended, and `run.json` and the temporary folder are removed. A
supervisor that was killed with -9 takes its children with it; what is left is cleaned up by the next one.
"""

import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolving_ai import __version__
from evolving_ai._common.clock import Clock
from evolving_ai._common.files import write_atomically
from evolving_ai._common.ids import new_id
from evolving_ai._common.processes import command_of, end_marked, marked_processes
from evolving_ai._common.stop_request import StopRequest
from evolving_ai.errors import PlatformError
from evolving_ai.home import HOME_VARIABLE
from evolving_ai.serving.children import ReplayProviders, SocketHolder, check_port, preparation, replay_providers
from evolving_ai.serving.listener import LISTENER_VARIABLE
from evolving_ai.serving.listener_host import open_listener
from evolving_ai.serving.process_log import log_folder, rotate_logs, serve_log_folder
from evolving_ai.serving.supervisor_desk import desk_open
from evolving_ai.settings import CONFIG_VARIABLE
from evolving_ai.wiring.platform_state import MARK_VARIABLE, PlatformState, read_state, remove_state, run_lock

__all__ = ["PlatformSpec", "clean_up", "ray_token", "supervise"]

_LINGER_S = 3.0
_GIVE_UP_S = 10.0
_HEALTHY_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.1
_WATCH_EVERY_S = 1.0
_VITAL = re.compile(r"/(gcs_server|raylet)(?!\S)")


@dataclass(frozen=True)
class PlatformSpec:
    """What to start. `config` is the settings file where it is not the home's; `port` 0 is a free one.

    `replay_table` (None: no replay providers) and `replay_latency_scale` are about the providers that answer from
    records. `prepares`: make the home ready first, as the program's own deployments need it.
    """

    home: Path
    serve_config: Path
    bind: str = "127.0.0.1"
    port: int = 8000
    profile: str = "direct"
    has_dashboard: bool = True
    config: Path | None = None
    replay_table: Path | None = None
    replay_latency_scale: float = 1.0
    prepares: bool = True


def ray_token(home: Path) -> Path:
    """The file with the token that guards the home's Ray instance; made when absent, for its owner alone."""
    path = home / "ray.token"
    if not path.exists():
        with _private_files():
            write_atomically(path, "".join(new_id("t") for _ in range(6)).encode())  # 300 bits
    return path


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def clean_up(home: Path, clock: Clock) -> bool:
    """End and remove what a platform left whose supervisor is gone; whether there was anything.

    Call it only when the lock of the home is held, or known to be free.
    """
    state = read_state(home)
    if state is None:
        remove_state(home)
        return False
    end_marked(state.mark, clock, linger_s=0.0, give_up_s=_GIVE_UP_S)
    shutil.rmtree(state.temp_dir, ignore_errors=True)
    remove_state(home)
    return True


def supervise(
    spec: PlatformSpec,
    clock: Clock,
    *,
    note: Callable[[str], None],
    ready: Callable[[PlatformState], None],
) -> None:
    """Start, call `ready`, and watch until SIGINT or SIGTERM; everything is ended and removed when this returns.

    LockedError when a platform of the home runs already, PlatformError when it cannot start. KeyboardInterrupt when
    it was asked to stop before it was ready. What is written to `sys.stdout` meanwhile goes to `sys.stderr`: threads
    of Ray's print there.
    """
    request = StopRequest()
    with request.listening(), run_lock(spec.home), contextlib.redirect_stdout(sys.stderr):
        if clean_up(spec.home, clock):
            note("cleaned up after a platform that ended without doing so")
        rotate_logs(spec.home)
        # Sockets lie in this folder, and the path of a socket has at most 107 bytes: the name is short.
        folder = Path(tempfile.mkdtemp(prefix="evp"))
        try:
            _Platform(spec, folder, clock, request, note).run(ready)
        finally:
            end_marked(f"{MARK_VARIABLE}={folder}", clock, linger_s=_LINGER_S, give_up_s=_GIVE_UP_S)
            shutil.rmtree(folder, ignore_errors=True)
            remove_state(spec.home)


class _Platform:
    """One start, watch and end."""

    def __init__(
        self, spec: PlatformSpec, folder: Path, clock: Clock, request: StopRequest, note: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._clock = clock
        self._request = request
        self._note = note
        self._children: dict[str, int] = {}
        self._holder: SocketHolder | None = None
        self._replay: ReplayProviders | None = None
        self._state = PlatformState(
            pid=os.getpid(),
            started=clock.now().isoformat(timespec="seconds"),
            url=_url(spec.bind, spec.port),
            port=spec.port,
            profile=spec.profile,
            temp_dir=str(folder),
            version=__version__,
        )

    def run(self, ready: Callable[[PlatformState], None]) -> None:
        self._state.save(self._spec.home)
        with contextlib.ExitStack() as stack:
            os.environ.update(_environment(self._spec, self._folder))
            for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_NAMESPACE"):
                os.environ.pop(name, None)
            self._take_port(stack)
            ready_home = self._begin_preparation(stack)
            cluster = self._start_ray(stack)
            ready_home()
            self._deploy(cluster)
            stack.enter_context(desk_open(self._folder, cluster))
            self._state = replace(self._state, is_healthy=True)
            self._save_children()
            vital = self._processes_of_ray()
            ready(self._state)
            self._watch(vital)
            self._note("stopping")

    def _take_port(self, stack: contextlib.ExitStack) -> None:
        spec = self._spec
        if spec.profile == "direct":
            holder = stack.enter_context(SocketHolder(self._folder, spec.bind, spec.port))
            self._holder = holder
            os.environ[LISTENER_VARIABLE] = str(holder.desk)
            self._children["listener"] = holder.pid
            port = holder.port
        else:
            port = _free_port(spec.bind, spec.port)
        self._state = replace(self._state, url=_url(spec.bind, port), port=port)

    def _begin_preparation(self, stack: contextlib.ExitStack) -> Callable[[], None]:
        """Begin what takes a while beside Ray's own start; returns what waits for it."""
        spec, logs = self._spec, log_folder(self._spec.home)
        replay_file = None
        if spec.replay_table is not None:
            self._note(f"starting replay providers over {spec.replay_table.name}")
            started = replay_providers(
                self._folder,
                spec.replay_table,
                spec.replay_latency_scale,
                logs / "replay.log",
                self._clock,
                self._request.check,
            )
            self._replay = stack.enter_context(started)
            self._children["replay"] = self._replay.pid
            replay_file = self._replay.ready_file
        if not spec.prepares:
            return lambda: None
        begun = stack.enter_context(preparation(spec.home, replay_file, logs / "prepare.log"))
        return lambda: begun.wait(self._request.check)

    def _start_ray(self, stack: contextlib.ExitStack) -> Any:
        self._request.check()
        self._note("starting Ray")
        from evolving_ai.serving.cluster import Cluster  # imports Ray, which reads the environment
        from evolving_ai.serving.serve_config import read_serve_config

        self._config = read_serve_config(self._spec.serve_config)
        cluster = Cluster(
            self._folder,
            serve_log_folder(self._spec.home),
            num_cpus=max(2, os.cpu_count() or 1),
            dashboard_port=_free_port("127.0.0.1", 0) if self._spec.has_dashboard else None,
        )
        stack.callback(cluster.stop)
        addresses = cluster.start()
        self._request.listen()  # Ray takes SIGTERM for itself
        self._state = replace(self._state, dashboard_url=addresses.dashboard_url, ray_address=addresses.ray_address)
        self._state.save(self._spec.home)
        self._request.check()
        return cluster

    def _deploy(self, cluster: Any) -> None:
        from evolving_ai.serving.cluster import IngressAddress

        self._note("starting the gateway, control and the learner")
        is_direct = self._spec.profile == "direct"
        ingress = None if is_direct else IngressAddress(self._spec.bind, self._state.port)
        cluster.deploy(self._config, profile=self._spec.profile, ingress=ingress)
        give_up_s = self._clock.monotonic_s() + _HEALTHY_WITHIN_S
        while True:
            views = cluster.status()
            if views and all(view.is_running for view in views):
                return
            for view in views:
                if view.has_failed:
                    raise PlatformError(f"{view.name} did not start: {_reason(view.message)}")
            if self._clock.monotonic_s() > give_up_s:
                waiting = ", ".join(view.name for view in views if not view.is_running)
                raise PlatformError(f"{waiting} did not come up within {_HEALTHY_WITHIN_S:g} s: see the home's logs")
            if self._request.wait(_LOOK_EVERY_S):
                raise KeyboardInterrupt

    def _watch(self, vital: frozenset[int]) -> None:
        """Until somebody asks to stop. Serve looks after its replicas; what is not Serve's is looked after here.

        `vital` are the processes without which Ray does not live.
        """
        while not self._request.wait(_WATCH_EVERY_S):
            lost = vital - self._processes_of_ray()
            if lost:
                self._end_without_ray(
                    "a process of Ray's has ended, and with it the platform: `evolving-ai up` starts again"
                )
            if self._holder is not None and self._holder.keep():
                self._note("the holder of the listening socket had ended: another took its place")
                self._children["listener"] = self._holder.pid
                self._save_children()
            if self._replay is not None and self._replay.keep():
                self._note("the replay providers had ended: they are started again, at the same addresses")
                self._children["replay"] = self._replay.pid
                self._save_children()

    def _end_without_ray(self, reason: str) -> None:
        """End everything, and this process with code 1, at once.

        A tidy end, of the interpreter too, would wait for threads of Ray's that wait for what is dead.
        """
        self._note(f"error: {reason}")
        end_marked(f"{MARK_VARIABLE}={self._folder}", self._clock, linger_s=_LINGER_S, give_up_s=_GIVE_UP_S)
        shutil.rmtree(self._folder, ignore_errors=True)
        remove_state(self._spec.home)
        sys.stderr.flush()
        os._exit(1)

    def _processes_of_ray(self) -> frozenset[int]:
        """Those without which Ray does not live."""
        commands = {pid: command_of(pid) for pid in marked_processes(f"{MARK_VARIABLE}={self._folder}")}
        return frozenset(pid for pid, command in commands.items() if _VITAL.search(command))

    def _save_children(self) -> None:
        self._state = replace(self._state, children=dict(self._children))
        self._state.save(self._spec.home)


def _environment(spec: PlatformSpec, folder: Path) -> Mapping[str, str]:
    """What every process of the platform sees. Ray and Serve read theirs when they are imported."""
    chosen = {
        HOME_VARIABLE: str(spec.home),
        MARK_VARIABLE: str(folder),
        # Jobs call `evolving-ai` and `python` by name, and mean those of this installation.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "RAY_AUTH_MODE": "token",
        # Ray listens on every interface of the machine: the token keeps strangers out.
        "RAY_AUTH_TOKEN_PATH": str(ray_token(spec.home)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        # Four looks a second at the deployments, not ten: on two cores that is felt.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
        "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
        # A port that somebody else has must be refused, not shared.
        "SERVE_SOCKET_REUSE_PORT_ENABLED": "0",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "evolving_ai.serving.proxy_headers:proxy_middlewares",
        # One replica has one core: libraries that start a thread for each would fight for it.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if spec.config is not None:
        chosen[CONFIG_VARIABLE] = str(spec.config)
    return chosen


def _url(bind: str, port: int) -> str:
    """Where a client on this machine finds it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)  # noqa: S104 # nosec B104 - compared with, not bound
    return f"http://{host}:{port}"


def _free_port(bind: str, port: int) -> int:
    """`port` if nobody has it (0: any free one). PlatformError when somebody has."""
    import errno

    try:
        with open_listener(bind, port) as listener:
            return int(listener.getsockname()[1])
    except (OSError, socket.gaierror) as exc:
        reason = f"{errno.errorcode.get(exc.errno or 0, 'EINVAL')} {exc.strerror or exc}"
        raise check_port(reason, bind, port) from exc


def _reason(message: str) -> str:
    """The last line of a traceback that says something."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["no reason given; see the home's logs"])[-1][:400]
