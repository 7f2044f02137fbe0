"""Numbers as people read them, each with its unit; what is absent, or no number that anybody reads, is a dash."""

import math
from collections.abc import Sequence

__all__ = [
    "ABSENT",
    "brief",
    "count",
    "duration",
    "e_value",
    "even",
    "money",
    "percent",
    "plain",
    "points",
    "powers",
    "signed",
    "signed_money",
]

ABSENT = "\N{EN DASH}"
_TOO_LARGE = 1e15
_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
_SUPERSCRIPTS = dict(zip("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True))


def plain(value: float | None, digits: int = 3) -> str:
    """With so many significant digits, and thousands apart."""
    if value is None or not abs(value) < _TOO_LARGE:
        return ABSENT
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{min(places, 9)}f}"
    return shown.replace("-", _MINUS)


def brief(value: float) -> str:
    """As short as four digits allow."""
    if not abs(value) < _TOO_LARGE:
        return ABSENT
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", _MINUS)


def count(value: float | None) -> str:
    """A whole number."""
    return ABSENT if value is None or not abs(value) < _TOO_LARGE else f"{value:,.0f}"


def points(value: float | None) -> str:
    """Points of 100, or another number with one place."""
    return ABSENT if value is None or not abs(value) < _TOO_LARGE else f"{value:.1f}".replace("-", _MINUS)


def signed(value: float | None, unit: str = "") -> str:
    """A difference of points, with its sign."""
    if value is None or not abs(value) < _TOO_LARGE:
        return ABSENT
    shown = points(value) if round(abs(value), 1) else "0.0"
    return f"{'+' if round(value, 1) > 0 else ''}{shown}{_SPACE + unit if unit else ''}"


def signed_money(usd: float | None) -> str:
    """A difference of US dollars, with its sign."""
    if usd is None or not abs(usd) < _TOO_LARGE:
        return ABSENT
    return f"{_MINUS if usd < 0 else '+' if usd > 0 else ''}${plain(abs(usd), 2)}"


def percent(share: float | None) -> str:
    """A share of 1 as per cent: with one place where it is small."""
    if share is None or not abs(share) < _TOO_LARGE:
        return ABSENT
    places = 1 if 0 < abs(share) < 0.0995 and round(share * 100, 1) != round(share * 100) else 0
    return f"{share * 100:.{places}f}{_SPACE}%".replace("-", _MINUS)


def money(usd: float | None) -> str:
    """US dollars, with three significant digits."""
    if usd is None or not abs(usd) < _TOO_LARGE:
        return ABSENT
    return f"{_MINUS if usd < 0 else ''}${plain(abs(usd))}"


def duration(seconds: float | None) -> str:
    """In the unit that fits: milliseconds, seconds, or minutes and seconds."""
    if seconds is None or not abs(seconds) < _TOO_LARGE:
        return ABSENT
    if seconds < 1:
        return f"{plain(seconds * 1000, 2 if seconds < 0.1 else 3)}{_SPACE}ms"
    if seconds < 100:
        return f"{plain(seconds, 2 if seconds < 10 else 3)}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}{_SPACE}min{_SPACE}{rest}{_SPACE}s"


def e_value(value: float | None) -> str:
    """Evidence: a plain number, or a power of ten where that would be long. Above every number: infinity."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "\N{INFINITY}"
    if value < 0.001:
        return "< 0.001"
    if value < 10_000:
        return plain(value, 2 if value < 10 else 3).removesuffix(".0")
    exponent = math.floor(math.log10(value))
    return f"{value / 10**exponent:.1f}{_SPACE}\N{MULTIPLICATION SIGN}{_SPACE}{_power(exponent)}"


def even(values: Sequence[float], unit: str = "") -> list[str]:
    """The numbers along an axis: all with as many places as the one that needs most. `unit` stands before them."""
    shown = [f"{value:.6g}" for value in values]
    places = max((len(each.partition(".")[2]) for each in shown if "e" not in each), default=0)
    return [f"{unit}{value + 0.0:,.{places}f}".replace("-", _MINUS) for value in values]


def powers(values: Sequence[float]) -> list[str]:
    """The numbers along a logarithmic axis."""
    return [f"{value:,.6g}" if 0.0001 < value < 100_000 else _power(round(math.log10(value))) for value in values]


def _power(exponent: int) -> str:
    return "10" + "".join(_SUPERSCRIPTS[digit] for digit in str(exponent))
