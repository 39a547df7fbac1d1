"""The draw command: what it draws, where files go, and what it prints."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import undiffuse
from tests.conftest import Run
from undiffuse.cli.draw import format_duration
from undiffuse.cli.output_paths import slug
from undiffuse.imaging import png


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_a_prompt_is_drawn(run: Run) -> None:
    assert run("a red apple", "--steps", "3") == (0, ["a-red-apple.png"], "")
    pixels, record = png.read_png(Path("a-red-apple.png"))
    assert pixels.shape == (256, 256, 3)
    assert (record["prompt"], record["steps"]) == ("a red apple", 3)
    assert files() == {"a-red-apple.png"}


def test_options_may_stand_anywhere(run: Run) -> None:
    for arguments in (
        ("draw", "a red apple", "--steps", "2", "--seed", "7"),
        ("a red apple", "--steps", "2", "--seed", "7"),
        ("--steps", "2", "--seed=7", "a red apple"),
        ("--steps=2", "a", "red", "apple", "--seed", "7"),
        ("--seed", "7", "--steps", "2", "--", "a red apple"),
    ):
        assert run(*arguments)[:2] == (0, ["a-red-apple.png"])
        _, record = png.read_png(Path("a-red-apple.png"))
        assert (record["prompt"], record["seed"], record["steps"]) == ("a red apple", 7, 2)
        Path("a-red-apple.png").unlink()


def test_several_pictures_and_a_grid(run: Run) -> None:
    status, out, _ = run("cats", "-n", "3", "--grid", "-o", "some.png", "--steps", "2")
    assert (status, out) == (0, ["some-1.png", "some-2.png", "some-3.png", "some-grid.png"])
    assert files() == set(out)
    single = run("cats", "-o", "one.png", "--steps", "2")
    assert single[1] == ["one.png"]
    assert Path("one.png").read_bytes() == Path("some-1.png").read_bytes()
    assert Path("one.png").read_bytes() != Path("some-2.png").read_bytes()
    assert Image.open("some-grid.png").size == (2 * 260 + 4, 2 * 260 + 4)


def test_an_existing_file_is_only_overwritten_with_overwrite(run: Run) -> None:
    names = [run("cats", "--steps", "1")[1] for _ in range(3)]
    assert names == [["cats.png"], ["cats-2.png"], ["cats-3.png"]]
    assert run("cats", "--steps", "1", "-n", "2")[1] == ["cats-4.png", "cats-5.png"]
    before = Path("cats.png").read_bytes()
    for more in ((), ("-n", "3"), ("--trace", "cats.png")):
        out = "cats.png" if "-n" in more or not more else "new.png"
        status, lines, err = run("dogs", "-o", out, *more)
        assert (status, lines) == (2, [])
        assert "exists already" in err
        assert err.count("\n") == 1
    assert Path("cats.png").read_bytes() == before
    assert run("dogs", "--steps", "1", "-o", "cats.png", "--overwrite")[0] == 0
    assert Path("cats.png").read_bytes() != before


def test_into_a_folder(run: Run) -> None:
    Path("out").mkdir()
    assert run("ein Äpfel!", "--steps", "1", "-o", "out")[1] == ["out/ein-apfel.png"]
    assert run("яблоко", "--steps", "1", "-o", "out")[1] == ["out/picture.png"]


def test_a_prompt_makes_a_harmless_name() -> None:
    for prompt, name in (
        ("A Red Apple!", "a-red-apple"),
        ("../../etc/passwd", "etc-passwd"),
        ("-o x", "o-x"),
        ("☕", "picture"),
        ("", "picture"),
        ("word " * 40, "word-word-word-word-word-word-word-word-word-wor"),
    ):
        assert slug(prompt) == name


def test_json_prints_a_line_for_each_file(run: Run) -> None:
    options = ("-n", "2", "--steps", "2", "--seed", "7", "--grid", "--trace", "t.gif", "--json")
    lines = [json.loads(line) for line in run("cats ☕", *options)[1]]
    assert [(line["path"], line["kind"]) for line in lines] == [
        ("cats-1.png", "picture"), ("cats-2.png", "picture"), ("cats-1-grid.png", "grid"),
        ("t.gif", "trace"),
    ]  # fmt: skip
    assert (lines[1]["prompt"], lines[1]["seed"], lines[1]["index"]) == ("cats ☕", 7, 1)
    assert lines[1]["record"] == png.read_png(Path("cats-2.png"))[1]
    assert json.loads(run("", "--steps", "1", "--json")[1][0])["notes"]


def test_a_long_drawing_starts_with_an_estimate_and_reports_every_minute(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 40)  # seconds: each step takes 40
    monkeypatch.setattr("undiffuse.cli.draw.time.monotonic", lambda: next(clock))
    assert run("cats", "--steps", "6")[2].splitlines() == [
        "undiffuse: this takes about 3 min",
        "undiffuse: step 2 of 6, about 3 min left",
        "undiffuse: step 4 of 6, about 80 s left",
    ]
    durations = [format_duration(seconds) for seconds in (45.2, 89, 91, 1500, 12000)]
    assert durations == ["45 s", "89 s", "2 min", "25 min", "3 h 20 min"]


def test_notes_are_printed_on_stderr(run: Run) -> None:
    assert run("", "--steps", "1")[1:] == (
        ["picture.png"],
        "undiffuse: the prompt is empty: the picture is random\n",
    )
    assert "cut off" in run("a" * 60, "--steps", "1")[2]


def test_a_terminal_gets_a_progress_bar(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("cats", "--steps", "3")[2] == ""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    _, out, err = run("cats", "--steps", "3")
    assert "3/3" in err
    assert out == ["cats-2.png"]


@pytest.mark.slow
def test_a_trace_shows_every_step(run: Run) -> None:
    for name, kind, frames in (
        ("t.png", "PNG", 1), ("t.gif", "GIF", 12), ("t.apng", "PNG", 12), ("t.WEBP", "WEBP", 12),
    ):  # fmt: skip
        options = ("-n", "2", "--steps", "12", "--sampler", "blend", "--trace", name)
        status, out, _ = run("cats", "-o", "cats.png", "--overwrite", *options)
        assert (status, out) == (0, ["cats-1.png", "cats-2.png", name])
        with Image.open(name) as image:
            assert image.format == kind
            assert getattr(image, "n_frames", 1) == frames
            assert frames == 1 or image.width == 2 * 4 * 64


def test_a_long_trace_has_fewer_frames_and_ends_with_the_picture(model_folder: Path) -> None:
    from undiffuse import load
    from undiffuse.pipeline.trace import MAX_FRAMES, Trace

    trace = Trace(Path("t.gif"))
    for preview in load(model_folder).steps("cats", steps=150):
        trace.add(preview)
    assert len(trace.frames) == MAX_FRAMES
    assert np.array_equal(trace.frames[-1].x_t, preview.x_t()[0])
    assert trace.frames[-1].label == "100% picture + 0% noise"


WRONG = {
    "steps": (("--steps", "0"), "--steps"),
    "no number": (("--steps", "many"), "'many' is not a valid integer"),
    "seed": (("--seed", "-1"), "--seed"),
    "count": (("-n", "0"), "-n"),
    "guidance": (("--guidance", "nan"), "guidance=nan"),
    "sampler": (("--sampler", "magic"), "choose one of blend, ddpm"),
    "style": (("--style", "cubist"), "choose one of noto, twemoji"),
    "option": (("--stpes", "3"), "--steps"),
    "folder": (("-o", "none/a.png"), "can't be written"),
    "suffix": (("-o", "a.jpg"), ".png"),
    "system": (("-o", "/proc/a.png"), "can't be written"),
    "trace": (("--trace", "none/a.gif"), "can't be written"),
    "trace's suffix": (("--trace", "a.mp4"), ".gif"),
    "trace's name": (("-o", "a.png", "--trace", "a.png"), "another"),
    "model": (("--model", "none"), "no weight file"),
}


def test_a_wrong_option_is_refused_in_one_line_with_status_2(run: Run) -> None:
    for what, (arguments, message) in WRONG.items():
        status, out, err = run("cats", *arguments, **({"model": None} if what == "model" else {}))
        assert (status, out) == (2, []), what
        assert message in err
        assert err.count("\n") == 1
        assert files() == set()


def test_paths_are_checked_before_the_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "undiffuse.pipeline", None)  # importing it fails
    assert "can't be written" in run("cats", "-o", "none/a.png")[2]


def test_help_and_version(run: Run) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        status, out, _ = run(*arguments, model=None)
        assert status == 0
        assert any("draw" in line for line in out)
    assert "0.1.0" in run("--version", model=None)[1][0]
    assert "--trace" in "".join(run("draw", "--help", model=None)[1])
    assert "Missing argument 'PROMPT" in run("draw", model=None)[2]
    status, _, err = run("train", model=None)
    assert (status, err.count("clip") > 0, err.count("\n") > 5) == (2, True, True)


@pytest.mark.slow
def test_graphs_are_exported_by_a_command(run: Run, model_folder: Path) -> None:
    status, out, _ = run("train", "graphs", str(model_folder), "-o", "here", model=None)
    assert status == 0
    assert [Path(line).name for line in out] == [
        "clip_text.onnx", "clip_image.onnx", "codec_encode.onnx", "codec_decode.onnx",
        "denoiser.onnx",
    ]  # fmt: skip
    made = Path("here/graphs/denoiser.onnx").read_bytes()
    assert made == (model_folder / "graphs" / "denoiser.onnx").read_bytes()


def test_a_drawing_with_every_option_is_replayed(run: Run) -> None:
    Image.new("RGB", (90, 40), "red").save("a.png")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 30, 64))
    mask.save("mask.png")
    words = ("--from", "a.png", "--mask", "mask.png", "--negative", "hat", "--like", "a.png")
    status, out, err = run("draw", "cat - dog", *words, "--steps", "3", "-o", "x.png")
    assert (status, out, err) == (0, ["x.png"], "")
    assert run("replay", "x.png")[:2] == (0, ["the same, pixel for pixel"])
    Image.new("RGB", (90, 40), "blue").save("a.png")
    status, out, _ = run("replay", "x.png")
    assert status == 1
    assert any(line.startswith("files: ") for line in out)
    Path("a.png").unlink()
    assert "a.png can't be read" in run("replay", "x.png")[2]


def test_between_writes_a_row_or_an_animation(run: Run) -> None:
    for name in ("way.png", "way.gif", "way.apng", "way.webp"):
        status, out, _ = run("between", "cat", "dog - hat", "-n", "3", "-o", name)
        assert (status, out) == (0, [name])
        with Image.open(name) as image:
            frames = getattr(image, "n_frames", 1)
            assert (image.width > 3 * 128) if name == "way.png" else frames == 3
        assert "exists already" in run("between", "cat", "dog", "-o", name)[2]
    assert "ends in .png" in run("between", "cat", "dog", "-o", "x.txt")[2]
    assert "parallel vectors" in run("between", "cat", "cat", "-o", "x.png")[2]


def test_frames_of_a_transparent_model_do_not_show_through(run: Run) -> None:
    run("between", "red heart", "cat face", "-n", "3", "--seed", "1", "-o", "a.gif", model=None)
    image = Image.open("a.gif")
    frames = [np.asarray(frame.convert("RGB")).copy() for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 3
    pictures = undiffuse.load().between("red heart", "cat face", 3, 1)
    for frame, picture in zip(frames, pictures, strict=True):
        empty = picture.pixels[..., 3] == 0
        assert empty.mean() > 0.05
        assert (frame[empty] > 240).all()
