"""Requests per minute and at once, for each key, counted in one replica.

Rates are limited by the generic cell rate algorithm (ITU-T I.371): of each key one time is kept, at which the next
request would be due at an even pace. What was not sent may be sent later at once, up to a minute's worth.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from evolving_ai._common.clock import Clock
from evolving_ai.security.api_keys import snapshot_limits
from evolving_ai.stores.ports.keys import NO_LIMITS, KeyLimits

__all__ = ["RateLimits"]

_MINUTE_S = 60.0
_BUSY_WAIT_S = 1.0
"""What a key at its limit of concurrent requests is told to wait; nobody knows when one of them ends."""


class _Share(NamedTuple):
    """What one replica admits. `interval_s` is the even pace, `ahead_s` how far before it a request may come."""

    interval_s: float | None
    ahead_s: float
    max_concurrent: int | None


class RateLimits:
    """A `router.ports.RateLimiter` for one event loop. A key without limits costs half a microsecond.

    A replica admits an equal share of each limit, because replicas ask nobody. So no key exceeds its limit by having
    many connections, but one whose connections all end at one of n replicas gets an n-th of it. A limit smaller than
    the number of replicas admits one request on each: the rate still holds in the long run; as many requests as there
    are replicas may be under way at once. Over t seconds at most limit * (1 + t / 60) requests are admitted.
    """

    def __init__(self, clock: Clock, default: KeyLimits = NO_LIMITS) -> None:
        """`default` holds for keys as far as they have no limits of their own."""
        self._clock = clock
        self._default = default
        self._limits: Mapping[str, KeyLimits] = {}
        self._replicas = 1
        self._shares: dict[str, _Share] = {}
        self._default_share: _Share | None = None
        self._due_s: dict[str, float] = {}
        self._in_flight: dict[str, int] = {}
        self._divide()

    def update(self, snapshot: Mapping[str, Any]) -> None:
        """Use the limits of a snapshot of `KeyService`; what was counted stays.

        CorruptionError when it is damaged.
        """
        self._limits = snapshot_limits(snapshot)
        self._divide()

    def share(self, replicas: int) -> None:
        """From now on limits are divided by so many replicas (1 or more)."""
        if replicas != self._replicas:
            self._replicas = replicas
            self._divide()

    def admit(self, key_id: str) -> float | None:
        in_flight = self._in_flight.get(key_id, 0)
        share = self._shares.get(key_id, self._default_share)
        if share is not None:
            if share.max_concurrent is not None and in_flight >= share.max_concurrent:
                return _BUSY_WAIT_S
            wait_s = self._wait_s(key_id, share)
            if wait_s is not None:
                return wait_s
        self._in_flight[key_id] = in_flight + 1
        return None

    def leave(self, key_id: str) -> None:
        in_flight = self._in_flight.get(key_id, 0)
        if in_flight > 1:
            self._in_flight[key_id] = in_flight - 1
        else:
            self._in_flight.pop(key_id, None)

    def _wait_s(self, key_id: str, share: _Share) -> float | None:
        """None, and the request is counted; otherwise the time until one would be admitted."""
        if share.interval_s is None:
            return None
        now_s = self._clock.monotonic_s()
        due_s = max(self._due_s.get(key_id, now_s), now_s)
        early_s = due_s - now_s - share.ahead_s
        if early_s > 0:
            return early_s
        self._due_s[key_id] = due_s + share.interval_s
        return None

    def _divide(self) -> None:
        """A due time says which part of a minute is used up: it stays true when the limit changes."""
        now_s = self._clock.monotonic_s()
        self._shares = {key_id: self._share_of(limits) for key_id, limits in self._limits.items()}
        self._default_share = None if self._default == NO_LIMITS else self._share_of(self._default)
        counted = {key_id: self._shares.get(key_id, self._default_share) for key_id in self._due_s}
        self._due_s = {
            key_id: min(self._due_s[key_id], now_s + max(_MINUTE_S, share.interval_s or 0.0))
            for key_id, share in counted.items()
            if share is not None and self._due_s[key_id] > now_s
        }

    def _share_of(self, limits: KeyLimits) -> _Share:
        at_once = limits.max_concurrent or self._default.max_concurrent
        per_minute = limits.requests_per_minute or self._default.requests_per_minute
        max_concurrent = None if at_once is None else max(1, at_once // self._replicas)
        if per_minute is None:
            return _Share(None, 0.0, max_concurrent)
        interval_s = _MINUTE_S * self._replicas / per_minute
        return _Share(interval_s, max(0.0, _MINUTE_S - interval_s), max_concurrent)
