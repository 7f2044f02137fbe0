"""`evolving-ai keys` and `evolving-ai audit` as a user runs them, against a server and without one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evolving_ai.domain.identity import Role
from evolving_ai.security.api_keys import HashedKeyRing
from tests.integration.cli.keys_platform import keys_platform
from tests.integration.cli.program import refused, run
from tests.unit.serving.api.keys_app import Services


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def platform(home: Path) -> Iterator[Services]:
    with keys_platform(home) as services:
        yield services


def opens(services: Services, secret: str) -> bool:
    return HashedKeyRing(services.keys.snapshot(), services.clock).principal(secret) is not None


def test_a_key_lives_from_creation_to_revocation(home: Path, platform: Services) -> None:
    where = ("--home", home, "--json")
    limits = ("--requests-per-minute", 60, "--max-concurrent", 4, "--expires", 30)
    made = run("keys", "create", "--tenant", "acme", "--role", "operator", "--name", "ci", *limits, *where)
    key = made.document
    assert "will not be shown again" in made.errors
    assert (key["tenant"], key["role"], key["name"]) == ("acme", "operator", "ci")
    assert (key["requests_per_minute"], key["max_concurrent"]) == (60, 4)
    assert opens(platform, key["secret"])

    rotated = run("keys", "rotate", key["id"], "--grace-s", 0, *where).document
    assert rotated["id"] == key["id"]
    assert (opens(platform, key["secret"]), opens(platform, rotated["secret"])) == (False, True)

    revoked = run("keys", "revoke", key["id"], *where).document
    assert not revoked["is_valid"]
    assert not opens(platform, rotated["secret"])
    assert [shown["is_valid"] for shown in run("keys", "list", "--tenant", "acme", *where).document["keys"]] == [False]

    log = run("audit", "log", *where).document["entries"]
    assert [entry["kind"] for entry in log] == ["key_created", "key_rotated", "key_revoked"]
    assert {entry["subject"] for entry in log} == {key["id"]}
    assert key["secret"] not in str(log)


def test_people_get_lines_and_tables(home: Path, platform: Services) -> None:
    made = run("keys", "create", "--tenant", "acme", "--role", "viewer", "--home", home).output.splitlines()
    key_id = made[0].split()[1]
    assert made[1] == "tenant  acme, role viewer, expires never"
    assert made[2].startswith(f"secret  evai_{key_id}_")

    rotated = run("keys", "rotate", key_id, "--home", home).output
    assert "the secret before is valid until" in rotated
    assert run("keys", "revoke", key_id, "--home", home).output == f"revoked {key_id} (unnamed, tenant acme)\n"
    table = run("keys", "list", "--home", home).output
    assert key_id in table
    assert "revoked" in table
    assert "local-admin" in table
    assert '"role":"viewer"' in run("audit", "log", "--home", home, "--kind", "key_created").output


def test_mistakes_are_one_line(home: Path, platform: Services) -> None:
    where = ("--home", home)
    assert "there is no role 'root'" in refused("keys", "create", "--tenant", "a", "--role", "root", *where, code=2)
    assert "there is no key 'key-x'" in refused("keys", "revoke", "key-x", *where)
    for wrong in ("..", "../keys", "evai_key-0_secret", ""):
        assert "ID is not that of a key: expected one such as" in refused("keys", "revoke", wrong, *where, code=2)
    assert "local-admin is the file admin.token" in refused("keys", "rotate", "local-admin", *where)
    assert "there is no kind" in refused("audit", "log", "--kind", "x", *where, code=2)
    assert "expected NUMBER:HASH" in refused("audit", "verify", "--head", "7", *where, code=2)


def test_a_key_without_the_role_is_refused_in_one_line(home: Path, platform: Services) -> None:
    secret = platform.keys.create("k", "acme", Role.OPERATOR).secret

    text = refused("keys", "list", "--home", home, environment={"EVOLVING_AI_API_KEY": secret})

    assert "the role operator may not GET /api/v1/keys" in text


def test_without_a_platform_keys_say_how_to_start_one(home: Path) -> None:
    assert refused("keys", "list", "--home", home) == (
        "error: the platform is not running: start it with `evolving-ai up`"
    )
    assert "the platform is not running" in refused("audit", "verify", "--home", home)
    assert not home.exists()


def test_the_chain_is_verified_by_the_platform_and_after_its_end_in_the_file(home: Path) -> None:
    with keys_platform(home) as services:
        for name in ("one", "two"):
            run("keys", "create", "--tenant", "acme", "--role", "viewer", "--name", name, "--home", home)
        head = services.audit.head()
        kept = f"{head.sequence}:{head.hash}"
        assert run("audit", "verify", "--home", home).output == f"ok\nhead {kept}\n"
        assert run("audit", "verify", "--head", kept, "--home", home, "--json").document["ok"]

    done = run("audit", "verify", "--head", kept, "--home", home)
    assert done.output == f"ok\nhead {kept}\n"
    assert "audit.db itself, because the platform is not running" in done.errors
    assert [entry["sequence"] for entry in run("audit", "log", "--home", home, "--json").document["entries"]] == [1, 2]

    with closing(sqlite3.connect(home / "audit.db")) as connection, connection:
        connection.execute("DROP TRIGGER entries_are_not_removed")
        connection.execute("DELETE FROM entries WHERE sequence = 2")
    assert run("audit", "verify", "--home", home).output.startswith("ok\n")
    cut = run("audit", "verify", "--head", kept, "--home", home, code=1)
    assert cut.output.startswith("the log ends with entry 1, it once had 2: its end was cut off\n")

    with closing(sqlite3.connect(home / "audit.db")) as connection, connection:
        connection.execute("DROP TRIGGER entries_are_not_changed")
        connection.execute("UPDATE entries SET body = CAST(replace(body, 'acme', 'evil') AS BLOB)")
    changed = run("audit", "verify", "--home", home, "--json", code=1).document
    assert changed["problem"] == "entry 1 was changed: it does not match its hash"


def test_another_platform_that_is_down_is_not_answered_from_the_file_here(home: Path) -> None:
    with keys_platform(home) as services:
        services.audit.append("key_created", actor="ann", subject="key-1", detail={})
    elsewhere = {"EVOLVING_AI_BASE_URL": "http://127.0.0.1:1", "EVOLVING_AI_API_KEY": "key"}

    assert "nobody answers at" in refused("audit", "verify", "--home", home, environment=elsewhere)
