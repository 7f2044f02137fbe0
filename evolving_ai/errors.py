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
    ├── RequestError               a request to the gateway is refused or failed; `code` names the kind
    ├── PlatformError              the platform cannot start, be reached or be stopped
    ├── UpstreamError              a provider did not answer as it should
    ├── EvaluationError            an evaluator could not score a candidate
    ├── CampaignError              a campaign cannot go on
    └── sdk.errors.ApiError        a call of the SDK failed; a tree of its own
"""

__all__ = [
    "CampaignError",
    "CorruptionError",
    "DataError",
    "EvaluationError",
    "EvolvingAIError",
    "GeneError",
    "LockedError",
    "PlatformError",
    "RefConflictError",
    "RefNotFoundError",
    "RequestError",
    "SettingsError",
    "StorageError",
    "UpstreamError",
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


class RequestError(EvolvingAIError):
    """A request to the gateway is refused or failed.

    `code` is a key of `domain.problem.PROBLEMS`, `hint` says what to do, `param` names the field at fault, and
    `retry_after_s` when asking again makes sense.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.param = param
        self.retry_after_s = retry_after_s


class PlatformError(EvolvingAIError):
    """The platform cannot start, be reached, or be stopped."""


class UpstreamError(EvolvingAIError):
    """A provider did not answer as it should; `result` is the value of a `domain.outcome.AttemptResult`.

    `status` is the HTTP status that it gave, if any; `retry_after_s` what it asked for; `body` its own error object,
    as bytes, where that may be shown to the caller.
    """

    def __init__(
        self,
        result: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.result = result
        self.status = status
        self.retry_after_s = retry_after_s
        self.body = body


class EvaluationError(EvolvingAIError):
    """An evaluator could not score a candidate."""


class CampaignError(EvolvingAIError):
    """A campaign cannot start or go on."""
