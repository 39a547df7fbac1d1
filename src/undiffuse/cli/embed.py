"""`undiffuse embed SHARDS -o VECTORS`."""

from pathlib import Path
from typing import Any

import click

from undiffuse.cli.bulk import bulk_options, run_bulk
from undiffuse.cli.options import MODEL, THREADS
from undiffuse.errors import UserError


@click.command()
@click.argument("shards")
@click.option("-o", "--out", required=True, help="A folder or an address, as s3://bucket/vectors.")
@click.option(
    "--kind", type=click.Choice(["image", "text", "both"]), default="both", show_default=True,
    help="Embed the pictures, their captions, or both.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Remove the results of another job in the folder.")
@click.option(
    "--clip", type=click.Path(path_type=Path),
    help="Folder with a pretrained CLIP (safetensors) to use; needs the extra [pretrained].",
)  # fmt: skip
@bulk_options
@MODEL
@THREADS
def command(
    shards: str,
    out: str,
    kind: str,
    overwrite: bool,
    clip: Path | None,
    model: Path | None,
    threads: int,
    per_part: int | None,
    **how: Any,
) -> None:
    """Embed every picture and caption of SHARDS by CLIP: Parquet files in the folder VECTORS.

    SHARDS are WebDataset tar files, Parquet files with pictures, or a folder of pictures; local, or
    at an address as s3://bucket/shards-{000..999}.tar. `undiffuse search WORDS VECTORS` searches
    the result. The same command resumes an interrupted run.
    """
    import undiffuse
    from undiffuse.bulk.embed import PER_PART, ClipModel, embed_job
    from undiffuse.explore.vectors import KINDS, pyarrow
    from undiffuse.imaging.storage import absolute_address

    pyarrow()
    if clip is not None and model is not None:
        raise UserError(f"--model {model} and --clip {clip} are two CLIPs: give one")
    folder = clip or model or Path(undiffuse.__file__).with_name("weights")
    kinds = KINDS if kind == "both" else (kind,)
    which = ClipModel(folder.absolute(), pretrained=clip is not None)
    job = embed_job(absolute_address(shards), which, kinds, per_part or PER_PART)
    run_bulk(job, out, overwrite=overwrite, threads=threads, **how)
