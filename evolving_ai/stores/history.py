"""History: what people and campaigns do with DNA, over any `DnaStore`: commit, revert, compare, branch.

The rule kept here: a branch only ever moves by compare-and-set from the commit that the new one was made of, so no
concurrent commit is lost, and every genome that is committed is legal in the search space of this release.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from evolving_ai._common.clock import Clock
from evolving_ai._common.ids import new_id
from evolving_ai.domain.dna import Commit, Genome
from evolving_ai.domain.genes import GeneValue, SearchSpace
from evolving_ai.domain.lineage import ancestors, first_parents
from evolving_ai.domain.mutation import Change, Mutation, changes_between
from evolving_ai.domain.safety import safety_score
from evolving_ai.errors import GeneError, RefConflictError, RefNotFoundError, UsageError
from evolving_ai.stores.ports import DnaStore
from evolving_ai.stores.refs import check_branch_name, resolve

__all__ = ["MAIN", "DnaHistory"]

MAIN = "main"
_SEED_AUTHOR = "evolving-ai"
_MAX_TRIES = 1000


class DnaHistory:
    """The operations on one store of DNA, for the genes of `space`.

    Refs are described in `stores.refs`. Every method raises RefNotFoundError for a ref that names nothing, and what
    the store raises.
    """

    def __init__(self, store: DnaStore, space: SearchSpace, clock: Clock) -> None:
        self._store = store
        self._space = space
        self._clock = clock

    def ensure_main(self) -> None:
        """Create the branch `main` with the space's defaults as its root, unless it exists; safe to race."""
        if MAIN in self._store.refs():
            return
        root = self._commit_of(Genome(self._space.defaults()), (), _SEED_AUTHOR, "Seed genome: every gene's default")
        self._store.put(root)
        try:
            self._store.set_ref(MAIN, expected=None, new=root.hash)
        except RefConflictError:
            return  # another process was first; its root holds the same genome

    def resolve(self, ref: str) -> Commit:
        """The commit that `ref` names."""
        return resolve(self._store, ref)

    def log(self, ref: str) -> Iterator[Commit]:
        """The commit and all its ancestors, children before parents, the newest first."""
        return ancestors(self.resolve(ref), self._store.get)

    def diff(self, before: str, after: str) -> tuple[Change, ...]:
        """The genes that differ between two refs, by name."""
        return changes_between(self.resolve(before).genome.genes, self.resolve(after).genome.genes)

    def branches(self) -> dict[str, Commit]:
        """Every branch with the commit that it points at, by name."""
        return {name: self._store.get(target) for name, target in self._store.refs().items()}

    def create_branch(self, name: str, ref: str = MAIN) -> Commit:
        """Let a new branch point at `ref`; UsageError when the name is not legal or taken."""
        check_branch_name(name)
        commit = self.resolve(ref)
        try:
            self._store.set_ref(name, expected=None, new=commit.hash)
        except RefConflictError as exc:
            raise UsageError(f"branch {name} exists already: choose another name, or delete it first") from exc
        return commit

    def delete_branch(self, name: str) -> Commit:
        """Remove a branch and return the commit it pointed at; commits stay and are still found by hash."""
        if name == MAIN:
            raise UsageError(f"{MAIN} cannot be deleted: it is where every search starts")
        tip = self._tip(name)
        self._store.set_ref(name, expected=tip.hash, new=None)
        return tip

    def append(
        self,
        branch: str,
        genome: Genome,
        *,
        author: str,
        message: str,
        mutation: Mutation | None = None,
        evaluations: tuple[str, ...] = (),
        other_parents: tuple[str, ...] = (),
    ) -> Commit:
        """Commit `genome` on top of `branch`, whatever that holds by now; GeneError when it is not legal.

        `other_parents` are commit hashes beside the branch's tip (a crossover, or the commit a search started from).
        """
        self._space.validate(genome.genes)

        def attempt(tip: Commit) -> Commit:
            parents = tuple(dict.fromkeys((tip.hash, *other_parents)))
            return self._commit_of(genome, parents, author, message, mutation, evaluations)

        return self._advance(branch, attempt)

    def change(self, branch: str, changes: Mapping[str, GeneValue], *, author: str, message: str) -> Commit:
        """Commit the branch's genome with `changes`: a manual mutation.

        A gene that becomes active gets its default, one that becomes inactive is dropped. GeneError when a gene of
        `changes` is unknown, out of range or inactive; UsageError when nothing would change.
        """

        def attempt(tip: Commit) -> Commit:
            genome = self._legal({**tip.genome.genes, **changes}, kept=changes)
            return self._child(tip, genome, "manual", author, message)

        return self._advance(branch, attempt)

    def revert(self, ref: str, branch: str, *, author: str) -> Commit:
        """Undo, on `branch`, what commit `ref` changed against its first parent; later changes of other genes stay.

        GeneError when a later commit changed one of the same genes, UsageError when `ref` is a root, is not in the
        branch's history, or is undone already.
        """
        target = self.resolve(ref)
        if not target.parents:
            raise UsageError(f"{target.hash[:12]} is a root: it changed nothing that could be undone")
        undone = changes_between(target.genome.genes, self._store.get(target.parents[0]).genome.genes)

        def attempt(tip: Commit) -> Commit:
            if all(commit.hash != target.hash for commit in ancestors(tip, self._store.get)):
                raise UsageError(f"{target.hash[:12]} is not in the history of {branch}: nothing of it to undo there")
            genes = self._undo(tip, target, undone)
            genome = self._legal(genes, kept=[name for name in genes if name in self._space])
            return self._child(tip, genome, "revert", author, f"Revert {target.hash[:12]}: {target.message}")

        return self._advance(branch, attempt)

    def _undo(self, tip: Commit, target: Commit, undone: tuple[Change, ...]) -> dict[str, GeneValue]:
        genes = dict(tip.genome.genes)
        for change in undone:
            if genes.get(change.gene) not in (change.before, change.after):
                culprit = self._last_change(tip, change.gene).hash[:12]
                raise GeneError(
                    change.gene,
                    f"cannot revert {target.hash[:12]}: {culprit} changed gene {change.gene} again; revert that first",
                )
            if change.after is None:
                genes.pop(change.gene, None)
            else:
                genes[change.gene] = change.after
        return genes

    def _last_change(self, tip: Commit, gene: str) -> Commit:
        newer = tip
        for commit in first_parents(tip, self._store.get):
            if commit.genome.genes.get(gene) != tip.genome.genes.get(gene):
                break
            newer = commit
        return newer

    def _legal(self, genes: Mapping[str, GeneValue], *, kept: Iterable[str]) -> Genome:
        """A genome of this release. Genes that only another release knew are dropped; those of `kept` must survive."""
        wanted = tuple(kept)
        known = {name: value for name, value in genes.items() if name in self._space or name in wanted}
        complete = self._space.complete(known)
        for name in wanted:
            if name not in complete:
                condition = self._space.gene(name).active_when
                raise GeneError(name, f"gene {name} is read only when {condition}: set that too, or leave {name} out")
        return Genome(complete)

    def _child(self, tip: Commit, genome: Genome, kind: str, author: str, message: str) -> Commit:
        changes = changes_between(tip.genome.genes, genome.genes)
        if not changes:
            raise UsageError(f"nothing would change: {tip.hash[:12]} has these values already")
        components = sorted({self._space.component_of(c.gene) for c in changes if c.gene in self._space})
        mutation = Mutation(
            id=new_id("mut"),
            type=kind,
            target_components=tuple(components),
            changes=changes,
            safety_score=safety_score(changes, self._space),
        )
        return self._commit_of(genome, (tip.hash,), author, message, mutation)

    def _commit_of(
        self,
        genome: Genome,
        parents: tuple[str, ...],
        author: str,
        message: str,
        mutation: Mutation | None = None,
        evaluations: tuple[str, ...] = (),
    ) -> Commit:
        try:
            return Commit(genome, parents, author, self._clock.now(), message, mutation, evaluations)
        except ValueError as exc:
            raise UsageError(f"this cannot be committed: {exc}") from exc

    def _advance(self, branch: str, attempt: Callable[[Commit], Commit]) -> Commit:
        # Each lost race means that another commit got in, so somebody always makes progress.
        for _ in range(_MAX_TRIES):
            tip = self._tip(branch)
            commit = attempt(tip)
            self._store.put(commit)
            try:
                self._store.set_ref(branch, expected=tip.hash, new=commit.hash)
            except RefConflictError:
                continue
            return commit
        raise RefConflictError(f"branch {branch} moved {_MAX_TRIES} times while this commit was made: retry later")

    def _tip(self, branch: str) -> Commit:
        target = self._store.refs().get(branch)
        if target is None:
            raise RefNotFoundError(f"there is no branch {branch}: `evolving-ai dna branch {branch}` creates it")
        return self._store.get(target)
