"""Writes tiny CLIPs with random weights: by transformers, and in open_clip's layout by a table of
names that is independent of the package's."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.sample import originals
from undiffuse.clip.tokenizer import END, START
from undiffuse.training.bpe import train_bpe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer  # noqa: E402
from transformers.models.clip.image_processing_pil_clip import (  # noqa: E402
    CLIPImageProcessorPil,
)

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 16, "hidden_act": "quick_gelu", "vocab_size": 700,
}  # fmt: skip
IMAGE = {
    "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 3,
    "image_size": 32, "patch_size": 8, "hidden_act": "quick_gelu",
}  # fmt: skip


@cache
def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges in OpenAI's order: start and end have the highest ids."""
    learnt = train_bpe([sample.record["name"] for sample in originals()], 640, 2)
    tokens = [token for token in learnt.vocabulary if token not in (START, END)]
    numbers = {token: number for number, token in enumerate([*tokens, START, END])}
    return numbers, [(first, second) for first, second in learnt.merges]


def peer_tokenizer() -> Any:
    numbers, merges = vocabulary()
    return CLIPTokenizer(vocab=dict(numbers), merges=list(merges))


def peer_model(text: dict[str, Any], image: dict[str, Any], dim: int = 24, *, seed: int = 0) -> Any:
    numbers, _ = vocabulary()
    ends = {"bos_token_id": numbers[START], "eos_token_id": numbers[END], "pad_token_id": 1}
    text, image = {**TEXT, **ends, **text}, {**IMAGE, **image}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        config = CLIPConfig(text_config=text, vision_config=image, projection_dim=dim)
        model = CLIPModel(config).eval()
        # The package uses fused attention; the comparison should not.
        model.set_attn_implementation("eager")
        for parameter in model.parameters():
            if parameter.ndim:  # at initialization, attention is nearly uniform
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def write_hf(folder: Path, model: Any = None, **processor: Any) -> Any:
    """Write a folder as transformers does; returns the model."""
    model = model if model is not None else peer_model({}, {})
    side = model.config.vision_config.image_size
    sizes = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    model.save_pretrained(folder)
    CLIPImageProcessorPil(**{**sizes, **processor}).save_pretrained(folder)
    peer_tokenizer().save_pretrained(folder)
    return model


def write_openai_vocabulary(folder: Path) -> None:
    """Write vocab.json and merges.txt, and delete tokenizer.json."""
    (folder / "tokenizer.json").unlink()
    numbers, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(numbers))
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines))


OPEN_NAMES = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^visual_projection\.weight$", "visual.proj"),
    (r"^text_model\.embeddings\.token_embedding\.", "TEXTtoken_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "TEXTpositional_embedding"),
    (r"^text_model\.final_layer_norm\.", "TEXTln_final."),
    (r"^text_model\.encoder\.layers\.", "TEXTtransformer.resblocks."),
    (r"^text_projection\.weight$", "TEXTtext_projection"),
    (r"\.layer_norm(\d)\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
)


def write_open_clip(folder: Path, hf: Path, *, custom: bool, quick: bool) -> None:
    """Write the CLIP in `hf` in open_clip's layout. `custom`: with a text encoder of its own."""
    tensors = load_file(hf / "model.safetensors")
    out = {}
    for name, tensor in tensors.items():
        if re.search(r"self_attn\.[kv]_proj", name):
            continue
        if ".self_attn.q_proj." in name:
            tensor = torch.cat([tensors[name.replace("q_proj", f"{p}_proj")] for p in "qkv"])
            name = re.sub(r"self_attn\.q_proj\.", "attn.in_proj_", name)
        for pattern, put in OPEN_NAMES:
            name = re.sub(pattern, put, name)
        if name.endswith(("visual.proj", "text_projection")):
            tensor = tensor.t()
        out[name.replace("TEXT", "text." if custom else "")] = tensor.contiguous()
    save_file(out, folder / "open_clip_model.safetensors")
    config = json.loads((hf / "config.json").read_text())
    text, image = config["text_config"], config["vision_config"]
    model = {
        "embed_dim": config["projection_dim"],
        "vision_cfg": {
            "image_size": image["image_size"], "layers": image["num_hidden_layers"],
            "width": image["hidden_size"], "patch_size": image["patch_size"],
            "head_width": image["hidden_size"] // image["num_attention_heads"],
            "mlp_ratio": image["intermediate_size"] / image["hidden_size"],
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"], "vocab_size": text["vocab_size"],
            "width": text["hidden_size"], "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
    }  # fmt: skip
    if quick:
        model["quick_gelu"] = True
    about = {"model_cfg": model, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((hf / name).read_bytes())
