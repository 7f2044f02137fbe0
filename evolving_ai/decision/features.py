"""Features of a request, in microseconds: hashed character and word n-grams, and cheap statistics.

All arithmetic is on whole byte arrays. A prefix sum of `byte * P**position` (mod 2**32, P odd and so invertible)
gives the polynomial hash of any substring by one subtraction and one multiplication (Karp and Rabin 1987), so
n-grams of every length and words share one pass; multiplicative hashing (Knuth, TAOCP 3, 6.4) picks the bucket.
The result is the same on every machine and in every process.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolving_ai.domain.genes import GeneValue

__all__ = ["STATISTICS", "Array", "FeatureConfig", "RequestView", "TextHasher"]

Array: TypeAlias = NDArray[np.float32]

_MAX_BYTES = 8192
_HASH_BASE = 16777619  # FNV's prime: odd, so it has an inverse mod 2**32
_KNUTH = np.uint32(2654435761)
_WORD_MIX = np.uint32(0x85EBCA6B)
_PAIR_MIX = np.uint32(0xC2B2AE35)
_MAX_COUNT = 8 * _MAX_BYTES  # no bucket is hit more often: at most five n-grams begin at a byte

_BYTE_CLASSES = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    " \t",
    "\n\r",
    ".,;:!",
    "?",
    "()[]{}",
    "\\$^_",
    "+-*/=<>%",
    "\"'`",
    "#@|&~",
)
_SHARES = len(_BYTE_CLASSES) + 2  # with one each for other bytes and for those beyond ASCII
STATISTICS = _SHARES + 3
"""Number of statistics: shares of byte classes, then sizes."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """What a decision may see of a request.

    `prompt_tokens` is None where nobody counted. `context` holds the extra columns that the caller vouches for.
    """

    prompt: str
    prompt_tokens: int | None = None
    context: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """The genes of `features.` that decide what is hashed (not how it is weighed)."""

    head_chars: int
    tail_chars: int
    char_ngrams: str
    word_ngrams: str
    bits: int
    counts: str

    @classmethod
    def from_genes(cls, genes: Mapping[str, GeneValue]) -> "FeatureConfig":
        """Read the genes; they are complete and legal."""
        return cls(
            head_chars=int(genes["features.head_chars"]),
            tail_chars=int(genes["features.tail_chars"]),
            char_ngrams=str(genes["features.char_ngrams"]),
            word_ngrams=str(genes["features.word_ngrams"]),
            bits=int(genes["features.bits"]),
            counts=str(genes["features.counts"]),
        )

    @property
    def buckets(self) -> int:
        return 1 << self.bits

    @property
    def char_lengths(self) -> tuple[int, ...]:
        if self.char_ngrams == "none":
            return ()
        first, _, last = self.char_ngrams.partition("-")
        return tuple(range(int(first), int(last or first) + 1))


class TextHasher:
    """Turns a prompt into damped bucket counts and statistics. Immutable after construction, so it may be shared."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._lengths = config.char_lengths
        self._pairs = config.word_ngrams == "1-2"
        self._shift = np.uint32(32 - config.bits)
        self._power, self._inverse = _power_tables()
        self._is_word, self._byte_class = _byte_tables()
        self._damped = _damping_table(config.counts)

    def clip(self, prompt: str) -> str:
        """The start and the end of the prompt, as far as the configuration reads it."""
        head, tail = self.config.head_chars, self.config.tail_chars
        if len(prompt) <= head + tail:
            return prompt
        return f"{prompt[:head]} {prompt[len(prompt) - tail :]}"

    def extract(self, request: RequestView) -> tuple[Array, Array]:
        """Damped counts by bucket, float32[buckets], and statistics, float32[STATISTICS].

        The statistics are the shares of byte classes, then logarithms of sizes. Case is folded for ASCII only.
        """
        counts, statistics = self.count(request)
        return self._damped[counts], statistics

    def count(self, request: RequestView) -> tuple[NDArray[np.intp], Array]:
        """`extract` before damping: how often each bucket was hit, int[buckets], and the same statistics."""
        text = self.clip(request.prompt)
        # Blanks on both sides: every word begins and ends inside the text.
        encoded = f" {text} ".encode("utf-8", "replace")[:_MAX_BYTES]
        counts = np.bincount(
            self._bucket_indices(np.frombuffer(encoded.lower(), np.uint8)), minlength=self.config.buckets
        )
        return counts, self._statistics(request, text, encoded)

    def damp(self, counts: NDArray[np.intp]) -> Array:
        """Damped counts, float32 of the same shape."""
        return self._damped[counts]

    def _bucket_indices(self, data: NDArray[np.uint8]) -> NDArray[np.uint32]:
        size = len(data)
        prefix = np.zeros(size + 1, np.uint32)
        np.cumsum(data * self._power[:size], dtype=np.uint32, out=prefix[1:])
        hashes = [self._substrings(prefix, length, size) for length in self._lengths if length <= size]
        words = self._words(data, prefix)
        hashes.append(words)
        if self._pairs and len(words) > 1:
            hashes.append(words[:-1] * _PAIR_MIX + words[1:])
        joined = np.concatenate(hashes)
        joined *= _KNUTH
        joined >>= self._shift
        return joined

    def _substrings(self, prefix: NDArray[np.uint32], length: int, size: int) -> NDArray[np.uint32]:
        hashes: NDArray[np.uint32] = prefix[length:] - prefix[:-length]
        hashes *= self._inverse[: size - length + 1]
        return hashes

    def _words(self, data: NDArray[np.uint8], prefix: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Hashes of the maximal runs of letters, digits and bytes beyond ASCII; the text begins outside."""
        inside = self._is_word[data]
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        edges += 1
        starts, ends = edges[0::2], edges[1::2]
        starts = starts[: len(ends)]  # a text that was cut inside a word has one start too many
        hashes: NDArray[np.uint32] = prefix[ends] - prefix[starts]
        hashes *= self._inverse[starts]
        hashes *= _WORD_MIX  # a word must not share the bucket of an n-gram of the same letters
        return hashes

    def _statistics(self, request: RequestView, text: str, encoded: bytes) -> Array:
        found = np.bincount(self._byte_class[np.frombuffer(encoded, np.uint8)], minlength=STATISTICS)
        values = found.astype(np.float32)
        values *= np.float32(1.0 / len(encoded))
        characters = len(request.prompt)
        tokens = request.prompt_tokens
        values[_SHARES:] = (
            math.log1p(characters),
            math.log1p(characters / 4 if tokens is None else tokens),
            math.log1p(text.count("\n")),
        )
        return values

    def matrices(self, requests: Sequence[RequestView]) -> tuple[Array, Array]:
        """`extract` of many requests: float32[n, buckets], float32[n, STATISTICS]."""
        hashed = np.empty((len(requests), self.config.buckets), np.float32)
        statistics = np.empty((len(requests), STATISTICS), np.float32)
        for row, request in enumerate(requests):
            hashed[row], statistics[row] = self.extract(request)
        return hashed, statistics


def _power_tables() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Powers of the hash base and of its inverse mod 2**32, for every position."""
    inverse_base = np.full(_MAX_BYTES + 1, pow(_HASH_BASE, -1, 2**32), np.uint32)
    base = np.full(_MAX_BYTES + 1, _HASH_BASE, np.uint32)
    base[0] = inverse_base[0] = 1
    return np.cumprod(base, dtype=np.uint32), np.cumprod(inverse_base, dtype=np.uint32)


def _byte_tables() -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    is_word = np.zeros(256, np.bool_)
    byte_class = np.full(256, len(_BYTE_CLASSES), np.uint8)
    for number, characters in enumerate(_BYTE_CLASSES):
        byte_class[list(characters.encode())] = number
    byte_class[128:] = len(_BYTE_CLASSES) + 1
    is_word[byte_class <= 2] = True
    is_word[128:] = True
    return is_word, byte_class


def _damping_table(counts: str) -> Array:
    hits = np.arange(_MAX_COUNT + 1, dtype=np.float32)
    if counts == "log":
        return np.log1p(hits)
    return np.sqrt(hits) if counts == "sqrt" else np.minimum(hits, np.float32(1))
