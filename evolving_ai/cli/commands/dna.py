"""`evolving-ai dna`: inspect and change DNA. A REF is a branch, a hash prefix, or one of them with `~n`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from evolving_ai._common.canonical import canonical_bytes
from evolving_ai._common.files import write_atomically
from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_bytes, print_json, print_table, print_text
from evolving_ai.cli.platform_client import PlatformClient
from evolving_ai.domain.dna import Commit
from evolving_ai.domain.genes import FloatGene, GeneValue, IntGene, SearchSpace
from evolving_ai.domain.mutation import Change
from evolving_ai.errors import DataError, UsageError
from evolving_ai.home import open_home, resolve_home
from evolving_ai.stores.history import MAIN
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.stores import dna_path, open_dna_store, open_history

__all__ = ["app"]

app = new_app("Inspect and change DNA. A REF is a branch, a hash (4 digits or more of it), or one of them with ~n.")

_SHORT = 12

RefArgument = Annotated[str, typer.Argument(metavar="REF", help="Branch, hash prefix, or one of them with ~n.")]
AuthorOption = Annotated[str | None, typer.Option("--author", help="Who did it [default: $USER].", show_default=False)]


@app.command()
def log(
    ref: RefArgument = MAIN,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Show at most so many.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List REF's commits, the newest first."""
    with open_history(open_home(home)) as history:
        commits = list(history.log(ref))[:limit]
    if json:
        print_json([_commit_json(commit) for commit in commits])
        return
    print_table(
        ("commit", "dna", "time", "author", "changes", "message"),
        [
            (
                commit.hash[:_SHORT],
                commit.genome.hash[:_SHORT],
                f"{commit.time:%Y-%m-%d %H:%M:%S}",
                commit.author,
                len(commit.mutation.changes) if commit.mutation else None,
                commit.message,
            )
            for commit in commits
        ],
    )


@app.command()
def live(home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the DNA that decides requests now. The platform must be running."""
    view = PlatformClient(resolve_home(home)).request("GET", "/api/v1/dna/live")
    _print_live(view, "live is", json)


@app.command()
def promote(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make REF live on every replica, at once. The platform must be running."""
    body = {"ref": ref, "reason": reason}
    view = PlatformClient(resolve_home(home)).request("POST", "/api/v1/dna/promote", body)
    _print_live(view, "live is now", json)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make the DNA that was live before live again, on every replica. The platform must be running."""
    view = PlatformClient(resolve_home(home)).request("POST", "/api/v1/dna/rollback", {"reason": reason})
    _print_live(view, "live is again", json)


@app.command()
def show(ref: RefArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show one commit: its origin, its mutation and its genes."""
    with open_history(open_home(home)) as history:
        commit = history.resolve(ref)
    if json:
        print_json({**_commit_json(commit), "genes": dict(commit.genome.genes)})
        return
    print_text(f"commit   {commit.hash}")
    print_text(f"dna      {commit.genome.hash}")
    for parent in commit.parents:
        print_text(f"parent   {parent}")
    print_text(f"author   {commit.author}")
    print_text(f"time     {commit.time.isoformat()}")
    print_text(f"message  {commit.message}")
    if commit.mutation is not None:
        components = ", ".join(commit.mutation.target_components) or "none"
        safety = f"safety score {commit.mutation.safety_score:.3f}"
        print_text(f"mutation {commit.mutation.type} ({commit.mutation.id}), components {components}, {safety}")
        print_text("")
        _print_changes(commit.mutation.changes)
    print_text("")
    print_table(("gene", "value"), [(name, _value_text(value)) for name, value in commit.genome.genes.items()])


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A")],
    after: Annotated[str, typer.Argument(metavar="B")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the genes that differ between A and B."""
    with open_history(open_home(home)) as history:
        changes = history.diff(before, after)
    if json:
        print_json([_change_json(change) for change in changes])
    elif changes:
        _print_changes(changes)
    else:
        note("no gene differs")


@app.command()
def branch(
    name: Annotated[str | None, typer.Argument(help="Create this branch; without it, list all.")] = None,
    ref: RefArgument = MAIN,
    delete: Annotated[str | None, typer.Option("--delete", help="Delete this branch; its commits stay.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List branches, create one at REF, or delete one."""
    if name is not None and delete is not None:
        raise UsageError("either create a branch or delete one: give NAME or --delete NAME, not both")
    with open_history(open_home(home)) as history:
        if delete is not None:
            _print_branch(delete, history.delete_branch(delete), "deleted", json)
        elif name is not None:
            _print_branch(name, history.create_branch(name, ref), "created", json)
        else:
            _print_branches(history.branches(), json)


@app.command()
def checkout(
    ref: RefArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file, not to stdout.")] = None,
    home: HomeOption = None,
) -> None:
    """Write REF's genome as canonical JSON: the very bytes that its hash is taken of."""
    with open_history(open_home(home)) as history:
        genome = history.resolve(ref).genome
    if output is None:
        print_bytes(genome.to_bytes())
        return
    write_atomically(output, genome.to_bytes())
    note(f"wrote {output}: SHA-256 {genome.hash}")


@app.command()
def commit(
    assignments: Annotated[list[str], typer.Option("--set", metavar="GENE=VALUE", help="Change a gene; repeatable.")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")],
    branch: Annotated[str, typer.Option("--branch", help="The branch to commit on.")] = MAIN,
    author: AuthorOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Change genes by hand: a new commit on a branch."""
    changes = _parse_assignments(assignments, search_space())
    with open_history(open_home(home)) as history:
        made = history.change(branch, changes, author=_author(author), message=message)
    _print_commit(made, branch, json)


@app.command()
def revert(
    ref: RefArgument,
    branch: Annotated[str, typer.Option("--branch", help="The branch to commit on.")] = MAIN,
    author: AuthorOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Undo what one commit changed, as a new commit; later changes of other genes stay."""
    with open_history(open_home(home)) as history:
        made = history.revert(ref, branch, author=_author(author))
    _print_commit(made, branch, json)


@app.command()
def fsck(home: HomeOption = None, json: JsonOption = False) -> None:
    """Verify every stored byte, hash and branch; exit 1 when something is damaged."""
    folder = resolve_home(home)
    if not dna_path(folder).exists():
        raise DataError(f"{dna_path(folder)} does not exist: there is no DNA to check; is --home right?")
    with open_dna_store(folder) as store:
        problems = store.check()
    if json:
        print_json({"ok": not problems, "problems": list(problems)})
    else:
        for problem in problems:
            print_text(problem)
        print_text(f"{len(problems)} problems found: restore {dna_path(folder)} from a backup" if problems else "ok")
    if problems:
        raise typer.Exit(1)


@app.command()
def genes(json: JsonOption = False) -> None:
    """List every gene: what reads it, its legal values, its default, and when it is read."""
    space = search_space()
    rows = [
        (gene.name, gene.component, gene.legal, gene.default, str(gene.active_when) if gene.active_when else None)
        for gene in space
    ]
    if json:
        keys = ("name", "component", "legal", "default", "active_when")
        print_json([{**dict(zip(keys, row, strict=True)), "about": space.gene(row[0]).about} for row in rows])
        return
    print_table(("gene", "component", "legal", "default", "read when"), rows)


def _parse_assignments(assignments: list[str], space: SearchSpace) -> dict[str, GeneValue]:
    changes: dict[str, GeneValue] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: expected GENE=VALUE")
        if name in changes:
            raise UsageError(f"--set {name} is given twice: which one is meant?")
        changes[name] = space.gene(name).check(_parse_value(text, is_number=_is_numeric(space, name)))
    return changes


def _is_numeric(space: SearchSpace, name: str) -> bool:
    return isinstance(space.gene(name), FloatGene | IntGene)


def _parse_value(text: str, *, is_number: bool) -> GeneValue:
    for parse in (int, float) if is_number else ():
        try:
            return parse(text)
        except ValueError:
            continue
    return text


def _author(option: str | None) -> str:
    return option or os.environ.get("USER") or "operator"


def _commit_json(commit: Commit) -> dict[str, Any]:
    return {
        "hash": commit.hash,
        "dna_hash": commit.genome.hash,
        "parents": list(commit.parents),
        "author": commit.author,
        "time": commit.time.isoformat(),
        "message": commit.message,
        "mutation": _mutation_json(commit),
        "evaluations": list(commit.evaluations),
    }


def _mutation_json(commit: Commit) -> dict[str, Any] | None:
    if commit.mutation is None:
        return None
    return {**commit.mutation.to_json(), "changes": [_change_json(change) for change in commit.mutation.changes]}


def _change_json(change: Change) -> dict[str, Any]:
    return {"gene": change.gene, "before": change.before, "after": change.after}


def _print_changes(changes: tuple[Change, ...]) -> None:
    print_table(
        ("gene", "before", "after"),
        [(change.gene, _value_text(change.before), _value_text(change.after)) for change in changes],
    )


def _value_text(value: GeneValue | None) -> str:
    """Numbers as the genome's bytes have them, so that 1 and 1.0 look as equal as they are."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else canonical_bytes(value).decode()


def _print_commit(made: Commit, branch: str, json: bool) -> None:
    if json:
        print_json({"branch": branch, **_commit_json(made)})
        return
    print_text(f"{branch} is now {made.hash[:_SHORT]} (dna {made.genome.hash[:_SHORT]}): {made.message}")
    if made.mutation is not None:
        _print_changes(made.mutation.changes)


def _print_live(view: dict[str, Any], what: str, json: bool) -> None:
    if json:
        print_json(view)
        return
    snapshot = view["snapshot_hash"][:_SHORT]
    print_text(f"{what} dna {view['dna_hash'][:_SHORT]} (commit {view['commit'][:_SHORT]}) with snapshot {snapshot}")


def _print_branch(name: str, commit: Commit, done: str, json: bool) -> None:
    if json:
        print_json({"branch": name, "done": done, "commit": commit.hash})
        return
    print_text(f"{done} branch {name} at {commit.hash[:_SHORT]}")


def _print_branches(branches: dict[str, Commit], json: bool) -> None:
    if json:
        print_json({name: {"commit": tip.hash, "dna_hash": tip.genome.hash} for name, tip in branches.items()})
        return
    print_table(
        ("branch", "commit", "dna", "message"),
        [(name, tip.hash[:_SHORT], tip.genome.hash[:_SHORT], tip.message) for name, tip in branches.items()],
    )
