"""What every campaign ledger guarantees."""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evolving_ai.domain.fitness import Evaluation, Score
from evolving_ai.errors import CorruptionError, LockedError, RefNotFoundError
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from evolving_ai.stores.ports import CampaignLedger, CandidateRecord
from evolving_ai.stores.sqlite.campaign_ledger import SqliteCampaignLedger, writer_of

HEADER: Mapping[str, Any] = {"id": "c", "seed": 7, "text": "Zürich \u2603", "range": [0.1, 1e-7]}

Maker = Callable[[Path, Mapping[str, Any]], CampaignLedger]
MAKERS: dict[str, Maker] = {
    "inmemory": lambda _, header: InMemoryCampaignLedger(header),
    "sqlite": lambda folder, header: SqliteCampaignLedger.create(folder / "ledger.db", header),
}


@pytest.fixture(params=sorted(MAKERS))
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = MAKERS[request.param](tmp_path, HEADER)
    yield made
    made.close()


def candidate(index: int, genome_hash: str = "") -> CandidateRecord:
    return CandidateRecord(index, genome_hash or f"{index:064x}", {"genes": {"x": index / 3}, "parents": [0]})


def result(value: float) -> Evaluation:
    return Evaluation(scores={"quality": Score(value, 0.25)}, measures={"depth": 3.0}, duration_s=0.5)


def test_a_new_ledger_has_its_header_and_nothing_else(ledger: CampaignLedger) -> None:
    assert ledger.header() == HEADER
    assert ledger.state() == ("created", {})
    assert list(ledger.candidates()) == []


def test_candidates_read_back_in_the_order_of_their_indices(ledger: CampaignLedger) -> None:
    ledger.commit([candidate(2), candidate(0)], {})
    assert ledger.commit([candidate(1)], {2: result(0.5)}) == (2,)
    assert list(ledger.candidates()) == [(candidate(0), None), (candidate(1), None), (candidate(2), result(0.5))]


def test_the_first_result_stands(ledger: CampaignLedger) -> None:
    ledger.commit([candidate(0), candidate(1)], {0: result(1.0)})
    assert ledger.commit([], {0: result(9.0), 1: result(2.0)}) == (1,)
    assert [evaluation for _, evaluation in ledger.candidates()] == [result(1.0), result(2.0)]


def test_an_index_that_another_genome_has_refuses_the_whole_commit(ledger: CampaignLedger) -> None:
    ledger.commit([candidate(0)], {})
    with pytest.raises(CorruptionError, match="candidate 0 is logged as 000000000000, not ffff"):
        ledger.commit([candidate(1), candidate(0, "f" * 64)], {0: result(1.0)})
    assert list(ledger.candidates()) == [(candidate(0), None)]


def test_a_result_of_nobody_refuses_the_whole_commit(ledger: CampaignLedger) -> None:
    with pytest.raises(CorruptionError, match="candidate 5 has a result but is not logged"):
        ledger.commit([candidate(0)], {0: result(1.0), 5: result(1.0)})
    assert list(ledger.candidates()) == []


def test_a_failure_reads_back_as_it_was(ledger: CampaignLedger) -> None:
    failure = Evaluation(failure="ValueError: ü", fidelity=0.5)
    ledger.commit([candidate(0)], {0: failure})
    assert [evaluation for _, evaluation in ledger.candidates()] == [failure]


def test_the_last_state_stands(ledger: CampaignLedger) -> None:
    ledger.set_state("running", {"evaluations": 1})
    ledger.set_state("stopped", {"evaluations": 2, "reason": "asked to stop"})
    assert ledger.state() == ("stopped", {"evaluations": 2, "reason": "asked to stop"})


def test_closing_again_is_no_change(ledger: CampaignLedger) -> None:
    ledger.close()
    ledger.close()


class _LedgerMachine(RuleBasedStateMachine):
    """Any sequence of commits and reopenings against a model in two dictionaries."""

    maker: str

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ledger")
        self.logged: dict[int, CandidateRecord] = {}
        self.results: dict[int, Evaluation] = {}
        self.now: tuple[str, dict[str, Any]] = ("created", {})

    @initialize()
    def create(self) -> None:
        self.ledger = MAKERS[self.maker](Path(self.folder.name), HEADER)

    @rule(
        indices=st.lists(st.integers(0, 12), max_size=4),
        values=st.dictionaries(st.integers(0, 12), st.floats(-1, 1), max_size=4),
    )
    def commit(self, indices: list[int], values: dict[int, float]) -> None:
        records = {index: candidate(index) for index in indices}
        known = {index: result(value) for index, value in values.items() if index in {*self.logged, *records}}
        new = tuple(sorted(index for index in known if index not in self.results))
        assert self.ledger.commit([candidate(index) for index in indices], known) == new
        self.logged.update(records)
        self.results.update({index: known[index] for index in new})

    @rule(index=st.integers(0, 12), value=st.floats(-1, 1))
    def deliver_to_nobody(self, index: int, value: float) -> None:
        if index not in self.logged:
            with pytest.raises(CorruptionError):
                self.ledger.commit([candidate(20)], {index: result(value)})

    @rule(state=st.sampled_from(["running", "stopped"]), count=st.integers(0, 9))
    def set_state(self, state: str, count: int) -> None:
        self.ledger.set_state(state, {"evaluations": count})
        self.now = (state, {"evaluations": count})

    @precondition(lambda self: self.maker == "sqlite")
    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = SqliteCampaignLedger.open(Path(self.folder.name) / "ledger.db", writer=True)

    @invariant()
    def reads_back(self) -> None:
        if hasattr(self, "ledger"):
            expected = [(self.logged[index], self.results.get(index)) for index in sorted(self.logged)]
            assert list(self.ledger.candidates()) == expected
            assert self.ledger.state() == self.now
            assert self.ledger.header() == HEADER

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
        self.folder.cleanup()


class InMemoryMachine(_LedgerMachine):
    maker = "inmemory"


class SqliteMachine(_LedgerMachine):
    maker = "sqlite"


TestInMemoryMachine = InMemoryMachine.TestCase
TestSqliteMachine = SqliteMachine.TestCase
TestInMemoryMachine.settings = TestSqliteMachine.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None
)


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "my-campaign" / "ledger.db"
    first = SqliteCampaignLedger.create(path, HEADER)
    with pytest.raises(LockedError, match=r"campaign my-campaign is being run by process \d+"):
        SqliteCampaignLedger.open(path, writer=True)
    assert writer_of(path) is not None
    first.close()
    assert writer_of(path) is None
    SqliteCampaignLedger.open(path, writer=True).close()


def test_readers_see_what_the_writer_committed(tmp_path: Path) -> None:
    writer = SqliteCampaignLedger.create(tmp_path / "ledger.db", HEADER)
    reader = SqliteCampaignLedger.open(tmp_path / "ledger.db", writer=False)
    writer.commit([candidate(0)], {0: result(1.0)})
    assert list(reader.candidates()) == [(candidate(0), result(1.0))]
    reader.close()
    writer.close()


def test_a_ledger_of_another_campaign_is_not_taken_over(tmp_path: Path) -> None:
    SqliteCampaignLedger.create(tmp_path / "ledger.db", HEADER).close()
    with pytest.raises(CorruptionError, match="belongs to another campaign"):
        SqliteCampaignLedger.create(tmp_path / "ledger.db", {"id": "other"})
    SqliteCampaignLedger.create(tmp_path / "ledger.db", HEADER).close()


def test_a_missing_ledger_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RefNotFoundError, match="no campaign ledger at"):
        SqliteCampaignLedger.open(tmp_path / "ledger.db", writer=False)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ("UPDATE candidate SET document = replace(document, '0', '1')", "candidate 0 is damaged"),
        ("UPDATE candidate SET genome_hash = 'f'", "candidate 0 is damaged"),
        ("UPDATE evaluation SET document = replace(document, '1.0', '2.0')", "the result of candidate 0 is damaged"),
        ("UPDATE campaign SET header = replace(header, '7', '8')", "the header is damaged"),
    ],
)
def test_changed_bytes_are_noticed(tmp_path: Path, damage: str, text: str) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteCampaignLedger.create(path, HEADER)
    ledger.commit([candidate(0)], {0: result(1.0)})
    ledger.close()
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()

    def read() -> list[Any]:
        reopened = SqliteCampaignLedger.open(path, writer=False)
        try:
            return list(reopened.candidates())
        finally:
            reopened.close()

    with pytest.raises(CorruptionError, match=text):
        read()
