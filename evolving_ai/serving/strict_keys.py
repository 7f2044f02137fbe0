"""Keys of a document that its pydantic model does not have, also where the model ignores what it does not know."""

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["unknown_keys"]


def unknown_keys(document: Any, model: type[BaseModel], where: str = "") -> Iterator[str]:
    """A line for each key of `document` that neither `model` nor a model inside it has. Free mappings are let be."""
    if not isinstance(document, Mapping):
        return
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in document.items():
        place = f"{where}.{key}" if where else str(key)
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            yield f"unknown key {place}" + (f": did you mean {close[0]}?" if close else "")
            continue
        inner = next(_models_in(known[key]), None)
        if inner is None:
            continue
        for position, item in enumerate(value if isinstance(value, list) else [value]):
            inside = f"{place}[{position}]" if isinstance(value, list) else place
            yield from unknown_keys(item, inner, inside)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    arguments = typing.get_args(annotation)
    for argument in arguments:
        yield from _models_in(argument)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
