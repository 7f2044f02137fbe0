"""Money: integers all the way, rounded up once, shown with six decimals."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.money import NANO_PER_USD, PICO_PER_USD, TokenPrice, format_usd, parse_usd
from evolving_ai.errors import UsageError

tokens = st.integers(0, 10**9)
prices = st.integers(0, 10**12)


@given(tokens, tokens, prices, prices)
def test_a_cost_is_the_exact_one_rounded_up(read: int, written: int, input_price: int, output_price: int) -> None:
    cost = TokenPrice(input_price, output_price).cost_nano_usd(read, written)
    exact = Fraction(read * input_price + written * output_price, PICO_PER_USD // NANO_PER_USD)

    assert type(cost) is int
    assert exact <= cost < exact + 1


@given(tokens, tokens, tokens, prices, prices)
def test_more_tokens_never_cost_less(read: int, written: int, more: int, input_price: int, output_price: int) -> None:
    price = TokenPrice(input_price, output_price)

    assert price.cost_nano_usd(read, written) <= price.cost_nano_usd(read + more, written)
    assert price.cost_nano_usd(read, written) <= price.cost_nano_usd(read, written + more)


def test_nothing_costs_nothing_and_the_least_costs_something() -> None:
    assert TokenPrice(1, 1).cost_nano_usd(0, 0) == 0
    assert TokenPrice(1, 1).cost_nano_usd(1, 0) == 1


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.000000"),
        (1, "0.000000"),
        (500, "0.000000"),
        (501, "0.000001"),
        (1500, "0.000002"),
        (2500, "0.000002"),
        (123_000, "0.000123"),
        (12_500_000_000, "12.500000"),
        (10**18, "1000000000.000000"),
    ],
)
def test_people_see_six_decimals_rounded_half_to_even(amount: int, text: str) -> None:
    assert format_usd(amount) == text


@given(st.integers(0, 10**18))
def test_what_is_shown_is_within_half_a_microdollar(amount: int) -> None:
    assert abs(Decimal(format_usd(amount)) * NANO_PER_USD - amount) <= 500


@given(st.integers(0, 10**15))
def test_what_is_shown_is_read_back(micros: int) -> None:
    assert parse_usd(format_usd(micros * 1000)) == micros * 1000


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.50", 12_500_000_000), ("0", 0), (" 1 ", NANO_PER_USD), ("1e-9", 1), ("1e3", 10**12), ("1000000000", 10**18)],
)
def test_what_a_person_writes_is_read(text: str, amount: int) -> None:
    assert parse_usd(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "ten", "-1", "-0.000000001", "nan", "sNaN", "inf", "-inf", "12,50", "$5", "1e400", "1000000001", "1e999999"],
)
def test_what_is_no_amount_is_refused_in_one_line(text: str) -> None:
    """The last three broke the rule that a wrong amount is an error of use: numbers without end, or a traceback."""
    with pytest.raises(UsageError) as caught:
        parse_usd(text)

    assert "expected dollars" in str(caught.value)
    assert "\n" not in str(caught.value)
