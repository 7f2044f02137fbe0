"""Snapshots by hash on the disk, and the first one of a pool."""

import os
from pathlib import Path

import pytest

from evolving_ai.decision.engine import DecisionEngine
from evolving_ai.decision.features import RequestView
from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.prior import price_snapshot
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.domain.money import TokenPrice
from evolving_ai.errors import CorruptionError, DataError
from evolving_ai.wiring.snapshots import SnapshotLibrary, bootstrap_snapshot
from tests.unit.decision.synthetic_outcomes import MODELS, columns_of, genome, outcomes, prompt_of, write_table

GENOME = genome(quality__predictor="classes", score__cost_weight=1e-3)
PRICES = {model: TokenPrice(1_000_000 * (place + 1), 0) for place, model in enumerate(MODELS)}


def snapshots(count: int) -> list[Snapshot]:
    return [Fitter(outcomes(20, seed=seed)).fit(GENOME.genes) for seed in range(count)]


def kept_in_order(library: SnapshotLibrary, home: Path, members: list[Snapshot]) -> list[str]:
    """Put them in; a file system may give them all one time, so each gets its own."""
    hashes = [library.put(member) for member in members]
    for second, name in enumerate(hashes):
        os.utime(home / "snapshots" / f"{name}.npz", (second, second))
    return hashes


def test_a_snapshot_comes_back_by_its_hash(tmp_path: Path) -> None:
    library = SnapshotLibrary(tmp_path)
    (one,) = snapshots(1)

    assert library.put(one) == one.hash
    assert library.put(one) == one.hash

    assert library.get(one.hash).hash == one.hash
    assert library.hashes() == (one.hash,)


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    library = SnapshotLibrary(tmp_path)

    assert library.hashes() == ()
    with pytest.raises(DataError, match="does not exist"):
        library.get("0" * 64)
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        library.get("../config")


def test_a_file_under_another_hash_is_noticed(tmp_path: Path) -> None:
    library = SnapshotLibrary(tmp_path)
    one, two = snapshots(2)
    library.put(one)
    library.put(two)
    folder = tmp_path / "snapshots"
    (folder / f"{one.hash}.npz").write_bytes((folder / f"{two.hash}.npz").read_bytes())

    with pytest.raises(CorruptionError, match=two.hash[:12]):
        library.get(one.hash)


def test_pruning_keeps_the_newest_and_the_protected(tmp_path: Path) -> None:
    library = SnapshotLibrary(tmp_path)
    hashes = kept_in_order(library, tmp_path, snapshots(5))

    assert library.prune({hashes[0]}, keep=2) == 2

    assert set(library.hashes()) == {hashes[0], hashes[3], hashes[4]}
    assert library.prune({hashes[0]}, keep=2) == 0


def test_without_a_table_prices_are_all_there_is() -> None:
    made = bootstrap_snapshot(GENOME, MODELS, None, PRICES)
    assert made.hash == price_snapshot(GENOME, MODELS, PRICES).hash


def test_with_a_table_the_policy_is_fitted_on_its_train_split(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", columns_of())
    test_rows = [place for place, split in enumerate(columns_of()["split"]) if split == "test"]
    other = columns_of()
    for place in test_rows:
        other["score"][place] = 0.0
    changed = write_table(tmp_path / "changed.parquet", other)

    made = bootstrap_snapshot(GENOME, MODELS, table, {})

    assert made.models == MODELS
    assert made.cold_models == ()
    assert made.hash == bootstrap_snapshot(GENOME, MODELS, changed, {}).hash
    assert DecisionEngine(GENOME, made).decide(RequestView(prompt_of(1))).qualities[0] > 0.8


def test_a_table_without_splits_is_used_as_a_whole(tmp_path: Path) -> None:
    columns = columns_of()
    del columns["split"]
    made = bootstrap_snapshot(GENOME, MODELS, write_table(tmp_path / "t.parquet", columns), {})
    assert made.cold_models == ()


def test_the_snapshot_covers_exactly_the_pool(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", columns_of())
    price = TokenPrice(2_000_000, 0)

    made = bootstrap_snapshot(GENOME, ["new", "big"], table, {"new": price})

    assert made.models == ("big", "new")
    assert made.cold_models == ("new",)
    assert made.arrays["cost_mean"][1] == pytest.approx(1e-3)
    DecisionEngine(GENOME, made).decide(RequestView(prompt_of(1)))


def test_a_table_that_knows_no_model_of_the_pool_is_as_good_as_none(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", columns_of())
    made = bootstrap_snapshot(GENOME, ["x", "y"], table, {})
    assert made.hash == price_snapshot(GENOME, ["x", "y"], {}).hash


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        bootstrap_snapshot(GENOME, MODELS, tmp_path / "none.parquet", {})
