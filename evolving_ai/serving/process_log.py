"""The log of the platform's own processes: one file in the home, to which all of them append whole lines."""

import logging
import logging.handlers
import shutil
from pathlib import Path

__all__ = ["log_folder", "log_to_home", "rotate_logs", "serve_log_folder"]

_ROOT = "evolving_ai"
_FILE = "platform.log"
_KEPT = 5
_FORMAT = "%(asctime)s %(levelname)s {name}[%(process)d] %(name)s: %(message)s"


def log_folder(home: Path) -> Path:
    """Where the logs of an installation lie; made when absent."""
    folder = home / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def serve_log_folder(home: Path) -> Path:
    """Where Ray Serve writes: what a controller or a replica says before and beside our code. Emptied at each start."""
    return log_folder(home) / "serve"


def log_to_home(home: Path, name: str) -> None:
    """Send the program's log of this process to the home's file; `name` says which process it is."""
    logger = logging.getLogger(_ROOT)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handler = logging.handlers.WatchedFileHandler(log_folder(home) / _FILE, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT.format(name=name)))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("uvicorn").addHandler(handler)


def rotate_logs(home: Path) -> None:
    """Begin a new file; the last few are kept. For the one process that starts the others."""
    folder = log_folder(home)
    names = [_FILE, *(f"{_FILE}.{number}" for number in range(1, _KEPT))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if (folder / newer).exists():
            (folder / newer).replace(folder / older)
    shutil.rmtree(serve_log_folder(home), ignore_errors=True)
