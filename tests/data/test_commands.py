"""The commands that build data sets, from end to end."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.data.sources.make import noise, write
from undiffuse.cli.data import command as data_command
from undiffuse.cli.train import command as train_command
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.errors import UserError

EAGER = ["--eager", "--threads", "1"]


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(data_command, [str(arg) for arg in args], catch_exceptions=False)


def test_shapes_are_written_the_same_each_time(tmp_path: Path) -> None:
    result = invoke("shapes", "-o", tmp_path, "--count", "7", "--seed", "3")
    assert result.output.strip() == str(tmp_path)
    samples = list(read_shards(find_shards(tmp_path)))
    assert [s.key for s in samples] == [f"shapes-3-{k:07d}" for k in range(7)]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    invoke("shapes", "-o", tmp_path, "--count", "7", "--seed", "3")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert invoke("shapes", "-o", tmp_path, "--count", "0").exit_code == 2


@pytest.mark.slow
def test_training_on_shapes_names_the_missing_field(tmp_path: Path) -> None:
    invoke("shapes", "-o", tmp_path / "data", "--count", "3")
    args = ["codec", "--data", tmp_path / "data", "-o", tmp_path / "out", *EAGER]
    with pytest.raises(UserError, match="record of shapes-0-0000000 has no 'keywords'"):
        CliRunner().invoke(train_command, list(map(str, args)), catch_exceptions=False)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no emojibase-data"):
        invoke("emoji", "-o", tmp_path, "--packages", tmp_path)


@pytest.mark.parametrize("folder", [".", "", "used"])
def test_a_folder_in_use_is_refused_before_the_pictures_are_read(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("pictures"), {"a dog.png": noise(1)})
    write(Path("used"), {"file.txt": b"x"})
    with pytest.raises(UserError, match="is in use: give a new one or an empty one"):
        invoke("prepare", "pictures", "-o", folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "used"]
