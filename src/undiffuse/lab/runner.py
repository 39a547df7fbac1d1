"""All experiments in their order, and the files they end in."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from undiffuse.imaging.files import check_writable, write_atomic
from undiffuse.lab.budget import Budget
from undiffuse.lab.claims import Finding
from undiffuse.lab.contrastive import learn_clip
from undiffuse.lab.deblurring import unblurring
from undiffuse.lab.experiment import Bar, Bench
from undiffuse.lab.forward_process import forward_process
from undiffuse.lab.freshness import fresh_noise
from undiffuse.lab.html_report import page
from undiffuse.lab.prediction_targets import old_and_new
from undiffuse.lab.spiral import spiral_finding
from undiffuse.lab.steering import steering
from undiffuse.lab.toy_data import make_pictures

PAGE, FIGURES = "lab.html", "lab.json"


def steps_of(budget: Budget) -> int:
    """Training steps in all: what a progress bar runs to."""
    networks = 2 * budget.seeds + 1
    return budget.clip_steps + networks * budget.train_steps + budget.spiral_steps


def run_lab(budget: Budget, seed: int, bar: Bar, say: Callable[[str], None]) -> list[Finding]:
    """Every claim's finding, in the lesson's order. `say` hears each verdict as it falls."""

    def told(finding: Finding) -> Finding:
        say(f"{finding.verdict}: {finding.title}")
        return finding

    bar(0, "pictures")
    pictures = make_pictures(budget.pictures, seed)
    held_out = make_pictures(budget.held_out, seed + 2**32)
    eyes, clip = learn_clip(budget, seed, pictures, held_out, bar)
    told(clip)
    bench = Bench(budget, seed, bar, pictures, held_out, eyes.text, eyes.see(pictures.pixels))
    targets, network = old_and_new(bench, eyes)
    told(targets)
    naive = told(unblurring(bench, network))
    forward = told(forward_process(bench, eyes))
    freshness = told(fresh_noise(bench, network))
    steered, guided = map(told, steering(bench, network))
    spiral = told(spiral_finding(bench))
    return [naive, clip, forward, targets, freshness, steered, guided, spiral]


def check_folder(folder: Path) -> None:
    """UserError unless the lab's files can be written there; makes the folder."""
    from undiffuse.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{folder} can't be made: {reason}") from error
    check_writable(folder / PAGE)
    check_writable(folder / FIGURES)


def write_lab(folder: Path, findings: list[Finding], budget: Budget, seed: int) -> Path:
    """Write lab.json and then lab.html, each whole or not at all; gives the page's path."""
    about: dict[str, Any] = {"budget": asdict(budget), "seed": seed}
    content = {**about, "findings": [finding.to_dict() for finding in findings]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(folder / FIGURES, text.encode())
    shown = {name: value for name, value in asdict(budget).items() if name != "name"}
    facts = {
        "budget": budget.name, "seed": seed,
        "sizes": ", ".join(f"{name} {value}" for name, value in shown.items()),
        "data": "shapes drawn by program: 8 colours, 8 shapes, 32x32 pixels",
    }  # fmt: skip
    write_atomic(folder / PAGE, page(findings, facts).encode())
    return folder / PAGE
