"""Outcomes as tests need them: one that is typical, and any that can be."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from evolving_ai.domain.outcome import Attempt, AttemptResult, Outcome
from evolving_ai.domain.rollout import Assignment
from evolving_ai.stores.outcome_codec import encode_outcomes
from evolving_ai.stores.ports import OutcomeBatch

MODELS = ("big", "code", "math")
START_S = 1_767_225_600.0  # the first second of 2026, in UTC
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

TYPICAL = Outcome(
    decision_id="req-typical",
    time_s=START_S,
    tenant="acme",
    key_id="key-1",
    requested_model="auto",
    dna_hash="d" * 64,
    snapshot_hash="5" * 64,
    seed=7,
    models=MODELS,
    qualities=(0.5, 0.25, 0.75),
    costs_usd=(0.5, 0.125, 0.0625),
    score_values=(0.5, float("-inf"), 0.75),
    chosen=2,
    propensity=1.0,
    relaxed=(),
    features=b"\x01\x02",
    prompt_hash="9" * 64,
    attempts=(Attempt("p/math", AttemptResult.OK, 200, 0.1, 0.25, 30, 20, 1234),),
    target="p/math",
    is_stream=False,
    status=200,
    error_code=None,
    finish_reason="stop",
    input_tokens=30,
    output_tokens=20,
    cost_nano_usd=1234,
    first_byte_s=None,
    latency_s=0.3,
    overhead_s=0.05,
    score=None,
    tags=("team-a",),
)


def request_id(made_s: float, number: int = 0) -> str:
    """An id as the gateway makes them, from the time and a number in place of chance."""
    milliseconds = int(made_s * 1000)

    def digits(value: int, count: int) -> str:
        return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(count)))

    return f"req-{digits(milliseconds, 9)}{digits(number, 13)}"


def outcome(number: int, *, age_s: float = 0.0, **changes: Any) -> Outcome:
    """The typical outcome of the `number`-th request, made `age_s` before START_S."""
    made_s = START_S - age_s
    return replace(TYPICAL, **{"decision_id": request_id(made_s, number), "time_s": made_s, "seed": number} | changes)


def batch(sequence: int, *members: Outcome, replica: str = "replica-1") -> OutcomeBatch:
    return OutcomeBatch(replica, sequence, encode_outcomes(members))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_SINGLE = st.floats(width=32, allow_nan=False)
_SECONDS = st.floats(0, 1e6)
_COUNT = st.integers(0, 2**40)

_ATTEMPTS = st.builds(
    Attempt,
    target=_TEXT,
    result=st.sampled_from(AttemptResult),
    status=st.none() | st.integers(100, 599),
    first_byte_s=st.none() | _SECONDS,
    latency_s=_SECONDS,
    input_tokens=_COUNT,
    output_tokens=_COUNT,
    cost_nano_usd=_COUNT,
)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    """Any outcome that can be."""
    models = tuple(draw(st.lists(_TEXT, min_size=1, max_size=4)))
    column = st.lists(_SINGLE, min_size=len(models), max_size=len(models)).map(tuple)
    optional = st.none() | _TEXT
    return Outcome(
        decision_id=draw(_TEXT | st.integers(0, 2**64).map(lambda number: request_id(START_S, number))),
        time_s=draw(st.floats(0, 4e9)),
        tenant=draw(_TEXT),
        key_id=draw(_TEXT),
        requested_model=draw(_TEXT),
        dna_hash=draw(_TEXT),
        snapshot_hash=draw(_TEXT),
        seed=draw(st.integers(0, 2**63 - 1)),
        models=models,
        qualities=draw(column),
        costs_usd=draw(column),
        score_values=draw(column),
        chosen=draw(st.integers(0, len(models) - 1)),
        propensity=draw(st.floats(0, 1)),
        relaxed=tuple(draw(st.lists(_TEXT, max_size=2))),
        features=draw(st.binary(max_size=40)),
        prompt_hash=draw(_TEXT),
        attempts=tuple(draw(st.lists(_ATTEMPTS, max_size=3))),
        target=draw(optional),
        is_stream=draw(st.booleans()),
        status=draw(st.integers(100, 599)),
        error_code=draw(optional),
        finish_reason=draw(optional),
        input_tokens=draw(_COUNT),
        output_tokens=draw(_COUNT),
        cost_nano_usd=draw(_COUNT),
        first_byte_s=draw(st.none() | _SECONDS),
        latency_s=draw(_SECONDS),
        overhead_s=draw(_SECONDS),
        score=draw(st.none() | st.floats(0, 1)),
        tags=tuple(draw(st.lists(_TEXT, max_size=2))),
        content=draw(optional),
        assignment=draw(
            st.none() | st.builds(Assignment, _TEXT, st.booleans(), st.floats(0, 1), st.integers(0, 2**64 - 1))
        ),
    )
