"""The commands of the installation, on a running platform, as a person or a script uses them."""

import json

import pytest

from tests.integration.installation.installed import Installed, command, until

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_chat_prints_the_answer_and_its_figures_apart(platform: Installed) -> None:
    done = platform.run("chat", "Hello")
    answer = platform.run_json("chat", "Hello")

    assert done.stdout.startswith("[replay ")
    assert "Traceback" not in done.stderr
    assert answer["text"] == done.stdout.strip()
    assert answer["target"].startswith("replay/")


def test_chat_with_an_unknown_model_is_one_line(platform: Installed) -> None:
    done = command(platform.home, "evolving-ai", "chat", "Hello", "--model", "nothing")

    assert done.returncode == 1
    assert done.stderr.startswith("error: the model 'nothing' does not exist")
    assert len(done.stderr.strip().splitlines()) == 1


def test_keys_are_made_used_rotated_and_revoked(platform: Installed) -> None:
    key = platform.run_json("keys", "create", "--tenant", "cli", "--role", "viewer", "--name", "mine")
    assert platform.run("chat", "Hello", EVOLVING_AI_API_KEY=key["secret"]).stdout
    rotated = platform.run_json("keys", "rotate", key["id"], "--grace-s", "0")
    platform.run("keys", "revoke", key["id"])
    (listed,) = platform.run_json("keys", "list", "--tenant", "cli")["keys"]
    refused = command(platform.home, "evolving-ai", "chat", "Hello", extra={"EVOLVING_AI_API_KEY": rotated["secret"]})

    assert (listed["id"], listed["is_valid"]) == (key["id"], False)
    assert refused.returncode == 1
    assert "not valid" in refused.stderr
    assert "secret" not in platform.run("keys", "list").stdout


def test_budgets_are_set_listed_and_removed_and_spend_is_shown(platform: Installed) -> None:
    platform.run("budget", "set", "tenant:cli-spend", "3.50", "--window", "day")
    budgets = {each["scope"]: each["cap_usd"] for each in platform.run_json("budget", "list")["budgets"]}
    assert budgets["tenant:cli-spend"] == "3.500000"

    key = platform.new_key("cli-spend")
    charged = platform.chat("Hello", key=key["secret"]).headers["x-evolving-cost-usd"]

    def shown() -> bool:
        found = platform.run_json("cost", "--tenant", "cli-spend", "--by", "tenant")
        return bool(found["total_usd"] == charged and found["lines"][0]["attempts"] == 1)

    until(shown, 20, "the cost of one request is shown")
    assert "cli-spend" in platform.run("cost", "--by", "tenant").stdout
    assert "no budget any more" in platform.run("budget", "remove", "tenant:cli-spend").stdout


def test_the_audit_log_is_whole_and_says_who_did_what(platform: Installed) -> None:
    made = platform.new_key("cli-audit")
    entries = platform.run_json("audit", "log", "--kind", "key_created")["entries"]
    verdict = platform.run_json("audit", "verify")
    head = f"{verdict['head']['sequence']}:{verdict['head']['hash']}"

    assert verdict["ok"] is True
    assert platform.run("audit", "verify", "--head", head).stdout.startswith("ok")
    (entry,) = (each for each in entries if each["subject"] == made["id"])
    assert (entry["actor"], entry["detail"]["tenant"]) == ("local-admin", "cli-audit")
    assert made["secret"] not in json.dumps(entries)


def test_dna_is_committed_promoted_and_rolled_back(platform: Installed) -> None:
    before = platform.run_json("dna", "live")
    platform.run("dna", "branch", "cli-trial")
    made = platform.run_json("dna", "commit", "--set", "score.cost_weight=12", "--branch", "cli-trial", "-m", "try")
    promoted = platform.run_json("dna", "promote", "cli-trial", "--reason", "a trial")
    back = platform.run_json("dna", "rollback")

    assert promoted["genes"]["score.cost_weight"] == 12
    assert promoted["dna_hash"] == made["dna_hash"]
    assert (back["dna_hash"], back["generation"]) == (before["dna_hash"], before["generation"] + 2)
    assert platform.run("dna", "log", "cli-trial").stdout
    assert command(platform.home, "evolving-ai", "dna", "promote", "no-such").returncode == 1


def test_a_rollout_is_approved_and_stopped_by_hand(platform: Installed) -> None:
    before = platform.run_json("dna", "live")
    platform.run("dna", "branch", "cli-rollout")
    platform.run("dna", "commit", "--set", "score.cost_weight=6", "--branch", "cli-rollout", "-m", "thrift")
    lenient = ("--quality-points", "90", "--approve-by-hand", "--reason", "a trial")
    started = platform.run_json("rollout", "start", "cli-rollout", *lenient)

    def shown(state: str) -> bool:
        return bool(platform.run_json("rollout", "status")["state"] == state)

    until(lambda: shown("awaiting_approval"), 60, "the gates let it pass")
    second = command(platform.home, "evolving-ai", "rollout", "start", "cli-rollout")
    approved = platform.run_json("rollout", "approve")
    stopped = platform.run_json("rollout", "stop", "--reason", "enough")

    assert (second.returncode, len(second.stderr.splitlines())) == (1, 1)
    assert f"{started['id']} is under way" in second.stderr
    assert (approved["id"], approved["state"], approved["share"]) == (started["id"], "canary", 0.1)
    assert (stopped["state"], stopped["reason"]) == ("stopped", "enough")
    assert started["id"] in platform.run("rollout", "list").stdout
    assert "latency_limit" in platform.run("rollout", "status").stdout
    assert platform.run_json("dna", "live")["dna_hash"] == before["dna_hash"]


def test_a_rollout_that_a_gate_vetoes_is_followed_to_its_end(platform: Installed) -> None:
    platform.run("dna", "branch", "cli-veto")
    platform.run("dna", "commit", "--set", "score.cost_weight=12", "--branch", "cli-veto", "-m", "too much thrift")

    done = command(platform.home, "evolving-ai", "rollout", "start", "cli-veto", "--quality-points", "0.1", "--follow")

    assert done.returncode == 1
    assert "gate hold_out vetoed" in done.stderr
    assert ": refused: gate hold_out" in done.stdout.splitlines()[0]


def test_status_tells_what_runs(platform: Installed) -> None:
    found = platform.run_json("status")

    assert (found["state"], found["url"], found["profile"]) == ("running", platform.url, platform.state.profile)
    assert {each["name"]: each["status"] for each in found["applications"]} == dict.fromkeys(
        ("control", "decision", "gateway"), "RUNNING"
    )
    assert found["memory"]["bytes"] > 0


def test_a_job_is_submitted_with_what_env_says(platform: Installed) -> None:
    variables: dict[str, str] = platform.run_json("env")
    wanted = {name: value for name, value in variables.items() if name.startswith("RAY_")}

    job = command(platform.home, "ray", "job", "submit", "--", "evolving-ai", "--version", extra=wanted)

    assert job.returncode == 0, job.stdout + job.stderr
    assert "evolving-ai 0." in job.stdout
