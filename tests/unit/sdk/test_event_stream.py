"""Server-sent events, however their bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.sdk.event_stream import EventStream, StreamEvent

LINES = st.lists(
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=3
)


def read(content: bytes, cuts: list[int]) -> list[StreamEvent]:
    stream, edges = EventStream(), [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [event for start, end in itertools.pairwise(edges) for event in stream.feed(content[start:end])]


@given(st.lists(LINES, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 10_000)))
def test_any_cutting_gives_the_same_events(events: list[list[str]], end: str, cuts: list[int]) -> None:
    text = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in events)
    assert read(text.encode(), cuts) == [StreamEvent("\n".join(lines)) for lines in events]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_are_events_or_refused_alike_in_any_cutting(content: bytes, cuts: list[int]) -> None:
    def outcome(where: list[int]) -> object:
        try:
            return read(content, where)
        except ValueError:
            return ValueError

    assert outcome(cuts) == outcome([])


def test_comments_are_told_and_other_fields_passed_over() -> None:
    content = b": keep alive\n\nevent: x\nid: 1\nretry: 3\ndata:a\ndata\nnonsense\n\n"
    assert read(content, []) == [StreamEvent("keep alive", is_comment=True), StreamEvent("a\n")]


def test_a_separator_of_lines_in_a_text_is_part_of_the_text() -> None:
    assert read("data: a\u2028b\x85c\x0bd\n\n".encode(), []) == [StreamEvent("a\u2028b\x85c\x0bd")]


def test_what_the_end_cuts_off_is_not_given() -> None:
    assert read(b"data: a\n\ndata: b\n", []) == [StreamEvent("a")]


def test_an_event_without_end_is_refused() -> None:
    piece = b"data: " + b"x" * 2**20 + b"\n"
    with pytest.raises(ValueError, match="larger than"):
        list(EventStream().feed(piece * 17))
    with pytest.raises(ValueError, match="longer than"):
        list(EventStream().feed(b"x" * (2**24 + 1)))
