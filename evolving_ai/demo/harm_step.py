"""Step 5: a DNA that does harm, which no recorded outcome could tell.

By everything that was recorded it is a fair trade: cheaper, and nearly as good, because it leans on one cheap model.
Since those outcomes were recorded, the provider of that model has silently exchanged it for a worse one: it answers as
always, as fast and at the same price, but wrongly. Only the visitors can tell.
"""

from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.demo.harm_search import FoundHarm, harm_search
from evolving_ai.demo.rollout_step import follow_rollout, why_ended
from evolving_ai.domain.rollout import RolloutState
from evolving_ai.errors import PlatformError
from evolving_ai.rollout.evidence import RailName
from evolving_ai.serving.replay_provider.faults import FaultKind
from evolving_ai.wiring.stores import open_history

__all__ = ["roll_out_harm"]

_BRANCH = "harmful"
_SEARCHED_WITHIN_S = 120.0


def roll_out_harm(demo: Demonstration, live: str) -> None:
    """Fill `record.bad`; `live` is the ref of the DNA that is live. PlatformError when the harm is not caught."""
    demo.traffic.set_rate(demo.settings.campaign_rate)
    found = _found(demo, live)
    with open_history(demo.platform.home) as history:
        history.create_branch(_BRANCH, live)
        message = f"Save costs: lean on {found.model}"
        commit = history.change(_BRANCH, found.changes, author="demo", message=message).hash
    demo.teller.tell(
        f"a thriftier DNA: {found.share_after:.0%} of the requests to {found.model} (now {found.share_before:.0%}), "
        f"{found.quality_change:+.1f} points at {found.cost_ratio:.0%} of the cost, by what was recorded"
    )
    demo.record.bad_model = found.model
    demo.record.expected_harm = found.expected_harm
    demo.teller.tell(
        f"since then its provider has silently exchanged {found.model} for a worse one, which answers wrongly: that "
        f"makes this DNA {found.expected_harm:.0f} points worse than the live one, and only visitors can tell"
    )
    demo.traffic.set_rate(demo.settings.rollout_rate)
    with demo.faulty(found.model, FaultKind.WRONG):
        demo.mark(f"{found.model} gets worse")
        figures = demo.record.bad = follow_rollout(demo, commit, "it saves costs")
    view = figures.view
    if view["state"] != RolloutState.ROLLED_BACK or not any(rail["is_breached"] for rail in view["rails"]):
        raise PlatformError(f"the harmful DNA was not caught: {view['state']} ({why_ended(view)})")
    told = "" if figures.exchange_s is None else f"; every replica knew {figures.exchange_s:.2f} s after the verdict"
    demo.teller.tell(
        f"caught by the evidence of {view['requests']['canary']:,} canary requests{_worse(view['rails'])}{told}; "
        f"{figures.failed} of {figures.requests:,} requests failed"
    )


def _found(demo: Demonstration, live: str) -> FoundHarm:
    demo.teller.show("looking for a DNA that passes every gate, and does harm")
    results: list[FoundHarm] = []
    with harm_search(demo.platform.home, live) as result:

        def is_found() -> bool:
            found = result()
            if found is not None:
                results.append(found)
            return bool(results)

        demo.wait_until(is_found, _SEARCHED_WITHIN_S, "no harmful DNA was found")
    return results[0]


def _worse(rails: list[dict[str, float | str | None]]) -> str:
    difference = next((rail["difference"] for rail in rails if rail["rail"] == RailName.QUALITY), None)
    return f", {difference:.0f} points worse" if isinstance(difference, float) else ""
