"""Windows: the calendar's, and spans that repeat."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import UsageError
from evolving_ai.optimizer.windows import check_window, window_at


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("window", "moment", "start", "end"),
    [
        ("day", (2026, 1, 31, 23, 59, 59), (2026, 1, 31), (2026, 2, 1)),
        ("day", (2026, 2, 1), (2026, 2, 1), (2026, 2, 2)),
        ("month", (2026, 2, 14, 12), (2026, 2, 1), (2026, 3, 1)),
        ("month", (2028, 2, 29), (2028, 2, 1), (2028, 3, 1)),
        ("month", (2026, 12, 31, 23), (2026, 12, 1), (2027, 1, 1)),
        ("3600s", (2026, 1, 1, 5, 10), (2026, 1, 1, 5), (2026, 1, 1, 6)),
    ],
)
def test_bounds(window: str, moment: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]) -> None:
    assert window_at(window, seconds(*moment)) == (seconds(*start), seconds(*end))


def test_total_never_ends() -> None:
    assert window_at("total", 1e9) == (0, None)


@given(window=st.sampled_from(["day", "month", "60s", "7s"]), time_s=st.floats(0, 4e9))
def test_windows_touch_and_hold_their_time(window: str, time_s: float) -> None:
    start_s, end_s = window_at(window, time_s)

    assert end_s is not None
    assert start_s <= time_s < end_s
    assert window_at(window, end_s).start_s == end_s
    assert window_at(window, start_s) == (start_s, end_s)


@pytest.mark.parametrize("window", ["", "week", "0s", "-1s", "1.5s", "60", "s", "9999999999s", "day "])
def test_anything_else_is_refused(window: str) -> None:
    with pytest.raises(UsageError, match="expected total, day, month or seconds such as 3600s"):
        check_window(window)
