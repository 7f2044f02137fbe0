"""The `x-evolving-` request headers: what a caller demands beside the body."""

import math
from collections.abc import Mapping

from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import RequestError
from evolving_ai.router.chat_request import Demands

__all__ = ["NO_DEMANDS", "read_demands"]

NO_DEMANDS = Demands()
_MAX_TAGS = 16
_MAX_TAG_CHARS = 64
_HEX = frozenset("0123456789abcdef")


def read_demands(extras: Mapping[str, str], principal: Principal) -> Demands:
    """The demands; RequestError `invalid_request` for a value that is none, `permission_denied` for a pinned DNA."""
    max_cost = _number(extras, "max-cost-usd", math.inf)
    min_quality = _number(extras, "min-quality", 1.0)
    deadline_ms = _number(extras, "deadline-ms", 3_600_000.0)
    dna = extras.get("dna")
    if dna is not None:
        _check_pin(dna, principal)
    is_constrained = max_cost is not None or min_quality is not None
    return Demands(
        constraints=Constraints(max_cost, min_quality) if is_constrained else None,
        deadline_s=None if deadline_ms is None else max(deadline_ms, 1.0) / 1000,
        region=extras.get("region"),
        dna=dna,
        tags=_tags(extras.get("tags")),
    )


def _number(extras: Mapping[str, str], name: str, highest: float) -> float | None:
    text = extras.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= highest) or value == math.inf:
        limit = "0 or more" if highest == math.inf else f"0 to {highest:g}"
        header = f"x-evolving-{name}"
        raise RequestError("invalid_request", f"{header} cannot be {text[:40]!r}: expected {limit}", param=header)
    return value


def _check_pin(dna: str, principal: Principal) -> None:
    if principal.role < Role.OPERATOR:
        raise RequestError("permission_denied", "only operators may pin a DNA with x-evolving-dna")
    if len(dna) < 4 or not set(dna) <= _HEX:
        raise RequestError("invalid_request", "x-evolving-dna is no hash: expected four hexadecimal digits or more")


def _tags(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    tags = tuple(dict.fromkeys(tag.strip() for tag in text.split(",") if tag.strip()))
    if len(tags) > _MAX_TAGS or any(len(tag) > _MAX_TAG_CHARS for tag in tags):
        raise RequestError(
            "invalid_request",
            f"x-evolving-tags has more than {_MAX_TAGS} tags, or one of more than {_MAX_TAG_CHARS} characters",
        )
    return tags
