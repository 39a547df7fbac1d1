"""`open_source`: what it recognizes, how it counts bad samples, and the split that it gives."""

import pickle
from pathlib import Path

import pytest

from tests.data.sources.make import noise, picture, read, tar, write
from undiffuse.data.sources import open_source
from undiffuse.data.sources.item import Entry, default_split
from undiffuse.data.sources.source import shuffled
from undiffuse.errors import UserError

PNG = picture()


def test_what_is_no_data_set_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"a.docx": "x", "d/b.xlsx": "x"})
    with pytest.raises(UserError, match=r"holds no pictures: 2 files, and none is a picture"):
        open_source(tmp_path)
    with pytest.raises(UserError, match=r"nowhere does not exist: give a folder"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"a.docx is no data set: give a folder, .tar"):
        open_source(tmp_path / "a.docx")
    with pytest.raises(UserError, match=r"no .tar shards at"):
        open_source(f"{tmp_path}/{{0..3}}/*.tar")
    with pytest.raises(UserError, match="worker 2 of 2: workers are numbered from 0"):
        open_source(tmp_path, worker=2, workers=2)


def test_a_share_of_bad_samples_stops_the_run_and_few_do_not(tmp_path: Path) -> None:
    write(tmp_path, {f"a{k:03d}.png": b"x" for k in range(20)})
    write(tmp_path, {f"b{k:03d}.png": PNG for k in range(100)})
    source = open_source(tmp_path)
    assert len(list(source)) == 100
    assert (source.bad_count, source.seen, source.progress) == (20, 120, 1.0)
    assert source.bad[0] == (str(tmp_path / "a000.png"), source.bad[0][1])
    write(tmp_path, {"a020.png": b"x"})
    with pytest.raises(UserError, match=r"21 of the first 21 samples can't be used; .*a000\.png: "):
        list(source := open_source(tmp_path))
    assert len(list(open_source(tmp_path, max_bad_share=1.0))) == 100
    write(tmp_path, {f"c{k:03d}.png": PNG for k in range(200)})
    write(tmp_path, {"z.png": b"x", "a020.png": PNG})
    assert len(list(open_source(tmp_path))) == 301  # 21 bad, but less than a tenth by then


def test_a_data_set_without_one_good_sample_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": b"x"})
    with pytest.raises(UserError, match=r"1 pictures: none can be used; .*a\.png: the file is no"):
        list(open_source(tmp_path))
    (tmp_path / "x.tar").write_bytes(tar())
    with pytest.raises(UserError, match="none can be used"):
        list(open_source(tmp_path / "x.tar"))


def test_a_second_reading_starts_anew(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": b"x", "b.png": PNG})
    source = open_source(tmp_path)
    first, second = ([item.key for item in source] for _ in range(2))
    assert first == second == ["b.png"]
    assert (source.seen, source.bad_count, len(source.bad)) == (2, 1, 1)


def test_a_source_can_be_sent_to_another_process(tmp_path: Path) -> None:
    write(tmp_path, {"set/a.png": PNG, "set/b.png": noise(1)})
    (tmp_path / "x.tar").write_bytes(tar(("a.png", PNG)))
    for path in (tmp_path / "set", tmp_path / "x.tar"):
        source = open_source(path, side=32)
        copy = pickle.loads(pickle.dumps(source))
        assert [item.key for item in copy] == [item.key for item in source]


def test_the_default_split_is_fixed_and_keeps_copies_together() -> None:
    keys = [f"set/{k}" for k in range(20_000)]
    share = sum(default_split(key) == "validation" for key in keys) / len(keys)
    assert 0.015 < share < 0.025
    assert [key for key in keys[:200] if default_split(key) == "validation"] == [
        "set/12",
        "set/63",
        "set/74",
        "set/159",
        "set/163",
    ]
    for key in keys[:500]:
        copies = (f"{key}.png", f"{key}.svg", f"{key}@2x.png", f"{key}-24px.svg", f"{key} (1).jpg",
                  f"{key}_64x64.png", f"{key} copy.png")  # fmt: skip
        assert {default_split(copy) for copy in copies} == {default_split(key)}


def test_the_shuffle_buffer_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from random import Random

    from undiffuse.data.sources import source as module

    monkeypatch.setattr(module, "BUFFER_BYTES", 100)
    made: list[int] = []

    def entries() -> object:
        for k in range(50):
            made.append(k)
            yield Entry(str(k), "", lambda: (b"", None), size=30)  # type: ignore[arg-type,return-value]

    taken = 0
    for taken, _ in enumerate(shuffled(entries(), 1000, Random(0)), 1):  # type: ignore[arg-type]
        assert len(made) - taken <= 3
    assert taken == 50


def test_items_have_what_training_needs(tmp_path: Path) -> None:
    write(tmp_path, {"a red apple.png": PNG})
    (item,) = read(tmp_path).values()
    assert item.captions == ["a red apple"]
    assert (item.label, item.style) == ("", "")
    assert item.image.shape == (6, 8, 4)
    assert item.image.flags.writeable
