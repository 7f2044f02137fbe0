"""Whether the packages that this program needs are there, in versions that it was written for.

Requirements are read in the form that this project writes them in: a name and bounds such as `>=2.60,<2.61`; what has
a condition (an extra) is left out.
"""

import re
from collections.abc import Callable, Iterable
from importlib import metadata

from evolving_ai.doctor.finding import Finding, Verdict

__all__ = ["installed_version", "package_finding", "requirements"]

_DISTRIBUTION = "evolving-ai"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*)")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")


def requirements() -> tuple[str, ...]:
    """What this program says it needs; nothing when it runs from a folder that was never installed."""
    try:
        return tuple(metadata.requires(_DISTRIBUTION) or ())
    except metadata.PackageNotFoundError:
        return ()


def installed_version(name: str) -> str | None:
    """The version of a package; None when it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def package_finding(needed: Iterable[str], version_of: Callable[[str], str | None]) -> Finding:
    """One finding for all of `needed`, requirements without conditions."""
    names, problems = [], []
    for requirement in needed:
        match = _REQUIREMENT.match(requirement)
        if match is None or ";" in requirement:
            continue
        name, bounds = match[1], match[2].strip()
        found = version_of(name)
        names.append(name)
        if found is None:
            problems.append(f"{name} is missing, expected {bounds or 'any version'}")
        elif not _is_within(found, bounds):
            problems.append(f"{name} is {found}, expected {bounds}")
    if not names:
        return Finding("packages", Verdict.WARNING, "the program is not installed, so nothing says what it needs")
    if problems:
        return Finding("packages", Verdict.FAILED, "; ".join(problems), "install the program again: pip install -e .")
    return Finding("packages", Verdict.OK, f"{len(names)} of the right versions; ray {version_of('ray')}")


def _is_within(version: str, bounds: str) -> bool:
    found = _release(version)
    for sign, bound in _BOUND.findall(bounds):
        limit = _release(bound)
        if (found < limit) if sign == ">=" else (found >= limit):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release, without zeros at the end: 2.60.0 is 2.60."""
    numbers = [int(part) for part in re.match(r"[0-9.]*", version.partition("+")[0])[0].split(".") if part]  # type: ignore[index]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
