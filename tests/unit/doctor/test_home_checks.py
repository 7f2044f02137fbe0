"""A home is looked at, not changed: who may read it, its settings, its keys, its clock, and what it keeps."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.decision.prior import price_snapshot
from evolving_ai.doctor.finding import Finding, Verdict
from evolving_ai.doctor.home_checks import home_findings
from evolving_ai.doctor.state_checks import state_findings
from evolving_ai.domain.dna import Genome
from evolving_ai.domain.money import TokenPrice
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog
from evolving_ai.stores.sqlite.dna_store import SqliteDnaStore
from evolving_ai.wiring.live_record import LiveRecord, LiveVersion, genome_json, save_live
from evolving_ai.wiring.search_space import search_space
from evolving_ai.wiring.snapshots import SnapshotLibrary

ONE_TARGET = """
providers: {them: {base_url: "https://them.example/v1", api_key_env: THEM_KEY}}
targets: [{provider: them, model: m, price: {input_usd_per_million: 1, output_usd_per_million: 1}}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


def looked_at(home: Path, clock: ManualClock | None = None, **environment: str) -> dict[str, Finding]:
    found = home_findings(home, clock or right_clock(), environment, problem_of=lambda _bind, _port: None)
    return {finding.name: finding for finding in found}


def right_clock() -> ManualClock:
    return ManualClock(datetime.now(UTC) + timedelta(minutes=1))


def state(home: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in state_findings(home)}


def test_a_home_that_is_not_there_yet_is_fine_and_not_made(tmp_path: Path) -> None:
    home = tmp_path / "none"
    found = {**looked_at(home), **state(home)}

    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert not home.exists()


def test_secrets_that_others_may_read_fail(home: Path) -> None:
    (home / "admin.token").write_text("secret")
    (home / "admin.token").chmod(0o644)

    finding = looked_at(home)["home"]

    assert finding.verdict is Verdict.FAILED
    assert "others may read admin.token" in finding.detail
    assert finding.advice == f"chmod 600 {home}/admin.token"
    (home / "admin.token").chmod(0o600)
    assert looked_at(home)["home"].verdict is Verdict.OK


def test_a_folder_that_others_may_look_into_is_a_warning(home: Path) -> None:
    home.chmod(0o755)

    finding = looked_at(home)["home"]

    assert (finding.verdict, finding.advice) == (Verdict.WARNING, f"chmod 700 {home}")


def test_a_home_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert looked_at(tmp_path / "file")["home"].verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("text", "said"), [("prot: 8000", "did you mean port?"), ("port: many", "port cannot be"), ("a: [", "is not YAML")]
)
def test_settings_that_cannot_be_read_fail_in_a_line(text: str, said: str, home: Path) -> None:
    (home / "config.yaml").write_text(text)

    finding = looked_at(home)["config.yaml"]

    assert finding.verdict is Verdict.FAILED
    assert said in finding.detail


def test_the_keys_of_providers_must_be_in_the_environment(home: Path) -> None:
    (home / "config.yaml").write_text(ONE_TARGET)

    missing = looked_at(home)["provider keys"]
    assert (missing.verdict, missing.detail) == (Verdict.FAILED, "THEM_KEY is not in the environment")
    there = looked_at(home, THEM_KEY="k-secret")["provider keys"]
    assert (there.verdict, there.detail) == (Verdict.OK, "1 of 1 are in the environment")


def test_a_target_of_no_provider_fails(home: Path) -> None:
    (home / "config.yaml").write_text("targets: [{provider: them, model: m}]")

    assert "them, which are not there" in looked_at(home)["provider keys"].detail


def test_without_targets_the_environment_decides_who_answers(home: Path) -> None:
    assert "replay providers" in looked_at(home)["provider keys"].detail
    assert "openai" in looked_at(home, OPENAI_API_KEY="k")["provider keys"].detail


def test_a_port_that_is_taken_is_a_warning(home: Path) -> None:
    found = home_findings(home, right_clock(), {}, problem_of=lambda _bind, _port: "taken by nginx (process 7)")
    [port] = [finding for finding in found if finding.name == "port"]

    assert (port.verdict, port.detail) == (Verdict.WARNING, "127.0.0.1:8000 is taken by nginx (process 7)")


def test_a_clock_that_is_behind_the_program_or_the_home_fails(home: Path) -> None:
    assert looked_at(home, ManualClock(datetime(2025, 1, 1, tzinfo=UTC)))["clock"].verdict is Verdict.FAILED
    (home / "dna.db").touch(mode=0o600)
    late = ManualClock(datetime.fromtimestamp((home / "dna.db").stat().st_mtime, UTC) - timedelta(hours=1))
    assert "but the home was written at" in looked_at(home, late)["clock"].detail


def test_databases_are_checked_and_left_as_they_are(home: Path) -> None:
    SqliteDnaStore.open(home / "dna.db").close()
    before = (home / "dna.db").read_bytes()

    assert state(home)["databases"] == Finding("databases", Verdict.OK, "1 are whole")
    assert (home / "dna.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["not a database", "cut"])
def test_a_damaged_database_fails(damage: str, home: Path) -> None:
    path = home / "dna.db"
    SqliteDnaStore.open(path).close()
    path.write_bytes(b"x" * 5000 if damage == "not a database" else path.read_bytes()[:4096])

    finding = state(home)["databases"]

    assert finding.verdict is Verdict.FAILED
    assert finding.detail.startswith("dna.db: ")


def test_a_changed_audit_log_fails(home: Path) -> None:
    with SqliteAuditLog.open(home / "audit.db", ManualClock()) as log:
        log.append("key_created", actor="ann", subject="key-1", detail={})
    assert state(home)["audit log"].detail == "1 entries, each matches its hash"
    with closing(sqlite3.connect(home / "audit.db")) as connection, connection:
        connection.execute("DROP TRIGGER entries_are_not_changed")
        connection.execute("UPDATE entries SET body = CAST(replace(body, 'ann', 'eve') AS BLOB)")

    finding = state(home)["audit log"]

    assert (finding.verdict, finding.detail) == (
        Verdict.FAILED,
        "entry 1 was changed: it does not match its hash",
    )


def make_live(home: Path) -> str:
    """Let the default DNA be live with a snapshot of prices; its hash."""
    genome = Genome(search_space().defaults())
    library = SnapshotLibrary(home)
    (home / "live").mkdir()
    snapshot = library.put(price_snapshot(genome, ("a", "b"), {"a": TokenPrice(1, 1), "b": TokenPrice(2, 2)}))
    version = LiveVersion(1, "c" * 64, genome.hash, snapshot, "2026-01-01T00:00:00+00:00", "ann", "first")
    save_live(home, LiveRecord(version, genome_json(genome)))
    return snapshot


def test_what_is_live_must_be_there_whole(home: Path) -> None:
    snapshot = make_live(home)
    assert state(home)["live DNA"].verdict is Verdict.OK

    (home / "snapshots" / f"{snapshot}.npz").write_bytes(b"damaged")
    assert state(home)["live DNA"].verdict is Verdict.FAILED
    (home / "snapshots" / f"{snapshot}.npz").unlink()
    assert state(home)["live DNA"].verdict is Verdict.FAILED
    (home / "live" / "current.json").write_text("{")
    assert "current.json is damaged" in state(home)["live DNA"].detail
