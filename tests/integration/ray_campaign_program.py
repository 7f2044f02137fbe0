"""Runs a toy campaign of so many EVALUATIONS on a private Ray instance; says when it runs, and how it ended."""

import os
import sys

from evolving_ai._common.clock import SystemClock
from evolving_ai.domain.dna import Genome
from evolving_ai.evolution.campaign import CampaignSpec
from evolving_ai.evolution.on_ray.session import ray_session
from evolving_ai.evolution.progress import Progress
from evolving_ai.evolution.runner import run_campaign
from evolving_ai.stores.inmemory.campaign_ledger import InMemoryCampaignLedger
from tests.evaluators.toy import MixedFront

STDOUT = sys.stdout


def say(text: str) -> None:
    STDOUT.write(f"{text}\n")
    STDOUT.flush()


class Announcer:
    has_spoken = False

    def __call__(self, progress: Progress) -> None:
        if not self.has_spoken:
            self.has_spoken = True
            say(f"running {os.environ['RAY_AUTH_MODE']}")


def main() -> None:
    problem, clock = MixedFront(), SystemClock()
    spec = CampaignSpec(
        id="toy",
        seed=3,
        max_evaluations=int(sys.argv[1]),
        objectives=problem.objectives,
        space=problem.space,
        base=(Genome(problem.space.defaults()),),
    )
    ledger = InMemoryCampaignLedger(spec.to_json())
    with ray_session(num_cpus=2, clock=clock):
        from evolving_ai.evolution.on_ray.executor import RayExecutor

        executor = RayExecutor(MixedFront, actors=2, deadline_s=30.0, clock=clock)
        try:
            run_campaign(spec, ledger, executor, clock=clock, on_progress=Announcer())
        except KeyboardInterrupt:
            executor.close()
    say(ledger.state()[0])


if __name__ == "__main__":
    main()
