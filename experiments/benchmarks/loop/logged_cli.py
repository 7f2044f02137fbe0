"""The command line with an evaluator that leaves a line in a file for each evaluation, before it begins.

    python -m experiments.benchmarks.loop.logged_cli LOG evolve FILE --home HOME

The line is one append of the genome's hash, handed to the kernel at once, so it is there however the process ends.
"""

import os
import sys
from pathlib import Path
from unittest.mock import patch

from evolving_ai.cli.main import main as command_line
from evolving_ai.decision.replay_evaluator import ReplayEvaluator
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Evaluation

__all__ = ["LoggedEvaluator"]


class LoggedEvaluator(ReplayEvaluator):
    """Scores as its parent does."""

    log: Path

    def evaluate(self, genome: Genome) -> Evaluation:
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{genome.hash}\n".encode())
        finally:
            os.close(file)
        return super().evaluate(genome)


def main() -> None:
    """Run the command; it has no seam for an evaluator, and it is the command itself that is on trial."""
    LoggedEvaluator.log = Path(sys.argv[1])
    with patch("evolving_ai.wiring.routing_campaign.ReplayEvaluator", LoggedEvaluator):
        command_line(sys.argv[2:])


if __name__ == "__main__":
    main()
