"""The search space of this release: every gene that a component reads."""

from evolving_ai.domain.genes import FloatGene, SearchSpace

__all__ = ["search_space"]


def search_space() -> SearchSpace:
    """The registry of all genes."""
    return SearchSpace(
        [
            FloatGene(
                name="routing.cost_weight",
                component="router",
                low=0.0,
                high=1.0,
                default=0.5,
                about="Cost against quality.",
            )
        ]
    )
