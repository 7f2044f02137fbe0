"""Runs or resumes one toy campaign: HOME LOG EVALUATIONS. Every evaluation leaves a line in LOG, before its result."""

import sys
from pathlib import Path

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.evolution.in_process import InProcessExecutor
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.wiring.campaigns import create_ledger
from tests.evaluators.toy import MixedFront


class Logged(MixedFront):
    log: Path

    def evaluate(self, genome: Genome) -> Evaluation:
        with self.log.open("a") as file:
            file.write(f"{genome.hash}\n")
        return super().evaluate(genome)


def main() -> None:
    home, log, evaluations = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    Logged.log = log
    spec = CampaignSpec(
        id="toy",
        seed=3,
        max_evaluations=evaluations,
        objectives=Logged().objectives,
        space=Logged().space,
        base=(Genome(Logged().space.defaults()),),
    )
    with create_ledger(CampaignFolder(home / "campaigns", spec.id), spec) as ledger:
        run_campaign(spec, ledger, InProcessExecutor(Logged(), SystemClock()), clock=SystemClock())


if __name__ == "__main__":
    main()
