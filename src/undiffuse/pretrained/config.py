"""Builds transformers' CLIPModel, without weights, from config.json or open_clip_config.json.

The files are untrusted. Of their settings, only bounded integers, the activation and the epsilon
reach transformers: a file cannot select code, quantization or attention kernels.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from undiffuse.pretrained.files import HF_CONFIG, LIMITS, check_supported, read_json, user_errors

if TYPE_CHECKING:
    from transformers import CLIPModel

Settings = dict[str, Any]
# With this end id, transformers takes the first of the highest ids as the end of a text, as
# OpenAI's and open_clip's code do. Every config.json before 2023 has it.
HIGHEST_ID = 2
TOWERS = ("text", "vision")
OPEN_CLIP_NAMES = {
    "width": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads",
    "context_length": "max_position_embeddings", "vocab_size": "vocab_size",
    "image_size": "image_size", "patch_size": "patch_size",
}  # fmt: skip
# More settings of open_clip, which are read or have no effect outside training.
OPEN_CLIP_OTHERS = {
    "embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "head_width", "mlp_ratio", "custom_text",
    "init_logit_scale", "cast_dtype", "patch_dropout",
}  # fmt: skip
# Other settings must be false, null, 0 or one of these; then open_clip's network is a CLIPModel.
OPEN_CLIP_DEFAULTS = ("learnable", "tok", "argmax", "linear")


def build_network(path: Path) -> "CLIPModel":
    """The network on torch's meta device, which allocates no memory.

    UserError for a configuration that is broken or not supported.
    """
    from transformers import CLIPConfig, CLIPModel

    values = read_json(path)
    import torch  # after transformers, which names the right extra where both are missing

    with user_errors(path), torch.device("meta"):
        parse = _parse_hf if path.name == HF_CONFIG else _parse_open_clip
        text, vision, dim = parse(values)
        return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))


def _parse_hf(values: Settings) -> tuple[Settings, Settings, int]:
    check_supported(values, {"model_type": ("clip",)})
    # Files of 2022 hold each part twice; transformers then ignores the first one.
    parts = (values.get(f"{name}_config_dict") or values[f"{name}_config"] for name in TOWERS)
    keys = (*LIMITS, "hidden_act", "layer_norm_eps")
    text, vision = ({key: part[key] for key in keys if part.get(key) is not None} for part in parts)
    return text, vision, values.get("projection_dim", 512)


def _parse_open_clip(values: Settings) -> tuple[Settings, Settings, int]:
    model = values["model_cfg"]
    check_supported(model, {"quick_gelu": (True, False, None)})
    for part in (model, model["text_cfg"], model["vision_cfg"]):
        for key in part.keys() - OPEN_CLIP_NAMES.keys() - OPEN_CLIP_OTHERS:
            if part[key] and part[key] not in OPEN_CLIP_DEFAULTS:
                raise ValueError(f"{key}={part[key]!r:.60} is not supported")
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    text, vision = (_parse_tower(model[f"{name}_cfg"], activation) for name in TOWERS)
    text["eos_token_id"] = HIGHEST_ID
    head_width = model["vision_cfg"].get("head_width", 64)
    vision["num_attention_heads"] = max(1, vision["hidden_size"] // head_width)
    return text, vision, model["embed_dim"]


def _parse_tower(part: Settings, activation: str) -> Settings:
    tower = {ours: part[theirs] for theirs, ours in OPEN_CLIP_NAMES.items() if theirs in part}
    hidden = int(part["width"] * part.get("mlp_ratio", 4.0))
    return {**tower, "intermediate_size": hidden, "hidden_act": activation}
