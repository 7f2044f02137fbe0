"""The part of the report about DNA: where each version comes from, what changed in it, who made it and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evolving_ai.demo.record import DemoRecord
from evolving_ai.demo.report_markup import Markup, clipped, folded, join, table, tag
from evolving_ai.demo.report_numbers import ABSENT, brief
from evolving_ai.demo.report_view import RolloutView

__all__ = ["lineage_part"]

_SHORT = 12
_MOST_COMMITS = 40
_MOST_CHANGES = 60
_SEEN_CHANGES = 8


def lineage_part(record: DemoRecord) -> Markup | None:
    """Every commit, the oldest first; None when there is none."""
    if not record.lineage:
        return None
    shown = record.lineage[-_MOST_COMMITS:]
    known = {str(commit.get("hash") or "") for commit in shown}
    roles = _roles(record)
    items = [_commit(commit, known, roles) for commit in shown]
    left = len(record.lineage) - len(shown)
    before = tag("p", f"{left} older ones are left out.") if left else None
    return join([before, tag("ol", *items, class_="lineage")])


def _roles(record: DemoRecord) -> dict[str, list[Markup]]:
    """What became of each commit, by its hash."""
    roles: dict[str, list[Markup]] = {}
    for figures in (record.good, record.bad):
        if figures is None:
            continue
        view = RolloutView.read(figures.view)
        kind = "verdict good" if view.state == "promoted" else "verdict bad"
        badge = tag("span", view.state.replace("_", " "), class_=kind)
        roles.setdefault(view.candidate, []).append(badge)
        roles.setdefault(view.incumbent, [tag("span", "was live", class_="verdict open")])
    return roles


def _commit(commit: Mapping[str, Any], known: Iterable[str], roles: Mapping[str, Sequence[Markup]]) -> Markup:
    name = str(commit.get("hash") or "")
    raw = commit.get("mutation")
    mutation: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    safety = mutation.get("safety_score")
    made = [f"by {clipped(commit.get('author') or 'nobody', 80)}", _time(commit.get("time"))]
    if mutation:
        made.append(f"operator {clipped(mutation.get('type') or 'unknown', 40)}")
    if isinstance(safety, int | float):
        made.append(f"safety score {brief(safety)}")
    return tag(
        "li",
        tag("h3", tag("code", name[:_SHORT]), *(join([" ", badge]) for badge in roles.get(name, ()))),
        tag("p", clipped(commit.get("message") or "", 500), class_="reason"),
        tag(
            "p", ", ".join(each for each in made if each), ". ", _parents(commit.get("parents"), known), class_="quiet"
        ),
        _changes(mutation.get("changes")),
        id=f"commit-{name[:_SHORT]}",
    )


def _time(value: Any) -> str:
    return str(value)[:19].replace("T", " ") if value else ""


def _parents(parents: Any, known: Iterable[str]) -> Markup:
    if not isinstance(parents, Sequence) or isinstance(parents, str) or not parents:
        return join(["A root: no parents."])
    links = []
    for parent in map(str, parents):
        short = tag("code", parent[:_SHORT])
        links.append(tag("a", short, href=f"#commit-{parent[:_SHORT]}") if parent in known else short)
    between = [part for link in links for part in (link, " and ")][:-1]
    return join(["Parent: " if len(links) == 1 else "Parents: ", *between, "."])


def _changes(changes: Any) -> Markup | None:
    rows = [row for row in map(_change, changes) if row] if isinstance(changes, Sequence) else []
    if not rows:
        return None
    cut = len(rows) - _MOST_CHANGES
    caption = f"{len(rows)} gene{'s' if len(rows) > 1 else ''} changed" + (
        f", the first {_MOST_CHANGES}" if cut > 0 else ""
    )
    drawn = table(caption, ("gene", "before", "after"), rows[:_MOST_CHANGES])
    return drawn if len(rows) <= _SEEN_CHANGES else folded(caption, drawn)


def _change(change: Any) -> tuple[Markup, str, str] | None:
    """A change as the API shows it, or as a commit stores it."""
    if isinstance(change, Mapping):
        change = [change.get(key) for key in ("gene", "before", "after")]
    if not isinstance(change, Sequence) or isinstance(change, str) or len(change) != 3:
        return None
    gene, before, after = change
    return tag("code", clipped(gene, 80)), _value(before), _value(after)


def _value(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return brief(value)
    return clipped(value, 80)
