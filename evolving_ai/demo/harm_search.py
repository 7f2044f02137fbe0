"""Looking for the harmful DNA in a process of its own, so that the traffic goes on: it takes a core for seconds.

    python -m evolving_ai.demo.harm_search HOME COMMIT

prints what was found as one JSON document; on failure it prints one line on stderr, and the exit code is 1.
"""

import contextlib
import dataclasses
import json
import os
import subprocess  # nosec B404 - our own command line
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolving_ai._common.clock import SystemClock
from evolving_ai._common.processes import die_with_parent
from evolving_ai.demo.harmful import find_harmful
from evolving_ai.domain.genes import GeneValue
from evolving_ai.domain.mutation import changes_between
from evolving_ai.errors import EvolvingAIError, PlatformError
from evolving_ai.rollout.plan import RolloutPlan
from evolving_ai.wiring.held_out import Ground
from evolving_ai.wiring.stores import open_history

__all__ = ["FoundHarm", "found_harm", "harm_search"]

_NICENESS = 5
_MODULE = "evolving_ai.demo.harm_search"
_ERROR = "error: "
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class FoundHarm:
    """A harmful DNA, as changes of the one that is live; the rest is as in `HarmfulCandidate`."""

    changes: Mapping[str, GeneValue]
    model: str
    share_before: float
    share_after: float
    quality_change: float
    cost_ratio: float
    expected_harm: float


def found_harm(home: Path, ref: str) -> FoundHarm:
    """Look for it in this process; raises what `find_harmful` raises."""
    with open_history(home) as history:
        live = history.resolve(ref).genome
    found = find_harmful(live, Ground.of_home(home), RolloutPlan(), SystemClock())
    changes = {change.gene: change.after for change in changes_between(live.genes, found.genome.genes)}
    figures = {field.name: getattr(found, field.name) for field in dataclasses.fields(found) if field.name != "genome"}
    return FoundHarm({name: value for name, value in changes.items() if value is not None}, **figures)


@contextlib.contextmanager
def harm_search(home: Path, ref: str) -> Iterator[Callable[[], FoundHarm | None]]:
    """A search that runs beside; call what is given for its result, None: not yet. It has ended with the block.

    The result is a PlatformError, with the reason in one line, where nothing was found.
    """
    command = [sys.executable, "-m", _MODULE, str(home), ref]
    options: dict[str, Any] = {"start_new_session": True, "preexec_fn": die_with_parent()}
    environment = {**os.environ, **_ONE_THREAD}
    with (
        tempfile.TemporaryFile(dir=home) as output,
        subprocess.Popen(  # noqa: S603 # nosec B603 - this program itself
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, **options
        ) as process,
    ):
        try:
            yield lambda: None if process.poll() is None else _result(output, process.returncode)
        finally:
            process.kill()


def _result(output: Any, code: int) -> FoundHarm:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else f"it said nothing, and ended with code {code}"
    if code != 0:
        raise PlatformError(f"no harmful DNA was found: {last.removeprefix(_ERROR)}")
    return FoundHarm(**json.loads(last))


def main() -> int:
    """As the module says."""
    home, ref = sys.argv[1:]
    os.nice(_NICENESS)
    try:
        found = found_harm(Path(home), ref)
    except EvolvingAIError as exc:
        sys.stderr.write(f"{_ERROR}{exc}\n")
        return 1
    sys.stdout.write(json.dumps(dataclasses.asdict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
