"""HTML that is safe by construction: a plain string is escaped, only what `tag` made is not.

Models, users and operators wrote part of what a report shows. Characters that no HTML may hold, and those that turn the
direction of a text around, are shown as a replacement character.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = ["Child", "Markup", "clipped", "folded", "join", "table", "tag", "text"]

_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = frozenset({"br", "link", "meta"})


class Markup(str):
    """HTML. Made by the functions of this module alone."""

    __slots__ = ()


Child: TypeAlias = str | int | None
"""Markup stands as it is, None is nothing, anything else is text."""


def text(value: object) -> Markup:
    """The value as text."""
    return value if isinstance(value, Markup) else Markup(html.escape(_UNFIT.sub("\ufffd", str(value))))


def join(parts: Iterable[Child]) -> Markup:
    """One after the other."""
    return Markup("".join(text(part) for part in parts if part is not None))


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. `class_` is the attribute class, `stroke_width` is stroke-width; None leaves one out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>" if name in _VOID else f"<{name}{shown}>{join(children)}</{name}>")


def clipped(value: object, most: int) -> str:
    """The value as one line of `most` characters at most."""
    shown = " ".join(str(value).split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def folded(summary: Child, *children: Child) -> Markup:
    """What is seen only when it is opened; it needs no script."""
    return tag("details", tag("summary", summary), *children)


def table(
    caption: str, header: Sequence[Child], rows: Iterable[Sequence[Child]], numbers: Iterable[int] = ()
) -> Markup:
    """A table; the first cell of a row is its header. `numbers` are the columns that are set to the right."""
    right = frozenset(numbers)

    def cell(position: int, child: Child, *, is_header: bool) -> Markup:
        kind, scope = ("th", "row") if is_header else ("td", None)
        return tag(kind, child, scope=scope, class_="number" if position in right else None)

    head = [tag("th", each, scope="col", class_="number" if at in right else None) for at, each in enumerate(header)]
    body = [tag("tr", *(cell(at, each, is_header=at == 0) for at, each in enumerate(row))) for row in rows]
    name = tag("caption", caption)
    inner = tag("table", name, tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
