"""How large a demonstration is: every size, rate and patience in one place, so that tests can run a small one."""

from dataclasses import dataclass

__all__ = ["DemoSettings"]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """Rates are requests per second, sent whether or not those before were answered; `seed` draws everything.

    `latency_scale`: how long a replayed answer takes, as a share of what such a model would. `questions` held-out
    questions are measured (None: all), `measured_at_once` of them at a time. Requests beyond `most_in_flight` that
    are not answered yet wait. It makes no sense to go on after `most_failures`, or when nobody was answered for
    `longest_silence_s`. A rollout needs `least_rollout_rate` to end in time: below, that is said.
    """

    seed: int = 7
    latency_scale: float = 0.1
    questions: int | None = None
    measured_at_once: int = 48
    evaluations: int = 120
    max_cost_share: float = 0.35
    campaign_rate: float = 60.0
    rollout_rate: float = 400.0
    least_rollout_rate: float = 150.0
    outage_rate: float = 150.0
    most_in_flight: int = 500
    outage_s: float = 4.5
    most_failures: int = 200
    longest_silence_s: float = 15.0
    measured_within_s: float = 90.0
    campaign_within_s: float = 240.0
    rollout_within_s: float = 240.0
    return_within_s: float = 60.0
