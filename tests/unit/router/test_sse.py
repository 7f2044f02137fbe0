"""Server-sent events, however their bytes are cut."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolving_ai.errors import UpstreamError
from evolving_ai.router.sse import ServerSentEvent, SseParser

ENDS = ["\n", "\r", "\r\n"]
FIELDS = ["data: ", "data:", "data", "event: ", "event", "id: ", "retry: ", ": ", ":", "", "unknown: ", "\ufeffdata: "]
TEXTS = st.text(alphabet="a: ä€😀{}\u2028\x0b\x85", max_size=6)
LINES = st.builds("{}{}{}".format, st.sampled_from(FIELDS), TEXTS, st.sampled_from(ENDS))
STREAMS = st.lists(st.one_of(LINES, st.sampled_from(ENDS)), max_size=20).map(lambda lines: "".join(lines).encode())


def parse(*chunks: bytes, cap: int = 2**20) -> list[ServerSentEvent]:
    parser = SseParser(cap)
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.finish()


def data_of(*chunks: bytes) -> list[bytes]:
    return [event.data for event in parse(*chunks)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces that end at `places`, in bytes from its start."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def lines_by_the_standard(stream: bytes) -> list[bytes]:
    """A second, slow reading of the standard, to compare with."""
    text = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf")
    return text.split(b"\n")


def events_by_the_standard(stream: bytes) -> list[ServerSentEvent]:
    events, data, name = [], None, b""
    for line in [*lines_by_the_standard(stream), b""]:
        if not line:
            if data is not None:
                events.append(ServerSentEvent(data, name.decode() or "message"))
            data, name = None, b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data = value if data is None else data + b"\n" + value
        elif field == b"event":
            name = value
    return events


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=12))
@example("data: ä\r\n\r\ndata: b\r\n\r\n".encode(), [7, 9, 10])
@example(b"data: a\r\r\n\ndata: b", [8])
@example(b"data: \nevent: :\nevent\n", [])
def test_any_cutting_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    assert parse(*cut(stream, places)) == parse(stream) == events_by_the_standard(stream)


@given(STREAMS)
def test_single_bytes_give_the_same_events(stream: bytes) -> None:
    assert parse(*(bytes([byte]) for byte in stream)) == parse(stream)


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=12), st.integers(min_value=1, max_value=30))
def test_any_cutting_breaks_the_cap_alike(stream: bytes, places: list[int], cap: int) -> None:
    def breaks(*chunks: bytes) -> bool:
        try:
            parse(*chunks, cap=cap)
        except UpstreamError:
            return True
        return False

    assert breaks(*cut(stream, places)) == breaks(stream)


def test_an_event_is_given_as_soon_as_its_blank_line_is_here() -> None:
    parser = SseParser()

    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\ndata: 2") == [ServerSentEvent(b"1")]
    assert parser.feed(b"\n\n") == [ServerSentEvent(b"2")]


def test_comments_and_unknown_fields_are_no_events() -> None:
    assert parse(b": PROCESSING\n\n", b"id: 3\nretry: 5\n\n") == []


def test_data_lines_are_joined() -> None:
    assert data_of(b"data: a\ndata:b\ndata\ndata:  c\n\n") == [b"a\nb\n\n c"]


def test_an_event_has_a_name() -> None:
    assert parse(b"event: error\ndata: {}\n\ndata: 1\n\n") == [
        ServerSentEvent(b"{}", "error"),
        ServerSentEvent(b"1", "message"),
    ]


def test_a_name_without_data_is_forgotten() -> None:
    assert parse(b"event: ping\n\ndata: 1\n\n") == [ServerSentEvent(b"1", "message")]


def test_the_data_are_the_bytes_that_were_sent() -> None:
    assert data_of(b"data: \xff\xfe \xe2\x80\xa8\n\n") == [b"\xff\xfe \xe2\x80\xa8"]


def test_what_the_end_cuts_off_comes_last() -> None:
    assert data_of(b"data: [DONE]") == data_of(b"data: [DONE]\n") == [b"[DONE]"]


def test_an_event_beyond_the_cap_is_malformed() -> None:
    parser = SseParser(max_event_bytes=100)
    for _ in range(100):
        parser.feed(b"x")
    with pytest.raises(UpstreamError, match="100 bytes") as caught:
        parser.feed(b"x")

    assert caught.value.result == "malformed"


def test_many_small_events_do_not_add_up_to_the_cap() -> None:
    assert len(parse(*[b": hello\ndata: 1234\n\n"] * 100, cap=20)) == 100
