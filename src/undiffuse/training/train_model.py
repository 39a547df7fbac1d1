"""One resumable run from a data set to a model folder that draws: `undiffuse train DATA -o MODEL`.

The folder holds `plan.json`, `data/` (the prepared data set), `runs/STAGE/` (checkpoints, metrics
and samples) and, at the end, the weight files, their graphs and `report.html`. Finished stages are
skipped on resuming; an interrupted one continues from its checkpoint.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.prepared import prepare
from undiffuse.data.sources import open_source
from undiffuse.runtime.session import SHIPPED_WEIGHTS
from undiffuse.training.batch_size import choose_batch
from undiffuse.training.distributed import from_main, is_main, main_first
from undiffuse.training.embedder import (
    copy_pretrained,
    find_clip_of,
    is_pretrained,
)
from undiffuse.training.model_io import MODEL_CLASSES
from undiffuse.training.new_plan import (
    LATE_SECONDS,
    STEPS,
    Say,
    TrainOptions,
    check_same,
    make_plan,
)
from undiffuse.training.onnx_export import export_graphs
from undiffuse.training.plan import Plan
from undiffuse.training.report import write_report
from undiffuse.training.stage_builder import (
    MIN_SAMPLED,
    Follow,
    StageBuilder,
    network_config,
)
from undiffuse.training.stages import (
    Stage,
    StageOptions,
    train_rows,
)
from undiffuse.training.time_limit import TimeLimit
from undiffuse.training.validation import choose_prompts

# torch.compile takes a minute or more: stages below this many seconds, or steps, do without.
COMPILE_ABOVE, COMPILE_STEPS = 400.0, 500
BATCHES = {"clip": 128, "codec": 64, "denoiser": 128, "decoder": 48}
KINDS = {"clip": "clip", "codec": "codec", "denoiser": "denoiser", "decoder": "codec"}


@dataclass(frozen=True)
class StageContext:
    """A stage's place in the run.

    label     such as "stage 2 of 4 codec".
    limit     sets the number of steps.
    run_left  seconds that are left of the stage -> of the whole run.
    tick      called after each step.
    """

    label: str
    limit: TimeLimit | None
    run_left: Callable[[float], float]
    tick: Callable[[], None]


TrainStage = Callable[[Stage, StageContext], None]


def train_model(
    options: TrainOptions,
    train: TrainStage,
    say: Say,
    follow: Follow = lambda what, share: None,
    started: float | None = None,
) -> Path:
    """Train every stage and export the model; returns its folder.

    `train(stage, context)` runs one stage to its end. `started`: when the time limit begins, on
    time.monotonic; by default now. UserError for data that cannot be used, a folder of another
    run, or too little time.
    """
    started, out = time.monotonic() if started is None else started, options.out
    # Of several processes the main one decides what depends on the clock or the machine.
    plan = Plan(**from_main(lambda: asdict(Plan.read(out) or make_plan(options, say))))
    check_same(plan, options)
    plan.start_clock(started)
    with main_first():
        pictures = prepare(
            open_source(options.data), out / "data",
            size=network_config(plan, options, "codec").image_size,
            channels=plan.settings["channels"], style=plan.settings["style"], say=say,
            follow=follow,
        )  # fmt: skip
    plan.settings.setdefault("prompts", choose_prompts(pictures))
    plan.write(out)  # not before: data that cannot be used leaves no plan behind
    if is_pretrained(options.clip):
        _keep_clip(options, say)
    say(f"{len(pictures.records)} images, {len(train_rows(pictures).records)} to train on")
    _export_graphs(plan, options)
    for name in list(plan.shares):
        late = from_main(lambda: plan.time_left() < LATE_SECONDS)
        if name == "decoder" and name not in plan.steps and late:
            plan.drop(name, "no decoder fine-tuning: no time was left")
            say(plan.notes[name])
        elif not plan.is_done(name):
            plan.begin(name, out)
            _run_stage(name, plan, options, pictures, train, say, follow)
            if name in plan.shares:  # not dropped
                plan.finish(name, out)
    say("writing the report")
    with main_first():
        if is_main():
            write_report(out, plan, pictures, options.device, options.clip)
    plan.write(out)
    return out


def _export_graphs(plan: Plan, options: TrainOptions) -> None:
    """Export the graphs, which depend on the configurations alone. At the start, because the time
    that this takes tells how much to leave for the end.
    """
    if "graphs" in plan.durations:
        return
    started = plan.elapsed()
    pretrained = find_clip_of(options.out, options.clip).is_dir()
    kinds = [kind for kind in MODEL_CLASSES if not (kind == "clip" and pretrained)]
    with main_first():
        if is_main():
            export_graphs(
                {kind: network_config(plan, options, kind) for kind in kinds}, options.out
            )
    plan.durations["graphs"] = plan.elapsed() - started
    plan.write(options.out)


def _keep_clip(options: TrainOptions, say: Say) -> None:
    """Copy a pretrained CLIP into the model's folder, if it is not too large."""
    assert options.clip is not None
    with main_first():
        copied = copy_pretrained(options.clip, options.out)
    if not copied:
        say(f"the CLIP in {options.clip} is too large to copy: give --clip to draw, too")


def _run_stage(
    name: str, plan: Plan, options: TrainOptions, pictures: PictureSet, train: TrainStage,
    say: Say, follow: Follow,
) -> None:  # fmt: skip
    out, trained = options.out, train_rows(pictures)
    base = SHIPPED_WEIGHTS if plan.mode != "scratch" else options.clip
    with main_first():
        for kind in ("clip", "codec"):
            source = base / f"{kind}.safetensors" if base else None
            if source and source.exists() and not (out / source.name).exists():
                shutil.copyfile(source, out / source.name)
    limit = _time_limit(name, plan, out)
    steps = plan.steps.get(name) or (options.steps or {}).get(name, STEPS[name])
    compiled = limit.seconds > COMPILE_ABOVE if limit else steps >= COMPILE_STEPS
    build = StageBuilder(plan, options, pictures, say, follow, limit)
    default = min(BATCHES[name], max(32, len(trained.records)))
    batch = choose_batch(name, plan, options, default, build, say)
    stage_options = StageOptions(
        out / "runs" / name, steps, batch, compiled, options.threads, options.device
    )
    number = list(plan.shares).index(name) + 1
    label = f"stage {number} of {len(plan.shares)} {name}"
    say(f"{label}: {_length(limit, steps, batch)}")
    decoder = name == "decoder"
    stage = build.decoder(stage_options) if decoder else build(name, stage_options)
    if stage is None:
        plan.drop(name, f"no decoder fine-tuning: in its time fewer than {MIN_SAMPLED} latents can "
                        "be sampled")  # fmt: skip
        say(plan.notes[name])
        return
    if limit:
        stage.run.steps = 10**9  # until the limit knows the speed
    context = StageContext(
        label, limit, lambda left: plan.run_left(name, left), lambda: plan.tick(out)
    )
    train(stage, context)
    plan.steps[name] = stage.run.steps
    plan.facts[name] = {"steps": stage.run.steps, "batch": batch, "compiled": compiled}
    plan.notes[f"stage {name}"] = f"{name}: {_length(limit, stage.run.steps, batch)}" + (
        f", in which {stage.run.steps} steps fit at {limit.speed:.2g} a second" if limit else ""
    )
    stage.export()
    file = f"{KINDS[name]}.safetensors"
    with main_first():
        if is_main():
            shutil.copyfile(stage_options.out / file, out / file)


def _time_limit(name: str, plan: Plan, out: Path) -> TimeLimit | None:
    """The stage's time limit; that of the main process is in charge."""
    own: list[TimeLimit | None] = []

    def seconds() -> float | None:
        own.append(plan.time_limit(name, out))
        return own[0].seconds if own[0] else None

    found = from_main(seconds)
    return own[0] if own else None if found is None else TimeLimit(found)


def _length(limit: TimeLimit | None, steps: int, batch: int) -> str:
    if limit:
        return f"{limit.seconds / 60:.1f} minutes, {batch} pictures a step"
    return f"{steps} steps of {batch} pictures"
