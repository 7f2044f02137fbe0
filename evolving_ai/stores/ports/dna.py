"""Where DNA lives: commits by hash, and branches."""

from collections.abc import Mapping
from typing import Protocol

from evolving_ai.domain.dna import Commit

__all__ = ["DnaStore"]


class DnaStore(Protocol):
    """Commits by hash, and branches as refs that move by compare-and-set.

    Guarantees: a commit is durable when `put` returns, and a ref when `set_ref` returns; a stored commit never
    changes; concurrent `set_ref` calls on one ref are applied one after the other, and one whose expectation no
    longer holds changes nothing; after a crash at any point every ref names a whole commit.
    """

    def put(self, commit: Commit) -> None:
        """Store a commit and its genome; storing it again is no change. RefNotFoundError: a parent is missing."""
        ...

    def get(self, commit_hash: str) -> Commit:
        """The commit, verified against its hash. RefNotFoundError when absent, CorruptionError when damaged."""
        ...

    def find(self, prefix: str) -> tuple[str, ...]:
        """The commits, sorted, whose own hash or whose genome's hash starts with `prefix` (lower-case hexadecimal)."""
        ...

    def refs(self) -> Mapping[str, str]:
        """Every branch and the commit it points at, by name."""
        ...

    def set_ref(self, name: str, *, expected: str | None, new: str | None) -> None:
        """Move `name` from `expected` (None: it must not exist) to `new` (None: delete it).

        RefConflictError when it points elsewhere, RefNotFoundError when `new` is not a stored commit.
        """
        ...

    def check(self) -> tuple[str, ...]:
        """Verify every stored byte and ref; the problems found, each in a line. Empty: all is well."""
        ...
