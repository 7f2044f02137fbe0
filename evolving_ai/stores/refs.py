"""Refs: the names by which people call DNA, and what they resolve to.

    main            a branch
    a1b2c3          a commit hash or genome hash, or the first four or more digits of one
    main~2          the second first-parent ancestor; `main~` is `main~1`

A genome's hash names the oldest commit that holds that genome. A branch name that would also be a hash prefix is not
allowed, so a ref never means two things; a prefix that several objects share is refused with the list of them.
"""

import difflib
import re

from evolving_ai.domain.dna import Commit
from evolving_ai.domain.lineage import first_parents
from evolving_ai.errors import RefNotFoundError, UsageError
from evolving_ai.stores.ports import DnaStore

__all__ = ["MIN_PREFIX_DIGITS", "check_branch_name", "resolve"]

MIN_PREFIX_DIGITS = 4
"""Shorter prefixes would soon be ambiguous, and short words are wanted as branch names."""

_BRANCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_HASH_PREFIX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX_DIGITS},64}}")
_REF = re.compile(r"(?P<base>[^~]+)(?P<climb>~(?P<generations>[0-9]{0,9}))?")
_MAX_LISTED = 8


def check_branch_name(name: str) -> str:
    """`name`; UsageError unless it can name a branch.

    Letters, digits and `._/-`, at most 100, a letter or digit first; no `..`, no `//`, no `.` or `/` at the end; not
    four or more hexadecimal digits only, which would be a hash.
    """
    if not _BRANCH_NAME.fullmatch(name) or ".." in name or "//" in name or name.endswith((".", "/")):
        raise UsageError(f"{name!r} cannot name a branch: expected letters, digits and ._/- (at most 100, no ..)")
    if _HASH_PREFIX.fullmatch(name.lower()):
        raise UsageError(
            f"{name} cannot name a branch: it would be taken for a hash; add a letter beyond f, or a hyphen"
        )
    return name


def resolve(store: DnaStore, ref: str) -> Commit:
    """The commit that `ref` names; RefNotFoundError with a suggestion when there is none or more than one."""
    parts = _REF.fullmatch(ref)
    if parts is None:
        raise RefNotFoundError(f"{ref!r} is not a ref: expected a branch, a hash prefix, or one of them with ~n")
    base = _resolve_base(store, parts["base"])
    if parts["climb"] is None:
        return base
    return _climb(store, base, int(parts["generations"] or 1), parts["base"])


def _climb(store: DnaStore, start: Commit, generations: int, name: str) -> Commit:
    commit = start
    for climbed, ancestor in enumerate(first_parents(start, store.get)):
        commit = ancestor
        if climbed == generations:
            return commit
    depth = sum(1 for _ in first_parents(start, store.get)) - 1
    raise RefNotFoundError(f"{name} has {depth} first-parent ancestors, not {generations}: {name}~{depth} is its root")


def _resolve_base(store: DnaStore, base: str) -> Commit:
    refs = store.refs()
    if base in refs:
        return store.get(refs[base])
    prefix = base.lower()
    if _HASH_PREFIX.fullmatch(prefix):
        candidates = store.find(prefix)
        if candidates:
            return _only_one(prefix, [store.get(candidate) for candidate in candidates])
    raise RefNotFoundError(f"there is no branch or commit {base}{_hint(base, list(refs))}")


def _only_one(prefix: str, candidates: list[Commit]) -> Commit:
    own = [commit for commit in candidates if commit.hash.startswith(prefix)]
    genomes = {commit.genome.hash for commit in candidates if commit.genome.hash.startswith(prefix)}
    if len(own) + len(genomes) == 1:
        return own[0] if own else min(candidates, key=lambda commit: (commit.time, commit.hash))
    names = [f"commit {commit.hash[:12]}" for commit in own] + [f"genome {genome[:12]}" for genome in sorted(genomes)]
    shown = ", ".join(names[:_MAX_LISTED]) + (
        f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    )
    raise RefNotFoundError(f"{prefix} is ambiguous: {shown}; give more digits")


def _hint(base: str, branches: list[str]) -> str:
    close = difflib.get_close_matches(base, branches, n=1)
    if close:
        return f": did you mean {close[0]}?"
    if re.fullmatch(rf"[0-9A-Fa-f]{{1,{MIN_PREFIX_DIGITS - 1}}}", base):
        return f": a hash prefix has at least {MIN_PREFIX_DIGITS} digits"
    return ": `evolving-ai dna branch` lists the branches"
