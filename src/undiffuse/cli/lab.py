"""`undiffuse lab -o DIR`: the film's claims as experiments."""

from pathlib import Path

import click

from undiffuse.cli.param_types import OUTPUT_FOLDER


@click.command()
@click.option(
    "-o", "--out", type=OUTPUT_FOLDER, required=True,
    help="Folder for lab.html and lab.json.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="3 minutes instead of 30, with wider intervals.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)
def command(out: Path, quick: bool, seed: int, threads: int) -> None:
    """Test the film's claims on small networks; writes OUT/lab.html and OUT/lab.json.

    Trains the networks and needs no network access. Each claim is confirmed, refuted or undecided.
    The same seed and threads give the same figures.
    """
    import torch

    from undiffuse.cli.progress_bar import Progress
    from undiffuse.lab import budget as budgets
    from undiffuse.lab.runner import run_lab, write_report

    budget = budgets.QUICK if quick else budgets.FULL
    torch.set_num_threads(threads)
    task, done = "starting", 0.0
    with Progress(1, "", "lab") as shown:

        def progress(work: float, name: str) -> None:
            nonlocal task, done
            task, done = name, done + work
            share = min(0.99, done / budget.total_work)
            shown.show(f"{name}, {share:.0%}", share)

        try:
            results = run_lab(budget, seed, progress, shown.display.say)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"during {task}; nothing was written") from stop
        path = write_report(out, results, budget, seed)
    click.echo(path)
