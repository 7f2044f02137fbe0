"""Snapshots on disk: the same policy comes back, or a one-line error; never code."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolving_ai.decision.fitting import Fitter
from evolving_ai.decision.snapshot import Snapshot
from evolving_ai.errors import CorruptionError, DataError, StorageError
from tests.unit.decision.synthetic_outcomes import genome, genomes, outcomes

BLEND = genome(quality__predictor="blend", quality__residual="on", cost__predictor="linear", features__bits=9)
LOADING = """
import sys
from pathlib import Path
from evolving_ai.decision.snapshot import Snapshot
print(Snapshot.load(Path(sys.argv[1])).hash)
print([name for name in ("sklearn", "scipy") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Fitter(outcomes(has_context=True)).fit(BLEND.genes)


@pytest.fixture(scope="module")
def saved(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("snapshot") / "policy.npz"
    snapshot.save(path)
    return path.read_bytes()


@given(wanted=genomes())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_what_was_saved_comes_back_with_the_same_hash(wanted: object, tmp_path: Path) -> None:
    before = Fitter(outcomes(has_context=True)).fit(wanted.genes)  # type: ignore[attr-defined]
    before.save(tmp_path / "policy.npz")
    after = Snapshot.load(tmp_path / "policy.npz")
    assert after.hash == before.hash
    assert (after.models, after.classes, after.context_values) == (before.models, before.classes, before.context_values)
    assert after.fit_genes == before.fit_genes
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], array)


def test_a_copy_by_pickle_between_actors_has_the_same_hash(snapshot: Snapshot) -> None:
    assert pickle.loads(pickle.dumps(snapshot)).hash == snapshot.hash  # noqa: S301 - our own bytes


@given(place=st.floats(0, 1, exclude_max=True), is_late=st.booleans(), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    place: float, is_late: bool, bit: int, saved: bytes, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(saved)
    # Half of them in the archive's directory, which stands at the end and is easily missed.
    first = len(saved) - 1500 if is_late else 0
    damaged[first + int(place * (len(saved) - first))] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    try:
        loaded = Snapshot.load(path)
    except CorruptionError:
        return
    assert loaded.hash == snapshot.hash


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(share: float, saved: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "short.npz"
    path.write_bytes(saved[: int(share * len(saved))])
    with pytest.raises(CorruptionError, match="not a whole snapshot"):
        Snapshot.load(path)


def test_pickled_objects_are_not_loaded(saved: bytes, tmp_path: Path) -> None:
    with np.load(io.BytesIO(saved)) as file:
        members = {name: file[name] for name in file.files}
    members["rarity"] = np.array([{"code": "here"}], object)
    np.savez(tmp_path / "pickled.npz", allow_pickle=True, **members)
    with pytest.raises(CorruptionError):
        Snapshot.load(tmp_path / "pickled.npz")


def test_a_file_without_one_of_the_arrays_is_refused(saved: bytes, tmp_path: Path) -> None:
    with np.load(io.BytesIO(saved)) as file:
        members = {name: file[name] for name in file.files if name != "weights"}
    np.savez(tmp_path / "short.npz", allow_pickle=False, **members)
    with pytest.raises(CorruptionError):
        Snapshot.load(tmp_path / "short.npz")


def test_arrays_that_do_not_match_the_stored_hash_are_refused(saved: bytes, tmp_path: Path) -> None:
    with np.load(io.BytesIO(saved)) as file:
        members = {name: file[name] for name in file.files}
    members["bias"] = members["bias"] + np.float32(0.5)
    np.savez(tmp_path / "other.npz", allow_pickle=False, **members)
    with pytest.raises(CorruptionError, match="does not match its own hash"):
        Snapshot.load(tmp_path / "other.npz")


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Snapshot.load(tmp_path / "none.npz")


def test_a_target_that_cannot_be_written_is_a_storage_error_and_leaves_nothing(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError):
        snapshot.save(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.rglob("*")] == ["folder"]


def test_loading_in_another_process_gives_the_same_hash_without_scikit_learn(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    snapshot.save(tmp_path / "policy.npz")
    command = [sys.executable, "-c", LOADING, str(tmp_path / "policy.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [snapshot.hash, "[]"]


def test_arrays_cannot_be_changed(snapshot: Snapshot) -> None:
    with pytest.raises(ValueError, match="read-only"):
        snapshot.arrays["weights"][0, 0] = 1.0


def test_equal_fits_have_equal_hashes_and_different_outcomes_different_ones() -> None:
    first, again = (Fitter(outcomes(seed=1)).fit(BLEND.genes).hash for _ in range(2))
    assert first == again
    assert Fitter(outcomes(seed=2)).fit(BLEND.genes).hash != first
