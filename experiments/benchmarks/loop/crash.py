"""Crashes: `evolve` and `campaign resume` are killed (SIGKILL) at random moments, then left to finish.

What is compared is written by two parties that know nothing of each other: the ledger, read from a copy while nobody
runs it, and the log that the evaluator leaves (see `logged_cli`). A candidate is lost when a committed row is gone or
changed, or has no result at the end; an evaluation is repeated when the evaluator was asked for a genome whose result
had been committed before that process began. Evaluations that had no committed result may be done again.
"""

import json
import shutil
import subprocess  # nosec B404 - runs our own command line
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from evolving_ai._common.rng import derive_rng
from evolving_ai.errors import CampaignError
from evolving_ai.evolution.folder import CampaignFolder, campaign_folders
from evolving_ai.wiring.campaigns import campaigns_path, open_ledger
from experiments.benchmarks.bar import Bar, Limit
from experiments.benchmarks.loop.search import routing_campaign

__all__ = ["Committed", "Losses", "crash_bars"]

_KILLS = 20
_EVALUATIONS = 150
_WINDOW = 16
_QUESTIONS = 300
_MOST_EVALUATIONS = 7
_START_UP_S = 1.6
_LONGEST_PAUSE_S = 0.08
_LONGEST_LIFE_S = 120.0
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Committed:
    """The rows of a ledger: the genome's hash and, where there is one, the result as JSON text, by index."""

    rows: Mapping[int, tuple[str, str | None]]

    @property
    def evaluated(self) -> frozenset[str]:
        """Hashes of the genomes that have a result."""
        return frozenset(genome for genome, result in self.rows.values() if result is not None)

    def missing_in(self, later: "Committed") -> int:
        """How many rows of this are not, with the same content, in `later`; a result that has come is no change."""
        return sum(not _continues(row, later.rows.get(index)) for index, row in self.rows.items())


def _continues(row: tuple[str, str | None], later: tuple[str, str | None] | None) -> bool:
    return later is not None and later[0] == row[0] and row[1] in (None, later[1])


@dataclass
class Losses:
    """What a life of the campaign did wrong, summed over its lives."""

    lost: int = 0
    repeated: int = 0
    done_again: int = 0
    seen: set[str] = field(default_factory=set)

    def count(self, before: Committed, evaluated: Sequence[str], after: Committed) -> None:
        """A life: the ledger when it began, what was evaluated in it, the ledger when it was over."""
        self.lost += before.missing_in(after)
        self.repeated += sum(genome in before.evaluated for genome in evaluated)
        self.repeated += len(evaluated) - len(set(evaluated))
        self.done_again += sum(genome in self.seen for genome in evaluated)
        self.seen.update(evaluated)


class _Campaign:
    """One campaign in a home of its own, run by processes that come and go."""

    def __init__(self, home: Path, campaign_file: Path) -> None:
        self._home = home
        self._file = campaign_file
        self._log = home / "evaluations.log"

    def start(self) -> subprocess.Popen[str]:
        """The process that begins the campaign, or goes on with it."""
        folder = self._folder()
        what = ("evolve", str(self._file)) if folder is None else ("campaign", "resume", folder.id)
        command = [sys.executable, "-m", "experiments.benchmarks.loop.logged_cli", str(self._log), *what]
        command += ["--home", str(self._home), "--json"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, cwd=_ROOT, **pipes)  # noqa: S603 # nosec B603 - our own command

    def _folder(self) -> CampaignFolder | None:
        return next(iter(campaign_folders(campaigns_path(self._home))), None)

    def evaluated(self) -> list[str]:
        """Every evaluation that was begun, in order."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def committed(self) -> Committed:
        """What the ledger holds; read from a copy, so that looking at it recovers nothing."""
        folder = self._folder()
        if folder is None:
            return Committed({})
        copy = self._home / "copy"
        shutil.copytree(folder.path, copy / folder.id)
        try:
            with open_ledger(CampaignFolder(copy, folder.id)) as ledger:
                return Committed(
                    {record.index: (record.genome_hash, _text(result)) for record, result in ledger.candidates()}
                )
        finally:
            shutil.rmtree(copy)


def _text(evaluation: Any) -> str | None:
    return None if evaluation is None else json.dumps(evaluation.to_json(), sort_keys=True)


def crash_bars(scratch: Path, table: Path, note: Callable[[str], None]) -> Iterator[Bar]:
    """Kills, losses, repetitions, and whether the archive is the one of a run that nobody disturbed."""
    scratch.mkdir()
    campaign_file = _prepare(scratch, table)
    undisturbed = _finish(_Campaign(_home(scratch, "undisturbed"), campaign_file).start())
    campaign, losses = _Campaign(_home(scratch, "disturbed"), campaign_file), Losses()
    kills = sum(_killed_life(campaign, losses, number) for number in range(_KILLS))
    note(f"{kills} kills, {len(campaign.committed().evaluated)} of {_EVALUATIONS} evaluations committed by then")
    before, begun = campaign.committed(), len(campaign.evaluated())
    finished = _finish(campaign.start())
    after = campaign.committed()
    losses.count(before, campaign.evaluated()[begun:], after)
    losses.lost += _EVALUATIONS - len(after.evaluated)
    is_same = finished["archive_digest"] == undisturbed["archive_digest"]
    yield Bar("kills delivered to a running campaign", kills, "count", Limit("=", _KILLS))
    yield Bar("candidates lost", losses.lost, "count", Limit("=", 0))
    yield Bar("evaluations repeated after commit", losses.repeated, "count", Limit("=", 0))
    yield Bar("evaluations done again because a kill came before their commit", losses.done_again, "count")
    yield Bar("archive equal to the undisturbed run's", int(is_same), "1 = yes", Limit("=", 1))


def _home(scratch: Path, name: str) -> Path:
    home = scratch / name
    home.mkdir(mode=0o700)
    return home


def _prepare(scratch: Path, table: Path) -> Path:
    """A campaign file on the first questions of the table: evaluations take some tens of milliseconds."""
    rows = pq.read_table(table)
    rows = rows.filter(pc.equal(rows["split"], "train"))
    first = pc.unique(rows["query_id"]).slice(0, _QUESTIONS)
    few = scratch / "few.parquet"
    pq.write_table(rows.filter(pc.is_in(rows["query_id"], value_set=first)), few)
    campaign = routing_campaign(few, evals=_EVALUATIONS, window=_WINDOW, executor="process")
    file = scratch / "campaign.yaml"
    file.write_text(yaml.safe_dump(campaign.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return file


def _killed_life(campaign: _Campaign, losses: Losses, number: int) -> bool:
    """Start, wait, kill; whether the kill met a living process.

    Two of three lives end a moment after some evaluations have begun; the third ends at any moment of its first
    seconds: while it imports, opens its ledger, or asks again for what the ledger holds. The first life is none of
    those, because it has to create the campaign.
    """
    rng = derive_rng(20, "kill", number)
    wanted, pause_s = int(rng.integers(1, _MOST_EVALUATIONS + 1)), float(rng.uniform(0, _LONGEST_PAUSE_S))
    before, begun = campaign.committed(), len(campaign.evaluated())
    process = campaign.start()
    try:
        if number % 3 == 1:
            time.sleep(float(rng.uniform(0, _START_UP_S)))
        else:
            _await_evaluations(campaign, begun + wanted, process)
            time.sleep(pause_s)
        is_alive = process.poll() is None
    finally:
        process.kill()
        process.communicate()
    losses.count(before, campaign.evaluated()[begun:], campaign.committed())
    return is_alive


def _await_evaluations(campaign: _Campaign, count: int, process: subprocess.Popen[str]) -> None:
    give_up_s = time.monotonic() + _LONGEST_LIFE_S
    while len(campaign.evaluated()) < count and process.poll() is None:
        if time.monotonic() > give_up_s:
            raise CampaignError(f"a campaign began no evaluation within {_LONGEST_LIFE_S:.0f} s")
        time.sleep(0.002)


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the command printed when it was through."""
    try:
        output, _ = process.communicate(timeout=_LONGEST_LIFE_S)
    finally:
        process.kill()
    document: dict[str, Any] = json.loads(output or "{}")
    if process.returncode != 0:
        raise CampaignError(f"the campaign ended with exit code {process.returncode}: {document.get('error')}")
    return document
