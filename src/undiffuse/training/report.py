"""The report of a run: what was chosen, how training went, and what the model draws."""

import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.latency import machine_info
from undiffuse.evaluation.memorization import TrainingIndex, calibrate
from undiffuse.evaluation.page import COLORS, render_page, to_svg
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import encode_png
from undiffuse.training.augment import float_batches
from undiffuse.training.embedder import find_clip_of
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.metrics import read_metrics, sheets
from undiffuse.training.model_io import load_module
from undiffuse.training.plan import Plan
from undiffuse.training.stages import held_out, train_rows
from undiffuse.training.validation import clip_accuracy, draw_prompts, to_rgb

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("report.html")
SEARCHED = 20_000  # training pictures among which the nearest are found
COMPARED, FEWEST = 128, 8  # held-out pictures that show how near is usual: at most, at least
POINTS = 300  # of a curve
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StageReport:
    """What one stage measured. `rows`: for the table; `sheets`: (step, PNG file)."""

    name: str
    rows: list[tuple[str, str]]
    chart: bytes
    sheets: list[tuple[int, bytes]]
    caption: str  # of the sheets


@dataclass(frozen=True)
class Neighbor:
    """A training picture that is near to a sample: its view, PNG file, caption and distance."""

    view: str
    png: bytes
    caption: str
    ratio: str


@dataclass(frozen=True)
class Sample:
    """A final sample with its nearest training pictures. `copied`: both views agree on a copy."""

    prompt: str
    png: bytes
    neighbors: list[Neighbor]
    copied: bool


def write_report(
    folder: Path, plan: Plan, pictures: PictureSet, device: torch.device, clip: Path | None = None
) -> Path:
    """Write MODEL/report.html; returns its path. UserError if a weight file is missing.

    `clip`: the folder of a pretrained CLIP that is not in `folder`.
    """
    frozen = FrozenModels.load(find_clip_of(folder, clip), folder / "codec.safetensors", device)
    samples, note = final_samples(folder, plan, pictures, frozen)
    prompt = samples[0].prompt if samples else "a red apple"
    quoted = f"{shlex.quote(prompt)} --model {shlex.quote(str(folder))}"
    page = render_page(
        TEMPLATE,
        name=folder.resolve().name,
        notes=list(plan.notes.values()),
        facts=run_facts(plan, pictures, frozen, device),
        stages=[stage_report(folder, name, plan) for name in plan.shares if name in plan.done],
        samples=samples,
        note=note,
        command=f"undiffuse draw {quoted}",
        prompt=prompt,
        folder=str(folder),
        python=repr,
    )
    write_atomic(folder / REPORT, page.encode(errors="backslashreplace"))
    return folder / REPORT


def run_facts(
    plan: Plan, pictures: PictureSet, frozen: FrozenModels, device: torch.device
) -> list[tuple[str, str]]:
    """Data, time, memory, retrieval by CLIP, machine and versions."""
    splits = [record["split"] for record in pictures.records]
    limit = f" of {plan.minutes:g}" if plan.minutes is not None else ""
    machine = machine_info()
    facts = {
        "data": f"{plan.settings['data']}: {len(splits)} images, {splits.count('train')} to train "
        f"on, {len(held_out(pictures).records)} held out",
        "style": plan.settings["style"] or "none",
        "time": f"{plan.elapsed() / 60:.1f}{limit} minutes",
        "peak memory": peak_memory(plan, device),
        "CLIP retrieval": retrieval(frozen, pictures),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "versions": ", ".join(
            f"{name} {machine[name]}" for name in ("undiffuse", "python", "numpy", "onnxruntime")
        )
        + f", torch {torch.__version__}",
        "written": time.strftime("%Y-%m-%d %H:%M"),
    }
    return list(facts.items())


def retrieval(frozen: FrozenModels, pictures: PictureSet) -> str:
    """How often CLIP finds the name of a held-out picture among the names of all of these."""
    shown = held_out(pictures, 256)
    if not shown.records:
        return "not measured: no pictures are held out"
    found = clip_accuracy(frozen.embed_texts, shown)
    names = len({record["name"] for record in shown.records})
    parts = [f"{name} {value:.0%}" for name, value in found.items()]
    return f"{', '.join(parts)}, among {names} names" if parts else "not measured"


def peak_memory(plan: Plan, device: torch.device) -> str:
    """The largest resident set of any process of the run, and the device's allocations."""
    try:
        import resource
    except ImportError:  # Windows
        return "unknown"
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    known = plan.facts.setdefault("memory", {})
    known["process_mib"] = max(used, known.get("process_mib", 0.0))
    text = f"{known['process_mib']:,.0f} MiB"
    if device.type == "cuda":
        text += f", on the device {torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MiB"
    return text


def stage_report(folder: Path, name: str, plan: Plan) -> StageReport:
    """The curves, figures and sample sheets of a stage, from its metrics.jsonl."""
    run = folder / "runs" / name
    lines = read_metrics(run)
    facts = plan.facts.get(name, {})
    rows = [
        ("steps", f"{facts.get('steps', plan.steps.get(name, 0)):,}"),
        ("pictures a step", str(facts.get("batch", ""))),
        ("torch.compile", "yes" if facts.get("compiled") else "no"),
        ("time", f"{plan.durations.get(name, 0.0) / 60:.1f} minutes"),
    ]
    for key, label, form in (
        ("pictures_per_second", "pictures a second, median", "{:.1f}"),
        ("peak_share", "share of the peak FLOP/s, median", "{:.0%}"),
    ):
        values = [line[key] for line in lines if key in line]
        if values:
            rows.append((label, form.format(statistics.median(values))))
    for key in ("losses", "figures"):
        last: dict[str, float] = next((x[key] for x in reversed(lines) if key in x), {})
        kind = "training" if key == "losses" else "validation"
        rows += [(f"{kind}: {label}, last", f"{value:.4g}") for label, value in last.items()]
    found = [(step, path.read_bytes()) for path, step in sheets(run)]
    caption = f"Drawn with fixed noise as training went: {', '.join(plan.settings['prompts'])}."
    if name != "denoiser":
        caption = "Held-out pictures (training pictures if none are), their reconstructions below."
    return StageReport(name, rows, stage_chart(lines), found, caption)


def curves(lines: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Title -> points (step, value) of each quantity in the lines of metrics.jsonl."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, dict):
                kind = "validation" if name == "figures" else "training"
                for label, number in value.items():
                    found.setdefault(f"{kind}: {label}", []).append((line["step"], number))
            elif name in ("pictures_per_second", "grad_norm", "learning_rate"):
                title = name.replace("_", " ").replace("per second", "a second")
                found.setdefault(title, []).append((line["step"], value))
    return found


def thin(points: Sequence[tuple[int, float]], count: int = POINTS) -> list[tuple[float, float]]:
    """At most `count` points, each the mean of neighbors."""
    size = -(-len(points) // count)
    parts = [points[start : start + size] for start in range(0, len(points), max(size, 1))]
    return [tuple(np.mean(part, 0)) for part in parts]


def stage_chart(lines: Sequence[dict[str, Any]], columns: int = 3) -> bytes:
    """A small chart of each quantity over steps, as an SVG file; b"" if there is none."""
    found = curves(lines)
    if not found:
        return b""
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3.2 * columns, 1.9 * rows), layout="constrained")
    for place, (title, points) in enumerate(found.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        steps, values = zip(*thin(points), strict=True)
        color = COLORS[1] if title.startswith("validation") else COLORS[0]
        axes.plot(steps, values, color=color, marker="o" if len(steps) < 12 else None, markersize=3)
        axes.set_title(title, fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.locator_params(axis="x", nbins=4, integer=True)
        axes.locator_params(axis="y", nbins=4)
    return to_svg(figure)


def final_samples(
    folder: Path, plan: Plan, pictures: PictureSet, frozen: FrozenModels
) -> tuple[list[Sample], str]:
    """The prompts drawn by the finished model, each with its nearest training pictures, and a note
    on how copies are found.
    """
    prompts: list[str] = plan.settings["prompts"]
    if not prompts:
        return [], "The data set has no captions to draw."
    network, _ = load_module(folder / "denoiser.safetensors", "denoiser", frozen.device)
    drawn = to_rgb(draw_prompts(network, frozen, prompts, plan.settings["style"])).numpy()
    trained = train_rows(pictures)
    rows = sorted(range(len(trained.records)), key=lambda row: unit_hash("near", trained.keys[row]))
    chosen = np.sort(np.array(rows[:SEARCHED], np.int64))
    known = trained.subset(chosen)
    shown = rgb(known.pictures)
    vectors = frozen.embeddings(trained, folder / "cache").pictures[chosen].float().numpy()
    index = TrainingIndex.build(
        reduce(shown), vectors, [record["concept"] for record in known.records]
    )
    near = index.search(reduce(drawn), embed(drawn, frozen))
    others = rgb(held_out(pictures, COMPARED).pictures)
    copied = np.zeros(len(drawn), bool)
    rule = f"Fewer than {FEWEST} pictures are held out: copies are not marked."
    if len(others) >= FEWEST:
        usual = calibrate(index.search(reduce(others), embed(others, frozen)))
        copied = index.find_copies(near, usual)
        rule = (
            "A sample is marked as a copy if, by pixels and by CLIP, it is nearer to the same "
            f"concept than 95% of {len(others)} held-out pictures are, relative to the nearest "
            f"picture of another concept (ratios below {usual[0]:.2f} and {usual[1]:.2f})."
        )
    samples = []
    for k, prompt in enumerate(prompts):
        neighbors = [
            Neighbor(
                view, _png(shown[near.rows[v, k]]), known.records[near.rows[v, k]]["name"],
                f"{near.ratios[v, k]:.2f}",
            )
            for v, view in enumerate(("by pixels", "by CLIP"))
        ]  # fmt: skip
        samples.append(Sample(prompt, _png(drawn[k]), neighbors, bool(copied[k])))
    return samples, f"Searched: {len(shown):,} training pictures. {rule}"


def rgb(pictures: Pixels) -> Pixels:
    """`(N, C, S, S)` bytes, RGB or premultiplied RGBA, as RGB on white."""
    pictures = np.asarray(pictures)  # they may be rows of a file
    if pictures.shape[1] == 3:
        return np.ascontiguousarray(pictures)
    white = 255 - pictures[:, 3:].astype(np.uint16)
    return np.minimum(pictures[:, :3] + white, 255).astype(np.uint8)


def reduce(pictures: Pixels, side: int = 64) -> Pixels:
    """Block means of at most `side` pixels a side."""
    count, channels, size, _ = pictures.shape
    block = max(1, size // side)
    shape = (count, channels, size // block, block, size // block, block)
    return pictures.reshape(shape).mean((3, 5), dtype=np.float32).astype(np.uint8)


@torch.inference_mode()
def embed(pictures: Pixels, frozen: FrozenModels) -> NDArray[np.float32]:
    """CLIP's vectors of RGB pictures, `(N, D)`."""
    encode = frozen.embed_texts.embed_pixels
    batches = float_batches(pictures, device=frozen.device)
    vectors: NDArray[np.float32] = torch.cat(
        [encode(batch).float().cpu() for batch in batches]
    ).numpy()
    return vectors


def _png(picture: Pixels) -> bytes:
    return encode_png(np.ascontiguousarray(picture.transpose(1, 2, 0)))
