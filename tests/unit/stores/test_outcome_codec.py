"""Outcomes as bytes: what goes in comes out, and what is damaged is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.domain.outcome import Outcome
from evolving_ai.errors import CorruptionError
from evolving_ai.stores.outcome_codec import check_payload, decode_outcomes, encode_outcomes, read_header
from tests.unit.stores.recorded_outcomes import TYPICAL, outcome, outcomes

BATCHES = st.lists(outcomes(), max_size=5)


@given(members=BATCHES)
def test_a_batch_comes_back_equal(members: list[Outcome]) -> None:
    assert decode_outcomes(encode_outcomes(members)) == tuple(members)


@given(members=BATCHES, picks=st.sets(st.integers(0, 5)))
def test_some_positions_are_what_the_whole_has_there(members: list[Outcome], picks: set[int]) -> None:
    chosen = tuple(member for position, member in enumerate(members) if position in picks)
    assert decode_outcomes(encode_outcomes(members), picks) == chosen


@given(members=BATCHES)
def test_the_header_files_each_outcome_and_needs_no_body(members: list[Outcome]) -> None:
    head, body = check_payload(encode_outcomes(members))
    header = read_header(head)

    assert head + body == encode_outcomes(members)
    assert header.ids == tuple(member.decision_id for member in members)
    assert header.tenants == tuple(member.tenant for member in members)
    assert header.times_s == tuple(member.time_s for member in members)
    assert header.scores == tuple(member.score for member in members)


def test_what_repeats_costs_next_to_nothing() -> None:
    hundred = [outcome(number) for number in range(100)]

    assert len(encode_outcomes(hundred)) < 100 * 150


@given(members=st.lists(outcomes(), min_size=1, max_size=3), data=st.data())
def test_a_changed_byte_is_noticed(members: list[Outcome], data: st.DataObject) -> None:
    payload = bytearray(encode_outcomes(members))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(CorruptionError):
        decode_outcomes(bytes(payload))


@given(members=st.lists(outcomes(), max_size=3), data=st.data())
def test_a_payload_that_is_cut_short_is_refused(members: list[Outcome], data: st.DataObject) -> None:
    payload = encode_outcomes(members)
    with pytest.raises(CorruptionError):
        decode_outcomes(payload[: data.draw(st.integers(0, len(payload) - 1))])


def test_text_that_is_no_unicode_does_not_cost_the_batch() -> None:
    odd = replace(TYPICAL, requested_model="a\ud800b", tags=("\udfff",))

    decoded = decode_outcomes(encode_outcomes([odd, TYPICAL]))

    assert decoded == (replace(TYPICAL, requested_model="a?b", tags=("?",)), TYPICAL)
