"""The whole loop as a user runs it, in its real size, on which its promises are: nothing is left but the home."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.cli.program import PROGRAM
from tests.integration.demo.test_demo_command import left_over

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 290.0
LONGEST_S = 280.0


def test_the_whole_loop_is_shown() -> None:
    with tempfile.TemporaryDirectory(prefix="evt") as folder:
        temporary = Path(folder)
        done = subprocess.run(
            [PROGRAM, "demo", "--json", "--home", str(temporary / "demo")],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={**os.environ, "TMPDIR": folder},
        )
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout)

        assert [row["name"] for row in record["rows"]] == ["cheapest model", "seed DNA", "evolved DNA", "oracle"]
        cheapest, seed, evolved, oracle = record["rows"]
        assert list(seed["shares"].values()) == list(cheapest["shares"].values()) == [1.0]
        assert cheapest["cost_usd_per_1k"] < evolved["cost_usd_per_1k"] < seed["cost_usd_per_1k"]
        assert oracle["quality"] == max(row["quality"] for row in record["rows"])
        assert len(record["candidates"]) == record["campaign"]["iterations"] == 120
        assert set(map(tuple, record["front"])) <= set(map(tuple, record["candidates"]))
        assert record["good"]["view"]["state"] == "promoted"
        assert record["bad"]["view"]["state"] == "rolled_back"
        assert record["bad"]["exchange_s"] < 1.0
        assert record["outage"]["failed_over"] > 0
        assert record["failures"] == {}
        assert [commit["author"] for commit in record["lineage"]][-1] == "demo"
        assert Path(record["report"]).stat().st_size > 10_000
        assert record["url"] is None
        assert record["seconds"] < LONGEST_S
        assert left_over(temporary) == ([], [])
