"""What a campaign won with, and which campaign the live DNA came from."""

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.mutation import Mutation, changes_between
from evolving_ai.errors import RefNotFoundError
from evolving_ai.stores.history import DnaHistory
from evolving_ai.stores.inmemory.dna_store import InMemoryDnaStore
from evolving_ai.wiring.campaign_winner import CampaignWinners
from evolving_ai.wiring.routing_campaign import branch_of
from evolving_ai.wiring.search_space import search_space

WEIGHT, OTHER = "score.cost_weight", "features.bits"


@pytest.fixture
def store() -> InMemoryDnaStore:
    return InMemoryDnaStore()


@pytest.fixture
def history(store: InMemoryDnaStore) -> DnaHistory:
    made = DnaHistory(store, search_space(), ManualClock())
    made.ensure_main()
    return made


def win(history: DnaHistory, campaign: str, weight: float, start: str = "main") -> Commit:
    """The commit with which a campaign wins that started from a ref."""
    branch = branch_of(campaign)
    tip = history.create_branch(branch, start)
    genome = Genome({**tip.genome.genes, WEIGHT: weight})
    changes = changes_between(tip.genome.genes, genome.genes)
    mutation = Mutation(f"mut-{campaign}", "campaign", ("score",), changes, 0.9)
    return history.append(branch, genome, author="a", message="m", mutation=mutation, evaluations=(f"{campaign}/3",))


def test_a_campaign_wins_with_the_tip_of_its_branch(history: DnaHistory, store: InMemoryDnaStore) -> None:
    won = win(history, "first", 0.25)
    winners = CampaignWinners(store)
    assert winners.improvement("first") == winners.tip("first") == won
    assert (winners.improvement("other"), winners.tip("other")) == (None, None)


def test_what_a_campaign_started_from_is_no_improvement(history: DnaHistory, store: InMemoryDnaStore) -> None:
    history.create_branch(branch_of("idle"))
    winners = CampaignWinners(store)
    assert winners.tip("idle") == history.resolve("main")
    assert winners.improvement("idle") is None


def test_a_campaign_that_started_from_another_s_winner_and_stayed_there_won_nothing(
    history: DnaHistory, store: InMemoryDnaStore
) -> None:
    win(history, "first", 0.25)
    history.create_branch(branch_of("second"), branch_of("first"))
    assert CampaignWinners(store).improvement("second") is None


def test_dna_came_from_the_campaign_that_made_it_last(history: DnaHistory, store: InMemoryDnaStore) -> None:
    first = win(history, "first", 0.25)
    second = win(history, "second", 0.5, start=first.hash)
    winners = CampaignWinners(store)
    assert winners.origins(first.hash) == {"first"}
    assert winners.origins(second.hash) == {"second"}
    assert winners.origins(history.resolve("main").hash) == frozenset()


def test_changes_by_hand_keep_the_origin_and_undoing_loses_it(history: DnaHistory, store: InMemoryDnaStore) -> None:
    won = win(history, "first", 0.25)
    bits = int(history.resolve("main").genome.genes[OTHER])
    edited = history.change(branch_of("first"), {OTHER: bits - 1}, author="a", message="m")
    assert CampaignWinners(store).origins(edited.hash) == {"first"}
    assert CampaignWinners(store).improvement("first") == won
    undone = history.revert(won.hash, branch_of("first"), author="a")
    assert CampaignWinners(store).origins(undone.hash) == frozenset()


def test_nothing_came_from_anywhere_without_a_store() -> None:
    winners = CampaignWinners(None)
    assert (winners.tip("first"), winners.origins("0" * 64)) == (None, frozenset())


def test_a_commit_that_is_none_is_refused(store: InMemoryDnaStore) -> None:
    with pytest.raises(RefNotFoundError):
        CampaignWinners(store).origins("0" * 64)
