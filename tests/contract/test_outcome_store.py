"""What every `OutcomeStore` guarantees, run over every implementation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolving_ai.domain.outcome import Feedback, Outcome
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.inmemory.outcome_store import InMemoryOutcomeStore
from evolving_ai.stores.outcome_archive import OutcomeArchive
from evolving_ai.stores.ports import (
    OutcomeBatch,
    OutcomeCursor,
    OutcomeStore,
    RecordedOutcome,
    ScoredOutcome,
)
from evolving_ai.stores.sqlite.outcome_store import SqliteOutcomeStore
from tests.unit.stores.recorded_outcomes import START_S, batch, outcome, outcomes, request_id

OpenStore: TypeAlias = Callable[[], AbstractContextManager[OutcomeStore]]

DAY_S = 86_400.0
BEGIN = OutcomeCursor()


@contextmanager
def in_memory() -> Iterator[OutcomeStore]:
    yield InMemoryOutcomeStore()


@contextmanager
def in_sqlite() -> Iterator[OutcomeStore]:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with SqliteOutcomeStore.open(home / "outcomes.db", OutcomeArchive(home / "outcomes")) as store:
            yield store


OPENERS = [in_memory, in_sqlite]


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest) -> Iterator[OutcomeStore]:
    with request.param() as opened:
        yield opened


def said(about: Outcome, score: float, comment: str | None = None, *, tenant: str = "acme") -> Feedback:
    return Feedback(about.decision_id, tenant, score, comment, START_S)


def everything_scored(store: OutcomeStore) -> list[ScoredOutcome]:
    found, cursor = store.scored(BEGIN, 1_000)
    assert store.scored(cursor, 1_000) == ([], cursor)
    return list(found)


def sizes(store: OutcomeStore) -> tuple[int, int, int]:
    counts = store.counts()
    return counts.recent, counts.archived, counts.with_feedback


def test_what_was_appended_is_found_by_its_decision_id(store: OutcomeStore) -> None:
    members = [outcome(number) for number in range(5)]

    assert store.append(batch(0, *members))

    for member in members:
        assert store.find(member.decision_id) == RecordedOutcome(member, None)
    assert store.find(request_id(START_S, 5)) is None
    assert store.find("nothing of ours") is None
    assert sizes(store) == (5, 0, 0)


def test_an_outcome_is_shown_to_its_own_tenant_alone(store: OutcomeStore) -> None:
    theirs = outcome(1, tenant="other")
    store.append(batch(0, outcome(0), theirs))

    assert store.find(theirs.decision_id, "acme") is None
    assert store.find(theirs.decision_id, "other") == RecordedOutcome(theirs, None)


def test_ids_whose_beginnings_are_equal_are_told_apart(store: OutcomeStore) -> None:
    members = [outcome(number) for number in (0, 1, 2**30)]
    for sequence, member in enumerate(members):
        store.append(batch(sequence, member))

    assert [store.find(member.decision_id) for member in members] == [RecordedOutcome(m, None) for m in members]


def test_a_batch_counts_once_however_often_it_is_handed_over(store: OutcomeStore) -> None:
    first = batch(0, outcome(0, score=1.0))

    assert store.append(first)
    assert not store.append(first)
    assert store.append(batch(1, outcome(1)))
    assert store.append(batch(0, outcome(2), replica="replica-2"))

    assert store.counts().recent == 3
    assert len(everything_scored(store)) == 1


def test_a_damaged_batch_is_refused_and_leaves_nothing(store: OutcomeStore) -> None:
    whole = batch(0, outcome(0))
    damaged = OutcomeBatch(whole.replica, whole.sequence, whole.payload[:-1] + b"?")

    with pytest.raises(CorruptionError):
        store.append(damaged)

    assert sizes(store) == (0, 0, 0)
    assert store.append(whole)


def test_a_batch_may_be_empty(store: OutcomeStore) -> None:
    assert store.append(batch(0))
    assert not store.append(batch(0))
    assert store.counts().recent == 0


def test_the_last_feedback_stands(store: OutcomeStore) -> None:
    one = outcome(0)
    store.append(batch(0, one))

    assert store.feedback(said(one, 0.25))
    assert store.feedback(said(one, 1.0, "better than I thought"))

    assert store.find(one.decision_id) == RecordedOutcome(one, said(one, 1.0, "better than I thought"))
    assert store.counts().with_feedback == 1


def test_the_same_feedback_again_is_no_change(store: OutcomeStore) -> None:
    one = outcome(0)
    store.append(batch(0, one))
    store.feedback(said(one, 0.5, "so so"))

    assert store.feedback(replace(said(one, 0.5, "so so"), time_s=START_S + 9))

    assert store.find(one.decision_id) == RecordedOutcome(one, said(one, 0.5, "so so"))
    assert everything_scored(store) == [ScoredOutcome(one, 0.5, None)]


def test_feedback_about_what_is_unknown_or_anothers_is_refused(store: OutcomeStore) -> None:
    one, old = outcome(0), outcome(1, age_s=3_600)
    store.append(batch(0, one))

    assert not store.feedback(said(one, 0.5, tenant="other"))
    assert not store.feedback(said(old, 0.5))
    assert not store.feedback(Feedback("nothing of ours", "acme", 0.5, None, START_S))

    assert store.find(one.decision_id) == RecordedOutcome(one, None)


def test_feedback_that_is_faster_than_its_outcome_waits_for_it(store: OutcomeStore) -> None:
    one = outcome(0, age_s=5, score=0.25)

    assert store.feedback(said(one, 0.5))
    assert store.feedback(said(one, 1.0))
    assert store.find(one.decision_id) is None
    store.append(batch(0, outcome(1), one))

    assert store.find(one.decision_id) == RecordedOutcome(one, said(one, 1.0))
    assert everything_scored(store) == [ScoredOutcome(one, 0.25, None), ScoredOutcome(one, 1.0, 0.25)]


def test_waiting_feedback_of_another_tenant_is_dropped(store: OutcomeStore) -> None:
    one = outcome(0, age_s=5)
    store.feedback(said(one, 0.0, tenant="other"))

    store.append(batch(0, one))

    assert store.find(one.decision_id) == RecordedOutcome(one, None)
    assert everything_scored(store) == []


def test_waiting_feedback_is_dropped_when_nothing_comes(store: OutcomeStore) -> None:
    late = outcome(0)
    store.feedback(said(late, 0.0))

    store.compact(START_S + DAY_S)
    store.append(batch(0, late))

    assert store.find(late.decision_id) == RecordedOutcome(late, None)


def test_signals_come_first_from_answers_and_then_from_feedback(store: OutcomeStore) -> None:
    scored, plain, silent = outcome(0, score=0.25), outcome(1), outcome(2)
    store.append(batch(0, scored, plain, silent))
    store.feedback(said(plain, 1.0))
    store.feedback(said(scored, 0.5))
    store.feedback(said(scored, 0.75))

    assert everything_scored(store) == [
        ScoredOutcome(scored, 0.25, None),
        ScoredOutcome(plain, 1.0, None),
        ScoredOutcome(scored, 0.5, 0.25),
        ScoredOutcome(scored, 0.75, 0.5),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_reader_gets_every_signal_once_whatever_its_limit(store: OutcomeStore, limit: int) -> None:
    members = [[outcome(10 * b + n, score=0.5 if n % 2 else None) for n in range(4)] for b in range(5)]
    found: list[ScoredOutcome] = []
    cursor = BEGIN
    for sequence, some in enumerate(members):
        store.append(batch(sequence, *some))
        store.feedback(said(some[0], 1.0))
        signals, cursor = store.scored(cursor, limit)
        found += signals
    while (step := store.scored(cursor, limit))[1] != cursor:
        found += step[0]
        cursor = step[1]

    ids = [signal.outcome.decision_id for signal in found]
    assert sorted(ids) == sorted(m.decision_id for some in members for m in (some[0], some[1], some[3]))


def test_a_reader_may_ask_for_outcomes_without_a_signal_too(store: OutcomeStore) -> None:
    plain, scored = outcome(1), outcome(2, score=0.5)
    store.append(batch(0, plain, scored))
    store.append(batch(1, outcome(3)))
    store.feedback(said(plain, 1.0))

    found, cursor = store.scored(BEGIN, 100, with_unscored=True)

    assert found == [
        ScoredOutcome(plain, None, None),
        ScoredOutcome(scored, 0.5, None),
        ScoredOutcome(outcome(3), None, None),
        ScoredOutcome(plain, 1.0, None),
    ]
    assert store.scored(cursor, 100, with_unscored=True) == ([], cursor)


def test_the_end_is_the_cursor_behind_everything(store: OutcomeStore) -> None:
    assert store.counts().end == BEGIN
    old = outcome(1, age_s=DAY_S)
    store.append(batch(0, old))
    store.feedback(said(old, 1.0))
    store.compact(START_S)

    end = store.counts().end
    store.append(batch(1, outcome(2, score=1.0)))

    assert [signal.outcome for signal in store.scored(end, 10)[0]] == [outcome(2, score=1.0)]


def test_compaction_moves_what_is_old_and_everything_is_still_found(store: OutcomeStore) -> None:
    old = [outcome(number, age_s=DAY_S * number, score=0.5) for number in (2, 3)]
    young = outcome(9)
    store.append(batch(0, *old))
    store.append(batch(1, young, outcome(10, age_s=DAY_S * 4)))
    store.feedback(said(old[0], 1.0, "good"))

    assert store.compact(START_S - DAY_S) == 2

    assert sizes(store) == (2, 2, 1)
    assert store.find(old[0].decision_id) == RecordedOutcome(old[0], said(old[0], 1.0, "good"))
    assert store.find(old[1].decision_id, "acme") == RecordedOutcome(old[1], None)
    assert store.find(old[1].decision_id, "other") is None
    assert store.find(young.decision_id) == RecordedOutcome(young, None)
    assert store.compact(START_S - DAY_S) == 0


def test_a_batch_counts_once_also_after_it_was_archived(store: OutcomeStore) -> None:
    batches = [batch(sequence, outcome(sequence, age_s=DAY_S)) for sequence in (3, 0, 2, 7, 1)]
    for one in batches:
        store.append(one)
        store.compact(START_S)

    assert not any(store.append(one) for one in batches)
    assert store.append(batch(4, outcome(50, age_s=DAY_S)))
    assert sizes(store) == (1, 5, 0)


def test_feedback_about_an_archived_outcome_stands_and_is_given_to_readers(store: OutcomeStore) -> None:
    old = outcome(0, age_s=DAY_S, score=0.25)
    store.append(batch(0, old))
    _, cursor = store.scored(BEGIN, 10)
    store.compact(START_S)

    assert not store.feedback(said(old, 1.0, tenant="other"))
    assert store.feedback(said(old, 1.0))

    assert store.find(old.decision_id) == RecordedOutcome(old, said(old, 1.0))
    assert list(store.scored(cursor, 10)[0]) == [ScoredOutcome(old, 1.0, 0.25)]


def test_threads_that_append_and_read_lose_nothing(store: OutcomeStore) -> None:
    threads = 3
    per_thread = 6

    def hand_over(thread: int) -> None:
        for sequence in range(per_thread):
            one = outcome(100 * thread + sequence, age_s=DAY_S if sequence % 2 else 0.0)
            store.append(batch(sequence, one, replica=f"replica-{thread}"))
            assert store.find(one.decision_id) == RecordedOutcome(one, None)

    running = [threading.Thread(target=hand_over, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        store.compact(START_S)
    for thread in running:
        thread.join()
    store.compact(START_S)

    half = threads * per_thread // 2
    assert sizes(store) == (half, half, 0)


@pytest.mark.parametrize("open_store", OPENERS)
@given(members=st.lists(outcomes(), min_size=1, max_size=4, unique_by=lambda member: member.decision_id))
@settings(max_examples=15)
def test_any_outcome_comes_back_equal_from_the_batch_and_from_the_archive(
    open_store: OpenStore, members: list[Outcome]
) -> None:
    with open_store() as store:
        store.append(batch(0, *members))
        before = [store.find(member.decision_id) for member in members]
        assert store.compact(5e9) == len(members)
        after = [store.find(member.decision_id) for member in members]

    assert before == after == [RecordedOutcome(member, None) for member in members]
