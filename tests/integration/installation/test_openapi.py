"""The OpenAPI document: served to everybody, whole, and true of the routes."""

from typing import Any

import pytest

from tests.integration.installation.installed import Installed

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TEN = {
    ("post", "/api/v1/ai/chat"),
    ("post", "/api/v1/ai/completion"),
    ("post", "/api/v1/ai/route"),
    ("get", "/api/v1/ai/providers"),
    ("post", "/api/v1/evolution/start"),
    ("get", "/api/v1/evolution/status/{campaign_id}"),
    ("post", "/api/v1/evolution/rollback/{campaign_id}"),
    ("get", "/api/v1/system/health"),
    ("get", "/api/v1/system/metrics"),
    ("post", "/api/v1/system/config"),
}


@pytest.fixture(scope="module")
def document(platform: Installed) -> dict[str, Any]:
    answer = platform.send("GET", "/api/v1/openapi.json", key=None)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): each for path, item in document["paths"].items() for method, each in item.items()}


def references(part: Any) -> set[str]:
    """Every `$ref` below a part of the document."""
    if isinstance(part, list):
        return {found for each in part for found in references(each)}
    if not isinstance(part, dict):
        return set()
    own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
    return own | {found for each in part.values() for found in references(each)}


def test_it_is_a_whole_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.")
    assert document["info"]["title"] == "evolving_ai"
    assert document["info"]["version"]
    schemas = document["components"]["schemas"]
    assert references(document) == {f"#/components/schemas/{name}" for name in schemas}


def test_every_operation_has_a_name_of_its_own_a_description_and_an_answer(document: dict[str, Any]) -> None:
    found = operations(document)
    names = [operation["operationId"] for operation in found.values()]

    assert len(set(names)) == len(names)
    for key, operation in found.items():
        assert operation["description"], key
        assert any(status.startswith("2") for status in operation["responses"]), key
        if key[0] == "post" and operation.get("requestBody") is not None:
            assert "application/json" in operation["requestBody"]["content"], key
        for name in (part[1:-1] for part in key[1].split("/") if part.startswith("{")):
            assert name in {each["name"] for each in operation["parameters"] if each["in"] == "path"}, key


def test_the_endpoints_that_were_promised_are_in_it(document: dict[str, Any]) -> None:
    assert operations(document).keys() >= TEN


def test_every_operation_of_it_is_known_to_the_gateway(platform: Installed, document: dict[str, Any]) -> None:
    """None of them answers that there is nothing: without a body or with an unknown id each finds its own fault."""
    for method, path in operations(document):
        filled = "/".join("no-such" if part.startswith("{") else part for part in path.split("/"))
        answer = platform.send(method.upper(), filled, {"no": "such"} if method == "post" else None)
        told = answer.json().get("error", {}) if answer.status_code >= 400 else {}
        assert answer.status_code not in (405, 500, 501), (method, path, answer.text)
        assert "there is no " + method.upper() not in str(told.get("message")), (method, path)
        assert not str(told.get("message")).startswith("there is nothing at"), (method, path)
