"""`python -m evolving_ai.serving.replay_provider --table FILE --ready-file FILE`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evolving_ai.errors import EvolvingAIError
from evolving_ai.serving.replay_provider.host import run_replay_providers

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; the exit code."""
    parser = argparse.ArgumentParser(prog="replay_provider", description="Answers recorded outcomes as if by models.")
    parser.add_argument("--table", type=Path, required=True, help="Parquet table of outcomes")
    ports = "port of each model, or of the first, then those after it; 0: any free ports"
    parser.add_argument("--ports", type=int, nargs="+", default=[0], metavar="PORT", help=ports)
    parser.add_argument("--latency-scale", type=_scale, default=1.0, help="0: at once, 1: as fast as such models are")
    parser.add_argument("--ready-file", type=Path, required=True, help="written when every port answers")
    options = parser.parse_args(arguments)
    try:
        run_replay_providers(
            options.table,
            ports=options.ports,
            latency_scale=options.latency_scale,
            ready_file=options.ready_file,
        )
    except EvolvingAIError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201 - a program of its own, without the command line's console
        return exc.exit_code
    return 0


def _scale(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is out of range: expected 0 to 1000")
    return value


if __name__ == "__main__":
    sys.exit(main())
