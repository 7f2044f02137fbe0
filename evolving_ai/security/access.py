"""Who may ask for what: one table from method and route to the least role, for all of `/api/v1`.

The rule kept here: what the table does not name is allowed to nobody. Roles say what a principal may do; whose data it
sees is said by its tenant: a principal sees the decisions, keys and entries of its own tenant alone, and one of the
installation's own tenant, `local`, those of all tenants. Routes look after that themselves.
"""

from typing import NamedTuple

from evolving_ai.domain.identity import Principal, Role

__all__ = ["ACCESS_RULES", "AccessRule", "access_rule", "allowed"]


class AccessRule(NamedTuple):
    """The least role for a route; None: anybody, without a key.

    In a template, `{name}` stands for one segment of a path, and `**` at its end for one segment or more.
    """

    method: str
    template: str
    least: Role | None


ACCESS_RULES = (
    AccessRule("GET", "/api/v1/openapi.json", None),
    AccessRule("GET", "/api/v1/system/health", None),
    AccessRule("GET", "/api/v1/system/metrics", Role.VIEWER),
    AccessRule("GET", "/api/v1/system/config", Role.VIEWER),
    AccessRule("POST", "/api/v1/system/config", Role.ADMIN),
    AccessRule("GET", "/api/v1/ai/**", Role.VIEWER),
    AccessRule("POST", "/api/v1/ai/**", Role.VIEWER),
    AccessRule("GET", "/api/v1/evolution/**", Role.VIEWER),
    AccessRule("POST", "/api/v1/evolution/**", Role.OPERATOR),
    AccessRule("GET", "/api/v1/dna", Role.VIEWER),
    AccessRule("GET", "/api/v1/dna/**", Role.VIEWER),
    AccessRule("POST", "/api/v1/dna/**", Role.OPERATOR),
    AccessRule("GET", "/api/v1/rollouts", Role.OPERATOR),
    AccessRule("POST", "/api/v1/rollouts", Role.OPERATOR),
    AccessRule("GET", "/api/v1/rollouts/**", Role.OPERATOR),
    AccessRule("POST", "/api/v1/rollouts/**", Role.OPERATOR),
    AccessRule("GET", "/api/v1/keys", Role.ADMIN),
    AccessRule("POST", "/api/v1/keys", Role.ADMIN),
    AccessRule("POST", "/api/v1/keys/{key_id}/rotate", Role.ADMIN),
    AccessRule("DELETE", "/api/v1/keys/{key_id}", Role.ADMIN),
    AccessRule("GET", "/api/v1/budgets", Role.ADMIN),
    AccessRule("POST", "/api/v1/budgets", Role.ADMIN),
    AccessRule("GET", "/api/v1/budgets/**", Role.ADMIN),
    AccessRule("POST", "/api/v1/budgets/**", Role.ADMIN),
    AccessRule("PUT", "/api/v1/budgets/**", Role.ADMIN),
    AccessRule("DELETE", "/api/v1/budgets/**", Role.ADMIN),
    AccessRule("GET", "/api/v1/audit/entries", Role.ADMIN),
    AccessRule("GET", "/api/v1/audit/verify", Role.ADMIN),
)


def access_rule(method: str, path: str) -> AccessRule | None:
    """The rule for a request's method and path; None when nothing of that name is known."""
    segments = path.split("/")
    for rule in ACCESS_RULES:
        if rule.method == method and _matches(rule.template.split("/"), segments):
            return rule
    return None


def allowed(principal: Principal | None, method: str, path: str) -> bool:
    """Whether `principal` (None: somebody without a key) may send this request. `path` may be a template, too."""
    rule = access_rule(method, path)
    if rule is None:
        return False
    return rule.least is None or (principal is not None and principal.role >= rule.least)


def _matches(template: list[str], segments: list[str]) -> bool:
    if template[-1] == "**":
        if len(segments) < len(template):
            return False
        segments = [*segments[: len(template) - 1], "/".join(segments[len(template) - 1 :])]
    if len(segments) != len(template):
        return False
    return all(
        segment != "" if part == "**" or part.startswith("{") else segment == part
        for part, segment in zip(template, segments, strict=True)
    )
