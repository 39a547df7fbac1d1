"""The browser's own noise, schedules, samplers, files and pixels give what Python's give."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator, Philox
from PIL import Image
from safetensors.numpy import save

from tests.studio.javascript import needs_node, run_module
from undiffuse import diffusion
from undiffuse.diffusion import SAMPLERS, SCHEDULES, TARGETS
from undiffuse.imaging.png import RECORD_KEY, on_white, read_png, unpremultiply
from undiffuse.imaging.read import read_image
from undiffuse.pipeline.options import FRESHNESS
from undiffuse.pipeline.record import parse_record
from undiffuse.runtime.weights import read_weights, write_weights

pytestmark = needs_node
SHAPE = (4, 3, 3)
BUFFER = """
  const { readFileSync: read } = await import("node:fs");
  const file = read(data.path);
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
"""


def test_noise_is_that_of_python() -> None:
    keys = [[0, 0, 0], [1, 2, 3], [2**53 - 1, 2**40, 1000], [7, 0, 1]]
    body = """
      const { noise, randomWords } = await load("noise");
      const words = randomWords([5n, 6n], [0n, 7n, 0n, 0n]);
      return [Array.from({ length: 9 }, () => String(words.next().value)),
        data.map((key) => [...noise(...key, 37)])];
    """
    words, found = run_module(body, keys)
    philox = np.random.Philox(
        key=np.array([5, 6], np.uint64), counter=np.array([0, 7, 0, 0], np.uint64)
    )
    assert words == [str(word) for word in philox.random_raw(9)]
    for key, values in zip(keys, found, strict=True):
        wanted = diffusion.noise_source(key[0], [key[1]], (37, 1, 1))(key[2]).ravel()
        np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_random_numbers_are_those_of_numpy() -> None:
    keys = [(0, 0), (3, 4), (2**64 - 1, 2**64 - 2), (7, 2**53 + 1)]
    body = """
      const { Random } = await load("noise");
      return data.map(([seed, index]) => {
        const rng = new Random(seed, index);
        return Array.from({ length: 11 }, () => [rng.random(), rng.uniform(-0.03, 0.03)]);
      });
    """
    for key, found in zip(keys, run_module(body, [list(map(str, key)) for key in keys]),
                          strict=True):  # fmt: skip
        rng = Generator(Philox(key=np.array(key, np.uint64)))
        assert found == [[rng.random(), rng.uniform(-0.03, 0.03)] for _ in range(11)]


def test_schedules_targets_and_times_are_those_of_python() -> None:
    body = """
      const { SCHEDULES, alphaSigma, posteriorStd, shiftedTimes } = await load("schedule");
      const { toX0 } = await load("targets");
      const [x, out] = [Float32Array.of(0.5, -1), Float32Array.of(2, 0.25)];
      return Object.values(SCHEDULES).map((one) => [
        data.levels.map((t) => alphaSigma(one, t)),
        posteriorStd(...alphaSigma(one, 0.7), ...alphaSigma(one, 0.3)),
        data.targets.map((name) => [...toX0(name, one, out, x, 0.6, 10)]),
        shiftedTimes(7, 1.5), shiftedTimes(5, 1, 0.35), shiftedTimes(3, 0.4, 0.9)]);
    """
    levels = [0, 1e-4, 0.1234, 0.5, 0.9, 0.9995, 1]
    found = run_module(body, {"levels": levels, "targets": list(TARGETS)})
    x, out = np.float32([[0.5, -1]]), np.float32([[2, 0.25]])
    for schedule, values in zip(SCHEDULES.values(), found, strict=True):
        shares, std, x0, *times = values
        np.testing.assert_allclose(shares, [schedule.alpha_sigma(t) for t in levels], atol=1e-12)
        both = (*schedule.alpha_sigma(0.7), *schedule.alpha_sigma(0.3))
        assert std == pytest.approx(diffusion.posterior_std(*both), abs=1e-12)
        for name, one in zip(TARGETS, x0, strict=True):
            wanted = diffusion.to_x0(name, schedule, out, x, 0.6, chain=10)
            np.testing.assert_allclose([one], wanted, rtol=1e-5)
        assert times[0] == pytest.approx(diffusion.shifted_times(7, 1.5))
        assert times[1] == pytest.approx(diffusion.shifted_times(5, 1, start=0.35))
        assert times[2] == pytest.approx(diffusion.shifted_times(3, 0.4, start=0.9))


def fake_denoiser(x_t: Any, t: float, cond: Any) -> Any:
    mean = np.float32(0) if cond is None else cond.mean(1).reshape(-1, 1, 1, 1)
    return np.float32(0.4) * x_t * np.float32(1 - t) + mean + np.float32(0.1 * t)


SAMPLE = """
  const { SAMPLERS } = await load("samplers");
  const { SCHEDULES, shiftedTimes } = await load("schedule");
  const { noiseSource } = await load("noise");
  const guidance = await load("guidance");
  const denoiser = async (x, t, cond) => {
    const rows = cond ? cond.length / 2 : x.length / data.size;
    return x.map((value, i) => {
      const row = Math.floor(i / data.size);
      const mean = cond ? (cond[2 * row] + cond[2 * row + 1]) / 2 : 0;
      return 0.4 * value * (1 - t) + mean + 0.1 * t;
    });
  };
  const runs = [];
  for (const { sampler, schedule, start, freshness, guided } of data.runs) {
    const cond = guided ? Float32Array.of(0.1, 0.2, -0.3, 0.4) : null;
    const late = Float32Array.of(0.5, 0.1, 0.2, -0.2);
    let steered = guidance.classifierFreeGuidance(denoiser, 3, { band: [0.2, 0.9] });
    if (guided) steered = guidance.switchCond(steered, late, 0.5);
    const fresh = noiseSource(3, [4, 5], data.size);
    const options = { schedule: SCHEDULES[schedule], times: shiftedTimes(6, 1.5, start), fresh,
      freshness: freshness ?? undefined };
    const steps = [];
    for await (const step of SAMPLERS[sampler](steered, fresh(0), cond, options)) {
      steps.push({ ...step, x_t: [...step.x_t], x0: [...step.x0] });
    }
    runs.push(steps);
  }
  return runs;
"""


def python_steps(run: dict[str, Any]) -> Any:
    denoiser = diffusion.classifier_free_guidance(fake_denoiser, 3, band=(0.2, 0.9))
    cond, late = np.float32([[0.1, 0.2], [-0.3, 0.4]]), np.float32([[0.5, 0.1], [0.2, -0.2]])
    if run["guided"]:
        denoiser = diffusion.switch_cond(denoiser, late, 0.5)
    source = diffusion.noise_source(3, [4, 5], SHAPE)
    fresh: dict[str, Any] = {"fresh": source}
    if run["freshness"] is not None:
        fresh[FRESHNESS[run["sampler"]]] = run["freshness"]
    return SAMPLERS[run["sampler"]](
        denoiser, source(0), cond if run["guided"] else None, schedule=SCHEDULES[run["schedule"]],
        times=diffusion.shifted_times(6, 1.5, start=run["start"]), **fresh,
    )  # fmt: skip


def test_every_sampler_takes_the_steps_of_python() -> None:
    runs = [
        {"sampler": sampler, "schedule": schedule, "start": start, "guided": guided,
         "freshness": freshness}
        for sampler in ("blend", "ddpm", "ddim", "euler", "heun", "dpmpp_2m", "previous")
        for schedule, start, guided in (("linear", 1, True), ("cosine", 1, False),
                                        ("ddpm", 0.6, True))
        for freshness in ([None, 0.4] if sampler in FRESHNESS else [None])
    ]  # fmt: skip
    found = run_module(SAMPLE, {"runs": runs, "size": int(np.prod(SHAPE))})
    for run, steps in zip(runs, found, strict=True):
        for mine, theirs in zip(python_steps(run), steps, strict=True):
            for name in ("index", "steps", "t", "s", "alpha", "sigma"):
                assert theirs[name] == pytest.approx(getattr(mine, name), abs=1e-9), run
            np.testing.assert_allclose(theirs["x_t"], mine.x_t.ravel(), atol=1e-5, err_msg=str(run))
            np.testing.assert_allclose(theirs["x0"], mine.x0.ravel(), atol=1e-5, err_msg=str(run))


@pytest.mark.parametrize("int8", [False, True])
def test_weight_files_are_read(tmp_path: Path, int8: bool) -> None:
    rng = np.random.default_rng(0)
    tensors = {"a.weight": rng.normal(size=(80, 64)), "b": np.array([0, 1e-7, -65504, 0.1, -0.0])}
    path = tmp_path / "x.safetensors"
    write_weights(path, tensors, {"kind": "clip", "config": {}}, int8=int8)
    body = (
        f"{BUFFER} const {{ readWeights }} = await load('safetensors');"
        """
      return [...readWeights(buffer)].map(([name, values]) => [name, [...values]]);"""
    )
    found = dict(run_module(body, {"path": str(path)}))
    wanted = read_weights(path, "clip").tensors
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert np.array_equal(np.float32(found[name]), values.ravel())


def test_a_weight_file_of_an_unknown_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": np.zeros(3, np.float64)}))
    body = (
        f"{BUFFER} const {{ readWeights }} = await load('safetensors');"
        """
      try { readWeights(buffer); } catch (error) { return error.message; }"""
    )
    assert "tensor a has type F64" in run_module(body, {"path": str(path)})


def test_a_png_file_has_the_pixels_and_a_record_that_python_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    record = {
        "prompt": "ä \"cat\"", "style": "noto", "sampler": "blend", "steps": 4, "seed": 7,
        "index": 0, "guidance": 4, "shift": 1.5, "band": [0, 1], "style_strength": 0,
        "style_below": 0.6,
    }  # fmt: skip
    floats = ["guidance", "shift", "style_strength", "style_below"]
    for channels in (3, 4):
        pixels = rng.integers(0, 256, (5, 5, channels)).astype(np.uint8)
        body = """
          const { encodePng, dataUri } = await load("png");
          const { recordJson } = await load("record");
          const { upscale } = await load("pixels");
          const pixels = { data: Uint8Array.from(data.pixels), width: 5, height: 5,
            channels: data.channels };
          return dataUri(await encodePng(upscale(pixels, 3), recordJson(data.record, data.floats)));
        """
        data = {"pixels": pixels.ravel().tolist(), "channels": channels, "record": record,
                "floats": floats}  # fmt: skip
        path = tmp_path / f"{channels}.png"
        path.write_bytes(base64.b64decode(run_module(body, data).partition(",")[2]))
        found, written = read_png(path)
        assert np.array_equal(found, pixels.repeat(3, 0).repeat(3, 1))
        assert written == record
        assert parse_record(written, path)[0].guidance == 4.0
        assert RECORD_KEY == "undiffuse"


def test_pixels_are_rounded_placed_on_white_and_fitted_as_in_python(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(-1.2, 1.2, (4, 6, 6)).astype(np.float32)
    values[3] = np.linspace(-1, 1, 36).reshape(6, 6)
    photo = rng.integers(0, 256, (9, 21, 3)).astype(np.uint8).repeat(3, 0).repeat(3, 1)
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    body = """
      const { fitSquare, onWhite, toPixels } = await load("pixels");
      const straight = toPixels(Float32Array.from(data.values), 6, 4);
      const photo = { data: Uint8Array.from(data.photo), width: 63, height: 27, channels: 3 };
      return [straight, onWhite(straight), fitSquare(photo, 64), fitSquare(photo, 20)]
        .map((pixels) => [...pixels.data]);
    """
    given = {"values": values.ravel().tolist(), "photo": photo.ravel().tolist()}
    straight, white, large, small = run_module(body, given)
    bytes_ = np.rint((values.clip(-1, 1) + np.float32(1)) * np.float32(127.5)).astype(np.uint8)
    wanted = unpremultiply(np.ascontiguousarray(bytes_.transpose(1, 2, 0)))
    assert np.array_equal(straight, wanted.ravel())
    assert np.array_equal(white, on_white(wanted).ravel())
    for found, side in ((large, 64), (small, 20)):
        assert np.abs(np.array(found) - read_image(path, side).ravel().astype(int)).max() <= 1
