"""Observations of made-up canaries: what the tests of rollouts share."""

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from evolving_ai.rollout.controller import RolloutController
from evolving_ai.rollout.evidence import Observation, Ruling, Verdict

SHARES = (0.2, 0.4, 0.5)


def optional(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    return st.none() | values


OBSERVATIONS = st.builds(
    Observation,
    is_canary=st.booleans(),
    share=st.sampled_from(SHARES),
    score=optional(st.floats(0, 1)),
    cost_usd=optional(st.floats(0, 1)),
    latency_s=optional(st.floats(0, 1000)),
    has_failed=st.none() | st.booleans(),
    unit=st.none() | st.integers(0, 3),
)
"""Anything that may be observed, whoever assigned it."""


def requests(
    chance: np.random.Generator,
    controller: RolloutController,
    *,
    score: float = 0.7,
    cost_ratio: float = 0.3,
    failing: float = 0.0,
) -> Iterator[Observation]:
    """Of 100 requests the live DNA answers 70 well, at 0.001 USD; the candidate `score`, at `cost_ratio` of that."""
    while True:
        share = controller.share
        is_canary = bool(chance.random() < share)
        yield Observation(
            is_canary,
            share,
            score=float(chance.random() < (score if is_canary else 0.7)),
            cost_usd=0.001 * float(chance.exponential()) * (cost_ratio if is_canary else 1.0),
            latency_s=float(chance.exponential()),
            has_failed=bool(is_canary and chance.random() < failing),
        )


def play(controller: RolloutController, observations: Iterator[Observation]) -> list[Ruling]:
    """Every ruling that was not to go on, up to the final one."""
    rulings = []
    for observation in observations:
        ruling = controller.observe(observation)
        if ruling.verdict is not Verdict.GO_ON:
            rulings.append(ruling)
        if ruling.verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK):
            break
    return rulings
