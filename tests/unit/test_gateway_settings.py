"""What a person may write about the gateway: providers, targets, aliases, limits."""

from pathlib import Path

import pytest

from evolving_ai.errors import SettingsError
from evolving_ai.settings import CONFIG_VARIABLE, Settings, load_settings, read_yaml

WHOLE = """
profile: serve_ingress
port: 9000
providers:
  openai: {base_url: "https://127.0.0.1/v1", api_key_env: OPENAI_API_KEY, litellm_provider: openai, timeout_s: 60}
  claude: {kind: litellm, litellm_provider: anthropic, region: eu}
targets:
  - {provider: openai, model: gpt-4o-mini}
  - {provider: claude, model: sonnet, upstream_model: claude-x, max_output_tokens: 100,
     price: {input_usd_per_million: 0.15, output_usd_per_million: "2.5"}}
aliases: {fast: [gpt-4o-mini, claude/sonnet]}
unpriced: dearest
replay: {table: table.parquet, latency_scale: 0}
limits: {max_body_bytes: 2048, requests_per_minute: 60, max_concurrent: 4, max_attempts: 2, deadline_s: 30}
record_content: [tenant-1]
"""


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, Settings)


def test_everything_about_the_gateway_is_read(tmp_path: Path) -> None:
    found = settings_of(tmp_path, WHOLE)

    assert found.providers["openai"].timeout_s == 60.0
    assert found.providers["claude"].kind == "litellm"
    assert [target.model for target in found.targets] == ["gpt-4o-mini", "sonnet"]
    price = found.targets[1].price
    assert price is not None
    assert (str(price.input_usd_per_million), str(price.output_usd_per_million)) == ("0.15", "2.5")
    assert found.aliases == {"fast": ("gpt-4o-mini", "claude/sonnet")}
    assert (found.limits.max_attempts, found.limits.deadline_s, found.limits.max_body_bytes) == (2, 30.0, 2048)
    assert (found.unpriced, found.record_content) == ("dearest", ("tenant-1",))


def test_without_a_word_everything_has_a_default() -> None:
    limits = Settings().limits

    assert (limits.max_body_bytes, limits.max_attempts, limits.deadline_s) == (8 * 2**20, 3, 300.0)
    assert (limits.requests_per_minute, limits.max_concurrent) == (None, None)
    assert (Settings().unpriced, Settings().record_content, Settings().bind) == ("refuse", (), "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("limits: {max_attempts: 0}", "limits.max_attempts cannot be 0"),
        ("limits: {max_attempts: 11}", "limits.max_attempts cannot be 11"),
        ("limits: {max_body_bytes: 10}", "limits.max_body_bytes cannot be 10"),
        ("limits: {deadline_s: 0}", "limits.deadline_s cannot be 0"),
        ("limits: {deadline_s: .nan}", "limits.deadline_s cannot be nan"),
        ("limits: {requests_per_minute: many}", "limits.requests_per_minute cannot be 'many'"),
        ("limits: {max_atempts: 2}", "unknown key limits.max_atempts: did you mean max_attempts?"),
        ("aliases: {auto: [one]}", "an alias cannot be called 'auto'"),
        ("aliases: {a/b: [one]}", "an alias cannot be called 'a/b'"),
        ('aliases: {"": [one]}', "an alias cannot be called ''"),
        ("aliases: {fast: []}", "alias fast is empty"),
        ("providers: {own: {base_url: ftp://there}}", "providers.own.base_url cannot be 'ftp://there'"),
        ("providers: {own: {api_key_env: sk-a key}}", "providers.own.api_key_env cannot be 'sk-a key'"),
        ("providers: {own: {kind: pigeon}}", "providers.own.kind cannot be 'pigeon'"),
        ("providers: {own: {timeout_s: 0}}", "providers.own.timeout_s cannot be 0"),
        ("targets: [{provider: own, model: a/b}]", "targets.0.model cannot be 'a/b'"),
        ("targets: [{model: one}]", "the key targets.0.provider is missing"),
        (
            "targets: [{provider: own, model: one, price: {input_usd_per_million: -1, output_usd_per_million: 1}}]",
            "targets.0.price.input_usd_per_million cannot be -1",
        ),
        ("unpriced: free", "unpriced cannot be 'free'"),
        ("replay: {latency_scale: -1}", "replay.latency_scale cannot be -1"),
        ("port: 70000", "port cannot be 70000"),
        ("profile: fast", "profile cannot be 'fast'"),
    ],
)
def test_a_slip_is_one_line_that_names_the_key(tmp_path: Path, text: str, explanation: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, text)

    assert explanation in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_relative_table_starts_at_the_home(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("replay: {table: table.parquet}")

    assert load_settings(tmp_path, {}).replay.table == tmp_path / "table.parquet"


def test_the_configuration_that_up_was_given_goes_before_the_homes(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("port: 1")
    (tmp_path / "other.yaml").write_text("port: 2")

    assert load_settings(tmp_path, {}).port == 1
    assert load_settings(tmp_path, {CONFIG_VARIABLE: str(tmp_path / "other.yaml")}).port == 2
