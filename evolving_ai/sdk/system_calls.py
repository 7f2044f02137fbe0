"""The calls below `/api/v1/system`, as values."""

from collections.abc import Mapping, Sequence

from evolving_ai.sdk.call import ApiCall, encode_body, path_of
from evolving_ai.sdk.results import Config, Health, Metrics
from evolving_ai.sdk.retries import Effect

__all__ = ["config_call", "health_call", "metrics_call"]

_NOT_READY = frozenset({503})  # with a body that says why


def health_call() -> ApiCall[Health]:
    """How the platform is."""
    return ApiCall("GET", path_of("system", "health"), Health.model_validate, Effect.READS, also_read=_NOT_READY)


def metrics_call() -> ApiCall[Metrics]:
    """Counts."""
    return ApiCall("GET", path_of("system", "metrics"), Metrics.model_validate, Effect.READS)


def config_call(aliases: Mapping[str, Sequence[str]] | None) -> ApiCall[Config]:
    """The configuration in force, after the change, if one is given."""
    path = path_of("system", "config")
    if aliases is None:
        return ApiCall("GET", path, Config.model_validate, Effect.READS)
    content = encode_body({"aliases": {alias: list(members) for alias, members in aliases.items()}})
    return ApiCall("POST", path, Config.model_validate, Effect.COSTS, content)
