"""Outcomes as bytes, many at a time: how a replica hands them over, and how they lie in outcomes.db.

A payload has two parts. The *header* says of each outcome what a store needs to file it: its id, tenant, time and
score. The *body* holds the rest, compressed, and is read only when somebody asks for an outcome. What repeats (DNA,
snapshot, pool) stands once in a batch. The rule kept here: what was encoded is decoded equal, except that predictions
and scores of models come back in single precision, which is how they were computed. It stores nothing.

Layout (little endian): `EVO1`, CRC-32 of all that follows (uint32), length of the header (uint32), the header as JSON;
then the body: lengths of the JSON rows and of all that is compressed (uint32 each), and one Zstandard frame with the
JSON rows, the numbers (float32: for each outcome its qualities, costs and score values) and the features, one after
the other.
"""

import struct
import zlib
from array import array
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from evolving_ai.domain.outcome import Attempt, AttemptResult, Outcome
from evolving_ai.domain.rollout import Assignment
from evolving_ai.errors import CorruptionError

__all__ = ["OutcomeHeader", "check_payload", "decode_outcomes", "encode_outcomes", "read_header"]

_MAGIC = b"EVO1"
_FRAME = struct.Struct("<4sII")
_BODY = struct.Struct("<II")
_COMPRESSION_LEVEL = 1
_FLOAT_BYTES = 4

_HEADER_FIELDS = ("decision_id", "tenant", "time_s", "score")
_PLAIN_FIELDS = (
    "key_id",
    "requested_model",
    "seed",
    "chosen",
    "propensity",
    "relaxed",
    "prompt_hash",
    "target",
    "is_stream",
    "status",
    "error_code",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "cost_nano_usd",
    "first_byte_s",
    "latency_s",
    "overhead_s",
    "tags",
    "content",
    "assignment",
)
_ATTEMPT_FIELDS = (
    "target",
    "result",
    "status",
    "first_byte_s",
    "latency_s",
    "input_tokens",
    "output_tokens",
    "cost_nano_usd",
)
# What damaged bytes make of struct, orjson (a ValueError), pyarrow and our own unpacking.
_DAMAGE = (struct.error, ValueError, TypeError, KeyError, IndexError, OSError, pa.ArrowException)


class OutcomeHeader(NamedTuple):
    """What a store files outcomes by, a column each, all in the order of the batch."""

    ids: tuple[str, ...]
    tenants: tuple[str, ...]
    times_s: tuple[float, ...]
    scores: tuple[float | None, ...]


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """The payload of a batch. ValueError for what JSON cannot hold (an integer of more than 64 bits).

    Text that is no valid Unicode (a lone surrogate) is replaced, rather than lose the batch.
    """
    try:
        return _encode(outcomes, _dumps)
    except orjson.JSONEncodeError:
        return _encode(outcomes, _dumps_replaced)


def _encode(outcomes: Sequence[Outcome], dumps: Any) -> bytes:
    plain, attempt_row, filed = attrgetter(*_PLAIN_FIELDS), attrgetter(*_ATTEMPT_FIELDS), attrgetter(*_HEADER_FIELDS)
    origins: dict[tuple[str, str, tuple[str, ...]], int] = {}
    rows, features = [], []
    numbers = array("f")
    for outcome in outcomes:
        origin = (outcome.dna_hash, outcome.snapshot_hash, outcome.models)
        place = origins.setdefault(origin, len(origins))
        attempts = [attempt_row(attempt) for attempt in outcome.attempts]
        rows.append((place, len(outcome.features), attempts, *plain(outcome)))
        features.append(outcome.features)
        for column in (outcome.qualities, outcome.costs_usd, outcome.score_values):
            numbers.extend(column)
    header = dumps(list(zip(*map(filed, outcomes), strict=True)))
    document = dumps((list(origins), rows))
    content = b"".join((document, numbers.tobytes(), *features))
    codec = pa.Codec("zstd", compression_level=_COMPRESSION_LEVEL)
    body = _BODY.pack(len(document), len(content)) + codec.compress(content, asbytes=True)
    crc = zlib.crc32(body, zlib.crc32(header))
    return b"".join((_FRAME.pack(_MAGIC, crc, len(header)), header, body))


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value)


def _dumps_replaced(value: Any) -> bytes:
    return orjson.dumps(_replaced(value))


def _replaced(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_replaced(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def check_payload(payload: bytes) -> tuple[bytes, bytes]:
    """Verify a payload and cut it in two: the frame with its header, and the body. CorruptionError when damaged."""
    try:
        magic, crc, length = _FRAME.unpack_from(payload)
    except struct.error as exc:
        raise CorruptionError("a batch of outcomes is cut short: expected what this release writes") from exc
    end = _FRAME.size + length
    if magic != _MAGIC or zlib.crc32(memoryview(payload)[_FRAME.size :]) != crc:
        raise CorruptionError("a batch of outcomes is damaged: expected what this release writes")
    return payload[:end], payload[end:]


def read_header(head: bytes) -> OutcomeHeader:
    """The header of a payload, or of the first part that `check_payload` gives. CorruptionError when damaged."""
    try:
        length = _FRAME.unpack_from(head)[2]
        columns = orjson.loads(memoryview(head)[_FRAME.size : _FRAME.size + length])
        return OutcomeHeader(*map(tuple, columns)) if columns else OutcomeHeader((), (), (), ())
    except _DAMAGE as exc:
        raise CorruptionError("the header of a batch of outcomes is damaged: restore a backup") from exc


def decode_outcomes(payload: bytes, positions: Collection[int] | None = None) -> tuple[Outcome, ...]:
    """The outcomes of a payload, or those at some positions, in the order of the batch.

    CorruptionError when it is damaged.
    """
    head, body = check_payload(payload)
    header = read_header(head)
    try:
        return tuple(_decode(header, body, positions))
    except _DAMAGE as exc:
        raise CorruptionError("a batch of outcomes is damaged: expected what this release writes") from exc


def _decode(header: OutcomeHeader, body: bytes, positions: Collection[int] | None) -> Iterator[Outcome]:
    document_bytes, size = _BODY.unpack_from(body)
    codec = pa.Codec("zstd")
    content = codec.decompress(memoryview(body)[_BODY.size :], decompressed_size=size, asbytes=True)
    origins, rows = orjson.loads(memoryview(content)[:document_bytes])
    pools = [(dna_hash, snapshot_hash, tuple(models)) for dna_hash, snapshot_hash, models in origins]
    number_at = document_bytes
    feature_at = number_at + 3 * _FLOAT_BYTES * sum(len(pools[row[0]][2]) for row in rows)
    for position, (filed, row) in enumerate(zip(zip(*header, strict=True), rows, strict=True)):
        origin, feature_bytes = pools[row[0]], row[1]
        width = _FLOAT_BYTES * len(origin[2])
        if positions is None or position in positions:
            columns = [_floats(content, number_at + part * width, width) for part in range(3)]
            yield _outcome(filed, origin, row, columns, content[feature_at : feature_at + feature_bytes])
        number_at += 3 * width
        feature_at += feature_bytes


def _floats(content: bytes, start: int, width: int) -> tuple[float, ...]:
    return tuple(memoryview(content)[start : start + width].cast("f"))


def _outcome(
    filed: tuple[Any, ...],
    origin: tuple[str, str, tuple[str, ...]],
    row: list[Any],
    columns: list[tuple[float, ...]],
    features: bytes,
) -> Outcome:
    plain = dict(zip(_PLAIN_FIELDS, row[3:], strict=True))
    plain["relaxed"], plain["tags"] = tuple(plain["relaxed"]), tuple(plain["tags"])
    if plain["assignment"] is not None:  # orjson writes a dataclass as an object
        plain["assignment"] = Assignment(**plain["assignment"])
    return Outcome(
        **dict(zip(_HEADER_FIELDS, filed, strict=True)),
        **plain,
        dna_hash=origin[0],
        snapshot_hash=origin[1],
        models=origin[2],
        qualities=columns[0],
        costs_usd=columns[1],
        score_values=columns[2],
        features=features,
        attempts=tuple(Attempt(target, AttemptResult(result), *rest) for target, result, *rest in row[2]),
    )
