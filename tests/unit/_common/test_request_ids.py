"""Identifiers of requests: ordered by time, never twice the same, and what is in them can be read back."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai._common.clock import ManualClock
from evolving_ai._common.request_ids import RequestIds, request_time_s

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
FORM = re.compile(f"req-[{ALPHABET}]{{22}}")
moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(moments, min_size=2, max_size=20))
def test_identifiers_are_ordered_by_time(times: list[datetime]) -> None:
    pairs = [(int(time.timestamp() * 1000), RequestIds(ManualClock(time)).next().text) for time in times]

    assert [ms for ms, _ in sorted(pairs, key=lambda pair: pair[1])] == sorted(ms for ms, _ in pairs)


@given(moments)
def test_the_time_can_be_read_back_to_the_millisecond(time: datetime) -> None:
    text = RequestIds(ManualClock(time)).next().text

    assert request_time_s(text) == int(time.timestamp() * 1000) / 1000


def test_one_source_keeps_the_order_while_its_clock_moves() -> None:
    clock = ManualClock()
    ids = RequestIds(clock)
    texts = []
    for _ in range(500):
        texts.append(ids.next().text)
        clock.advance(0.0013)

    assert texts == sorted(texts)


def test_identifiers_are_unique_and_of_one_form() -> None:
    ids = RequestIds(ManualClock())
    found = [ids.next() for _ in range(20_000)]

    assert len({one.text for one in found}) == len(found)
    assert len({one.seed for one in found}) == len(found)
    assert all(FORM.fullmatch(one.text) for one in found)


def test_every_letter_of_the_alphabet_comes_in_every_place_of_chance() -> None:
    ids = RequestIds(ManualClock())
    texts = [ids.next().text[-13:] for _ in range(3000)]

    assert all({text[place] for text in texts} == set(ALPHABET) for place in range(13))


def test_seeds_are_of_63_bits_and_use_all_of_them() -> None:
    ids = RequestIds(ManualClock())
    seeds = [ids.next().seed for _ in range(300)]

    assert all(0 <= seed < 2**63 for seed in seeds)
    assert all(any(seed >> bit & 1 for seed in seeds) for bit in range(63))


def test_the_seed_is_made_of_the_digits_of_chance() -> None:
    """A recorded decision can be made again from its identifier alone."""
    one = RequestIds(ManualClock()).next()
    digits = one.text[-13:]
    chance = 0
    for place in range(6):
        first, second = digits[2 * place], digits[2 * place + 1]
        chance |= (ALPHABET.index(first) * 32 + ALPHABET.index(second)) << (10 * place)
    chance |= ALPHABET.index(digits[12]) << 60

    assert one.seed == chance & (2**63 - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req-",
        "req-" + "0" * 21,
        "req-" + "0" * 23,
        "REQ-" + "0" * 22,
        "req-" + "0" * 21 + "i",
        "req-" + "0" * 21 + "O",
        "0" * 26,
        "req-" + "é" * 22,
    ],
)
def test_what_is_no_identifier_has_no_time(text: str) -> None:
    assert request_time_s(text) is None


def test_a_clock_that_goes_back_gives_identifiers_still() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    later, earlier = RequestIds(ManualClock(start + timedelta(1))).next(), RequestIds(ManualClock(start)).next()

    assert earlier.text < later.text
