"""search, classify, similarity and space, as a person types them, with the CLIP that ships."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.sample import originals
from undiffuse.cli.explore import open_space, read_index
from undiffuse.cli.main import cli
from undiffuse.errors import UserError, explain
from undiffuse.explore.space import caption_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pictures")
    for sample in originals():
        if sample.record["family"] == "twemoji" and not sample.record["tone"]:
            Image.fromarray(sample.picture).save(out / f"{sample.record['name']}.png")
    return out


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.png"))


def test_search_finds_images_by_their_names(folder: Path) -> None:
    names, space = names_of(folder), open_space(None, None, 2)
    index = read_index(space, folder, None)
    found = [index.search(space.vector(name), 1)[0].path for name in names]
    assert np.mean([path == f"{name}.png" for path, name in zip(found, names, strict=True)]) >= 0.8


def test_search_prints_paths_or_json_and_writes_a_sheet(folder: Path, tmp_path: Path) -> None:
    name, sheet = names_of(folder)[0], tmp_path / "sheet.png"
    hits = json.loads(run("search", name, folder, "-n", "3", "--json").stdout)
    lines = run("search", name, folder, "-n", "3", "--sheet", sheet).stdout.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [str(folder / hit["path"]) for hit in hits]
    assert Image.open(sheet).size[0] > 128


def test_search_by_an_image(folder: Path) -> None:
    name = names_of(folder)[0]
    for args in (("--like", folder / f"{name}.png", folder), (folder / f"{name}.png", folder)):
        best = json.loads(run("search", *args, "--json").stdout)[0]
        assert best["path"] == f"{name}.png"
        assert best["cosine"] == pytest.approx(1, abs=1e-4)


def test_an_empty_folder_and_missing_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no images"):
        run("search", "cat", tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        run("search", "cat", tmp_path / "nowhere")
    with pytest.raises(UserError, match="search needs a query and a folder"):
        run("search", "cat")
    with pytest.raises(UserError, match="the query is empty"):
        run("search", " ", tmp_path)


def test_images_that_can_not_be_read_are_named_and_counted(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5), "red").save(tmp_path / "good.png")
    (tmp_path / "bäd.png").write_text("no")
    result = run("search", "red", tmp_path)
    assert "good.png" in result.stdout
    assert "1 images were left out" in result.stderr
    assert f"left out: {tmp_path / 'bäd.png'} is no image in a known format" in result.stderr


def test_classify_prints_the_best_label_of_each_image(folder: Path, tmp_path: Path) -> None:
    name = next(name for name in names_of(folder) if "face" in name)
    rows = json.loads(
        run("classify", folder / f"{name}.png", "--labels", "face, car", "--json",
            "--template", "a drawing of a {}", "--template", "{}").stdout
    )  # fmt: skip
    assert rows[0]["label"] == "face"
    assert rows[0]["cosines"]["face"] > rows[0]["cosines"]["car"]
    missing = tmp_path / "nope.png"
    with pytest.raises(UserError, match="1 of 2 images could not be read"):
        run("classify", folder / f"{name}.png", missing, "--labels", "face,car")
    for labels in ("face", "face,face", "face,,car"):
        with pytest.raises(UserError, match="two or more, all different"):
            run("classify", folder / f"{name}.png", "--labels", labels)
    with pytest.raises(UserError, match="for the label"):
        run("classify", folder / f"{name}.png", "--labels", "a,b", "--template", "x")


def test_similarity_is_a_cosine() -> None:
    assert float(run("similarity", "a cat", "a cat").stdout) == pytest.approx(1, abs=1e-4)
    assert float(run("similarity", "cat", "kitten").stdout) > float(
        run("similarity", "cat", "aeroplane").stdout
    )
    with pytest.raises(UserError, match="the expression is empty"):
        run("similarity", "", "cat")


@pytest.fixture
def few_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small vocabulary, and an empty cache: encoding all words takes seconds."""
    words = sorted({*caption_words()[::20], "king", "man", "queen", "turban", "woman"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("undiffuse.explore.space.caption_words", lambda: words)


@pytest.mark.usefixtures("few_words")
def test_space_leaves_the_words_of_the_query_out() -> None:
    def words(*options: str) -> list[str]:
        answer = run("space", "King - man + woman", "-n", "5", "--json", *options).stdout
        return [row["word"] for row in json.loads(answer)["words"]]

    assert not {"king", "man", "woman"} & set(words())
    assert "king" in words("--keep-query-words")


@pytest.mark.usefixtures("few_words")
def test_space_names_a_difference_of_two_texts(folder: Path, tmp_path: Path) -> None:
    for again in (False, True):  # the second time from the cache
        result = run("space", "man wearing turban - man", "-n", "5", "--json")
        words = json.loads(result.stdout)["words"]
        assert words[0]["word"] == "turban"
        assert [w["cosine"] for w in words] == sorted((w["cosine"] for w in words), reverse=True)
        assert all(w["margin"] >= 0 for w in words)
        (kept,) = (tmp_path / "undiffuse").iterdir()
        if not again:
            kept.write_bytes(kept.read_bytes()[:99])
    assert "turban" in run("space", "man wearing turban - man", "--pictures", folder).stdout
    with pytest.raises(UserError, match="has no direction"):
        run("space", "cat - cat")


def test_caption_words_are_those_of_the_training_captions() -> None:
    words = caption_words()
    assert words == sorted(set(words))
    seen = {word for s in originals() for word in s.record["name"].split() if word.isalpha()}
    assert np.mean([word in words for word in seen]) > 0.8


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    from tests.pretrained.pretrained_files import write_hf

    out = tmp_path_factory.mktemp("clip")
    write_hf(out)
    return out


@pytest.mark.slow
@pytest.mark.usefixtures("few_words")
def test_every_command_works_with_a_pretrained_clip(
    pretrained: Path, folder: Path, tmp_path: Path
) -> None:
    hat, other = (folder / f"{name}.png" for name in names_of(folder)[:2])
    clip = ("--clip", pretrained)
    index = ("--index", tmp_path / "index.safetensors")
    assert float(run("similarity", "a cat", "a cat", *clip).stdout) == pytest.approx(1, abs=1e-4)
    for again in (False, True):  # the second time from the cache
        said = run("space", f"{hat} - {other}", "--json", *clip)
        assert len(json.loads(said.stdout)["words"]) == 10
        (kept,) = (tmp_path / "undiffuse").iterdir()
        if not again:
            kept.write_bytes(kept.read_bytes()[:99])
    best = json.loads(run("search", "--like", hat, folder, "--json", *index, *clip).stdout)[0]
    assert best["path"] == hat.name
    assert best["cosine"] == pytest.approx(1, abs=1e-4)
    rows = run("classify", hat, "--labels", "cat,dog", "--json", *clip).stdout
    assert set(json.loads(rows)[0]["cosines"]) == {"cat", "dog"}
    page = tmp_path / "map.html"
    assert run("map", folder, "-o", page, *index, *clip).exit_code == 0
    assert page.stat().st_size > 10_000


def test_a_clip_that_can_not_be_used_is_refused(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="two CLIPs: give one"):
        run("similarity", "a", "b", "--clip", pretrained, "--model", tmp_path)
    with pytest.raises(UserError, match="has no CLIP in it"):
        run("similarity", "a", "b", "--clip", tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        run("similarity", "a", "b", "--clip", pretrained)
    assert explain(caught.value) == "this needs transformers: pip install 'undiffuse[pretrained]'"
