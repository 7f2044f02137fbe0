"""The commits that a demonstration made, as its record keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolving_ai.domain.dna import Commit
from evolving_ai.wiring.stores import open_history

__all__ = ["lineage_of"]


def lineage_of(home: Path) -> list[Mapping[str, Any]]:
    """Every commit on a branch of the home, the oldest first."""
    with open_history(home) as history:
        found = {commit.hash: commit for branch in history.branches() for commit in history.log(branch)}
    return [_view(commit) for commit in sorted(found.values(), key=lambda commit: commit.time)]


def _view(commit: Commit) -> dict[str, Any]:
    mutation = commit.mutation
    changes = () if mutation is None else mutation.changes
    return {
        "hash": commit.hash,
        "dna_hash": commit.genome.hash,
        "parents": list(commit.parents),
        "author": commit.author,
        "time": commit.time.isoformat(),
        "message": commit.message,
        "mutation": None
        if mutation is None
        else {
            **mutation.to_json(),
            "changes": [{"gene": each.gene, "before": each.before, "after": each.after} for each in changes],
        },
        "evaluations": list(commit.evaluations),
    }
