"""Walks through history."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.lineage import ancestors, first_parents

START = datetime(2026, 1, 1, tzinfo=UTC)


def commit_of(number: int, *parents: Commit, age_s: int | None = None) -> Commit:
    time = START + timedelta(seconds=number if age_s is None else age_s)
    return Commit(Genome({"n": number}), tuple(parent.hash for parent in parents), "ann", time, str(number))


def index(*commits: Commit) -> dict[str, Commit]:
    return {commit.hash: commit for commit in commits}


def test_a_diamond_is_walked_once_with_children_before_parents() -> None:
    root = commit_of(0)
    left, right = commit_of(1, root), commit_of(2, root)
    merge = commit_of(3, left, right)

    walked = list(ancestors(merge, index(root, left, right, merge).__getitem__))

    assert [commit.message for commit in walked] == ["3", "2", "1", "0"]


def test_a_clock_that_went_back_does_not_put_a_parent_before_its_child() -> None:
    root = commit_of(0, age_s=100)
    child = commit_of(1, root, age_s=50)

    walked = list(ancestors(child, index(root, child).__getitem__))

    assert walked == [child, root]


def test_first_parents_ignore_the_other_side_of_a_crossover() -> None:
    root, other = commit_of(0), commit_of(1)
    merge = commit_of(2, root, other)

    assert list(first_parents(merge, index(root, other, merge).__getitem__)) == [merge, root]


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    commits = [commit_of(0)]
    for number in range(1, draw(st.integers(1, 12))):
        parents = draw(st.lists(st.sampled_from(commits), max_size=3))
        commits.append(commit_of(number, *parents, age_s=draw(st.integers(0, 5))))
    return commits


@given(histories())
def test_every_ancestor_comes_once_and_after_all_its_children(commits: list[Commit]) -> None:
    known = index(*commits)

    walked = [commit.hash for commit in ancestors(commits[-1], known.__getitem__)]

    expected: set[str] = set()
    todo = [commits[-1].hash]
    while todo:
        expected.add(todo[-1])
        todo.extend(known[todo.pop()].parents)
    assert sorted(walked) == sorted(expected)
    place = {commit_hash: position for position, commit_hash in enumerate(walked)}
    assert all(place[parent] > place[child] for child in walked for parent in known[child].parents)
