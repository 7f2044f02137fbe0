"""The lineage holds the commits of every branch once, the oldest first."""

from pathlib import Path

from evolving_ai.demo.lineage import lineage_of
from evolving_ai.wiring.stores import open_history


def test_commits_of_all_branches_stand_in_the_order_of_time(tmp_path: Path) -> None:
    with open_history(tmp_path) as history:
        seed = history.resolve("main")
        history.create_branch("other", "main")
        changed = history.change("other", {"score.cost_weight": 0.5}, author="somebody", message="Save costs")

    found = lineage_of(tmp_path)
    assert [view["hash"] for view in found] == [seed.hash, changed.hash]
    assert found[1]["parents"] == [seed.hash]
    assert (found[1]["author"], found[1]["message"]) == ("somebody", "Save costs")
    assert [change["gene"] for change in found[1]["mutation"]["changes"]] == ["score.cost_weight"]
