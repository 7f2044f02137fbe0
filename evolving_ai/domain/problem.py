"""The one table of what can go wrong with a request, and how each dialect says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of refusal: HTTP status, OpenAI's `type`, and whether asking again in the same way can help."""

    status: int
    openai_type: str
    is_retryable: bool


PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        "invalid_json": Problem(400, "invalid_request_error", False),
        "invalid_request": Problem(400, "invalid_request_error", False),
        "missing_api_key": Problem(401, "authentication_error", False),
        "invalid_api_key": Problem(401, "authentication_error", False),
        "permission_denied": Problem(403, "permission_error", False),
        "model_not_found": Problem(404, "invalid_request_error", False),
        "decision_not_found": Problem(404, "invalid_request_error", False),
        "not_found": Problem(404, "invalid_request_error", False),
        "method_not_allowed": Problem(405, "invalid_request_error", False),
        "conflict": Problem(409, "invalid_request_error", False),
        "body_too_large": Problem(413, "invalid_request_error", False),
        "unsupported_encoding": Problem(415, "invalid_request_error", False),
        "budget_exceeded": Problem(429, "insufficient_quota", False),
        "rate_limit_exceeded": Problem(429, "rate_limit_error", True),
        "client_closed": Problem(499, "api_error", False),
        "internal_error": Problem(500, "api_error", True),
        "not_implemented": Problem(501, "api_error", False),
        "all_targets_failed": Problem(502, "api_error", False),
        "provider_refused": Problem(502, "api_error", False),
        "budget_unavailable": Problem(503, "api_error", True),
        "control_unavailable": Problem(503, "api_error", True),
        "not_ready": Problem(503, "api_error", True),
        "upstream_timeout": Problem(504, "api_error", False),
    }
)
"""By code. An upstream's own refusal of the request (400, 404, 422, ...) is passed on as it came."""
