"""The `x-evolving-` request headers, one after the other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import RequestError
from evolving_ai.router.chat_request import Demands
from evolving_ai.serving.gateway.demands import NO_DEMANDS, read_demands

VIEWER = Principal("key-1", "tenant-1", Role.VIEWER)
OPERATOR = Principal("key-2", "tenant-1", Role.OPERATOR)
ADMIN = Principal("key-3", "tenant-1", Role.ADMIN)


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ({}, NO_DEMANDS),
        ({"unknown": "x"}, NO_DEMANDS),
        ({"max-cost-usd": "0.01"}, Demands(Constraints(0.01, None))),
        ({"max-cost-usd": "0"}, Demands(Constraints(0.0, None))),
        ({"max-cost-usd": "1e3"}, Demands(Constraints(1000.0, None))),
        ({"min-quality": "0.5"}, Demands(Constraints(None, 0.5))),
        ({"min-quality": "1"}, Demands(Constraints(None, 1.0))),
        ({"max-cost-usd": "1", "min-quality": "0"}, Demands(Constraints(1.0, 0.0))),
        ({"deadline-ms": "1500"}, Demands(deadline_s=1.5)),
        ({"deadline-ms": "0"}, Demands(deadline_s=0.001)),
        ({"deadline-ms": "3600000"}, Demands(deadline_s=3600.0)),
        ({"region": "eu"}, Demands(region="eu")),
        ({"tags": "a, b ,,a"}, Demands(tags=("a", "b"))),
        ({"tags": ""}, NO_DEMANDS),
        ({"tags": " , "}, NO_DEMANDS),
        ({"tags": ",".join(f"t{n}" for n in range(16))}, Demands(tags=tuple(f"t{n}" for n in range(16)))),
        ({"tags": "x" * 64}, Demands(tags=("x" * 64,))),
    ],
)
def test_a_demand_is_read(extras: dict[str, str], expected: Demands) -> None:
    assert read_demands(extras, VIEWER) == expected


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        *[("max-cost-usd", value, "0 or more") for value in ("", "free", "-1", "nan", "inf", "-inf", "1,5")],
        *[("min-quality", value, "0 to 1") for value in ("", "good", "-0.1", "1.01", "nan", "inf")],
        *[("deadline-ms", value, "0 to 3.6e+06") for value in ("", "soon", "-1", "3600001", "nan", "1e9")],
    ],
)
def test_a_number_that_is_none_or_too_large_is_named(name: str, value: str, limit: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_demands({name: value}, VIEWER)

    assert (caught.value.code, caught.value.param) == ("invalid_request", f"x-evolving-{name}")
    assert str(caught.value) == f"x-evolving-{name} cannot be {value!r}: expected {limit}"


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(RequestError) as caught:
        read_demands({"min-quality": "9" * 8000}, VIEWER)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("tags", [",".join(f"t{n}" for n in range(17)), "x" * 65])
def test_too_many_or_too_long_tags_are_refused(tags: str) -> None:
    with pytest.raises(RequestError, match="more than 16 tags, or one of more than 64 characters"):
        read_demands({"tags": tags}, VIEWER)


def test_only_operators_pin_dna() -> None:
    for principal in (OPERATOR, ADMIN):
        assert read_demands({"dna": "0a1b"}, principal).dna == "0a1b"
    with pytest.raises(RequestError) as caught:
        read_demands({"dna": "0a1b"}, VIEWER)
    assert caught.value.code == "permission_denied"


@pytest.mark.parametrize("dna", ["", "abc", "ABCD", "xyz0", "0a1b ", "../../etc"])
def test_a_pin_that_is_no_hash_is_refused(dna: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_demands({"dna": dna}, OPERATOR)
    assert caught.value.code == "invalid_request"


names = st.sampled_from(["max-cost-usd", "min-quality", "deadline-ms", "region", "dna", "tags"])


@given(st.dictionaries(names, st.text(st.characters(max_codepoint=255), max_size=80)))
def test_any_text_is_a_demand_or_a_refusal(extras: dict[str, Any]) -> None:
    try:
        demands = read_demands(extras, OPERATOR)
    except RequestError:
        return

    assert demands.deadline_s is None or 0.001 <= demands.deadline_s <= 3600
    assert len(demands.tags) <= 16
