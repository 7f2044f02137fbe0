"""Numbers as people read them, each with its unit; what is absent or not finite is a dash."""

import math

__all__ = ["ABSENT", "count", "duration", "e_value", "money", "percent", "plain", "points", "signed", "times"]

ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def plain(value: float | None, digits: int = 3) -> str:
    """With so many significant digits, and thousands apart."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{min(places, 9)}f}"
    return shown.replace("-", _MINUS)


def count(value: float | None) -> str:
    """A whole number."""
    return ABSENT if value is None or not math.isfinite(value) else f"{value:,.0f}"


def points(value: float | None) -> str:
    """Points of 100, or another number with one place."""
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.1f}".replace("-", _MINUS)


def signed(value: float | None, unit: str = "") -> str:
    """A difference, with its sign."""
    if value is None or not math.isfinite(value):
        return ABSENT
    shown = plain(value, 2) if abs(value) < 1 else points(value)
    return f"{'+' if value > 0 else ''}{shown}{_SPACE + unit if unit else ''}"


def percent(share: float | None) -> str:
    """A share of 1 as per cent: with one place where it is small."""
    if share is None or not math.isfinite(share):
        return ABSENT
    places = 1 if 0 < abs(share) < 0.0995 and round(share * 100, 1) != round(share * 100) else 0
    return f"{share * 100:.{places}f}{_SPACE}%".replace("-", _MINUS)


def money(usd: float | None) -> str:
    """US dollars, with three significant digits."""
    if usd is None or not math.isfinite(usd):
        return ABSENT
    return f"{_MINUS if usd < 0 else ''}${plain(abs(usd))}"


def duration(seconds: float | None) -> str:
    """In the unit that fits: milliseconds, seconds, or minutes and seconds."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 1:
        return f"{plain(seconds * 1000, 2 if seconds < 0.1 else 3)}{_SPACE}ms"
    if seconds < 100:
        return f"{plain(seconds, 2 if seconds < 10 else 3)}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}{_SPACE}min{_SPACE}{rest}{_SPACE}s"


def times(ratio: float | None) -> str:
    """How many times."""
    return ABSENT if ratio is None or not math.isfinite(ratio) else f"{plain(ratio, 2)} times"


def e_value(value: float | None) -> str:
    """Evidence: a plain number, or a power of ten where that would be long. Above every number: infinity."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "\N{INFINITY}"
    if value < 0.001:
        return "< 0.001"
    if value < 10_000:
        return plain(value, 2 if value < 10 else 3)
    exponent = math.floor(math.log10(value))
    return (
        f"{value / 10**exponent:.1f}{_SPACE}\N{MULTIPLICATION SIGN}{_SPACE}10{str(exponent).translate(_SUPERSCRIPTS)}"
    )
