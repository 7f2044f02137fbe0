"""Why the controller ruled as it did: one line for people, with the numbers that decided."""

from collections.abc import Iterable

from evolving_ai.rollout.evidence import RailEvidence, RailName

__all__ = [
    "breach_reason",
    "growth_reason",
    "promotion_reason",
    "unproven_reason",
]


def breach_reason(evidence: Iterable[RailEvidence], canary_requests: int) -> str:
    """The first rail that was breached."""
    rail = next(rail for rail in evidence if rail.is_breached)
    return (
        f"{rail.rail.value}: {_difference(rail)} than the live DNA"
        f" (e-value {rail.harm:.0f} of {rail.harm_threshold:.0f} needed, {canary_requests:,} canary requests)"
    )


def growth_reason(before: float, after: float, requests: int) -> str:
    """From one share to the next."""
    return f"no harm found in {requests:,} requests: from {before:.0%} to {after:.0%} of the requests"


def promotion_reason(evidence: Iterable[RailEvidence], requests: int) -> str:
    """What was proven."""
    rails = {rail.rail: rail for rail in evidence}
    quality, cost = rails[RailName.QUALITY], rails[RailName.COST]
    return (
        f"non-inferior in quality ({_difference(quality)}, up to {quality.proof_margin or 0.0:g} worse allowed), errors"
        f" and latency, at {_cost_share(cost)} of the live DNA's cost, shown in {requests:,} requests"
    )


def unproven_reason(evidence: Iterable[RailEvidence], requests: int) -> str:
    """Which rails have no proof, and how far they are."""
    missing = ", ".join(_missing(rail) for rail in evidence if not rail.is_proven)
    other = "the last stage was not reached, or the arms were not rated as often"
    return f"not shown to be safe in {requests:,} requests: {missing or other}"


def _missing(rail: RailEvidence) -> str:
    if rail.canary.mean is None or rail.control.mean is None:
        return f"{rail.rail.value} (not observed in both arms)"
    if rail.proof >= rail.proof_threshold:
        arms = f"{rail.canary.count:,} observations of the canary, {rail.control.count:,} of the control"
        return f"{rail.rail.value} (e-value {rail.proof:.2g}, but {_difference(rail)} in {arms})"
    return f"{rail.rail.value} (e-value {rail.proof:.2g} of {rail.proof_threshold:.0f} needed)"


def _difference(rail: RailEvidence) -> str:
    """Such as "3.1 points worse"."""
    difference = rail.difference or 0.0
    size, is_worse = abs(difference), difference > 0
    match rail.rail:
        case RailName.QUALITY:
            return f"{size:.1f} points {'worse' if is_worse else 'better'}"
        case RailName.COST:
            return f"{size:.4g} USD per 1,000 requests {'more' if is_worse else 'less'}"
        case RailName.LATENCY:
            return f"{size:.1f} points {'more' if is_worse else 'fewer'} slow requests"
        case RailName.ERRORS:
            return f"{size:.1f} points {'more' if is_worse else 'fewer'} failed requests"


def _cost_share(cost: RailEvidence) -> str:
    if not cost.control.mean or cost.canary.mean is None:
        return "none"
    return f"{cost.canary.mean / cost.control.mean:.0%}"
