"""The whole build of the second model's pictures, from small packages that the test writes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.picture_packages import write_packages
from tests.data.tiny_wordnet import tiny_wordnet
from undiffuse.data import clipart, picture_words, pictures, split
from undiffuse.data.icon_sets import DEFAULT_STYLE, ICON_SETS, OPEN_PEEPS
from undiffuse.data.shards import Sample, find_shards, read_shards
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError

SWORD = b"""<svg width="100pt" height="50pt"><metadata><dc:title>Sword</dc:title>
<rdf:li>weapons</rdf:li></metadata>
<path d="M10 10h40v10h-30v20h-10z" fill="#27a"/></svg>"""
FLAG = b'<svg width="9" height="9"><rect width="9" height="9"/></svg>'


def clips(*_: object) -> Iterator[tuple[str, bytes]]:
    root = "usr/share/openclipart/svg"
    yield f"{root}/tools/sword_of_anna_01.svg", SWORD
    yield f"{root}/signs_and_symbols/flags/chad.svg", FLAG
    yield f"{root}/special/idea.svg", FLAG


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    write_packages(folder)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_small(monkeypatch)


def patch_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clipart.deb, "read_files", clips)
    patch.setattr(picture_words, "read_wordnet", tiny_wordnet)
    patch.setattr(pictures.peeps, "COUNT", 6)


def build(out: Path, packages: Path, log: list[str] | None = None) -> pictures.Report:
    lines = log if log is not None else []
    return pictures.build(
        out, packages, offline=True, workers=1, side=64, test_words=["pangolin"], log=lines.append
    )


@pytest.fixture(scope="module")
def built(
    packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pictures.Report, dict[str, Sample]]:
    out = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch_small(patch)
        report = build(out, packages)
    return out, report, {s.key: s for s in read_shards(find_shards(out))}


def test_every_set_is_drawn_and_counted(built) -> None:
    _, report, samples = built
    counts = Counter(sample.record["set"] for sample in samples.values())
    assert counts == {name: n for name, n in report.drawn.items() if n}
    assert counts["twemoji"] == 5
    assert counts["open-peeps"] >= 4  # of six, some of which are the same with such parts
    assert counts["clipart"] == 1
    assert report.drawn.keys() == {s.name for s in ICON_SETS} | {"3d", "clipart", "open-peeps"}


def test_pictures_are_transparent_and_of_one_size(built) -> None:
    for sample in built[2].values():
        assert sample.picture.shape == (64, 64, 4)
        assert (sample.picture[..., 3] > 128).any(), sample.key
        assert (sample.picture[..., 3] == 0).any(), sample.key


def test_records_name_concept_style_license_and_colors(built) -> None:
    samples = built[2]
    dog = samples["twemoji_1f436"].record
    assert dog["name"] == "dog"
    assert dog["keywords"] == ["pet", "doggy"]  # neither the test word nor the short name
    assert dog["gloss"] == "a domesticated mammal"
    assert dog["colour"] == "red"
    sword = samples["game-icons_broken-sword"].record
    assert (sword["name"], sword["family"], sword["license"]) == (
        "broken sword",
        "game icon",
        "MIT",
    )
    assert sword["tintable"]
    assert sword["colour"] == ""
    assert "sword" in sword["keywords"]
    assert samples["clipart_tools-sword-of-anna-01"].record["concept"] == "sword"
    assert "weapons" in samples["clipart_tools-sword-of-anna-01"].record["keywords"]


def test_one_thing_has_one_concept_in_all_sets(built) -> None:
    names = {"hot dog", "hotdog"}
    found = {s.record["concept"] for s in built[2].values() if s.record["name"] in names}
    assert len(found) == 1
    dogs = {s.record["concept"] for s in built[2].values() if s.record["name"] == "dog"}
    assert dogs == {"dog"}


def test_no_text_has_a_test_word(built) -> None:
    _, report, samples = built
    assert not any("pangolin" in json.dumps(sample.record) for sample in samples.values())
    assert report.test_words_dropped["keywords"] > 0
    assert report.left_out["game-icons"]["its name is a test word"] == ["pangolin"]


def test_clutter_thoughts_and_flags_are_named_in_the_report(built) -> None:
    left_out = built[1].left_out
    assert left_out["game-icons"]["user interface, brand, letter or number"] == ["arrow-left"]
    assert left_out["game-icons"]["names nothing concrete"] == ["idea"]
    assert "broken-sword-fill" in left_out["solid-ph"]["names nothing concrete"]
    assert left_out["clipart"]["polygon, theme, flag, sign or frame"] == [
        "signs_and_symbols/flags/chad.svg", "special/idea.svg",
    ]  # fmt: skip


def test_the_default_style_is_trained_on_as_a_whole(built) -> None:
    kinds = {s.record["split"] for s in built[2].values() if s.record["family"] == DEFAULT_STYLE}
    assert kinds == {split.TRAIN}
    unseen = {
        s.record["family"] for s in built[2].values() if s.record["split"] == split.UNSEEN_SET
    }
    assert unseen == {"flat color"}
    never = {s.record["split"] for s in built[2].values() if s.record["family"] == "openmoji"}
    assert never == {split.UNSEEN_STYLE}


def test_people_have_the_attributes_that_their_captions_say(built) -> None:
    for sample in built[2].values():
        if sample.record["set"] == "open-peeps":
            for attribute in sample.record["attributes"]:
                assert attribute in sample.record["name"]
                assert attribute in sample.record["captions"][-1]


def test_the_data_set_is_read_with_its_records(built) -> None:
    items = {item.key.rpartition("/")[2]: item for item in open_source(built[0])}
    assert items.keys() == built[2].keys()
    item = items["game-icons_broken-sword"]
    assert item.record["tintable"] is True
    assert item.record["concept"] == "broken sword"
    assert item.style == "game icon"


@pytest.mark.usefixtures("small")
def test_an_interrupted_build_goes_on_and_ends_with_the_same_bytes(
    packages: Path, built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    render_all = pictures.render_all

    def interrupted(drawings, *args):
        drawings = list(drawings)
        rendered.append(drawings[0].record["set"] if drawings else "")
        if len(rendered) == 4:
            raise KeyboardInterrupt
        return render_all(drawings, *args)

    monkeypatch.setattr(pictures, "render_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, packages)
    report = build(tmp_path, packages)
    assert len(set(rendered)) == len(rendered) - 1  # only the set that was cut off, twice
    whole = {path.name: path.read_bytes() for path in find_shards(built[0])}
    assert {path.name: path.read_bytes() for path in find_shards(tmp_path)} == whole
    assert json.dumps(report.as_json()) == json.dumps(built[1].as_json())


def test_the_table_of_licenses_names_every_set(built) -> None:
    table = built[1].license_table()
    for icon_set in ICON_SETS:
        assert f"| {icon_set.name} | {icon_set.style} |" in table
    assert "| open-peeps | open peeps |" in table
    assert "Pablo Stanley | CC0-1.0" in table


@pytest.mark.usefixtures("small")
def test_a_missing_or_damaged_package_is_named(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    for path in packages.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / OPEN_PEEPS.tarball).unlink()
    with pytest.raises(UserError, match="has no dicebear-open-peeps"):
        build(tmp_path / "out", folder)
    assert not (tmp_path / "out").exists()


def test_test_words_are_the_keys_of_a_json_object(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"abbey": ["church"]}')
    assert pictures.read_test_words(path) == ["abbey"]
    path.write_text("[1]")
    with pytest.raises(UserError, match="holds a list"):
        pictures.read_test_words(path)
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        pictures.read_test_words(path)
