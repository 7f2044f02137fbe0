"""Step 3: a campaign evolves the routing genes on recorded outcomes of other questions, while visitors ask."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolving_ai._common.files import write_atomically
from evolving_ai.demo.demonstration import Demonstration
from evolving_ai.errors import PlatformError
from evolving_ai.evolution.folder import CampaignFolder
from evolving_ai.wiring.campaign_status import log_path
from evolving_ai.wiring.campaigns import INTERRUPTED, campaigns_path, open_ledger

__all__ = ["campaign_document", "evolve", "front_of"]

_ENDED = ("budget_exhausted", "target_reached")
_BEGINS = ("created", "running")
_QUALITY = "quality"
_COST = "cost_usd_per_1k"
_LOOK_EVERY_S = 1.0


def campaign_document(demo: Demonstration, table: Path) -> dict[str, Any]:
    """The campaign file, as JSON, which is YAML."""
    settings = demo.settings
    return {
        "kind": "routing",
        "name": "demo",
        "data": str(table),
        "start_from": "main",
        "seed": settings.seed,
        "evals": settings.evaluations,
        "folds": 3,
        "window": 8,
        "operating_point": {"max_cost_share": settings.max_cost_share},
        "executor": "process",
    }


def evolve(demo: Demonstration, table: Path) -> str:
    """The commit of the winner. PlatformError when the campaign finds nothing better, or does not end."""
    file = demo.platform.home / "campaign.yaml"
    write_atomically(file, json.dumps(campaign_document(demo, table), indent=1).encode())
    demo.traffic.set_rate(demo.settings.campaign_rate)
    demo.mark("campaign begins")
    campaign = demo.ask("POST", "/api/v1/evolution/start", {"campaign": str(file)})["id"]
    demo.wait_until(
        lambda: _has_ended(demo, campaign),
        demo.settings.campaign_within_s,
        f"campaign {campaign} did not end",
        every_s=_LOOK_EVERY_S,
    )
    demo.mark("campaign ends")
    status = demo.record.campaign
    if status["state"] not in _ENDED:
        demo.last_check_s = float("-inf")
        demo.check()  # which may know better why
        log = log_path(demo.platform.home, campaign)
        why = f"see {log}" if status["state"] == INTERRUPTED else status["reason"]
        raise PlatformError(f"campaign {campaign} ended as {status['state']}: {why}")
    demo.record.candidates, demo.record.front = front_of(demo.platform.home, campaign)
    demo.teller.tell(
        f"campaign {campaign}: {status['iterations']} candidates in {status['elapsed_s']:.0f} s, "
        f"winner {status['winner_dna_hash'][:12]}, while {demo.settings.campaign_rate:g} visitors/s were served"
    )
    return str(status["winner"])


def _has_ended(demo: Demonstration, campaign: str) -> bool:
    status = demo.ask("GET", f"/api/v1/evolution/status/{campaign}")
    demo.record.campaign = status
    demo.teller.show(_progress(status, demo.traffic.log.tally.requests))
    return status["state"] not in _BEGINS


def _progress(status: Mapping[str, Any], requests: int) -> str:
    best = status["best"].get(_QUALITY)
    found = "" if best is None else f", best quality so far {best:.1f} of 100"
    return f"{status['iterations']}/{status['max_iterations']} candidates{found}; {requests:,} requests"


def front_of(home: Path, campaign: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(cost in dollars for 1,000 requests, quality of 100) of all candidates that could be scored, and of the front."""
    with open_ledger(CampaignFolder(campaigns_path(home), campaign)) as ledger:
        scores = [found.scores for _, found in ledger.candidates() if found is not None and found.failure is None]
    points = [(score[_COST].value, score[_QUALITY].value) for score in scores]
    front: list[tuple[float, float]] = []
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or quality > front[-1][1]:
            front.append((cost, quality))
    return points, front
