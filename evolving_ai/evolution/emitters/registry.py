"""The emitters by name."""

from collections.abc import Callable, Mapping

from evolving_ai.evolution.emitters.cma import CmaEmitter
from evolving_ai.evolution.emitters.crossover import CrossoverEmitter
from evolving_ai.evolution.emitters.gaussian import GaussianEmitter
from evolving_ai.evolution.emitters.mixed import MixedEmitter
from evolving_ai.evolution.emitters.random import RandomEmitter
from evolving_ai.evolution.ports import Emitter

__all__ = ["make_emitter"]

_EMITTERS: Mapping[str, Callable[[], Emitter]] = {
    "mixed": MixedEmitter,
    "gaussian": GaussianEmitter,
    "crossover": CrossoverEmitter,
    "cma": CmaEmitter,
    "random": RandomEmitter,
}


def make_emitter(name: str) -> Emitter:
    """A new emitter of that name (`CampaignSpec` has checked it)."""
    return _EMITTERS[name]()
