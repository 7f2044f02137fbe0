"""Faults that replay providers are ordered to have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import UsageError
from evolving_ai.serving.replay_provider.faults import Fault, FaultKind, Faults

MODELS = ("small", "large")


def fault(model: str = "*", share: float = 1.0, kind: FaultKind = FaultKind.ERROR) -> Fault:
    return Fault(model, kind, share, 0.0, 500)


@given(st.integers(min_value=0, max_value=100), st.integers(min_value=1, max_value=5))
def test_the_share_is_kept_exactly(percent: int, rounds: int) -> None:
    faults = Faults()
    faults.set(fault(share=percent / 100))

    hits = sum(faults.next("small") is not None for _ in range(100 * rounds))

    assert hits == percent * rounds


def test_a_fault_of_a_model_goes_before_that_of_every_model() -> None:
    faults = Faults()
    everywhere, own = fault(), fault("large", kind=FaultKind.STALL)
    faults.set(everywhere)
    faults.set(own)

    assert (faults.next("small"), faults.next("large")) == (everywhere, own)


def test_models_are_counted_apart() -> None:
    faults = Faults()
    faults.set(fault(share=0.5))

    assert [faults.next(model) is not None for model in ("small", "large", "small", "large")] == [
        False,
        False,
        True,
        True,
    ]


def test_cleared_faults_are_gone() -> None:
    faults = Faults()
    faults.set(fault())
    faults.clear()

    assert faults.next("small") is None
    assert faults.in_force == ()


def test_one_model_s_fault_is_cleared_without_the_others() -> None:
    faults = Faults()
    everywhere, own = fault(), fault("large", kind=FaultKind.WRONG)
    faults.set(everywhere)
    faults.set(own)
    faults.clear("large")

    assert faults.in_force == (everywhere,)
    assert faults.next("large") == everywhere
    faults.clear("*")
    faults.clear("small")
    assert faults.in_force == ()


@pytest.mark.parametrize(
    ("document", "seconds", "status"),
    [
        ({"kind": "error"}, 0.0, 500),
        ({"kind": "error", "status": 529}, 0.0, 529),
        ({"kind": "rate_limit"}, 1.0, 429),
        ({"kind": "slow", "seconds": 2}, 2.0, 500),
        ({"kind": "wrong", "share": 0.5}, 0.0, 500),
        ({"kind": "stall", "share": 0.25, "model": "small"}, 3600.0, 500),
    ],
)
def test_a_fault_is_read_with_its_defaults(document: dict[str, Any], seconds: float, status: int) -> None:
    read = Fault.parse(document, MODELS)

    assert (read.seconds, read.status) == (seconds, status)
    assert Fault.parse(read.to_json(), MODELS) == read


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"kind": "explode"},
        {"kind": ["error"]},
        {"kind": "error", "share": 1.5},
        {"kind": "error", "share": True},
        {"kind": "error", "share": "1"},
        {"kind": "error", "seconds": -1},
        {"kind": "error", "status": 200},
        {"kind": "error", "model": "unknown"},
        {"kind": "error", "model": []},
        {"kind": "error", "more": 1},
    ],
)
def test_what_is_no_fault_is_refused_in_one_line(document: Any) -> None:
    with pytest.raises(UsageError, match="expected") as caught:
        Fault.parse(document, MODELS)

    assert "\n" not in str(caught.value)
