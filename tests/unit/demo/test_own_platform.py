"""The platform of a demonstration replays, whatever keys and settings the environment holds."""

from pathlib import Path

from evolving_ai.demo.own_platform import quiet_environment, write_settings
from evolving_ai.settings import load_settings
from evolving_ai.wiring.replay_source import needs_replay, replay_table


def test_no_providers_key_and_no_other_settings_reach_it(tmp_path: Path) -> None:
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "MISTRAL_API_KEY")
    found = quiet_environment(tmp_path, {**dict.fromkeys(keys, "k"), "EVOLVING_AI_CONFIG": "/else", "PATH": "/bin"})

    assert found == {"PATH": "/bin", "MPLCONFIGDIR": str(tmp_path / "matplotlib")}


def test_its_settings_replay_from_the_table_and_learn_nothing(tmp_path: Path) -> None:
    table = tmp_path / "outcomes.parquet"
    table.touch()
    write_settings(tmp_path, table, 0.1)
    settings = load_settings(tmp_path, {})

    assert needs_replay(settings, {})
    assert replay_table(settings) == table == settings.data
    assert settings.replay.latency_scale == 0.1
    assert settings.learning is False
