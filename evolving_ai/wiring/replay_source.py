"""Whether replay providers answer, and what from: decided without the weight of reading the table."""

from collections.abc import Mapping
from pathlib import Path

from evolving_ai.errors import DataError
from evolving_ai.settings import Settings
from evolving_ai.wiring.pool import providers_in_environment

__all__ = ["bundled_table", "needs_replay", "replay_table"]


def needs_replay(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether replay providers are to answer: nobody configured a provider, and no provider's key is there."""
    return not settings.targets and not providers_in_environment(environment).targets


def bundled_table() -> Path:
    """The table of recorded outcomes that comes with a checkout."""
    return Path(__file__).resolve().parents[2] / "experiments" / "data" / "llmrouter_slice.parquet"


def replay_table(settings: Settings) -> Path:
    """The table that replay providers answer from; DataError when there is none."""
    table = settings.replay.table or bundled_table()
    if not table.is_file():
        raise DataError(
            f"no provider key is in the environment and {table} does not exist: set a key such as OPENAI_API_KEY, "
            "or replay.table in config.yaml"
        )
    return table
