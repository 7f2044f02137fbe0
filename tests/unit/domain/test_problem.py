"""The one table of what can go wrong with a request, and that nobody uses a code that is not in it."""

import ast
from pathlib import Path

import pytest

from evolving_ai.domain.problem import PROBLEMS

PROGRAM = Path(__file__).parents[3] / "evolving_ai"


def codes_used() -> dict[str, set[str]]:
    """Codes that stand as text in `RequestError(...)`, by file."""
    found: dict[str, set[str]] = {}
    for path in PROGRAM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RequestError":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    found.setdefault(path.relative_to(PROGRAM).as_posix(), set()).add(first.value)
    return found


def test_every_code_that_is_raised_is_in_the_table() -> None:
    used = codes_used()

    assert "router/request_path.py" in used
    unknown = {path: codes - PROBLEMS.keys() for path, codes in used.items() if codes - PROBLEMS.keys()}
    assert not unknown


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_is_said_as_openai_says_such(code: str) -> None:
    problem = PROBLEMS[code]

    assert 400 <= problem.status < 600
    kinds = {401: "authentication_error", 403: "permission_error"}
    if problem.status in kinds:
        assert problem.openai_type == kinds[problem.status]
    elif problem.status >= 499:
        assert problem.openai_type == "api_error"
    elif problem.status == 429:
        assert problem.openai_type in ("rate_limit_error", "insufficient_quota")
    else:
        assert problem.openai_type == "invalid_request_error"


def test_asking_again_is_advised_only_where_it_can_help() -> None:
    retryable = {code for code, problem in PROBLEMS.items() if problem.is_retryable}

    assert retryable == {
        "rate_limit_exceeded",
        "internal_error",
        "budget_unavailable",
        "control_unavailable",
        "not_ready",
    }


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PROBLEMS["new"] = PROBLEMS["not_found"]  # type: ignore[index]
