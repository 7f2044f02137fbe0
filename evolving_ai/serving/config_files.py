"""Where the Serve configurations lie that come with the program: in the package, or beside it in a checkout."""

from pathlib import Path

import evolving_ai
from evolving_ai.errors import DataError

__all__ = ["find_serve_config"]

_FOLDER = "serve_configs"


def find_serve_config(name: str) -> Path:
    """The file `name` of the package, or of the checkout around it. DataError when there is none."""
    package = Path(evolving_ai.__file__).resolve().parent
    for folder in (package / _FOLDER, package.parent / _FOLDER):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{name} is not part of this installation: expected it in {package / _FOLDER}")
