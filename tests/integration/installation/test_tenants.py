"""Keys, roles and tenants: nothing leaks from one to the other, and a revoked key is refused everywhere, soon."""

import time

import httpx
import pytest

from tests.integration.installation.installed import Installed, error_of, until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

REVOKED_WITHIN_S = 5.0
ASKED = 24
WORD = "xylophone-7719"
FORBIDDEN_TO_VIEWERS = (
    ("GET", "/api/v1/keys"),
    ("POST", "/api/v1/keys"),
    ("DELETE", "/api/v1/keys/key-1"),
    ("GET", "/api/v1/budgets"),
    ("POST", "/api/v1/budgets"),
    ("GET", "/api/v1/audit/entries"),
    ("GET", "/api/v1/audit/verify"),
    ("POST", "/api/v1/dna/promote"),
    ("POST", "/api/v1/dna/rollback"),
    ("POST", "/api/v1/evolution/start"),
    ("POST", "/api/v1/system/config"),
)


def statuses(platform: Installed, secret: str) -> set[int]:
    """What new connections to all replicas are answered: each goes where the kernel or the proxy sends it."""
    return {platform.send("GET", "/v1/models", key=secret).status_code for _ in range(ASKED)}


def test_a_new_key_is_known_and_a_revoked_one_refused_by_every_replica(platform: Installed) -> None:
    key = platform.new_key("revoked")
    assert statuses(platform, key["secret"]) == {200}
    with httpx.Client(base_url=platform.url, trust_env=False) as kept:
        headers = {"authorization": f"Bearer {key['secret']}"}
        assert kept.get("/v1/models", headers=headers).status_code == 200

        assert platform.send("DELETE", f"/api/v1/keys/{key['id']}").status_code == 200
        begun = time.monotonic()
        until(lambda: statuses(platform, key["secret"]) == {401}, REVOKED_WITHIN_S, "the key is refused everywhere")

        assert time.monotonic() - begun < REVOKED_WITHIN_S
        assert kept.get("/v1/models", headers=headers).status_code == 401, "an open connection is no way around"


@pytest.mark.parametrize(("method", "path"), FORBIDDEN_TO_VIEWERS)
def test_a_viewer_may_not_change_anything(platform: Installed, viewer: str, method: str, path: str) -> None:
    answer = platform.send(method, path, {} if method == "POST" else None, key=viewer)

    assert error_of(answer, 403)["code"] == "permission_denied"


@pytest.fixture(scope="module")
def viewer(platform: Installed) -> str:
    return str(platform.new_key("viewers")["secret"])


def test_an_operator_changes_dna_and_nothing_about_access(platform: Installed) -> None:
    operator = platform.new_key("operators", "operator")["secret"]

    assert platform.send("POST", "/api/v1/dna/promote", {"ref": "no-such"}, key=operator).status_code == 404
    assert platform.send("GET", "/api/v1/keys", key=operator).status_code == 403


def test_a_foreign_decision_is_told_from_one_that_does_not_exist_by_nothing(platform: Installed) -> None:
    owner, stranger = (platform.new_key(tenant)["secret"] for tenant in ("owner", "stranger"))
    mine = platform.chat(f"My word is {WORD}", key=owner).headers["x-request-id"]
    platform.decision(mine, key=owner)
    nobodys = "req-0000000000000000000000"

    told = []
    for decision in (mine, nobodys):
        explained = platform.send("GET", f"/api/v1/ai/decisions/{decision}", key=stranger)
        judged = platform.send("POST", "/api/v1/ai/feedback", {"decision_id": decision, "score": 0}, key=stranger)
        for answer in (explained, judged):
            error = error_of(answer, 404)
            told.append({**error, "request_id": "", "message": error["message"].replace(decision, "ID")})
            assert WORD not in answer.text
            assert "owner" not in answer.text

    assert told == [told[0]] * 4
    assert platform.decision(mine, key=owner)["feedback"] is None


def test_an_administrator_of_a_tenant_sees_that_tenant_alone(platform: Installed) -> None:
    other = platform.new_key("acme-other")
    admin = platform.new_key("acme", "admin")["secret"]
    platform.decision(platform.chat("Hello", key=other["secret"]).headers["x-request-id"])

    keys = platform.send("GET", "/api/v1/keys", key=admin)
    assert {key["tenant"] for key in keys.json()["keys"]} == {"acme"}
    assert platform.send("GET", "/api/v1/keys?tenant=acme-other", key=admin).json() == {"keys": []}
    error_of(platform.send("DELETE", f"/api/v1/keys/{other['id']}", key=admin), 404)
    error_of(platform.send("POST", "/api/v1/keys", {"tenant": "local", "role": "admin"}, key=admin), 403)
    budget = {"scope": f"key:{other['id']}", "cap_usd": "1"}
    assert platform.send("POST", "/api/v1/budgets", budget, key=admin).status_code in (403, 404)
    error_of(platform.send("POST", "/api/v1/budgets", {"scope": "tenant:acme", "cap_usd": "9"}, key=admin), 403)
    for path in ("/api/v1/budgets", "/api/v1/budgets/cost", "/api/v1/audit/entries"):
        answer = platform.send("GET", path, key=admin)
        assert answer.status_code == 200, answer.text
        assert other["id"] not in answer.text
        assert "acme-other" not in answer.text


def test_secrets_and_prompts_stand_in_no_file_of_the_home(platform: Installed) -> None:
    secret = platform.new_key("kept-secret")["secret"]
    answer = platform.chat(f"Nobody keeps {WORD}", key=secret)
    platform.decision(answer.headers["x-request-id"])

    written = [(path, path.read_bytes()) for path in platform.home.rglob("*") if path.is_file()]

    assert len(written) > 10
    for word in (secret, WORD):
        assert [path.name for path, text in written if word.encode() in text] == []
