"""What several fits share, kept for a while: a campaign's candidates often differ in a few genes only."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

__all__ = ["FitCache"]

# Entries kept of each kind: the first two hold whole design matrices (tens of MB), the last three are small.
_CACHE_ENTRIES = {"hashed": 2, "features": 2, "gram": 6, "linear": 48, "snapshot": 48, "heads": 48}
_Value = TypeVar("_Value")


class FitCache:
    """The last few results of each kind, so that candidates that differ in other genes share the work."""

    def __init__(self) -> None:
        self._kinds: dict[str, OrderedDict[Hashable, object]] = {}

    def get(self, kind: str, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """The value under `key`, made when absent; the longest unused one of its kind is dropped."""
        entries = self._kinds.setdefault(kind, OrderedDict())
        if key in entries:
            entries.move_to_end(key)
            return cast("_Value", entries[key])
        value = make()
        entries[key] = value
        while len(entries) > _CACHE_ENTRIES[kind]:
            entries.popitem(last=False)
        return value
