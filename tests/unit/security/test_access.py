"""The table of access: deny by default, each role what the lower ones may and more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.identity import Principal, Role
from evolving_ai.security.access import ACCESS_RULES, access_rule, allowed

PRINCIPALS = {role: Principal("key-1", "acme", role) for role in Role}
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "TRACE"]


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/api/v1/system/metrics", Role.VIEWER),
        ("GET", "/api/v1/system/config", Role.VIEWER),
        ("POST", "/api/v1/system/config", Role.ADMIN),
        ("POST", "/api/v1/ai/chat", Role.VIEWER),
        ("POST", "/api/v1/ai/feedback", Role.VIEWER),
        ("GET", "/api/v1/ai/decisions/req-1", Role.VIEWER),
        ("POST", "/api/v1/evolution/start", Role.OPERATOR),
        ("GET", "/api/v1/evolution/status/campaign-1", Role.VIEWER),
        ("POST", "/api/v1/evolution/rollback/campaign-1", Role.OPERATOR),
        ("GET", "/api/v1/dna/live", Role.VIEWER),
        ("POST", "/api/v1/dna/promote", Role.OPERATOR),
        ("POST", "/api/v1/dna/rollback", Role.OPERATOR),
        ("GET", "/api/v1/rollouts", Role.OPERATOR),
        ("POST", "/api/v1/rollouts/r-1/stop", Role.OPERATOR),
        ("GET", "/api/v1/keys", Role.ADMIN),
        ("POST", "/api/v1/keys", Role.ADMIN),
        ("POST", "/api/v1/keys/key-1/rotate", Role.ADMIN),
        ("DELETE", "/api/v1/keys/key-1", Role.ADMIN),
        ("GET", "/api/v1/budgets", Role.ADMIN),
        ("PUT", "/api/v1/budgets/tenant/acme", Role.ADMIN),
        ("GET", "/api/v1/audit/entries", Role.ADMIN),
        ("GET", "/api/v1/audit/verify", Role.ADMIN),
    ],
)
def test_a_route_is_for_its_role_and_higher_ones(method: str, path: str, least: Role) -> None:
    permitted = {role for role, principal in PRINCIPALS.items() if allowed(principal, method, path)}

    assert permitted == {role for role in Role if role >= least}
    assert not allowed(None, method, path)


@pytest.mark.parametrize("path", ["/api/v1/system/health", "/api/v1/openapi.json"])
def test_health_and_the_description_of_the_api_need_no_key(path: str) -> None:
    assert allowed(None, "GET", path)
    assert all(allowed(principal, "GET", path) for principal in PRINCIPALS.values())
    assert not allowed(PRINCIPALS[Role.ADMIN], "POST", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/audit/entries"),
        ("DELETE", "/api/v1/audit/entries"),
        ("GET", "/api/v1/keys/"),
        ("GET", "/api/v1/keys/key-1"),
        ("DELETE", "/api/v1/keys/"),
        ("DELETE", "/api/v1/keys/key-1/"),
        ("DELETE", "/api/v1/keys/key-1/rotate"),
        ("POST", "/api/v1/keys/a/b/rotate"),
        ("GET", "/api/v1/ai"),
        ("GET", "/api/v1/ai/"),
        ("POST", "/api/v1/dna"),
        ("GET", "api/v1/keys"),
        ("GET", "//api/v1/keys"),
        ("GET", "/API/v1/keys"),
        ("GET", "/api/v2/keys"),
        ("GET", "/api/v1/audit/../keys"),
        ("GET", ""),
        ("GET", "/"),
    ],
)
def test_what_the_table_does_not_name_is_for_nobody(method: str, path: str) -> None:
    assert access_rule(method, path) is None
    assert not allowed(PRINCIPALS[Role.ADMIN], method, path)


@given(st.sampled_from(METHODS), st.lists(st.text("abckeys{}*./", max_size=5), max_size=5))
def test_more_role_never_means_less_and_nobody_gets_what_a_viewer_does_not(method: str, parts: list[str]) -> None:
    path = "/api/v1/" + "/".join(parts)

    answers = [allowed(None, method, path), *(allowed(PRINCIPALS[role], method, path) for role in sorted(Role))]

    assert answers == sorted(answers)


def test_the_table_has_no_rule_that_another_one_hides() -> None:
    for rule in ACCESS_RULES:
        sample = rule.template.replace("{key_id}", "key-1").replace("**", "x/y")
        assert access_rule(rule.method, sample) == rule
