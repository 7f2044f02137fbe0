"""What a command prints: its result on stdout (a table, or with --json one JSON document), all else on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["note", "note_dim", "one_line", "print_bytes", "print_json", "print_piece", "print_table", "print_text"]

_WIDE = 100_000  # a table that goes to a file or a pipe is never cut or wrapped


def print_json(document: Any) -> None:
    """The result of `--json`: call it once. NaN and infinity have no JSON form: pass None for them."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """A line of the result; control characters are shown, not obeyed."""
    sys.stdout.write(_shown(text) + "\n")


def print_piece(text: str) -> None:
    """A piece of the result as soon as it is there: no line break added; control characters are shown, not obeyed."""
    sys.stdout.write(_shown(text))
    sys.stdout.flush()


def print_bytes(data: bytes) -> None:
    """The result as it is: no line break added."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The result as a table. Numbers are set right; `None` is an empty cell. rich is imported here, not before."""
    from rich.console import Console
    from rich.table import Table

    cells = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        is_number = bool(cells) and all(isinstance(row[position], int | float | None) for row in cells)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(_cell(value) for value in row))
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def note(text: str) -> None:
    """Progress, a warning, a hint: a line on stderr."""
    sys.stderr.write(_shown(text) + "\n")


def note_dim(text: str) -> None:
    """A line on stderr that may be overlooked: dim on a terminal, unless `$NO_COLOR` is set."""
    is_dim = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write(f"\x1b[2m{_shown(text)}\x1b[0m\n" if is_dim else _shown(text) + "\n")


def one_line(text: str) -> str:
    """`text` without line breaks or runs of blanks."""
    return " ".join(text.split())


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else one_line(_shown(str(value)))


def _shown(text: str) -> str:
    """Text from a file or a model must not move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
