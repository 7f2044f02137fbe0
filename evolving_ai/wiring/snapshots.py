"""Snapshots on the disk, by their hash, and the first one of a pool.

A file is written whole, named by the hash of its content and verified when it is read; the learner writes, every
replica reads. Which snapshot is live stands elsewhere (`wiring.live_record`).
"""

import contextlib
import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from evolving_ai._common.files import disk_errors
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.outcome_table import TRAIN, OutcomeTable, has_split, load_outcomes
from evolving_ai.decision.prior import price_snapshot, with_known_prices
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import CorruptionError, DataError

__all__ = ["SnapshotLibrary", "bootstrap_snapshot", "recorded_outcomes"]

_HASH = re.compile(r"[0-9a-f]{64}")


class SnapshotLibrary:
    """The folder `snapshots/` of a home. One process writes and prunes; any may read."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "snapshots"

    def put(self, snapshot: Snapshot) -> str:
        """Keep a snapshot; its hash. Durable when this returns; keeping it again only makes it the newest.

        A file of that name that is damaged is written again.
        """
        path = self._path(snapshot.hash)
        with disk_errors(path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._is_whole(snapshot.hash):
                path.touch()
                return snapshot.hash
        snapshot.save(path)
        return snapshot.hash

    def get(self, snapshot_hash: str) -> Snapshot:
        """The snapshot. DataError when there is none of that hash, CorruptionError when its file is damaged."""
        path = self._path(snapshot_hash)
        snapshot = Snapshot.load(path)
        if snapshot.hash != snapshot_hash:
            raise CorruptionError(f"{path} holds snapshot {snapshot.hash[:12]}: restore it from a backup")
        return snapshot

    def hashes(self) -> tuple[str, ...]:
        """All that are kept, the newest first."""
        if not self._folder.is_dir():
            return ()
        files = [
            (path.stat().st_mtime_ns, path.stem) for path in self._folder.glob("*.npz") if _HASH.fullmatch(path.stem)
        ]
        return tuple(name for _, name in sorted(files, reverse=True))

    def prune(self, protected: Collection[str] = (), *, keep: int) -> int:
        """Remove all but the `keep` newest and the protected ones; how many went."""
        removed = [name for name in self.hashes()[keep:] if name not in protected]
        for name in removed:
            with disk_errors(self._folder), contextlib.suppress(FileNotFoundError):
                self._path(name).unlink()
        return len(removed)

    def _is_whole(self, snapshot_hash: str) -> bool:
        try:
            self.get(snapshot_hash)
        except (DataError, CorruptionError):
            return False
        return True

    def _path(self, snapshot_hash: str) -> Path:
        if not _HASH.fullmatch(snapshot_hash):
            raise DataError(f"{snapshot_hash!r} is no snapshot: expected 64 hexadecimal digits")
        return self._folder / f"{snapshot_hash}.npz"


def bootstrap_snapshot(
    genome: Genome, models: Sequence[str], table: Path | None, prices: Mapping[str, TokenPrice]
) -> Snapshot:
    """The first snapshot for `genome` over exactly the pool `models`; it is sorted there.

    With a table of outcomes it is fitted on its train split (on all of it when it has none): models outside the pool
    are left out, and models of the pool that the table does not know start cold, at their price where that is known.
    Without a table, or when that knows no model of the pool, prices are all there is (`decision.prior`). DataError when
    the table cannot be read.
    """
    outcomes = None if table is None else recorded_outcomes(table, models, TRAIN if _has_train(table) else None)
    if outcomes is None:
        return price_snapshot(genome, models, prices)
    fitted = Fitter(outcomes.with_models(models)).fit(genome.genes)
    return with_known_prices(fitted, prices)


def recorded_outcomes(path: Path, models: Sequence[str], split: str | None) -> OutcomeTable | None:
    """The rows of `split` (None: of all), with the columns of the pool alone; None when they say nothing about it.

    Queries without a recorded outcome of any of `models` are left out. DataError when the table cannot be read.
    """
    table = load_outcomes(path, split=split)
    columns = [column for column, model in enumerate(table.models) if model in set(models)]
    narrowed = dataclasses.replace(
        table,
        models=tuple(table.models[column] for column in columns),
        score=table.score[:, columns],
        cost_usd=table.cost_usd[:, columns],
        latency_s=None if table.latency_s is None else table.latency_s[:, columns],
    )
    rows = np.asarray(narrowed.known.any(axis=1))
    return narrowed.take(rows) if rows.any() else None


def _has_train(path: Path) -> bool:
    try:
        return has_split(path, TRAIN)
    except DataError:  # it has no splits; whatever else is wrong is said when it is read
        return False
