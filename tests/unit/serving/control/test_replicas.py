"""Which replicas there are: heard of lately; the counts of those that went stay in the totals."""

from evolving_ai._common.clock import ManualClock
from evolving_ai.serving.control.replicas import Replicas, stats_json

VERSIONS = {"live": 1, "access": 1, "pool": 1}


def test_a_replica_that_is_silent_for_ten_seconds_is_gone_and_its_counts_stay() -> None:
    clock = ManualClock()
    replicas = Replicas(clock)
    replicas.heard("a", VERSIONS, {"answered": 5, "in_flight": 2})
    clock.advance(6)
    replicas.heard("b", VERSIONS, {"answered": 1, "in_flight": 1})
    assert replicas.totals() == {"answered": 6, "in_flight": 3}

    clock.advance(6)
    assert [replica.name for replica in replicas.present] == ["b"]
    assert replicas.totals() == {"answered": 6, "in_flight": 1}
    clock.advance(60)
    assert replicas.present == ()
    assert replicas.totals() == {"answered": 6}


def test_what_is_heard_again_replaces_what_was_heard_before() -> None:
    replicas = Replicas(ManualClock())
    replicas.heard("a", VERSIONS, {"answered": 5})
    replicas.heard("a", {**VERSIONS, "live": 2}, {"answered": 7})
    (replica,) = replicas.present
    assert stats_json(replica) == {"replica": "a", "versions": {**VERSIONS, "live": 2}, "stats": {"answered": 7}}
    assert replicas.totals() == {"answered": 7}


def test_a_replica_that_is_heard_of_after_a_silence_is_counted_once() -> None:
    clock = ManualClock()
    replicas = Replicas(clock)
    replicas.heard("a", VERSIONS, {"answered": 5})
    clock.advance(11)
    assert replicas.totals() == {"answered": 5}
    replicas.heard("a", VERSIONS, {"answered": 6})
    assert replicas.totals() == {"answered": 6}
