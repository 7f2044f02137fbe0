"""Where the outcome table of a benchmark is."""

from pathlib import Path

from evolving_ai.errors import DataError

__all__ = ["routing_table"]

_WHOLE = "llmrouter.parquet"
_SLICE = "llmrouter_slice.parquet"


def routing_table(folder: Path) -> Path:
    """The whole table of `folder`, else the slice that is passed on with the project. DataError when it has neither."""
    for name in (_WHOLE, _SLICE):
        if (folder / name).is_file():
            return (folder / name).absolute()
    raise DataError(f"{folder} holds neither {_WHOLE} nor {_SLICE}: expected a folder with one of them")
