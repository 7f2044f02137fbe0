"""The machine of a measurement, in words that name no host and no path."""

import os
import platform
from importlib import metadata

__all__ = ["describe_machine"]

_PACKAGES = ("evolving-ai", "ray", "numpy", "scikit-learn", "pyarrow", "cma")


def describe_machine() -> dict[str, str | float]:
    """Cores, memory, versions, and the load (runnable processes) that the last minute had beside the benchmark."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    return {
        "cores": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}",
        "memory": f"{memory_gib:.0f} GiB",
        "python": f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}",
        "packages": versions,
        "load_before": round(os.getloadavg()[0], 2),
    }
