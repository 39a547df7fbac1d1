"""`undiffuse train export-int8`, and `undiffuse evaluate compare`: what smaller weights cost."""

import shutil
from functools import partial
from pathlib import Path

import click

from undiffuse.cli.image_generator import ModelGenerator
from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE, OUTPUT_FOLDER
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.session import FAST

KINDS = ("clip", "codec", "denoiser", FAST)


@click.command("export-int8")
@click.argument("folder", type=PATH)
@click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder for the new model.")
@click.option("--only", "kinds", type=click.Choice(KINDS), multiple=True,
              help="A file to convert; repeatable. Others are copied. Default: all.")  # fmt: skip
def export(folder: Path, out: Path, kinds: tuple[str, ...]) -> None:
    """Write the model in FOLDER with int8 weights, at half the size; FOLDER stays as it is."""
    from undiffuse.training.model_io import export_int8

    if out.resolve() == folder.resolve():
        raise UserError(f"{out} is the folder of the model itself: give another folder with -o")
    sizes = export_int8(folder, out, kinds)
    if (folder / "graphs").is_dir():
        shutil.copytree(folder / "graphs", out / "graphs", dirs_exist_ok=True)
    if (folder / "lexicon.safetensors").exists():
        shutil.copyfile(folder / "lexicon.safetensors", out / "lexicon.safetensors")
    for kind, size in sizes.items():
        click.echo(f"{kind}: {size / 1e6:.1f} MB")


@click.command("compare")
@click.argument("other", type=PATH)
@click.option("--model", type=PATH, help="Folder of weights. Default: the shipped model.")
@click.option("--count", type=click.IntRange(2, 100), default=30, show_default=True,
              help="Prompts of the sheet to draw.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@THREADS
@click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
@click.option("--sheet", type=OUTPUT_FILE, help="Write the drawings of OTHER over those of the "
              "model: PNG.")  # fmt: skip
def compare(
    other: Path, model: Path | None, count: int, seed: int, threads: int, out: Path | None,
    sheet: Path | None,
) -> None:  # fmt: skip
    """Draw the same prompts with the model in OTHER, and state by how much pixels differ."""
    from undiffuse.evaluation.agreement import draw_both, loading_times, peak_signal_to_noise
    from undiffuse.evaluation.contact_sheet import TILE, pair_sheet, read_prompts
    from undiffuse.evaluation.report import Report
    from undiffuse.imaging.png import encode_png
    from undiffuse.pipeline import load

    prompts, styles = zip(*read_prompts()[:count], strict=True)
    loaded = [load(folder, threads) for folder in (model, other)]
    one, two = draw_both([ModelGenerator(one) for one in loaded], prompts, styles, seed)
    if sheet is not None:
        large = [ModelGenerator(one, TILE) for one in loaded]
        below, above = draw_both(large, prompts, styles, seed)
        write_atomic(sheet, encode_png(pair_sheet(above, below, prompts)))
    metrics = [
        peak_signal_to_noise(one, two, seed),
        *(loading_times(name, partial(load, folder, threads))
          for name, folder in (("model", model), ("other", other))),
    ]  # fmt: skip
    about = {"model": loaded[0].network({}).hash, "other": loaded[1].network({}).hash,
             "settings": {"seed": seed, "count": count}}  # fmt: skip
    report = Report(metrics, about)
    click.echo(report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())
