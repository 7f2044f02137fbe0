"""Canonical JSON (RFC 8785): equal values have equal bytes, so their hashes can be compared.

Keys are sorted by UTF-16 code units, numbers are written as ECMAScript does (shortest round-trip form, so that
1.0 and 1 are the same), no white space. Not accepted: NaN, infinities, integers beyond 2^53, keys that are not text.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["canonical_bytes", "parse_canonical", "sha256_hex"]

_MAX_SAFE_INTEGER = 2**53


def canonical_bytes(value: Any) -> bytes:
    """The one UTF-8 form of a JSON value; raises ValueError where JSON has none."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8")


def parse_canonical(data: bytes) -> Any:
    """The value of canonical JSON; `canonical_bytes` of it is `data` again. ValueError when `data` is not JSON."""
    return json.loads(data, parse_int=_parse_integer)


def _parse_integer(text: str) -> int | float:
    # A float of 2^53 and more is written without a point; only as a float may it be written again.
    return int(text) if abs(float(text)) <= _MAX_SAFE_INTEGER else float(text)


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _write(value: Any, parts: list[str]) -> None:
    if value is None or isinstance(value, bool):
        parts.append(json.dumps(value))
    elif isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(_ecmascript_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, parts)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        _write_array(value, parts)
    else:
        raise ValueError(f"canonical JSON has no form for {type(value).__name__}")


def _write_object(value: Mapping[Any, Any], parts: list[str]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"canonical JSON keys are text, not {type(key).__name__}")
    parts.append("{")
    for position, key in enumerate(sorted(value, key=_utf16_order)):
        parts.append("," if position else "")
        parts.append(_text(key))
        parts.append(":")
        _write(value[key], parts)
    parts.append("}")


def _utf16_order(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _write_array(value: Sequence[Any], parts: list[str]) -> None:
    parts.append("[")
    for position, item in enumerate(value):
        parts.append("," if position else "")
        _write(item, parts)
    parts.append("]")


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ValueError("canonical JSON cannot hold a lone surrogate") from exc
    return json.dumps(value, ensure_ascii=False)


def _integer(value: int) -> str:
    if abs(value) > _MAX_SAFE_INTEGER:
        raise ValueError(f"canonical JSON integers lie within ±2^53; {value} does not: write it as text")
    return str(value)


def _ecmascript_number(value: float) -> str:
    """ECMA-262 Number::toString; Python's repr gives the same shortest digits in another notation."""
    if not math.isfinite(value):
        raise ValueError(f"canonical JSON numbers are finite; {value} is not")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{float.__repr__(abs(value))}e0".partition("e")
    exponent = exponent.removesuffix("e0")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    """`digits` with the decimal point after the first `point` of them, in ECMAScript's notation."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
