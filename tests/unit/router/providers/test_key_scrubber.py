"""What is taken out of a provider's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.router.providers.key_scrubber import scrub, scrub_document

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=20, max_size=40)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-abcdefghijk",
        "gsk_abcdefghijklmnop",
        "org-abcdefghijklmnop",
        "AIzaSyA1234567890abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdef",
        "sk-ab***********wxyz",
        "abcd****wxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_what_looks_like_a_key_is_removed(secret: str) -> None:
    text = scrub(f"Incorrect key provided: {secret}. Find yours elsewhere.")

    assert secret.removeprefix("Bearer ") not in text
    assert text.startswith("Incorrect key provided: [removed]")
    assert text.endswith("Find yours elsewhere.")


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4o-mini` does not exist or you do not have access to it.",
        "This model's maximum context length is 128000 tokens, however you requested 130001.",
        "messages.0.content: expected a string or a list of parts (organization policy, projected use)",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert scrub(text) == text


@given(st.text(), WORDS, st.text())
def test_our_own_key_never_stays(before: str, key: str, after: str) -> None:
    assert key not in scrub(f"{before}{key}{after}", key)
    assert key not in str(scrub_document({"a": [{key: f"{before}{key}"}]}, key))


def test_a_document_keeps_its_form() -> None:
    document = {"a": [1, 2.5, None, True, "x"], "b": {"c": "sk-abcdefghijkl"}}

    assert scrub_document(document) == {"a": [1, 2.5, None, True, "x"], "b": {"c": "[removed]"}}


def test_what_is_nested_too_deep_is_left_out() -> None:
    document: object = "sk-abcdefghijkl"
    for _ in range(100):
        document = [document]

    assert "sk-" not in str(scrub_document(document))
