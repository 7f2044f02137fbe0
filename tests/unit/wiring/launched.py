"""Campaigns that are started in a test without a process: each is a runner that the test moves along by hand."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.dna import Genome
from evolving_ai.evolution.campaign import CampaignSpec, Target
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.stores.ports import CampaignLedger
from evolving_ai.wiring.campaign_file import RoutingCampaignFile, read_campaign_file
from evolving_ai.wiring.campaigns import campaigns_path, create_ledger
from tests.evaluators.toy import MixedFront


class Runner:
    """What would be a process. `at_first_wait` is what it does before somebody has waited for it once."""

    def __init__(
        self, arguments: Sequence[str], log: Path, clock: ManualClock, at_first_wait: Callable[["Runner"], None]
    ) -> None:
        self.file = Path(arguments[1])
        self.home = Path(arguments[arguments.index("--home") + 1])
        self.id = arguments[arguments.index("--id") + 1]
        self.log = log
        self.asked: RoutingCampaignFile = read_campaign_file(self.file)
        self.code: int | None = None
        self.is_killed = False
        self._clock = clock
        self._at_first_wait: Callable[[Runner], None] | None = at_first_wait
        self._stack = contextlib.ExitStack()
        self.ledger: CampaignLedger | None = None

    @property
    def folder(self) -> CampaignFolder:
        return CampaignFolder(campaigns_path(self.home), self.id)

    def wait(self, timeout_s: float) -> int | None:
        self._clock.advance(timeout_s)
        if self._at_first_wait is not None:
            do, self._at_first_wait = self._at_first_wait, None
            do(self)
        return self.code

    def kill(self) -> None:
        self.is_killed = True
        self.die(-9)

    def begin(self) -> None:
        """Hold a ledger, as a campaign does that evaluates."""
        problem, target = MixedFront(), self.asked.target
        spec = CampaignSpec(
            id=self.id,
            seed=self.asked.seed,
            max_evaluations=self.asked.evals,
            objectives=problem.objectives,
            space=problem.space,
            base=(Genome(problem.space.defaults()),),
            target=None if target is None else Target(target.objective, float(target.value), is_measure=True),
        )
        self.ledger = self._stack.enter_context(create_ledger(self.folder, spec))

    def record(self, state: str, **detail: object) -> None:
        assert self.ledger is not None
        self.ledger.set_state(state, {"reason": "", **detail})

    def die(self, code: int, said: str = "") -> None:
        """End, whatever the ledger says."""
        self.log.parent.mkdir(exist_ok=True)
        self.log.write_text(said)
        self._stack.close()
        self.code = code


class FakeLauncher:
    """A `Launch` whose runners begin at once, unless the test wants something else of them."""

    def __init__(self, clock: ManualClock, at_first_wait: Callable[[Runner], None] = Runner.begin) -> None:
        self.runners: list[Runner] = []
        self._clock = clock
        self.at_first_wait = at_first_wait

    def __call__(self, arguments: Sequence[str], log: Path) -> Runner:
        self.runners.append(Runner(arguments, log, self._clock, self.at_first_wait))
        return self.runners[-1]

    @property
    def last(self) -> Runner:
        return self.runners[-1]

    def close(self) -> None:
        for runner in self.runners:
            runner.die(0)
