"""Making a home ready to serve, before anything is started: the pool, the first live DNA, who may ask.

It runs as a process of its own (`python -m evolving_ai.wiring.prepare HOME`), because fitting takes memory that a
server should not keep. What it finds ready it leaves alone, so it may be run again and again.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from evolving_ai._common.clock import Clock, SystemClock
from evolving_ai._common.files import disk_errors
from evolving_ai.decision.fitting import fit_genes
from evolving_ai.domain.money import PICO_PER_USD, TokenPrice
from evolving_ai.errors import CorruptionError, DataError, EvolvingAIError
from evolving_ai.optimizer.prices import PriceCatalogue
from evolving_ai.router.catalog import Catalog
from evolving_ai.settings import Settings, load_settings
from evolving_ai.stores.history import MAIN
from evolving_ai.wiring.access_record import save_access
from evolving_ai.wiring.control import ControlServices, open_control
from evolving_ai.wiring.live_record import LiveRecord, load_live
from evolving_ai.wiring.pool import (
    Pool,
    configured_targets,
    load_pool,
    providers_in_environment,
    replay_targets,
)
from evolving_ai.wiring.replay_source import replay_table
from evolving_ai.wiring.snapshots import bootstrap_snapshot

__all__ = ["prepare_home"]

_FALLBACK_PRICE = TokenPrice(200_000, 200_000)


def prepare_home(home: Path, *, replay_urls: Mapping[str, str] | None, clock: Clock | None = None) -> LiveRecord:
    """Resolve the pool, make a DNA live if none is, fit a snapshot if the live one does not fit the pool.

    `replay_urls` says where each model of the replay providers is to be found (None: real providers).
    """
    for folder in (home / "live", home / "snapshots", home / "logs"):
        with disk_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = load_settings(home)
    pool = _pool(home, settings, replay_urls)
    Catalog(pool.targets, pool.aliases)  # refuses what cannot be
    with open_control(home, clock or SystemClock()) as services:  # before anything is changed: one control for a home
        pool.save(home)
        record = _live(services, pool)
        save_access(home, {**services.keys.snapshot(), "budget_scopes": sorted(services.budgets.limits())})
    return record


def _pool(home: Path, settings: Settings, replay_urls: Mapping[str, str] | None) -> Pool:
    aliases = settings.aliases
    version = _last_version(home) + 1
    if replay_urls is not None:
        table = replay_table(settings)
        prices, longest = _recorded_prices(table)
        return Pool(replay_targets(replay_urls, prices, longest), aliases, True, table, version)
    chosen = settings if settings.targets else providers_in_environment(os.environ)
    targets = configured_targets(chosen.model_copy(update={"unpriced": settings.unpriced}), PriceCatalogue())
    table_of_settings = None if settings.data is None else home / settings.data.expanduser()
    return Pool(targets, aliases, False, table_of_settings, version)


def _last_version(home: Path) -> int:
    try:
        return load_pool(home).version
    except (DataError, CorruptionError):
        return 0


def _live(services: ControlServices, pool: Pool) -> LiveRecord:
    record = _without_stale_candidate(services, load_live(services.home), pool)
    if record is None:
        commit = services.history.resolve(MAIN)
        return services.live.begin(commit, _fitted(services, pool, None))
    if _is_usable(services, record, pool):
        return record
    return services.live.refit(_fitted(services, pool, record), reason="the pool of models changed")


def _without_stale_candidate(services: ControlServices, record: LiveRecord | None, pool: Pool) -> LiveRecord | None:
    """A rollout's candidate does not outlive a change of the pool: what it was compared on is no more."""
    if record is None or record.canary is None:
        return record
    try:
        is_stale = services.snapshots.get(record.canary.snapshot_hash).models != pool.models
    except (DataError, CorruptionError):
        is_stale = True
    return services.live.let_decide(None) if is_stale else record


def _is_usable(services: ControlServices, record: LiveRecord, pool: Pool) -> bool:
    try:
        snapshot = services.snapshots.get(record.current.snapshot_hash)
    except (DataError, CorruptionError):
        return False
    genome = record.read_genome()
    return snapshot.models == pool.models and dict(snapshot.fit_genes) == fit_genes(genome.genes)


def _fitted(services: ControlServices, pool: Pool, record: LiveRecord | None) -> str:
    genome = services.history.resolve(MAIN).genome if record is None else record.read_genome()
    prices = {target.model: target.price for target in pool.targets}
    return services.snapshots.put(bootstrap_snapshot(genome, pool.models, pool.table, prices))


def _recorded_prices(table: Path) -> tuple[dict[str, TokenPrice], dict[str, int]]:
    """What each model of a table charged for a token, the same for those read and written, and its longest answer."""
    columns = pq.read_table(table, columns=["model", "prompt_tokens", "completion_tokens", "cost_usd"])
    models = np.array(columns["model"].to_pylist())
    read, written = (columns[name].to_numpy().astype(float) for name in ("prompt_tokens", "completion_tokens"))
    cost = columns["cost_usd"].to_numpy().astype(float)
    prices, longest = {}, {}
    for model in sorted(set(models.tolist())):
        rows = models == model
        tokens = float(read[rows].sum() + written[rows].sum())
        pico = round(float(cost[rows].sum()) / tokens * PICO_PER_USD) if tokens else 0
        prices[model] = TokenPrice(pico, pico) if pico else _FALLBACK_PRICE
        longest[model] = int(written[rows].max())
    return prices, longest


def main() -> int:
    """`python -m evolving_ai.wiring.prepare HOME [READY_FILE]`: prints one line of JSON; 1 with one line on failure."""
    home = Path(sys.argv[1])
    urls = None
    try:
        if len(sys.argv) > 2:
            urls = json.loads(Path(sys.argv[2]).read_bytes())["models"]
        record = prepare_home(home, replay_urls=urls)
    except (EvolvingAIError, OSError, ValueError, KeyError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    sys.stdout.write(json.dumps({"generation": record.current.generation, "dna": record.current.dna_hash}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
