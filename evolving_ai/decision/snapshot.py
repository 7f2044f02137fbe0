"""Snapshots: what has been fitted, as arrays and JSON, content-addressed and loadable without scikit-learn.

The fitted policy is linear in the features `x` (damped hashed counts times rarity, scaled to unit length; then
standardised statistics; then context columns): one matrix gives, for every request, the class scores, the cluster
scores, the corrections of quality and the log costs. What turns these into a decision is in `predictor.py`.
"""

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np

from evolving_ai._common.canonical import canonical_bytes, sha256_hex
from evolving_ai._common.files import write_atomically
from evolving_ai.decision.features import Array
from evolving_ai.domain.genes import GeneValue
from evolving_ai.errors import CorruptionError, DataError

__all__ = ["ARRAY_NAMES", "Snapshot"]

ARRAY_NAMES = (
    "rarity",
    "statistics_mean",
    "statistics_scale",
    "weights",
    "bias",
    "quality_mean",
    "quality_error",
    "class_quality",
    "class_error",
    "cluster_quality",
    "cluster_error",
    "cost_mean",
    "class_cost",
    "cluster_cost",
    "cost_ratio",
)

# What zipfile, zlib and numpy say about damaged bytes; a flag flipped to "encrypted" is a RuntimeError.
_DAMAGE = (ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError, BadZipFile, zlib.error, TokenError)


@dataclass(frozen=True)
class Snapshot:
    """An immutable fitted policy for `models`.

    Arrays (float32; B buckets, S statistics, X context columns, T classes, K clusters, M models):
    `rarity[B]`, `statistics_mean[S]`, `statistics_scale[S]`, `weights[B+S+X, T+K+M+M]` with `bias[T+K+M+M]` (class
    scores, cluster scores, quality corrections, log costs), `quality_mean[M]`, `class_quality[T, M]`,
    `cluster_quality[K, M]` (0 to 1) each with its standard error (`..._error`), `cost_mean[M]`, `class_cost[T, M]`,
    `cluster_cost[K, M]` (USD), `cost_ratio[M]` (corrects the bias of exponentiated log costs).
    `cold_models` had no outcomes: their quality is the pool's mean less one standard deviation, their cost that of
    the dearest known model. `cost_scale_usd` is the mean cost of the dearest model. `hash` is the `snapshot_hash`.
    """

    models: tuple[str, ...]
    classes: tuple[str, ...]
    context_values: tuple[tuple[str, str], ...]
    cold_models: tuple[str, ...]
    cost_scale_usd: float
    fit_genes: Mapping[str, GeneValue]
    arrays: Mapping[str, Array]
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        missing = set(ARRAY_NAMES) ^ set(self.arrays)
        if missing:
            raise ValueError(f"a snapshot holds exactly the arrays {', '.join(ARRAY_NAMES)}; off: {sorted(missing)}")
        for array in self.arrays.values():
            array.setflags(write=False)
        object.__setattr__(self, "hash", self._digest())

    def __reduce__(self) -> tuple[Any, ...]:
        arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        parts = (self.models, self.classes, self.context_values, self.cold_models, self.cost_scale_usd)
        return type(self), (*parts, dict(self.fit_genes), arrays)

    def _describe(self) -> dict[str, Any]:
        return {
            "models": list(self.models),
            "classes": list(self.classes),
            "context_values": [list(pair) for pair in self.context_values],
            "cold_models": list(self.cold_models),
            "cost_scale_usd": self.cost_scale_usd,
            "fit_genes": dict(self.fit_genes),
        }

    def _digest(self) -> str:
        parts = [sha256_hex(canonical_bytes(self._describe()))]
        for name in ARRAY_NAMES:
            array = np.ascontiguousarray(self.arrays[name], "<f4")
            parts.append(sha256_hex(f"{name}{array.shape}".encode() + array.tobytes()))
        return sha256_hex("".join(parts).encode())

    def save(self, path: Path) -> None:
        """Write one .npz file, whole or not at all. StorageError when the disk refuses."""
        buffer = io.BytesIO()
        document = np.frombuffer(canonical_bytes({**self._describe(), "hash": self.hash}), np.uint8)
        np.savez_compressed(buffer, allow_pickle=False, description=document, **dict(self.arrays))
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Snapshot":
        """Read what `save` wrote; DataError when there is no such file, CorruptionError when it is something else."""
        if not path.is_file():
            raise DataError(f"{path} does not exist: expected a snapshot (.npz)")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                document = json.loads(file["description"].tobytes())
                arrays = {name: file[name] for name in ARRAY_NAMES}
            snapshot = cls(
                models=tuple(document["models"]),
                classes=tuple(document["classes"]),
                context_values=tuple((name, value) for name, value in document["context_values"]),
                cold_models=tuple(document["cold_models"]),
                cost_scale_usd=document["cost_scale_usd"],
                fit_genes=document["fit_genes"],
                arrays=arrays,
            )
        except _DAMAGE as exc:
            raise CorruptionError(f"{path} is not a whole snapshot: expected what this release writes") from exc
        if snapshot.hash != document.get("hash"):
            raise CorruptionError(f"{path} does not match its own hash: fit the policy again")
        return snapshot
