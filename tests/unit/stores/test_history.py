"""Commit, revert, compare and branch."""

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import ChoiceGene, Condition, FloatGene, IntGene, SearchSpace
from evolving_ai.domain.mutation import Change
from evolving_ai.errors import GeneError, RefConflictError, RefNotFoundError, UsageError
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.inmemory.dna_store import InMemoryDnaStore

GENES = [
    FloatGene(name="weight", component="router", low=0, high=1, default=0.5),
    IntGene(name="tries", component="retry", low=1, high=9, default=3),
    ChoiceGene(name="kind", component="scoring", choices=("near", "linear"), default="near"),
    IntGene(name="k", component="scoring", low=1, high=9, default=5, active_when=Condition("kind", ("near",))),
    FloatGene(name="l2", component="scoring", low=0, high=1, default=0, active_when=Condition("kind", ("linear",))),
]
SPACE = SearchSpace(GENES)


class RivalStore(InMemoryDnaStore):
    """Before each of the first moves of a branch, a rival gets in first."""

    def __init__(self, rivals: int) -> None:
        super().__init__()
        self._rivals_left = rivals

    def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
        if self._rivals_left and expected is not None:
            self._rivals_left -= 1
            DnaHistory(self, SPACE, ManualClock()).change(
                name, {"tries": 4 + self._rivals_left}, author="rival", message="first"
            )
        super().set_ref(name, expected=expected, new=new)


@pytest.fixture
def store() -> InMemoryDnaStore:
    return InMemoryDnaStore()


@pytest.fixture
def history(store: InMemoryDnaStore) -> DnaHistory:
    return opened(store)


def opened(store: InMemoryDnaStore, space: SearchSpace = SPACE) -> DnaHistory:
    history = DnaHistory(store, space, ManualClock())
    history.ensure_main()
    return history


def change(history: DnaHistory, **values: float | str) -> Commit:
    return history.change("main", values, author="ann", message=f"set {values}")


def test_main_starts_with_the_defaults_and_is_made_once(history: DnaHistory) -> None:
    root = history.resolve("main")

    history.ensure_main()

    assert root.genome.genes == SPACE.defaults()
    assert root.parents == ()
    assert list(history.log("main")) == [root]


def test_losing_the_race_for_main_is_no_error() -> None:
    class Racing(InMemoryDnaStore):
        def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
            super().set_ref(name, expected=expected, new=new)
            raise RefConflictError("somebody else created it")

    store = Racing()

    DnaHistory(store, SPACE, ManualClock()).ensure_main()

    assert list(store.refs()) == ["main"]


def test_a_change_records_a_typed_mutation(history: DnaHistory) -> None:
    made = change(history, weight=0.75)

    assert made.genome.genes == {**SPACE.defaults(), "weight": 0.75}
    assert made.mutation is not None
    assert made.mutation.type == "manual"
    assert made.mutation.changes == (Change("weight", 0.5, 0.75),)
    assert made.mutation.target_components == ("router",)
    assert made.mutation.safety_score == pytest.approx(1 - 0.25 / len(GENES))
    assert history.resolve("main") == made


def test_switching_a_choice_brings_its_genes_and_drops_the_others(history: DnaHistory) -> None:
    made = change(history, kind="linear")

    assert "k" not in made.genome.genes
    assert made.genome.genes["l2"] == 0
    assert history.diff("main~", "main") == (
        Change("k", 5, None),
        Change("kind", "near", "linear"),
        Change("l2", None, 0),
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"weight": 2}, "expected a number from 0 to 1"),
        ({"wieght": 0.1}, "did you mean weight"),
        ({"l2": 0.1}, "l2 is read only when kind is linear"),
    ],
)
def test_an_illegal_change_is_refused_and_moves_nothing(
    history: DnaHistory, values: dict[str, float], text: str
) -> None:
    before = history.resolve("main")

    with pytest.raises(GeneError, match=text):
        history.change("main", values, author="ann", message="x")

    assert history.resolve("main") == before


def test_a_change_to_the_same_values_is_refused(history: DnaHistory) -> None:
    with pytest.raises(UsageError, match="nothing would change"):
        change(history, weight=0.5)


def test_a_message_that_cannot_be_stored_is_refused(history: DnaHistory) -> None:
    with pytest.raises(UsageError, match="cannot be committed"):
        history.change("main", {"weight": 0.1}, author="ann", message="\ud800")


def test_a_commit_that_loses_the_race_is_made_again_on_top_of_the_winner() -> None:
    store = RivalStore(rivals=2)
    history = opened(store)

    change(history, weight=0.9)

    assert [commit.author for commit in history.log("main")].count("rival") == 2
    assert history.resolve("main").genome.genes["weight"] == 0.9
    assert history.resolve("main").genome.genes["tries"] != 3


def test_append_puts_a_searched_genome_on_a_branch_with_its_other_parents(history: DnaHistory) -> None:
    root = history.resolve("main")
    change(history, weight=0.1)
    genome = root.genome.replacing({"tries": 9})

    made = history.append(
        "main", genome, author="campaign", message="won", evaluations=("e1",), other_parents=(root.hash,)
    )

    assert made.genome == genome
    assert made.parents == (history.resolve("main~").hash, root.hash)
    assert made.evaluations == ("e1",)


def test_append_refuses_a_genome_that_is_not_legal(history: DnaHistory) -> None:
    with pytest.raises(GeneError, match="is missing"):
        history.append("main", Genome({"weight": 0.5}), author="campaign", message="won")


def test_revert_undoes_one_commit_and_keeps_later_changes_of_other_genes(history: DnaHistory) -> None:
    target = change(history, weight=0.9, kind="linear")
    change(history, tries=7)

    made = history.revert(target.hash, "main", author="bob")

    assert made.genome.genes == {**SPACE.defaults(), "tries": 7}
    assert made.mutation is not None
    assert made.mutation.type == "revert"
    assert made.message.startswith(f"Revert {target.hash[:12]}")


def test_reverting_the_tip_restores_the_bytes_of_its_parent(history: DnaHistory) -> None:
    change(history, weight=0.9, kind="linear")

    made = history.revert("main", "main", author="bob")

    assert made.genome.to_bytes() == history.resolve("main~2").genome.to_bytes()


def test_revert_names_the_later_commit_that_changed_the_same_gene(history: DnaHistory) -> None:
    target = change(history, weight=0.9)
    culprit = change(history, weight=0.8)
    change(history, tries=7)

    with pytest.raises(GeneError, match=f"{culprit.hash[:12]} changed gene weight again") as caught:
        history.revert(target.hash, "main", author="bob")

    assert caught.value.gene == "weight"


def test_revert_refuses_to_leave_a_later_change_without_effect(history: DnaHistory) -> None:
    target = change(history, kind="linear")
    change(history, l2=0.3)

    with pytest.raises(GeneError, match="l2"):
        history.revert(target.hash, "main", author="bob")


def test_what_cannot_be_reverted_is_refused(history: DnaHistory) -> None:
    target = change(history, weight=0.9)
    history.create_branch("side", "main~")
    history.revert(target.hash, "main", author="bob")

    with pytest.raises(UsageError, match="nothing would change"):
        history.revert(target.hash, "main", author="bob")
    with pytest.raises(UsageError, match="is a root"):
        history.revert("main~2", "main", author="bob")
    with pytest.raises(UsageError, match="not in the history of side"):
        history.revert(target.hash, "side", author="bob")


def test_branches_are_created_listed_and_deleted(history: DnaHistory) -> None:
    root = history.resolve("main")
    tip = change(history, weight=0.9)

    history.create_branch("exp/1", "main~")

    assert history.branches() == {"exp/1": root, "main": tip}
    with pytest.raises(UsageError, match="exists already"):
        history.create_branch("exp/1")
    assert history.delete_branch("exp/1") == root
    assert history.branches() == {"main": tip}


def test_branches_that_may_not_or_do_not_exist_are_refused(history: DnaHistory) -> None:
    with pytest.raises(UsageError, match="main cannot be deleted"):
        history.delete_branch("main")
    with pytest.raises(RefNotFoundError, match="no branch exp"):
        history.delete_branch("exp")
    with pytest.raises(RefNotFoundError, match="no branch exp"):
        history.change("exp", {"weight": 0.1}, author="ann", message="x")
    with pytest.raises(UsageError, match="cannot name a branch"):
        history.create_branch("cafe")


def test_genes_that_only_another_release_knew_are_dropped_by_the_next_change(store: InMemoryDnaStore) -> None:
    opened(store, SearchSpace([*GENES, IntGene(name="old", component="gone", low=1, high=2, default=1)]))
    history = opened(store)

    made = change(history, weight=0.9)

    assert "old" not in made.genome.genes
    assert history.revert("main", "main", author="bob").genome.genes == SPACE.defaults()
