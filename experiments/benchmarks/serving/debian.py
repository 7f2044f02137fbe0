"""Debian's packages that the benchmark drives: installed by itself where they are missing and it may."""

import os
import shutil
import subprocess  # nosec B404 - runs apt-get

from evolving_ai.errors import DataError

__all__ = ["require_command"]

_PATH = "/usr/sbin:/sbin"


def require_command(command: str, package: str) -> str:
    """The path of a command of a package. DataError when it is missing and cannot be installed."""
    found = _find(command)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        found = _find(command)
    if found is None:
        raise DataError(f"{command} is not installed: this benchmark needs Debian's package {package}")
    return found


def _find(command: str) -> str | None:
    return shutil.which(command) or shutil.which(command, path=_PATH)


def _install(package: str) -> None:
    # In runlevel 1 nothing is started that the package would like to run from now on.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        subprocess.run(  # noqa: S603 # nosec B603 B607 - a package that is named above
            ["apt-get", "-qq", *step],  # noqa: S607
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
