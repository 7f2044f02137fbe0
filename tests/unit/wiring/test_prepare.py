"""A home made ready: the pool of the settings, snapshots of prices, refusals that change nothing."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.errors import SettingsError
from evolving_ai.wiring.access_record import load_access
from evolving_ai.wiring.live_record import load_live
from evolving_ai.wiring.pool import load_pool
from evolving_ai.wiring.prepare import prepare_home
from evolving_ai.wiring.snapshots import SnapshotLibrary

TARGET = "{provider: local, model: %s, price: {input_usd_per_million: %s, output_usd_per_million: 1}}"


def configure(home: Path, *models: str, more: str = "") -> None:
    home.mkdir(exist_ok=True)
    targets = ", ".join(TARGET % (model, place + 1) for place, model in enumerate(models))
    providers = "providers: {local: {base_url: 'http://127.0.0.1:9/v1'}}\n"
    (home / "config.yaml").write_text(f"{providers}targets: [{targets}]\n{more}")


def test_a_pool_that_nothing_is_known_of_begins_with_its_prices(tmp_path: Path) -> None:
    configure(tmp_path, "two", "one", more="aliases: {any: [one, two]}\n")
    record = prepare_home(tmp_path, replay_urls=None, clock=ManualClock())

    assert SnapshotLibrary(tmp_path).get(record.current.snapshot_hash).models == ("one", "two")
    pool = load_pool(tmp_path)
    assert (pool.is_replay, pool.table, pool.version, dict(pool.aliases)) == (False, None, 1, {"any": ("one", "two")})
    (admin,) = load_access(tmp_path)["keys"]
    assert (admin["key_id"], admin["tenant"]) == ("local-admin", "local")
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.name == "config.yaml" or not path.stat().st_mode & 0o022


def test_another_model_is_a_refit_and_no_other_dna(tmp_path: Path) -> None:
    configure(tmp_path, "one", "two")
    before = prepare_home(tmp_path, replay_urls=None, clock=ManualClock())
    configure(tmp_path, "one", "two", "three")
    after = prepare_home(tmp_path, replay_urls=None, clock=ManualClock())

    assert after.current.dna_hash == before.current.dna_hash
    assert (after.current.generation, after.current.reason) == (2, "the pool of models changed")
    assert SnapshotLibrary(tmp_path).get(after.current.snapshot_hash).models == ("one", "three", "two")
    assert load_pool(tmp_path).version == 2


@pytest.mark.parametrize("more", ["aliases: {any: [nobody]}\n", "aliases: {one: [two]}\n"])
def test_settings_that_cannot_be_change_nothing(tmp_path: Path, more: str) -> None:
    configure(tmp_path, "one", "two")
    record = prepare_home(tmp_path, replay_urls=None, clock=ManualClock())
    pool = load_pool(tmp_path)
    configure(tmp_path, "one", "two", more=more)
    with pytest.raises(SettingsError):
        prepare_home(tmp_path, replay_urls=None, clock=ManualClock())
    assert (load_live(tmp_path), load_pool(tmp_path)) == (record, pool)


def test_recorded_costs_become_prices_and_models_without_a_cost_get_a_usual_one(tmp_path: Path) -> None:
    rows = [
        {"query_id": str(number), "prompt": f"p {number}", "model": model, "score": 1.0, "split": "train"}
        | {"prompt_tokens": 60, "completion_tokens": 40 + number, "cost_usd": cost * (100 + number)}
        for number in range(6)
        for model, cost in (("free", 0.0), ("paid", 2e-6))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table.parquet")
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(json.dumps({"replay": {"table": str(tmp_path / "table.parquet")}}))
    prepare_home(home, replay_urls={"free": "http://127.0.0.1:9/v1", "paid": "http://127.0.0.1:8/v1"})

    free, paid = load_pool(home).targets
    assert (free.price.input_pico_usd, free.price.output_pico_usd) == (200_000, 200_000)
    assert (paid.price.input_pico_usd, paid.price.output_pico_usd) == (2_000_000, 2_000_000)
    assert load_pool(home).is_replay
