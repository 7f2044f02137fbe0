"""Identifiers of requests: in order of time, so that what is stored by them is stored in order, and unguessable."""

import os
from typing import NamedTuple

from evolving_ai._common.clock import Clock

__all__ = ["RequestId", "RequestIds", "request_time_s"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PREFIX = "req-"
_TIME_DIGITS = 9
_CHANCE_DIGITS = 13
_SEED_MASK = 2**63 - 1
_CHANCE_BYTES = 9
_STOCK_BYTES = 400 * _CHANCE_BYTES


class RequestId(NamedTuple):
    """`text` is `req-`, nine digits of milliseconds since the epoch, thirteen of chance; `seed` is made of these."""

    text: str
    seed: int


class RequestIds:
    """Makes identifiers; a microsecond each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pairs = [first + second for first in _ALPHABET for second in _ALPHABET]
        self._millisecond = -1
        self._time = ""
        self._chance = b""
        self._used = 0

    def next(self) -> RequestId:
        """Another one."""
        millisecond = int(self._clock.now().timestamp() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._time = _PREFIX + _digits(millisecond, _TIME_DIGITS)
        chance = int.from_bytes(self._draw(), "little")
        pairs = self._pairs
        text = (
            f"{self._time}{pairs[chance & 1023]}{pairs[chance >> 10 & 1023]}{pairs[chance >> 20 & 1023]}"
            f"{pairs[chance >> 30 & 1023]}{pairs[chance >> 40 & 1023]}{pairs[chance >> 50 & 1023]}"
            f"{_ALPHABET[chance >> 60 & 31]}"
        )
        return RequestId(text, chance & _SEED_MASK)

    def _draw(self) -> bytes:
        """Bytes of chance, from a stock: asking the system each time would let other threads in, and wait for them."""
        start = self._used
        if start + _CHANCE_BYTES > len(self._chance):
            self._chance = os.urandom(_STOCK_BYTES)
            start = 0
        self._used = start + _CHANCE_BYTES
        return self._chance[start : self._used]


def request_time_s(request_id: str) -> float | None:
    """Seconds since the epoch at which an identifier was made; None when it is none of ours."""
    digits = request_id[len(_PREFIX) :]
    if not request_id.startswith(_PREFIX) or len(digits) != _TIME_DIGITS + _CHANCE_DIGITS:
        return None
    if any(digit not in _ALPHABET for digit in digits):
        return None
    value = 0
    for digit in digits[:_TIME_DIGITS]:
        value = value * 32 + _ALPHABET.index(digit)
    return value / 1000


def _digits(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(count)))
