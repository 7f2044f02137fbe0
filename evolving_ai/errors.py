"""Every exception that the program raises on purpose.

The text of an error is one line for a person: what was found, what was expected, what to do. Facts that code may
need are attributes. The command line prints the text and exits with `exit_code`; it prints no traceback.

    EvolvingAIError
    ├── UsageError                 the caller asked for something that cannot be (exit code 2)
    │   ├── SettingsError          a settings or campaign file with an unknown key or a wrong type
    │   ├── GeneError              an unknown gene, or a value outside its legal range
    │   └── RefNotFoundError       no branch, commit or campaign of that name
    ├── DataError                  a file is missing, or its content is not what was expected
    ├── StorageError               the disk or a database refused: full, read-only, damaged
    │   ├── RefConflictError       a branch moved between read and write
    │   ├── CorruptionError        stored bytes do not match their hash
    │   └── LockedError            another process is the writer
    ├── EvaluationError            an evaluator could not score a candidate
    └── CampaignError              a campaign cannot go on
"""

__all__ = [
    "CampaignError",
    "CorruptionError",
    "DataError",
    "EvaluationError",
    "EvolvingAIError",
    "GeneError",
    "LockedError",
    "RefConflictError",
    "RefNotFoundError",
    "SettingsError",
    "StorageError",
    "UsageError",
]


class EvolvingAIError(Exception):
    """Root of the tree: catch this to catch everything that is raised on purpose."""

    exit_code = 1


class UsageError(EvolvingAIError):
    """The caller asked for something that cannot be; asking again in the same way will not help."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings or campaign file has an unknown key, or a value of the wrong type."""


class GeneError(UsageError):
    """A gene is unknown, inactive, or has a value outside its legal range; `gene` names it."""

    def __init__(self, gene: str, message: str) -> None:
        super().__init__(message)
        self.gene = gene

    def __reduce__(self) -> tuple[type["GeneError"], tuple[str, str]]:
        return type(self), (self.gene, str(self))


class RefNotFoundError(UsageError):
    """No branch, commit or campaign has that name."""


class DataError(EvolvingAIError):
    """A file is missing, unreadable, or does not hold what was expected."""


class StorageError(EvolvingAIError):
    """The disk or a database refused an operation; nothing of it was written."""


class RefConflictError(StorageError):
    """A branch did not point where the writer thought; read it again and retry."""


class CorruptionError(StorageError):
    """Stored bytes do not match their hash."""


class LockedError(StorageError):
    """Another process is the writer of this state."""


class EvaluationError(EvolvingAIError):
    """An evaluator could not score a candidate."""


class CampaignError(EvolvingAIError):
    """A campaign cannot start or go on."""
