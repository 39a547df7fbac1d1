"""`undiffuse lab -o DIR`: the lesson's claims as experiments."""

from pathlib import Path

import click

from undiffuse.errors import UserError


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="Folder for lab.html and lab.json.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="In 3 minutes instead of 30, with wider intervals.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)
def command(out: Path, quick: bool, seed: int, threads: int) -> None:
    """Try the lesson's claims on small networks trained for it; writes one page, OUT/lab.html.

    Nothing is fetched. The same seed and threads give the same figures. Each claim comes out
    confirmed, refuted or undecided by what was measured.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError("the lab trains networks: pip install 'undiffuse[train]'") from error
    from tqdm import tqdm

    from undiffuse.lab import budget as budgets
    from undiffuse.lab.runner import check_folder, run_lab, steps_of, write_lab

    budget = budgets.QUICK if quick else budgets.FULL
    check_folder(out)
    torch.set_num_threads(threads)
    doing = "starting"
    with tqdm(total=steps_of(budget), unit="step", disable=None) as bar:

        def tick(steps: int, what: str) -> None:
            nonlocal doing
            doing = what
            bar.set_description(what, refresh=False)
            bar.update(steps)

        def say(line: str) -> None:
            bar.clear()
            click.echo(line, err=True)

        try:
            findings = run_lab(budget, seed, tick, say)
        except KeyboardInterrupt:
            bar.close()
            click.echo(f"while at: {doing}; nothing was written", err=True)
            raise
    click.echo(write_lab(out, findings, budget, seed))
