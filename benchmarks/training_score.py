"""Time to a score: benchmarks/training.py --until-score."""

import argparse
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np

from training import about, choose_pictures, say, workers, write
from training_ours import CLIP, read_pictures
from training_report import Snapshot, Spec, score_table
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import EvaluationData
from undiffuse.evaluation.protocols import Vectors, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.runtime.networks import ClipEncoder
from undiffuse.training.embedder import TextEmbedder
from undiffuse.training.latent_cache import cached, embed_dataset, embeddings_file

JUDGE = Path(__file__).parents[1] / "judge"
CAN_DRAW = ("undiffuse", "pixart", "unet-cond")
TOP = 5


class Judge:
    """The judge, and the names of the data set among which it looks for the right one."""

    def __init__(self, names: list[str], drawn: list[str]) -> None:
        self.encoder = ClipEncoder(JUDGE)
        self.names: Vectors = encode_batches(self.encoder.encode_text, names)
        self.right = [(names.index(name),) for name in drawn]

    def score(self, pictures: np.ndarray) -> float:
        """R-precision@5: the share of pictures whose name is among the 5 nearest of all names."""
        vectors = encode_batches(self.encoder.encode_image, pictures)
        return float((ranks(vectors, self.names, self.right) < TOP).mean())


def prepare_vectors(folder: Path, work: Path) -> Path:
    """The file of the training captions' vectors by the shipped CLIP, which all systems are given.

    It lies where the cache of this project's training looks for it.
    """
    pictures, embedder = read_pictures(folder), TextEmbedder.load(CLIP)
    digest = ClipEncoder(CLIP.parent).hash
    path = embeddings_file(work / "cache", digest, pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        say(f"embedding {len(pictures.records)} pictures and their captions")
    cached(path, lambda: embed_dataset(pictures, embedder))
    return path.resolve()


def choose_names(given: argparse.Namespace, folder: Path) -> tuple[list[str], list[str]]:
    """All names, and those to draw: of this project's data those of `undiffuse evaluate model`."""
    try:
        data = EvaluationData.read(Path(given.data))
        return data.names, data.column(data.held_out_pairs(given.names), "name")
    except UserError:  # another form of data, or nothing held out
        every = sorted({record["name"] for record in read_pictures(folder).records})
        order = sorted(every, key=lambda name: unit_hash("training benchmark", name))
        return every, order[: given.names]


def measure_scores(given: argparse.Namespace, specs: list[Spec]) -> None:
    """Train all systems in turn, from snapshot to snapshot; score each snapshot."""
    for spec in specs:
        if spec.name not in CAN_DRAW:
            raise UserError(f"{spec.name} takes no CLIP vector: use {', '.join(CAN_DRAW)}")
    folder = choose_pictures(given, given.pictures if given.tiny else 0)
    vectors = prepare_vectors(folder, given.work)
    every, names = choose_names(given, folder)
    judge, cond = Judge(every, names), given.work / "cond.npy"
    np.save(cond, ClipEncoder(CLIP.parent).encode_text(names))
    snapshots: dict[Spec, list[Snapshot]] = defaultdict(list)
    total = 60 * given.minutes
    with workers(specs, given, folder, str(vectors)) as processes:
        spent, pictures = dict.fromkeys(specs, 0.0), dict.fromkeys(specs, 0)
        while waiting := [spec for spec in specs if spent[spec] < total]:
            for spec in waiting:
                worker, out = processes[spec], given.work / f"{spec}.npy"
                done = worker.train(min(60 * given.every, total - spent[spec]), 1)
                spent[spec] += done["seconds"]
                pictures[spec] += done["pictures"]
                score = judge.score(np.load(out)) if worker.draw(cond, out) else None
                snapshots[spec].append(Snapshot(spent[spec], pictures[spec], score))
                shown = "can't draw yet" if score is None else f"R-precision@{TOP} {score:.1%}"
                say(f"{spec}: {spent[spec] / 60:.1f} of {given.minutes:g} minutes, {shown}")
                _write(given, snapshots, len(every))
    print(_write(given, snapshots, len(every)))


def _write(
    given: argparse.Namespace, snapshots: dict[Spec, list[Snapshot]], names: int
) -> str:  # fmt: skip
    table = score_table({spec.title: found for spec, found in snapshots.items()}, given.until_score)
    rows = {str(spec): [asdict(one) for one in found] for spec, found in snapshots.items()}
    write(given.out, {**about(given), "names": names, "snapshots": rows}, table)
    return table
