"""One run of the doctor: checks of the machine and the home, then scenarios against a platform."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from evolving_ai._common.clock import Clock
from evolving_ai._common.stop_request import StopRequest
from evolving_ai.doctor.access_scenarios import ACCESS_SCENARIOS
from evolving_ai.doctor.chaos_scenarios import chaos_scenarios
from evolving_ai.doctor.exchange_scenario import EXCHANGE_SCENARIOS
from evolving_ai.doctor.failover_scenarios import FAILOVER_SCENARIOS
from evolving_ai.doctor.finding import Finding, Verdict, has_failed
from evolving_ai.doctor.gateway import Gateway
from evolving_ai.doctor.home_checks import home_findings
from evolving_ai.doctor.machine import read_machine
from evolving_ai.doctor.machine_checks import machine_findings
from evolving_ai.doctor.model_groups import STEADY
from evolving_ai.doctor.own_platform import started_platform
from evolving_ai.doctor.packages import installed_version, package_finding, requirements
from evolving_ai.doctor.refusal_scenarios import REFUSAL_SCENARIOS
from evolving_ai.doctor.request_scenarios import REQUEST_SCENARIOS
from evolving_ai.doctor.scenario import Patient, Scenario, run_scenario
from evolving_ai.doctor.state_checks import state_findings
from evolving_ai.errors import EvolvingAIError, UsageError

__all__ = ["Examination", "ForeignPlatform", "examine", "gateway_at", "machine_and_home"]

_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
_START = "the platform starts"

Told = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class ForeignPlatform:
    """A platform that others use, and the key to show there."""

    url: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. `platform` is the address of the one that was examined; None when none started."""

    checks: tuple[Finding, ...]
    scenarios: tuple[Finding, ...]
    platform: str | None

    @property
    def has_failed(self) -> bool:
        """Whether anything failed; warnings do not count."""
        return has_failed((*self.checks, *self.scenarios))

    def to_json(self) -> dict[str, Any]:
        """The document of `--json`."""
        return {
            "ok": not self.has_failed,
            "platform": self.platform,
            "checks": [finding.to_json() for finding in self.checks],
            "scenarios": [finding.to_json() for finding in self.scenarios],
        }


def machine_and_home(home: Path, clock: Clock) -> Iterator[Finding]:
    """What there is to say before anything is started."""
    yield from machine_findings(read_machine(home))
    yield package_finding(requirements(), installed_version)
    yield from home_findings(home, clock)
    yield from state_findings(home)


def examine(
    home: Path,
    clock: Clock,
    *,
    foreign: ForeignPlatform | None,
    chaos_seed: int | None,
    note: Callable[[str], None],
    told: Told,
) -> Examination:
    """Examine this machine, `home`, and a platform: `foreign`, else one that is started for it and ended again.

    `chaos_seed` None: nothing is killed. `told` hears each finding as soon as there is one. KeyboardInterrupt when
    SIGINT or SIGTERM came meanwhile; everything that was started has ended then, too. Call it in the main thread.
    """
    request = StopRequest()
    scenarios: list[Finding] = []
    check = _check(request, note)
    with request.listening():
        checks = _heard(_checked(machine_and_home(home, clock), check), told)
        wanted = _wanted(chaos_seed)
        if foreign is not None:
            with gateway_at(foreign.url, foreign.api_key) as gateway:
                patient = Patient(gateway, clock, _pause(request, check))
                found = _heard((run_scenario(scenario, patient) for scenario in wanted), told)
            return Examination(tuple(checks), tuple(found), foreign.url)
        url = _examine_own(wanted, clock, _pause(request, check), note, scenarios, told)
    return Examination(tuple(checks), tuple(scenarios), url)


def _examine_own(
    wanted: Iterable[Scenario],
    clock: Clock,
    pause: Callable[[float], None],
    note: Callable[[str], None],
    found: list[Finding],
    told: Told,
) -> str | None:
    """Add to `found`; the address, None when it did not start."""
    started_s = clock.monotonic_s()
    url = None
    try:
        with (
            started_platform(clock, note=note, check=lambda: pause(0.0)) as own,
            gateway_at(own.url, own.api_key) as gateway,
        ):
            url = own.url
            start = Finding(_START, Verdict.OK, own.url, seconds=clock.monotonic_s() - started_s)
            found.extend(_heard([start], told))
            patient = Patient(gateway, clock, pause, STEADY.alias, own)
            for scenario in wanted:
                found.extend(_heard([run_scenario(scenario, patient)], told))
    except EvolvingAIError as exc:
        name = _START if url is None else "the platform ends"
        failed = Finding(name, Verdict.FAILED, str(exc), seconds=clock.monotonic_s() - started_s)
        found.extend(_heard([failed], told))
    return url


def _wanted(chaos_seed: int | None) -> tuple[Scenario, ...]:
    usual = (
        *REQUEST_SCENARIOS,
        *REFUSAL_SCENARIOS,
        *ACCESS_SCENARIOS,
        *FAILOVER_SCENARIOS,
        *EXCHANGE_SCENARIOS,
    )
    return usual if chaos_seed is None else (*usual, *chaos_scenarios(chaos_seed))


@contextlib.contextmanager
def gateway_at(url: str, api_key: str) -> Iterator[Gateway]:
    """The platform at `url`. No redirect is followed and no proxy taken from the environment: the key stays there.

    UsageError when `url` is no address.
    """
    timeout = httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    try:
        client = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
    except httpx.InvalidURL as exc:
        raise UsageError(f"{url!r} is no address ({exc}): expected one such as http://127.0.0.1:8000") from exc
    with client:
        yield Gateway(client, api_key)


def _check(request: StopRequest, note: Callable[[str], None]) -> Callable[[], None]:
    def check() -> None:
        try:
            request.check()
        except KeyboardInterrupt:
            note("ending what was started")
            raise

    return check


def _pause(request: StopRequest, check: Callable[[], None]) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        request.wait(seconds)
        check()

    return pause


def _checked(findings: Iterable[Finding], check: Callable[[], None]) -> Iterator[Finding]:
    for finding in findings:
        check()
        yield finding


def _heard(findings: Iterable[Finding], told: Told) -> list[Finding]:
    found = []
    for finding in findings:
        told(finding)
        found.append(finding)
    return found
