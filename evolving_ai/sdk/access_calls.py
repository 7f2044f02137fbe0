"""The calls below `/api/v1/keys` and `/api/v1/budgets`, as values."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode

from evolving_ai.sdk.ai_calls import Amount
from evolving_ai.sdk.call import ApiCall, encode_body, path_of
from evolving_ai.sdk.results import Budget, Cost, Key, NewKey
from evolving_ai.sdk.retries import Effect

__all__ = [
    "budgets_call",
    "cost_call",
    "create_key_call",
    "keys_call",
    "remove_budget_call",
    "revoke_key_call",
    "rotate_key_call",
    "set_budget_call",
]


def create_key_call(
    tenant: str,
    *,
    role: str,
    name: str,
    expires_in_days: float | None,
    requests_per_minute: int | None,
    max_concurrent: int | None,
) -> ApiCall[NewKey]:
    """Make a key."""
    wishes = {
        "tenant": tenant,
        "role": role,
        "name": name,
        "expires_in_days": expires_in_days,
        "requests_per_minute": requests_per_minute,
        "max_concurrent": max_concurrent,
    }
    content = encode_body({key: value for key, value in wishes.items() if value is not None})
    return ApiCall("POST", path_of("keys"), NewKey.model_validate, Effect.CHANGES, content)


def keys_call(tenant: str | None) -> ApiCall[tuple[Key, ...]]:
    """Every key, or those of a tenant."""
    query = "" if tenant is None else "?" + urlencode({"tenant": tenant})
    return ApiCall("GET", path_of("keys") + query, _read_keys, Effect.READS)


def rotate_key_call(key_id: str, grace_s: float) -> ApiCall[NewKey]:
    """Another secret for a key."""
    content = encode_body({"grace_s": grace_s})
    return ApiCall("POST", path_of("keys", key_id, "rotate"), NewKey.model_validate, Effect.CHANGES, content)


def revoke_key_call(key_id: str) -> ApiCall[Key]:
    """End a key."""
    return ApiCall("DELETE", path_of("keys", key_id), Key.model_validate, Effect.COSTS)


def set_budget_call(scope: str, cap_usd: Amount, window: str) -> ApiCall[Budget]:
    """Limit a scope; the same once more is no change."""
    content = encode_body({"scope": scope, "cap_usd": str(cap_usd), "window": window})
    return ApiCall("POST", path_of("budgets"), Budget.model_validate, Effect.COSTS, content)


def budgets_call() -> ApiCall[tuple[Budget, ...]]:
    """Every budget."""
    return ApiCall("GET", path_of("budgets"), _read_budgets, Effect.READS)


def remove_budget_call(scope: str) -> ApiCall[bool]:
    """Stop limiting a scope; whether anything did. Tried again, it could say that nothing did."""
    return ApiCall("DELETE", path_of("budgets", scope), _read_removed, Effect.CHANGES)


def cost_call(
    since: date | None, until: date | None, *, tenant: str | None, key_id: str | None, by: Sequence[str]
) -> ApiCall[Cost]:
    """What was spent."""
    wishes = {"since": since, "until": until, "tenant": tenant, "key_id": key_id, "by": ",".join(by)}
    query = urlencode({name: str(value) for name, value in wishes.items() if value is not None})
    return ApiCall("GET", f"{path_of('budgets', 'cost')}?{query}", Cost.model_validate, Effect.READS)


def _read_keys(document: Any) -> tuple[Key, ...]:
    return tuple(Key.model_validate(key) for key in document["keys"])


def _read_budgets(document: Any) -> tuple[Budget, ...]:
    return tuple(Budget.model_validate(budget) for budget in document["budgets"])


def _read_removed(document: Any) -> bool:
    return bool(document["was_there"])
