"""Lineage: walks through history. Pure functions over a getter from commit hash to commit."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

from evolving_ai.domain.dna import Commit

__all__ = ["GetCommit", "ancestors", "first_parents"]

GetCommit: TypeAlias = Callable[[str], Commit]


def first_parents(start: Commit, get: GetCommit) -> Iterator[Commit]:
    """`start`, its first parent, that one's first parent, down to a root."""
    commit = start
    yield commit
    while commit.parents:
        commit = get(commit.parents[0])
        yield commit


def ancestors(start: Commit, get: GetCommit) -> Iterator[Commit]:
    """`start` and everything it descends from, each once, never a parent before its child; the newest first.

    Ties are settled by the hash, so the order depends on nothing but the commits.
    """
    known = _reachable(start, get)
    waiting_for = Counter(parent for commit in known.values() for parent in dict.fromkeys(commit.parents))
    ready = [_by_age(start)]
    while ready:
        commit = known[heapq.heappop(ready)[1]]
        yield commit
        for parent in dict.fromkeys(commit.parents):
            waiting_for[parent] -= 1
            if not waiting_for[parent]:
                heapq.heappush(ready, _by_age(known[parent]))


def _reachable(start: Commit, get: GetCommit) -> dict[str, Commit]:
    known = {start.hash: start}
    todo = [start]
    while todo:
        for parent in todo.pop().parents:
            if parent not in known:
                known[parent] = get(parent)
                todo.append(known[parent])
    return known


def _by_age(commit: Commit) -> tuple[float, str]:
    return -commit.time.timestamp(), commit.hash
