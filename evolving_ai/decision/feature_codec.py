"""What a policy saw of a request, as a few hundred bytes: enough to compute its heads again, too little to read it.

Counts of hashed n-grams cannot be turned back into a prompt; statistics and context columns say how long and of what
kind it was. The format does not depend on a snapshot: whoever has a snapshot of the same feature genes can compute
what that snapshot would have predicted. It does not store the prompt, and it decides nothing.

Layout (little endian): version (1 byte), form (1), base-2 logarithm of the number of buckets (1), reserved (1), the
first 4 bytes of the SHA-256 of the feature configuration, number of non-empty buckets (uint16), length of the context
(uint32); statistics float16[STATISTICS]; the buckets, either as uint16 indices (form 0) or as a bitmap (form 1),
whichever is shorter; their counts uint8, capped at 255; the context columns that the snapshot knows, as JSON pairs.
An empty text stands for a policy that looks at no text. Statistics are rounded to 11 bits, counts are exact.
"""

import dataclasses
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolving_ai._common.canonical import canonical_bytes, sha256_hex
from evolving_ai.decision.features import STATISTICS, Array, FeatureConfig
from evolving_ai.errors import DataError

__all__ = ["FeatureEncoder", "RecordedFeatures", "config_digest", "decode_features"]

_VERSION = 1
_INDICES, _BITMAP = 0, 1
_HEADER = struct.Struct("<BBBx4sHI")
_STATISTICS_BYTES = 2 * STATISTICS
_HIGHEST_COUNT = 255


@dataclass(frozen=True, slots=True)
class RecordedFeatures:
    """Decoded features: `counts` int[buckets] before damping, `statistics` float32[STATISTICS] before scaling.

    `digest` is `config_digest` of the configuration that counted; `context` are pairs of column and value.
    """

    digest: bytes
    counts: NDArray[np.intp]
    statistics: Array
    context: tuple[tuple[str, str], ...]


class FeatureEncoder:
    """Encodes features of one configuration. Immutable; it may be shared between threads. `digest` names it."""

    def __init__(self, config: FeatureConfig) -> None:
        self.digest = config_digest(config)
        self._bits = config.bits
        self._bitmap_bytes = config.buckets // 8

    def encode(
        self, counts: NDArray[np.intp], statistics: Array, context: Sequence[tuple[str, str]] | None = None
    ) -> bytes:
        """The bytes for counts by bucket, int[buckets], and statistics, float32[STATISTICS]."""
        filled = counts.astype(np.bool_)  # finding the places in it is twice as fast as in the counts
        places = filled.nonzero()[0]
        hits = counts[places]
        np.minimum(hits, _HIGHEST_COUNT, out=hits)
        if 2 * len(places) <= self._bitmap_bytes:
            form, buckets = _INDICES, places.astype(np.uint16).tobytes()
        else:
            form, buckets = _BITMAP, np.packbits(filled).tobytes()
        pairs = json.dumps(context).encode() if context else b""
        header = _HEADER.pack(_VERSION, form, self._bits, self.digest, len(places), len(pairs))
        numbers = statistics.astype(np.float16).tobytes()
        return b"".join((header, numbers, buckets, hits.astype(np.uint8).tobytes(), pairs))


def config_digest(config: FeatureConfig) -> bytes:
    """Four bytes that tell configurations apart."""
    return bytes.fromhex(sha256_hex(canonical_bytes(dataclasses.asdict(config)))[:8])


def decode_features(data: bytes) -> RecordedFeatures | None:
    """What `FeatureEncoder` encoded; None for the empty text of a policy that looks at no text.

    DataError when the bytes are something else.
    """
    if not data:
        return None
    try:
        return _decode(data)
    except (struct.error, ValueError, IndexError, TypeError) as exc:
        raise DataError(f"recorded features cannot be read ({exc}): expected what this release writes") from exc


def _decode(data: bytes) -> RecordedFeatures:
    version, form, bits, digest, filled, context_bytes = _HEADER.unpack_from(data)
    if version != _VERSION or form not in (_INDICES, _BITMAP):
        raise ValueError(f"version {version}, form {form}")
    buckets = 1 << bits
    start = _HEADER.size
    statistics = np.frombuffer(data, np.float16, STATISTICS, start).astype(np.float32)
    start += _STATISTICS_BYTES
    if form == _INDICES:
        places = np.frombuffer(data, np.uint16, filled, start).astype(np.intp)
        start += 2 * filled
    else:
        places = np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8, buckets // 8, start)))
        start += buckets // 8
    hits = np.frombuffer(data, np.uint8, filled, start)
    start += filled
    if len(data) != start + context_bytes:
        raise ValueError(f"{len(data)} bytes for {start + context_bytes}")
    counts = np.zeros(buckets, np.intp)
    counts[places] = hits
    pairs = json.loads(data[start:]) if context_bytes else []
    return RecordedFeatures(digest, counts, statistics, tuple((str(name), str(value)) for name, value in pairs))
