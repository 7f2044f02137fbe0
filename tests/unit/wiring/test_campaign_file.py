"""Campaign files: defaults, paths, and the one line that names what is wrong."""

from pathlib import Path

import pytest

from evolving_ai.errors import DataError, SettingsError
from evolving_ai.wiring.campaign_file import read_campaign_file

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def written(tmp_path: Path, text: str, name: str = "campaign.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_shortest_file_has_every_default(tmp_path: Path) -> None:
    campaign = read_campaign_file(written(tmp_path, "kind: routing"))
    assert (campaign.start_from, campaign.evals, campaign.folds, campaign.executor) == ("main", 400, 3, "process")
    assert campaign.data is None
    assert campaign.operating_point.max_cost_share == 0.35


def test_data_lies_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "campaigns").mkdir()
    file = written(tmp_path / "campaigns", "kind: routing\ndata: ../data/table.parquet")
    assert read_campaign_file(file).data == tmp_path / "data" / "table.parquet"


def test_a_folder_stands_for_its_campaign_file(tmp_path: Path) -> None:
    written(tmp_path, "kind: routing\nseed: 12")
    assert read_campaign_file(tmp_path).seed == 12


@pytest.mark.parametrize("file", sorted((EXPERIMENTS / "campaigns").glob("*.yaml")), ids=lambda path: path.name)
def test_every_campaign_of_the_project_can_be_read_and_has_its_data(file: Path) -> None:
    campaign = read_campaign_file(file)
    assert campaign.data is not None
    assert campaign.data.is_file()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: routing\nseeed: 1", "unknown key seeed: did you mean seed?"),
        ("kind: routing\nzzz: 1", "unknown key zzz: expected one of kind, name, data"),
        ("kind: routing\noperating_point: {max_cost_shar: 1}", "did you mean max_cost_share?"),
        ("name: x", "the key kind is missing"),
        ("kind: prompts", "kind cannot be 'prompts'"),
        ("kind: routing\nevals: 1.5", "evals cannot be 1.5"),
        ("kind: routing\nevals: '12'", "evals cannot be '12'"),
        ("kind: routing\nevals: true", "evals cannot be True"),
        ("kind: routing\nevals: 0", "evals cannot be 0"),
        ("kind: routing\nseed: -1", "seed cannot be -1"),
        ("kind: routing\nfolds: 1", "folds cannot be 1"),
        ("kind: routing\nname: Has Blanks", "name cannot be 'Has Blanks'"),
        ("kind: routing\nname: ../up", "name cannot be '../up'"),
        ("kind: routing\ngenes: score.", "genes cannot be 'score.'"),
        ("kind: routing\ntarget: {objective: speed, value: 1}", "target.objective cannot be 'speed'"),
        ("kind: routing\noperating_point: {max_cost_share: 0}", "operating_point.max_cost_share cannot be 0"),
        ("kind: routing\ntime_limit_s: -5", "time_limit_s"),
        ("kind: routing\nexecutor: cloud", "executor cannot be 'cloud'"),
        ("- kind: routing", "expected a mapping of keys to values, found list"),
        ("kind: [", "is not YAML"),
        ("kind: routing\nseed: .nan", "seed cannot be nan"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_key(tmp_path: Path, text: str, reason: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_campaign_file(file)
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "0.5", "1"])
def test_a_fitness_from_0_to_1_can_be_the_target(tmp_path: Path, value: str) -> None:
    text = f"kind: routing\ntarget: {{objective: fitness_score, value: {value}}}"
    target = read_campaign_file(written(tmp_path, text)).target
    assert target is not None
    assert target.value == float(value)


@pytest.mark.parametrize("value", ["-0.1", "1.1", "95"])
def test_a_fitness_beyond_0_to_1_is_refused(tmp_path: Path, value: str) -> None:
    text = f"kind: routing\ntarget: {{objective: fitness_score, value: {value}}}"
    with pytest.raises(SettingsError, match="expected a fitness_score from 0 to 1"):
        read_campaign_file(written(tmp_path, text))


@pytest.mark.parametrize("key", ["time_limit_s", "deadline_s", "utility_cost_weight"])
@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=key):
        read_campaign_file(written(tmp_path, f"kind: routing\n{key}: {value}"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_bytes(b"kind: \xff\xfe")
    with pytest.raises(SettingsError, match="is not YAML"):
        read_campaign_file(tmp_path)


def test_a_missing_file_and_a_folder_without_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_campaign_file(tmp_path / "none.yaml")
    with pytest.raises(DataError, match=r"holds no campaign\.yaml"):
        read_campaign_file(tmp_path)
