"""`config.yaml`: what is accepted, and how a slip is explained."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from evolving_ai.errors import DataError, SettingsError
from evolving_ai.settings import Settings, load_settings, read_yaml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    depth: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner = Inner()


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    write(tmp_path, "# nothing yet\n")

    assert load_settings(tmp_path) == Settings()


def test_settings_are_read(tmp_path: Path) -> None:
    write(tmp_path, "data: tables/routes.parquet\nworkers: 3\n")

    assert load_settings(tmp_path) == Settings(data=Path("tables/routes.parquet"), workers=3)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("worker: 2", "unknown key worker: did you mean workers?"),
        ("zzz: 2", "unknown key zzz: expected one of data, workers"),
        ("workers: many", "workers cannot be 'many': input should be a valid integer"),
        ("workers: 0", "workers cannot be 0: input should be greater than or equal to 1"),
        ("workers: 2.0", "workers cannot be 2.0: input should be a valid integer"),
        ("data: 5", "data cannot be 5: input is not a valid path"),
        ("- a\n- b", "expected a mapping of keys to values, found list"),
        ("workers: [", "is not YAML"),
        ("a: 1\nb: 2", "(and 1 more)"),
    ],
)
def test_a_slip_is_one_line_that_names_the_file_the_key_and_what_was_expected(
    tmp_path: Path, text: str, explanation: str
) -> None:
    path = write(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)

    assert str(caught.value).startswith(str(path))
    assert explanation in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("name: x\ninner: {dept: 2}", "unknown key inner.dept: did you mean depth?"),
        ("inner: {}", "the key name is missing"),
    ],
)
def test_a_nested_slip_names_the_whole_key(tmp_path: Path, text: str, explanation: str) -> None:
    with pytest.raises(SettingsError, match=explanation.replace("?", r"\?")):
        read_yaml(write(tmp_path, text), Outer)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml", Outer)
