"""A connection to Ray: the cluster that RAY_ADDRESS names, or a private local instance that leaves nothing behind."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai._common.ids import new_id
from evolving_ai._common.interrupts import interrupts_wait
from evolving_ai._common.processes import end_marked
from evolving_ai.errors import CampaignError

__all__ = ["ray_session"]

_OBJECT_STORE_BYTES = 200 * 2**20
_MARK = "EVOLVING_AI_RAY_INSTANCE"
"""In the environment of every process of a private instance: its folder."""
_LINGER_S = 5.0
"""How long processes of an instance that was shut down may take to end by themselves."""


@contextlib.contextmanager
def ray_session(*, num_cpus: int, clock: Clock) -> Iterator[None]:
    """Ray, connected inside the block.

    RAY_ADDRESS set (by `ray job submit`, or a user): that cluster, with the authentication that the environment
    describes; it keeps running. Otherwise a private instance on this machine with `num_cpus` logical cores, a token
    of its own and no dashboard; its processes and files are gone when the block ends, however it ends.
    CampaignError when Ray cannot be reached or started.

    Inside the block what is written to `sys.stdout` goes to `sys.stderr`: a thread of Ray's own prints there whenever
    a worker dies, and stdout is for results. Print those after the block.
    """
    session = _connected() if os.environ.get("RAY_ADDRESS") else _private_instance(num_cpus, clock)
    with contextlib.redirect_stdout(sys.stderr), session:
        yield


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        with interrupts_wait(deferred=True):
            ray.init(log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as exc:
        where = os.environ["RAY_ADDRESS"]
        raise CampaignError(f"cannot connect to Ray at {where} ({_first_line(exc)}): check RAY_ADDRESS") from exc
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _private_instance(num_cpus: int, clock: Clock) -> Iterator[None]:
    # Ray's sockets lie in this folder, and the path of a socket has at most 107 bytes: the name is short.
    folder = Path(tempfile.mkdtemp(prefix="evray"))
    _use_a_token()
    try:
        with _environment({**_SETTINGS, _MARK: str(folder)}):
            try:
                with interrupts_wait(deferred=True):
                    _start(folder, num_cpus)
                yield
            finally:
                with interrupts_wait(deferred=False):
                    _stop(folder, clock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_SETTINGS: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # One evaluation has one core: libraries that start a thread for each would fight for it.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def _use_a_token() -> None:
    """Switch token authentication on, unless the user has decided about it.

    Ray listens on every interface of the machine, whatever node address it is given: the token keeps strangers out.
    This stays in the environment: Ray reads the token once for the life of a process, and would refuse a second
    instance in this process that had another. It reads it when it is imported: later would be too late.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if "ray" in sys.modules:
        raise CampaignError("ray was imported before its session began: import it later, or set RAY_AUTH_MODE yourself")
    os.environ["RAY_AUTH_MODE"] = "token"
    if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ["RAY_AUTH_TOKEN"] = "".join(new_id("t") for _ in range(4))  # 200 bits


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(folder: Path, num_cpus: int) -> None:
    import ray

    try:
        # "local" because a bare init would join whatever instance this machine runs already.
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(folder),
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as exc:
        raise CampaignError(
            f"Ray did not start ({_first_line(exc)}): try again, or run with executor: process"
        ) from exc


def _stop(folder: Path, clock: Clock) -> None:
    """Shut down, and wait until every process of the instance has ended; end those that linger."""
    import ray

    ray.shutdown()
    # Their command lines do not tell: Ray's agents and workers rename themselves.
    end_marked(f"{_MARK}={folder}", clock, linger_s=_LINGER_S, give_up_s=2 * _LINGER_S)


def _first_line(exc: Exception) -> str:
    return next(iter(str(exc).splitlines()), type(exc).__name__)
