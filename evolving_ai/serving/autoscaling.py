"""How many gateway replicas there should be, out of what the replicas measure themselves.

A pure rule over sums: enough replicas that neither the requests in flight nor the processor time of the busiest loops
exceed their targets. Ray Serve applies bounds and delays around it, and runs it in its controller, so it is quick.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["BUSY", "IN_FLIGHT", "LoadPolicy", "replicas_for"]

IN_FLIGHT = "in_flight"
"""Requests that a replica is answering."""
BUSY = "busy"
"""Share of the time, 0 to 1, that the event loop of a replica computed."""


class _Context(Protocol):
    """What of Serve's AutoscalingContext is read."""

    current_num_replicas: int
    aggregated_metrics: Mapping[str, Mapping[Any, float]]


def replicas_for(in_flight: float, busy: float, *, target_in_flight: float, target_busy: float) -> int:
    """The number of replicas, at least 1, for sums over all replicas and targets for each.

    ValueError for a target that is not above 0.
    """
    if not (target_in_flight > 0 and target_busy > 0):
        raise ValueError(f"targets must be above 0, found in_flight {target_in_flight} and busy {target_busy}")
    return max(1, math.ceil(in_flight / target_in_flight), math.ceil(busy / target_busy))


class LoadPolicy:
    """`replicas_for` as Serve calls a policy. Without measurements it changes nothing."""

    def __init__(self, target_in_flight: float = 64.0, target_busy: float = 0.7) -> None:
        self._target_in_flight = target_in_flight
        self._target_busy = target_busy

    def __call__(self, context: _Context) -> tuple[int, dict[str, Any]]:
        """The number of replicas, and no state."""
        metrics = context.aggregated_metrics or {}
        in_flight, busy = metrics.get(IN_FLIGHT) or {}, metrics.get(BUSY) or {}
        if not in_flight and not busy:
            return context.current_num_replicas, {}
        desired = replicas_for(
            sum(in_flight.values()),
            sum(busy.values()),
            target_in_flight=self._target_in_flight,
            target_busy=self._target_busy,
        )
        return desired, {}
