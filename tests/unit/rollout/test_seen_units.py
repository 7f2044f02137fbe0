"""Which units were seen: none is new twice, and what was kept is what goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.rollout.seen_units import SeenUnits

UNITS = st.integers(0, 2**64 - 1)


@given(st.lists(UNITS, max_size=30))
def test_no_unit_is_new_twice(units: list[int]) -> None:
    seen = SeenUnits()
    for unit in units:
        seen.add(unit)
    assert not any(seen.add(unit) for unit in units)


@given(st.lists(UNITS, max_size=10), st.lists(UNITS, max_size=10))
def test_what_was_kept_goes_on_as_if_nothing_had_happened(before: list[int], after: list[int]) -> None:
    seen, restored = SeenUnits(), SeenUnits()
    for unit in before:
        seen.add(unit)
    restored.restore(seen.to_json())
    assert [seen.add(unit) for unit in after] == [restored.add(unit) for unit in after]


def test_most_of_many_units_are_told_apart() -> None:
    seen = SeenUnits()
    step = 0x9E3779B97F4A7C15
    assert sum(seen.add(number * step % 2**64) for number in range(100_000)) > 94_000


@pytest.mark.parametrize("damaged", ["", "no base64 at all", "AAAA", "eJwDAAAAAAE="])
def test_what_is_damaged_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SeenUnits().restore(damaged)
