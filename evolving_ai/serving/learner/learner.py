"""The learner: asks control for rated outcomes, and publishes the snapshots that they lead to.

It holds no truth: it starts from the live snapshot and the place up to which outcomes are learned, which is kept in a
file of its own. With the learner dead, traffic goes on with the last snapshot; when it is back, it goes on from there.
"""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolving_ai._common.files import write_atomically
from evolving_ai.decision.learning.lesson import lesson_of
from evolving_ai.decision.learning.live_learner import LearnerSettings, LiveLearner
from evolving_ai.domain.dna import Genome
from evolving_ai.errors import EvolvingAIError, PlatformError, UsageError
from evolving_ai.serving.envelope import Caller, pack, unpack
from evolving_ai.settings import load_settings
from evolving_ai.stores.outcome_codec import decode_outcomes
from evolving_ai.stores.ports import OutcomeCursor
from evolving_ai.wiring.live_record import LiveRecord
from evolving_ai.wiring.pool import load_pool
from evolving_ai.wiring.snapshots import SnapshotLibrary, bootstrap_snapshot

__all__ = ["Learner"]

_LOG = logging.getLogger(__name__)
_ASK_EVERY_S = 2.0
_OUTCOMES_AT_ONCE = 500
_CALL_TIMEOUT_S = 30.0


@dataclass(slots=True)
class _Course:
    """Learning for one live DNA from one base; `published` are the snapshots that came of it."""

    learner: LiveLearner
    dna_hash: str
    published: set[str]

    def leads_to(self, dna_hash: str, snapshot_hash: str) -> bool:
        """Whether what is live is what this course began with, or a snapshot that came of it."""
        known = {self.learner.base.hash, *self.published}
        return dna_hash == self.dna_hash and snapshot_hash in known


class Learner:
    """`start` begins to learn, `call` answers; `min_outcomes` is how many make a new snapshot."""

    def __init__(self, home: Path, control: Caller, *, settings: LearnerSettings | None = None) -> None:
        self._home = home
        self._control = control
        self._settings = settings or LearnerSettings()
        self._snapshots = SnapshotLibrary(home)
        self._course: _Course | None = None
        self._cursor = OutcomeCursor()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to learn, from where an earlier learner stopped; nothing where the settings say so."""
        if not (await asyncio.to_thread(load_settings, self._home)).learning:
            _LOG.info("nothing is learned: the settings say so")
            return
        self._cursor = self._kept_cursor()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Learn no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def check(self) -> None:
        """Whether learning goes on; PlatformError when not, and this learner is to be replaced."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            raise PlatformError(f"the loop of the learner has ended: {self._task.exception()!r}")

    async def call(self, method: str, payload: bytes) -> bytes:
        """Answer a question: `fit` a snapshot for a genome and keep it. UsageError for another method."""
        if method != "fit":
            raise UsageError(f"the learner has no method {method!r}: are all deployments of one release?")
        document = unpack(payload).head["genome"]
        genome = Genome(document["genes"], document["schema_version"])
        return pack({"snapshot_hash": await asyncio.to_thread(self._fit, genome)})

    def _fit(self, genome: Genome) -> str:
        pool = load_pool(self._home)
        prices = {target.model: target.price for target in pool.targets}
        return self._snapshots.put(bootstrap_snapshot(genome, pool.models, pool.table, prices))

    async def _run(self) -> None:
        while True:
            is_more = False
            try:
                is_more = await self.learn_once()
            except EvolvingAIError as exc:
                _LOG.warning("nothing was learned: %s", exc)
            await asyncio.sleep(0 if is_more else _ASK_EVERY_S)

    async def learn_once(self) -> bool:
        """Take what is new; True when there may be more at once."""
        question = pack({"cursor": list(self._cursor), "limit": _OUTCOMES_AT_ONCE})
        head, body = unpack(await self._control.call("scored", question, timeout_s=_CALL_TIMEOUT_S))
        cursor = OutcomeCursor(*head["cursor"])
        record = LiveRecord.from_json(head["live"])
        await asyncio.to_thread(self._follow, record)
        if cursor == self._cursor:
            return False
        snapshot_hash = await asyncio.to_thread(self._learn, head["scores"], body)
        self._cursor = cursor
        if snapshot_hash is not None:
            await self._publish(snapshot_hash, record.current.dna_hash)
        return len(head["scores"]) >= _OUTCOMES_AT_ONCE

    def _follow(self, record: LiveRecord) -> None:
        """Begin a new course when something else is live than what this one began with or led to."""
        live = record.current
        course = self._course
        if course is not None and course.leads_to(live.dna_hash, live.snapshot_hash):
            return
        learner = LiveLearner(record.read_genome(), self._snapshots.get(live.snapshot_hash), self._settings)
        self._course = _Course(learner, live.dna_hash, set())

    def _learn(self, scores: list[tuple[float, float | None]], body: bytes) -> str | None:
        """The hash of a new snapshot, when enough was learned for one."""
        course = self._course
        if course is None:
            return None
        lessons = []
        for outcome, (score, previous) in zip(decode_outcomes(body), scores, strict=True):
            lesson = lesson_of(outcome, score, previous)
            if lesson is not None:
                lessons.append(lesson)
        snapshot = course.learner.learn(lessons)
        if snapshot is None:
            return None
        course.published.add(snapshot.hash)
        try:
            return self._snapshots.put(snapshot)
        except EvolvingAIError:
            # What was learned cannot be kept: learn it again from where the last snapshot was, not on top.
            self._course, self._cursor = None, self._kept_cursor()
            raise

    async def _publish(self, snapshot_hash: str, dna_hash: str) -> None:
        message = pack({"snapshot_hash": snapshot_hash, "dna_hash": dna_hash})
        answer = await self._control.call("publish", message, timeout_s=_CALL_TIMEOUT_S)
        if unpack(answer).head["is_used"]:
            _LOG.info("snapshot %s is live", snapshot_hash[:12])
        await asyncio.to_thread(self._keep_cursor)

    @property
    def _cursor_path(self) -> Path:
        return self._home / "live" / "learned.json"

    def _keep_cursor(self) -> None:
        write_atomically(self._cursor_path, json.dumps({"cursor": list(self._cursor)}).encode())

    def _kept_cursor(self) -> OutcomeCursor:
        try:
            document: Any = json.loads(self._cursor_path.read_bytes())
            return OutcomeCursor(*document["cursor"])
        except FileNotFoundError:
            return OutcomeCursor()
        except (ValueError, TypeError, KeyError) as exc:
            _LOG.warning("%s is damaged (%s): learning begins with all outcomes", self._cursor_path, exc)
            return OutcomeCursor()
