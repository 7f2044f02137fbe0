"""Keys that a model does not have are found wherever they stand."""

from typing import Any

from pydantic import BaseModel

from evolving_ai.serving.strict_keys import unknown_keys


class Inner(BaseModel):
    size: int = 0


class Outer(BaseModel):
    name: str = ""
    inner: Inner | None = None
    many: list[Inner | dict[str, Any]] = []
    free: dict[str, Any] = {}


def test_a_known_document_has_no_unknown_keys() -> None:
    document = {"name": "x", "inner": {"size": 1}, "many": [{"size": 2}], "free": {"anything": 1}}

    assert list(unknown_keys(document, Outer)) == []


def test_a_slip_of_the_finger_is_named_with_its_place_and_what_was_meant() -> None:
    document = {"nmae": "x", "inner": {"siez": 1}, "many": [{"size": 1}, {"sizes": 2}]}

    assert list(unknown_keys(document, Outer)) == [
        "unknown key nmae: did you mean name?",
        "unknown key inner.siez: did you mean size?",
        "unknown key many[1].sizes: did you mean size?",
    ]


def test_what_is_no_mapping_is_left_to_the_model() -> None:
    assert list(unknown_keys([1], Outer)) == []
    assert list(unknown_keys({"inner": 3}, Outer)) == []
