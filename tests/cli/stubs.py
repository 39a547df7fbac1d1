"""Stand-ins for long work and for the network, so that a call of a command takes milliseconds.

What commands parse, check and load stays real.
"""

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from undiffuse.config import STAGE_PRESETS
from undiffuse.errors import UserError


def stub_evaluation(patch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn or measured, and npm is not called."""
    from undiffuse.data import shapes
    from undiffuse.data.wordnet import WordNet
    from undiffuse.evaluation import shapes_metrics
    from undiffuse.evaluation.statistics import mean_metric

    def fetch(*_: object) -> None:
        raise UserError("npm is not called in tests")

    pixels = np.zeros((8, 8, 3), np.uint8)
    results: dict[str, Any] = {
        "latency.measure_latency": mean_metric("seconds", np.ones(4)),
        "model_metrics.generate_samples": SimpleNamespace(pairs=[]),
        "model_metrics.evaluate_codec": mean_metric("codec", np.ones(4)),
        "model_metrics.evaluate_samples": [],
        "model_metrics.copy_sheet": pixels,
        "steering_metrics.SteeringEvaluation.run": [],
        "clip_metrics.evaluate_retrieval": [],
        "clip_metrics.evaluate_synonyms": [],
        "image_differences.read_differences": [],
        "image_differences.difference_metrics": [],
        "analogies.evaluate_analogies": [],
        "sweep.evaluate_settings": [],
        "sweep.settings_table": "",
        "contact_sheet.prompt_sheet": pixels,
        "prompt_metrics.evaluate_prompts": ([], [[]], np.zeros((1, 1, 3, 8, 8), np.uint8)),
        "language_metrics.evaluate_languages": [],
        "caption_metrics.evaluate_captions": [],
        "codec_metrics.evaluate_codec": [],
        "agreement.draw_both": [np.zeros((2, 3, 8, 8), np.uint8)] * 2,
    }
    for name, result in results.items():
        patch.setattr(f"undiffuse.evaluation.{name}", lambda *_, result=result, **__: result)
    choose_scenes = shapes_metrics.choose_scenes
    patch.setattr(shapes_metrics, "choose_scenes", lambda *kind: choose_scenes(*kind[:2], 1))
    shapes_samples = shapes.shapes_samples
    patch.setattr(shapes, "shapes_samples", lambda count, seed: shapes_samples(2, seed))
    patch.setattr("undiffuse.data.wordnet.read_wordnet", lambda *_: WordNet())
    patch.setattr("undiffuse.evaluation.word_metrics.evaluate_words", lambda *_, **__: [])
    patch.setattr("undiffuse.data.npm.fetch", fetch)
    if find_spec("starlette"):
        patch.setattr("undiffuse.studio.server.StudioServer.run", lambda *_, **__: None)
    encoder = SimpleNamespace(words=[], embed=lambda texts: np.ones((len(texts), 384), np.float32))
    patch.setattr("undiffuse.data.word_vectors.MiniLm", lambda cache: encoder)
    patch.setattr("undiffuse.data.word_vectors.E5", lambda: encoder)


def stub_training(patch: pytest.MonkeyPatch) -> None:
    """Tiny networks with their initial weights; no step is trained, no graph is traced."""
    import onnx
    import torch

    from tests.conftest import CLIP, CODEC, LATENT, byte_tokenizer
    from undiffuse.training.trajectories import Trajectories

    presets = {"clip": CLIP, "judge": CLIP, "codec": CODEC, "denoiser": LATENT}
    for name, config in presets.items():
        kind = "clip" if name == "judge" else name
        patch.setitem(STAGE_PRESETS, name, {kind: config})
    latents = {"x0": torch.zeros(1, 300, 64, 4, 4), "rows": torch.zeros(8, dtype=torch.int64)}
    vectors = {"captions": torch.zeros(300, 8, 512), "pictures": torch.zeros(300, 512)}
    results: dict[str, Any] = {
        "cli.train_options.train_with_progress": None,
        "training.clip.train_bpe": byte_tokenizer(),
        "training.latent_cache.encode_dataset": {"x0": latents["x0"]},
        "training.latent_cache.embed_dataset": vectors,
        "training.decoder_finetune._noise_and_denoise": latents,
        "training.onnx_export.build_graph": onnx.ModelProto(),
        "training.train_model._run_stage": None,
        "training.train_model.export_graphs": [],
        "training.train_model.write_report": None,
        "training.new_plan.peak_flops": 1e11,
        "lab.runner.run_lab": [],
    }
    for name, result in results.items():
        patch.setattr(f"undiffuse.{name}", lambda *_, result=result, **__: result)

    def trajectories(*given: Any, **_: object) -> Trajectories:
        few = given[4]
        x, cond = torch.zeros(300, few + 1, 64, 4, 4), torch.zeros(300, 512)
        return Trajectories(x, cond, tuple(np.linspace(1, 0, few + 1).tolist()))

    patch.setattr("undiffuse.training.trajectories.sample_trajectories", trajectories)
