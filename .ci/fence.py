"""Print the N-th fenced block of a Markdown file: `fence.py FILE N`, counting from 1."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Fence", "fences"]

_FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


class Fence(NamedTuple):
    """A fenced block: what follows the opening backticks, and the lines between."""

    language: str
    text: str


def fences(markdown: str) -> list[Fence]:
    """Every block fenced by three backticks at the start of a line, in order."""
    return [Fence(found["language"].strip(), found["text"]) for found in _FENCE.finditer(markdown)]


def main(arguments: list[str]) -> int:
    """Write the block to stdout; 1 when there is none."""
    path, number = Path(arguments[0]), int(arguments[1])
    blocks = fences(path.read_text(encoding="utf-8"))
    if len(blocks) < number:
        sys.stderr.write(f"error: {path} has {len(blocks)} fenced blocks, number {number} was asked for\n")
        return 1
    sys.stdout.write(blocks[number - 1].text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
