"""Numbers are read as people write them, whatever they are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.demo import report_numbers as numbers
from evolving_ai.demo.report_numbers import ABSENT

ANY = st.none() | st.floats()


def plain_spaces(shown: str) -> str:
    return shown.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.points(66.849), "66.8"),
        (numbers.signed(0.31, "points"), "+0.3 points"),
        (numbers.signed(-0.02, "points"), "0.0 points"),
        (numbers.signed(-1.25), "-1.2"),
        (numbers.money(0.06071), "$0.0607"),
        (numbers.money(1234.5), "$1,234"),
        (numbers.signed_money(-0.0243), "-$0.024"),
        (numbers.percent(0.239), "24 %"),
        (numbers.percent(0.0213), "2.1 %"),
        (numbers.percent(0.03), "3 %"),
        (numbers.duration(0.0123), "12 ms"),
        (numbers.duration(0.1834), "183 ms"),
        (numbers.duration(1.31), "1.3 s"),
        (numbers.duration(203.4), "3 min 23 s"),
        (numbers.e_value(80.0), "80"),
        (numbers.e_value(83.77), "83.8"),
        (numbers.e_value(0.00001), "< 0.001"),
        (numbers.e_value(2.1e9), "2.1 \N{MULTIPLICATION SIGN} 10⁹"),
        (numbers.e_value(math.inf), "∞"),
        (numbers.brief(0.71), "0.71"),
        (numbers.brief(1820.0), "1,820"),
    ],
)
def test_a_number_has_its_unit_and_no_more_digits_than_mean_something(shown: str, expected: str) -> None:
    assert plain_spaces(shown) == expected


@given(ANY)
def test_no_number_breaks_a_report(value: float | None) -> None:
    shown = [
        numbers.plain(value),
        numbers.count(value),
        numbers.points(value),
        numbers.signed(value),
        numbers.signed_money(value),
        numbers.percent(value),
        numbers.money(value),
        numbers.duration(value),
    ]
    assert all(shown)
    assert "nan" not in "".join(shown)
    assert "inf" not in "".join(shown)
    if value is None or not abs(value) < 1e15:
        assert set(shown) == {ABSENT}
    assert numbers.e_value(value)


def test_the_numbers_of_an_axis_have_equally_many_places() -> None:
    assert numbers.even([0.0, 0.05, 0.1, 0.15], "$") == ["$0.00", "$0.05", "$0.10", "$0.15"]
    assert numbers.even([0.0, 1000.0, 2000.0]) == ["0", "1,000", "2,000"]
    assert numbers.powers([0.01, 1.0, 10_000.0, 1e9]) == ["0.01", "1", "10,000", "10⁹"]
