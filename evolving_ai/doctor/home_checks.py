"""Verdicts on a home: who may read it, its settings, its port, the keys of its providers, its clock.

Everything is looked at, nothing changed: a home that is not there yet is no failure, `up` makes it.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evolving_ai._common.clock import Clock
from evolving_ai._common.port_owner import port_owner
from evolving_ai.doctor.finding import Finding, Verdict
from evolving_ai.errors import DataError, SettingsError
from evolving_ai.serving.listener_host import open_listener
from evolving_ai.settings import Settings, load_settings
from evolving_ai.wiring.platform_state import read_state, supervisor_of
from evolving_ai.wiring.pool import providers_in_environment

__all__ = ["home_findings", "port_problem"]

_SECRETS = ("admin.token", "ray.token", "*.db")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right is behind this program."""
_TOLERANCE = timedelta(minutes=5)


def port_problem(bind: str, port: int) -> str | None:
    """Why nobody can listen there now, in a few words; None when the port is free."""
    try:
        open_listener(bind, port).close()
    except OSError as exc:
        owner = port_owner(port)
        return f"taken by {owner}" if owner else f"not to be had: {exc.strerror or exc}"
    return None


def home_findings(
    home: Path,
    clock: Clock,
    environment: Mapping[str, str] | None = None,
    *,
    problem_of: Callable[[str, int], str | None] = port_problem,
) -> tuple[Finding, ...]:
    """A finding for each property of `home`; `environment` is where keys of providers are looked for.

    `problem_of` says of an address and a port why nobody can listen there.
    """
    variables = os.environ if environment is None else environment
    found = [_permissions(home), _clock(home, clock)]
    try:
        settings = load_settings(home, variables)
    except (SettingsError, DataError) as exc:
        advice = "correct that line; README.md lists the keys"
        return (*found, Finding("config.yaml", Verdict.FAILED, str(exc), advice))
    detail = "read" if (home / "config.yaml").exists() else "none: the defaults hold"
    return (
        *found,
        Finding("config.yaml", Verdict.OK, detail),
        _port(home, settings, problem_of),
        _keys(settings, variables),
    )


def _permissions(home: Path) -> Finding:
    name = "home"
    if not home.exists():
        return Finding(name, Verdict.OK, f"{home} does not exist yet: `evolving-ai up` makes it")
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return Finding(name, Verdict.FAILED, f"{home} cannot be used", "choose a folder of your own with --home")
    open_files = sorted(path.name for path in _secrets(home) if path.stat().st_mode & _OTHERS)
    if open_files:
        advice = f"chmod 600 {' '.join(str(home / each) for each in open_files)}"
        return Finding(name, Verdict.FAILED, f"others may read {', '.join(open_files)} in {home}", advice)
    if home.stat().st_mode & _OTHERS:
        return Finding(name, Verdict.WARNING, f"others may look into {home}", f"chmod 700 {home}")
    return Finding(name, Verdict.OK, f"{home}, for its owner alone")


def _secrets(home: Path) -> Iterator[Path]:
    for pattern in _SECRETS:
        yield from home.glob(pattern)


def _clock(home: Path, clock: Clock) -> Finding:
    now = clock.now()
    text = now.isoformat(timespec="seconds")
    if now < _RELEASED:
        return Finding("clock", Verdict.FAILED, f"it says {text}", "set it: keys and budgets depend on it")
    paths = list(home.glob("*.db")) if home.is_dir() else []
    newest = max((datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths), default=now)
    if newest > now + _TOLERANCE:
        detail = f"it says {text}, but the home was written at {newest.isoformat(timespec='seconds')}"
        return Finding("clock", Verdict.FAILED, detail, "set it: keys and budgets depend on it")
    return Finding("clock", Verdict.OK, text)


def _port(home: Path, settings: Settings, problem_of: Callable[[str, int], str | None]) -> Finding:
    state = read_state(home)
    if state is not None and supervisor_of(home) is not None:
        return Finding("port", Verdict.OK, f"the platform of this home runs at {state.url}")
    problem = problem_of(settings.bind, settings.port)
    where = f"{settings.bind}:{settings.port}"
    if problem is None:
        return Finding("port", Verdict.OK, f"{where} is free")
    advice = "stop that, or choose another with `evolving-ai up --port`"
    return Finding("port", Verdict.WARNING, f"{where} is {problem}", advice)


def _keys(settings: Settings, environment: Mapping[str, str]) -> Finding:
    name = "provider keys"
    if not settings.targets:
        found = sorted(providers_in_environment(environment).providers)
        if found:
            return Finding(name, Verdict.OK, f"in the environment: {', '.join(found)}")
        return Finding(name, Verdict.OK, "none in the environment: replay providers answer")
    used = {target.provider for target in settings.targets}
    unknown = sorted(used - settings.providers.keys())
    if unknown:
        detail = f"targets name the providers {', '.join(unknown)}, which are not there"
        return Finding(name, Verdict.FAILED, detail, "add them under providers in config.yaml")
    named = {settings.providers[provider].api_key_env for provider in used} - {None}
    missing = sorted(variable for variable in named if variable is not None and not environment.get(variable))
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        detail = f"{', '.join(missing)} {verb} not in the environment"
        return Finding(name, Verdict.FAILED, detail, "export it in the shell that runs `evolving-ai up`")
    return Finding(name, Verdict.OK, f"{len(named)} of {len(named)} are in the environment")
