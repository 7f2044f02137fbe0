"""What `up` starts, out of settings and options."""

from pathlib import Path

import pytest

from evolving_ai.errors import DataError, SettingsError
from evolving_ai.serving.config_files import find_serve_config
from evolving_ai.serving.plan import plan_platform

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "MISTRAL_API_KEY")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "EVOLVING_AI_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_an_empty_home_gets_the_defaults_and_replay_providers(tmp_path: Path) -> None:
    spec = plan_platform(tmp_path, config=None, port=None, serve_config=None)

    assert (spec.bind, spec.port, spec.profile, spec.has_dashboard) == ("127.0.0.1", 8000, "direct", True)
    assert spec.serve_config == find_serve_config("dev.yaml")
    assert spec.replay_table is not None
    assert spec.config is None


def test_a_key_in_the_environment_takes_the_place_of_replay_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-tests")

    assert plan_platform(tmp_path, config=None, port=None, serve_config=None).replay_table is None


def test_a_file_and_options_come_before_the_home(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("port: 1\n")
    other = tmp_path / "other.yaml"
    other.write_text("port: 2\nprofile: serve_ingress\ndashboard: false\n")

    spec = plan_platform(tmp_path, config=other, port=None, serve_config=None)

    assert (spec.port, spec.profile, spec.has_dashboard, spec.config) == (2, "serve_ingress", False, other)
    assert plan_platform(tmp_path, config=other, port=3, serve_config=None).port == 3


def test_a_wrong_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("profile: fast\n")

    with pytest.raises(SettingsError, match="profile"):
        plan_platform(tmp_path, config=None, port=None, serve_config=None)


def test_a_serve_configuration_that_is_not_there_is_told() -> None:
    with pytest.raises(DataError, match=r"none\.yaml is not part of this installation"):
        find_serve_config("none.yaml")
