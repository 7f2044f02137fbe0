"""How fast a recorded answer comes: time to the first token, then tokens at a steady rate.

The figures are invented, and plausible: what such models do when one well-equipped server answers one request. A model
that the table does not name is placed by the number of parameters in its name (`-7b`, `-70b`).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Pace", "pace_of"]


class Pace(NamedTuple):
    """Seconds until the first token, and tokens per second after it."""

    first_token_s: float
    tokens_per_s: float

    def duration_s(self, tokens: int) -> float:
        """Until the last of `tokens`."""
        return self.first_token_s + tokens / self.tokens_per_s


_UNKNOWN = Pace(0.40, 70.0)
_BY_NAME: Mapping[str, Pace] = {
    "gpt-4o-mini": Pace(0.35, 110.0),
    "gpt-4o": Pace(0.50, 80.0),
    "gpt-4": Pace(0.80, 30.0),
    "claude": Pace(0.70, 65.0),
    "gemini": Pace(0.40, 140.0),
    "mixtral-8x7b": Pace(0.30, 95.0),
    "mixtral-8x22b": Pace(0.45, 60.0),
}
"""By the beginning of the name; the longest that fits."""
_BY_SIZE = (
    (4.0, Pace(0.15, 180.0)),
    (10.0, Pace(0.20, 130.0)),
    (20.0, Pace(0.25, 95.0)),
    (40.0, Pace(0.35, 65.0)),
    (80.0, Pace(0.50, 42.0)),
    (200.0, Pace(0.70, 30.0)),
    (float("inf"), Pace(1.00, 22.0)),
)
"""Up to so many thousand million parameters."""
_PARAMETERS = re.compile(r"(?:^|[^\w.])(\d+(?:\.\d+)?)b(?![a-z0-9])")


def pace_of(model: str) -> Pace:
    """The pace of a model, by its name."""
    name = model.lower().rsplit("/", 1)[-1]
    fitting = [known for known in _BY_NAME if name.startswith(known)]
    if fitting:
        return _BY_NAME[max(fitting, key=len)]
    size = _PARAMETERS.search(name)
    if size is None:
        return _UNKNOWN
    return next(pace for limit, pace in _BY_SIZE if float(size[1]) <= limit)
