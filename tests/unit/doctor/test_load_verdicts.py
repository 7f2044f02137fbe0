"""What is said of requests that were sent while something was done to the platform."""

import threading

import httpx
import pytest

from evolving_ai.doctor.chaos_scenarios import kill_verdict
from evolving_ai.doctor.exchange_scenario import exchange_verdict
from evolving_ai.doctor.load import WORKERS, Sent, failures, running_load
from evolving_ai.errors import PlatformError
from tests.unit.doctor.fake_platform import DNA, SNAPSHOT, FakePlatform, refusal

OLD, NEW = ("old", "s1"), ("new", "s2")
MOMENTS = [(10.0, "new"), (20.0, "old")]


def sent(*times_and_versions: tuple[float, tuple[str, str] | None]) -> list[Sent]:
    return [Sent(at_s, "" if version else "503", version) for at_s, version in times_and_versions]


def test_an_exchange_that_nobody_noticed_is_told_with_its_slowest_request() -> None:
    seen = sent((9.0, OLD), (10.3, OLD), (10.5, NEW), (21.0, OLD))

    assert exchange_verdict(seen, MOMENTS, {OLD, NEW}) == (
        "2 exchanges, 0 of 4 requests failed, the last with former DNA after 0.30 s"
    )


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (sent((9.0, OLD), (10.2, None), (11.0, NEW), (21.0, OLD)), "1 of 4 requests failed, the first: 503"),
        (sent((9.0, OLD), (11.5, OLD), (12.0, NEW), (21.0, OLD)), "1.5 s after an exchange: expected 1 s"),
        (sent((11.0, ("new", "s1")), (21.0, OLD)), "1 of 2 requests saw DNA and snapshot that were never live"),
        (sent((11.0, NEW)), "no request saw DNA old"),
        ([], "no request saw DNA new"),
    ],
)
def test_an_exchange_that_somebody_noticed_fails(seen: list[Sent], text: str) -> None:
    with pytest.raises(PlatformError, match=text):
        exchange_verdict(seen, MOMENTS, {OLD, NEW})


def test_requests_that_were_with_the_killed_process_may_fail() -> None:
    seen = sent((1.0, OLD), (2.0, None), (2.9, None), (4.0, OLD))

    assert kill_verdict(seen, 2.0, 1.5, may_fail=2) == "2 of 4 requests failed, whole again after 1.5 s"


@pytest.mark.parametrize(
    ("seen", "may_fail", "text"),
    [
        (sent((2.0, None), (2.1, None)), 1, "2 of 2 requests failed, expected at most 1, the first: 503"),
        (sent((2.0, OLD), (3.5, None)), 1, "1 requests failed that began later than 1 s after"),
        (sent((2.0, None)), 0, "expected at most 0"),
        ([], 4, "no request was sent"),
    ],
)
def test_other_failures_after_a_kill_are_told(seen: list[Sent], may_fail: int, text: str) -> None:
    with pytest.raises(PlatformError, match=text):
        kill_verdict(seen, 2.0, 1.5, may_fail=may_fail)


def test_failures_come_in_the_order_of_time() -> None:
    assert [one.at_s for one in failures(sent((3.0, None), (1.0, None), (2.0, OLD)))] == [1.0, 3.0]


def test_a_load_sends_until_its_block_ends_and_leaves_no_thread() -> None:
    platform, patient = FakePlatform(), FakePlatform().patient()
    enough, count = threading.Event(), 0

    def refuse(_: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        if count > 2 * WORKERS:
            enough.set()
        return refusal("not_ready")

    before = threading.active_count()
    with running_load(patient.gateway, patient.model, patient.clock) as load:
        while len(load.sent) < WORKERS:
            assert threading.active_count() > before
    assert {one.version for one in load.sent} == {(DNA[:12], SNAPSHOT[:12])}

    platform.replies["POST /v1/chat/completions"] = refuse
    with running_load(platform.patient().gateway, patient.model, patient.clock) as load:
        assert enough.wait(20)
    assert threading.active_count() == before
    assert all("503" in one.problem for one in load.sent)
