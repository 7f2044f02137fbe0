"""What goes between deployments by handle: a JSON head and a body of bytes, in one piece of bytes."""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from evolving_ai.errors import CorruptionError

__all__ = ["Caller", "Envelope", "pack", "unpack"]

_LENGTH = struct.Struct("<I")
_DAMAGED = "a message between deployments is damaged: are all of one release?"


class Envelope(NamedTuple):
    """A head and a body."""

    head: dict[str, Any]
    body: bytes


class Caller(Protocol):
    """Another deployment, by handle."""

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        """What it answers. PlatformError when it is not there or does not answer in time."""
        ...


def pack(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One piece of bytes."""
    encoded = orjson.dumps(head)
    return _LENGTH.pack(len(encoded)) + encoded + body


def unpack(payload: bytes) -> Envelope:
    """The two parts; CorruptionError when these are no such bytes."""
    try:
        (length,) = _LENGTH.unpack_from(payload)
        head = orjson.loads(payload[_LENGTH.size : _LENGTH.size + length])
    except (struct.error, orjson.JSONDecodeError) as exc:
        raise CorruptionError(_DAMAGED) from exc
    if not isinstance(head, dict):
        raise CorruptionError(_DAMAGED)
    return Envelope(head, payload[_LENGTH.size + length :])
