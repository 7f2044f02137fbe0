"""Which arm of a rollout a request belongs to: by a hash, so that a visitor and a conversation stay where they are.

The unit is the caller's own name for its user (`user`, `safety_identifier`), within the tenant; where it gives none,
the conversation: the key and the first message of the user. As the share grows, whoever is in the canary stays in it.
The hash depends on the rollout: whoever was in one canary is not therefore in the next.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from evolving_ai.domain.rollout import Assignment
from evolving_ai.router.chat_request import ChatRequest
from evolving_ai.router.ports import Experiment

__all__ = ["assigned", "position", "unit_number"]

_USER_FIELDS = ("user", "safety_identifier")
_STEP = 2.0**-53


def assigned(request: ChatRequest, experiment: Experiment) -> Assignment:
    """The arm of a request."""
    number = unit_number(experiment.rollout, _unit(request))
    return Assignment(experiment.rollout, position(number) < experiment.share, experiment.share, number)


def unit_number(rollout: str, unit: bytes) -> int:
    """64 bits that stand for a unit in one rollout: evenly spread, the same on every replica."""
    return int.from_bytes(hashlib.blake2b(unit, digest_size=8, key=rollout.encode()[:64]).digest())


def position(number: int) -> float:
    """Where a unit lies in [0, 1)."""
    return (number >> 11) * _STEP


def _unit(request: ChatRequest) -> bytes:
    principal, body = request.principal, request.body
    for field in _USER_FIELDS:
        user = body.get(field)
        if isinstance(user, str) and user:
            return f"{principal.tenant}\0user\0{user}".encode("utf-8", "surrogatepass")
    return f"{principal.tenant}\0key\0{principal.key_id}\0".encode() + _beginning(body["messages"])


def _beginning(messages: list[Mapping[str, Any]]) -> bytes:
    """What a conversation began with, which every later turn sends again."""
    first = next((message for message in messages if message["role"] == "user"), messages[0])
    content = first.get("content")
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else orjson.dumps(content)
