"""The search space of this release: every gene that a component reads."""

from evolving_ai.decision.genes import routing_genes
from evolving_ai.domain.genes import SearchSpace

__all__ = ["search_space"]


def search_space() -> SearchSpace:
    """The registry of all genes."""
    return routing_genes()
