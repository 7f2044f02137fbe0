"""Runs a platform in this process: `python -m tests.integration.serving.supervised '{...}'`, the fields of its spec.

Prints `ready {run.json}` on stdout when it is healthy; an error is the last line on stderr, and the exit code 1.
"""

import json
import sys
from pathlib import Path

from evolving_ai._common.clock import SystemClock
from evolving_ai.errors import EvolvingAIError
from evolving_ai.serving.supervisor import PlatformSpec, supervise
from evolving_ai.wiring.platform_state import PlatformState


def main() -> int:
    fields = json.loads(sys.argv[1])
    fields.update({name: Path(fields[name]) for name in ("home", "serve_config")})
    out = sys.stdout

    def ready(state: PlatformState) -> None:
        out.write(f"ready {state.url}\n")
        out.flush()

    def note(text: str) -> None:
        sys.stderr.write(text + "\n")

    try:
        supervise(PlatformSpec(**fields), SystemClock(), note=note, ready=ready)
    except EvolvingAIError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
