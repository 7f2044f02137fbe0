from evolving_ai._version import __version__
from evolving_ai.sdk import EvolutionFramework, SyncEvolutionFramework

__all__ = ["EvolutionFramework", "SyncEvolutionFramework", "__version__"]
