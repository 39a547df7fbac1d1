"""Runs all experiments and writes the report: lab.html and lab.json."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from undiffuse.evaluation.page import render_page
from undiffuse.evaluation.statistics import Metric
from undiffuse.imaging.files import write_atomic
from undiffuse.lab.budget import Budget
from undiffuse.lab.claims import RULE, ClaimResult
from undiffuse.lab.contrastive import train_clip
from undiffuse.lab.deblurring import measure_deblurring
from undiffuse.lab.experiment import Experiment, Progress
from undiffuse.lab.forward_process import measure_forward_process
from undiffuse.lab.freshness import measure_fresh_noise
from undiffuse.lab.prediction_targets import compare_targets
from undiffuse.lab.spiral import measure_spiral
from undiffuse.lab.steering import measure_guidance
from undiffuse.lab.toy_data import make_pictures

HTML, JSON = "lab.html", "lab.json"
TEMPLATE = Path(__file__).parent / "report.html"


def run_lab(
    budget: Budget, seed: int, progress: Progress, say: Callable[[str], None]
) -> list[ClaimResult]:
    """The results of all claims, in the order of the film. `say` gets each verdict at once."""

    def report(result: ClaimResult) -> ClaimResult:
        say(f"{result.verdict}: {result.title}")
        return result

    progress(0, "pictures")
    pictures = make_pictures(budget.pictures, seed)
    held_out = make_pictures(budget.held_out, seed + 2**32)
    clip, clip_result = train_clip(budget, seed, pictures, held_out, progress)
    report(clip_result)
    experiment = Experiment(
        budget, seed, progress, pictures, held_out, clip.prompts, clip.encode_image(pictures.pixels)
    )
    targets, network = compare_targets(experiment, clip)
    report(targets)
    deblurring = report(measure_deblurring(experiment, network))
    forward = report(measure_forward_process(experiment, clip))
    freshness = report(measure_fresh_noise(experiment, network))
    conditioning, guidance = map(report, measure_guidance(experiment, network))
    spiral = report(measure_spiral(experiment))
    return [deblurring, clip_result, forward, targets, freshness, conditioning, guidance, spiral]


def write_report(folder: Path, results: list[ClaimResult], budget: Budget, seed: int) -> Path:
    """Write lab.json and then lab.html, each atomically; returns the path of the page."""
    sizes = asdict(budget)
    content = {"budget": sizes, "seed": seed, "findings": [result.to_dict() for result in results]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / JSON, text.encode())
    facts = {
        "budget": sizes.pop("name"), "seed": seed,
        "sizes": ", ".join(f"{name} {value}" for name, value in sizes.items()),
        "data": "shapes drawn by a program: 8 colors, 8 shapes, 32x32 pixels",
    }  # fmt: skip
    write_atomic(folder / HTML, render_html(results, facts).encode())
    return folder / HTML


def render_html(results: list[ClaimResult], facts: dict[str, object]) -> str:
    """The page. All text is escaped and all images are data URIs, so that it needs no network."""
    return render_page(TEMPLATE, rule=RULE, results=results, facts=facts, format_value=format_value)


def format_value(metric: Metric, value: float | None) -> str:
    """A value of a metric, its mean or an end of its interval, in its unit."""
    if value is None:
        return ""
    return f"{100 * value:.1f}%" if metric.unit == "share" else f"{value:.3g}"
