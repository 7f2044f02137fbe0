"""Requests in envelopes: an ASGI application sees them as if they had come to it."""

import asyncio

import pytest
from fastapi import FastAPI, Request

from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import (
    DataError,
    EvolvingAIError,
    LockedError,
    PlatformError,
    RefConflictError,
    RefNotFoundError,
    RequestError,
    SettingsError,
)
from evolving_ai.serving.control.api import api_error
from evolving_ai.serving.control.http import answer_envelope, principal_json
from evolving_ai.serving.envelope import Envelope, unpack

ADMIN = Principal("key-1", "acme", Role.ADMIN)


def envelope(principal: Principal | None, body: bytes = b"") -> Envelope:
    head = {
        "method": "POST",
        "path": "/echo",
        "query": "a=1&b=%C3%A9",
        "headers": [["content-type", "text/plain"]],
        "principal": principal_json(principal),
        "request_id": "req-1",
    }
    return Envelope(head, body)


@pytest.mark.parametrize("principal", [ADMIN, None])
def test_the_application_sees_the_request_and_who_sent_it(principal: Principal | None) -> None:
    app = FastAPI()
    seen: list[object] = []

    @app.post("/echo", status_code=202)
    async def echo(request: Request) -> str:
        seen.extend((request.scope["principal"], request.scope["request_id"], dict(request.query_params)))
        return (await request.body()).decode()

    head, body = unpack(asyncio.run(answer_envelope(app, envelope(principal, "grüße".encode()))))
    assert seen == [principal, "req-1", {"a": "1", "b": "é"}]
    assert (head["status"], body.decode()) == (202, '"grüße"')
    assert ["content-type", "application/json"] in head["headers"]


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (RequestError("decision_not_found", "x"), "decision_not_found"),
        (RefNotFoundError("x"), "not_found"),
        (LockedError("x"), "conflict"),
        (RefConflictError("x"), "conflict"),
        (SettingsError("x"), "invalid_request"),
        (PlatformError("x"), "not_ready"),
        (DataError("x"), "internal_error"),
    ],
)
def test_every_error_of_the_program_has_a_code(exc: EvolvingAIError, code: str) -> None:
    answer = api_error(exc)
    assert (answer.code, str(answer)) == (code, "x")
