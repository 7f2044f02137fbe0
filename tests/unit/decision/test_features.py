"""Features of a request: what is hashed, what is not, and that every machine agrees."""

import itertools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolving_ai.decision.features import STATISTICS, FeatureConfig, RequestView, TextHasher

BASE, MODULUS = 16777619, 2**32
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
CONFIGS = st.builds(
    FeatureConfig,
    head_chars=st.integers(100, 1200),
    tail_chars=st.integers(0, 400),
    char_ngrams=st.sampled_from(("none", "3", "4", "3-4", "3-5")),
    word_ngrams=st.sampled_from(("1", "1-2")),
    bits=st.integers(9, 12),
    counts=st.sampled_from(("log", "sqrt", "binary")),
)
PROGRAM = """
import sys
from evolving_ai.decision.features import FeatureConfig, RequestView, TextHasher
hasher = TextHasher(FeatureConfig(500, 150, "3-4", "1-2", 11, "log"))
prompt = sys.stdin.buffer.read().decode()
sys.stdout.write(b"".join(part.tobytes() for part in hasher.extract(RequestView(prompt))).hex())
"""


def config(**changes: object) -> FeatureConfig:
    plain = {
        "head_chars": 500,
        "tail_chars": 150,
        "char_ngrams": "3-4",
        "word_ngrams": "1-2",
        "bits": 11,
        "counts": "log",
    }
    return FeatureConfig(**{**plain, **changes})  # type: ignore[arg-type]


def hashed(wanted: FeatureConfig, prompt: str) -> Any:
    return TextHasher(wanted).extract(RequestView(prompt))[0]


def polynomial(data: bytes) -> int:
    return sum(byte * pow(BASE, place, MODULUS) for place, byte in enumerate(data)) % MODULUS


def is_word_byte(byte: int) -> bool:
    return byte >= 128 or chr(byte).isalnum()


def words_of(data: bytes) -> list[bytes]:
    """Maximal runs of word bytes, the slow way."""
    return "".join(chr(byte) if is_word_byte(byte) else " " for byte in data).encode("latin-1").split(b" ")


def word_hash(word: bytes) -> int:
    return polynomial(word) * 0x85EBCA6B % MODULUS


def reference_counts(prompt: str, wanted: FeatureConfig) -> Counter[int]:
    """The bucket counts, substring by substring, with no thought of speed."""
    data = f" {prompt} ".encode("utf-8", "replace").lower()
    hashes = [
        polynomial(data[start : start + length])
        for length in wanted.char_lengths
        for start in range(len(data) - length + 1)
    ]
    words = [word_hash(word) for word in words_of(data) if word]
    hashes += words
    if wanted.word_ngrams == "1-2":
        hashes += [(first * 0xC2B2AE35 + second) % MODULUS for first, second in itertools.pairwise(words)]
    return Counter((value * 2654435761 % MODULUS) >> (32 - wanted.bits) for value in hashes)


@given(prompt=st.text(st.characters(exclude_categories=()), max_size=60), wanted=CONFIGS)
@example(prompt="", wanted=config())
@example(prompt="aaaa aaaa aaaa", wanted=config(counts="binary"))
@example(prompt="ünï\ud800 \x00 \N{ROCKET}", wanted=config(char_ngrams="3-5"))
def test_buckets_are_those_of_a_slow_polynomial_hash(prompt: str, wanted: FeatureConfig) -> None:
    damp = {"log": np.log1p, "sqrt": np.sqrt, "binary": np.sign}[wanted.counts]
    expected = np.zeros(wanted.buckets)
    for bucket, count in reference_counts(prompt, wanted).items():
        expected[bucket] = damp(count)
    np.testing.assert_allclose(hashed(wanted, prompt), expected, rtol=1e-6)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_another_process_computes_equal_features(hash_seed: str) -> None:
    prompt = "Sum 3 + 4, bitte: ünï \N{ROCKET}\nlast line" * 20
    hasher = TextHasher(config())
    here = b"".join(part.tobytes() for part in hasher.extract(RequestView(prompt)))
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=prompt.encode(),
        capture_output=True,
        env={"PYTHONHASHSEED": hash_seed, "OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    assert there.stdout.decode() == here.hex()


@given(prompt=ANY_TEXT, wanted=CONFIGS, tokens=st.none() | st.integers(0, 10**7))
@example(prompt="", wanted=config(char_ngrams="none", tail_chars=0), tokens=None)
@example(prompt="\ud800" * 50, wanted=config(), tokens=0)
@example(prompt="\x00", wanted=config(), tokens=None)
@example(prompt="\N{ROCKET}" * 100_000, wanted=config(head_chars=1200, tail_chars=400), tokens=100_000)
@example(prompt="a" * 100_000, wanted=config(counts="log"), tokens=None)
@example(prompt="\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 2000, wanted=config(head_chars=1200), tokens=None)
def test_any_text_has_finite_and_bounded_features(prompt: str, wanted: FeatureConfig, tokens: int | None) -> None:
    hasher = TextHasher(wanted)
    counts, statistics = hasher.extract(RequestView(prompt, tokens))
    assert counts.shape == (wanted.buckets,)
    assert statistics.shape == (STATISTICS,)
    assert counts.dtype == statistics.dtype == np.float32
    assert np.isfinite(counts).all()
    assert counts.min() >= 0
    assert counts.max() <= 256.0
    shares, sizes = statistics[:-3], statistics[-3:]
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(sizes).all()
    assert sizes.min() >= 0
    assert sizes.max() <= 17.0


@given(before=st.text("xyz", max_size=40), ngram=st.text("ab", min_size=3, max_size=3))
def test_an_ngram_falls_into_the_same_bucket_wherever_it_stands(before: str, ngram: str) -> None:
    only_trigrams = config(char_ngrams="3", word_ngrams="1", bits=12)
    home = ((polynomial(ngram.encode()) * 2654435761) % MODULUS) >> 20
    assert hashed(only_trigrams, f"{before}{ngram}")[home] > 0


def test_without_character_ngrams_the_order_of_single_words_does_not_matter() -> None:
    wanted = config(char_ngrams="none", word_ngrams="1")
    np.testing.assert_array_equal(hashed(wanted, "write some code"), hashed(wanted, "code, write: some!"))
    assert (hashed(wanted, "write some code") > 0).sum() == 3


def test_pairs_of_words_tell_orders_apart() -> None:
    wanted = config(char_ngrams="none", word_ngrams="1-2")
    assert (hashed(wanted, "write some code") > 0).sum() == 5
    assert (hashed(wanted, "write some code") != hashed(wanted, "code some write")).any()


def test_case_does_not_matter_to_the_hashed_part() -> None:
    wanted = config()
    np.testing.assert_array_equal(hashed(wanted, "Write Some CODE"), hashed(wanted, "write some code"))


@given(middles=st.lists(ANY_TEXT, min_size=2, max_size=2))
def test_the_middle_of_a_long_prompt_is_not_read(middles: list[str]) -> None:
    hasher = TextHasher(config(head_chars=100, tail_chars=20))
    first, second = ("h" * 100 + "-" + middle + "-" + "t" * 20 for middle in middles)
    assert hasher.clip(first) == "h" * 100 + " " + "t" * 20
    np.testing.assert_array_equal(hashed(hasher.config, first), hashed(hasher.config, second))


def test_a_prompt_that_fits_is_read_whole_and_without_a_tail_only_its_head() -> None:
    fits = "a" * 100 + "b" * 20
    assert TextHasher(config(head_chars=100, tail_chars=20)).clip(fits) == fits
    assert TextHasher(config(head_chars=100, tail_chars=0)).clip(fits) == "a" * 100 + " "


def test_counted_tokens_are_used_and_else_guessed_from_the_length() -> None:
    hasher = TextHasher(config())
    guessed, counted = (hasher.extract(RequestView("x" * 400, tokens))[1] for tokens in (None, 7))
    assert guessed[-2] == pytest.approx(np.log1p(100))
    assert counted[-2] == pytest.approx(np.log1p(7))


@given(prompts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_features_of_many_requests_are_those_of_each(prompts: list[str]) -> None:
    hasher = TextHasher(config(bits=9))
    hashed_rows, statistics = hasher.matrices([RequestView(prompt) for prompt in prompts])
    for row, prompt in enumerate(prompts):
        one_hashed, one_statistics = hasher.extract(RequestView(prompt))
        np.testing.assert_array_equal(hashed_rows[row], one_hashed)
        np.testing.assert_array_equal(statistics[row], one_statistics)
