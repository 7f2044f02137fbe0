"""Windows of budgets: the spans of time that a cap is for, all in UTC.

`total` never ends; `day` and `month` are the calendar's; a number of seconds such as `3600s` repeats from the epoch on.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from evolving_ai.errors import UsageError

__all__ = ["WindowBounds", "check_window", "window_at"]

_DAY_S = 86_400
_SECONDS = re.compile(r"([1-9][0-9]{0,8})s")


class WindowBounds(NamedTuple):
    """Seconds since the epoch: from `start_s` to just before `end_s` (None: it never ends)."""

    start_s: int
    end_s: int | None


def check_window(window: str) -> str:
    """The window itself. UsageError when there is none of that name."""
    if window in ("total", "day", "month") or _SECONDS.fullmatch(window):
        return window
    raise UsageError(f"{window[:40]!r} is no budget window: expected total, day, month or seconds such as 3600s")


def window_at(window: str, time_s: float) -> WindowBounds:
    """The window of that kind that `time_s` lies in."""
    if window == "total":
        return WindowBounds(0, None)
    if window == "month":
        return _month_at(time_s)
    length_s = _DAY_S if window == "day" else int(check_window(window)[:-1])
    start_s = int(time_s // length_s) * length_s
    return WindowBounds(start_s, start_s + length_s)


def _month_at(time_s: float) -> WindowBounds:
    moment = datetime.fromtimestamp(time_s, UTC)
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    end = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return WindowBounds(int(start.timestamp()), int(end.timestamp()))
