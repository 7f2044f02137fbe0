"""Answers and errors cross between deployments as plain values."""

import asyncio

import pytest

from evolving_ai.errors import (
    EvolvingAIError,
    GeneError,
    PlatformError,
    RefNotFoundError,
    RequestError,
    StorageError,
)
from evolving_ai.serving.answers import answer_of, result_of


async def _give(payload: bytes) -> bytes:
    return payload


async def _fail(exc: Exception) -> bytes:
    raise exc


def test_an_answer_arrives_as_it_was() -> None:
    assert result_of(asyncio.run(answer_of(_give(b"\x00yes")))) == b"\x00yes"


@pytest.mark.parametrize("exc", [RefNotFoundError("no branch x"), StorageError("disk full")])
def test_an_error_keeps_its_class_and_text(exc: EvolvingAIError) -> None:
    with pytest.raises(type(exc), match=str(exc)):
        result_of(asyncio.run(answer_of(_fail(exc))))


def test_a_refusal_keeps_its_facts() -> None:
    refusal = RequestError("budget_exceeded", "spent", hint="raise it", param="model", retry_after_s=2.5)

    with pytest.raises(RequestError) as found:
        result_of(asyncio.run(answer_of(_fail(refusal))))

    assert vars(found.value) == vars(refusal)


def test_an_error_without_a_plain_form_becomes_one_of_the_platform() -> None:
    with pytest.raises(PlatformError, match="out of range"):
        result_of(asyncio.run(answer_of(_fail(GeneError("x", "out of range")))))


def test_an_error_of_another_release_becomes_one_of_the_platform() -> None:
    with pytest.raises(PlatformError, match="new"):
        result_of((None, {"error": "NobodyKnowsError", "message": "new"}))


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(answer_of(_fail(ZeroDivisionError())))
