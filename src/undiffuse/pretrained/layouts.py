"""The two layouts that pretrained CLIPs with ViT towers (arXiv 2103.00020) come in: what their
configurations say, and what they call their tensors.

Hugging Face's: config.json and model.safetensors. open_clip's: open_clip_config.json and
open_clip_model.safetensors.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from undiffuse.errors import UserError
from undiffuse.pretrained.settings import Settings

ACTIVATIONS = ("quick_gelu", "gelu")
WIDEST, DEEPEST, LARGEST = 1 << 14, 256, 1 << 20
Names = dict[str, tuple[str, ...]]  # a tensor of the network: what it is made of in the file


@dataclass(frozen=True)
class Tower:
    """A transformer, norms first. `hidden`: the width within its feed-forward layers."""

    width: int
    depth: int
    heads: int
    hidden: int
    activation: str
    eps: float


@dataclass(frozen=True)
class VitConfig:
    """Both towers and the space that they share.

    `end`: the id whose first place ends a text; None where the highest id in the text does.
    """

    image: Tower
    text: Tower
    side: int  # pixels
    patch: int
    vocabulary: int
    context: int  # tokens, start and end included
    dim: int
    end: int | None


@dataclass(frozen=True)
class Layout:
    """How to read one. `names` is given the configuration and the file's own names.

    `transposed`: tensors of the network that the file has as (in, out). `ignored`: ends of the
    names of tensors that are no weights.
    """

    config_file: str
    weight_files: tuple[str, ...]
    read: Callable[[Settings], VitConfig]
    names: Callable[[VitConfig, Collection[str]], Names]
    transposed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


# What a setting means that a file leaves out: transformers writes what differs from these.
HF_SHARED = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_hidden_layers": 12}
HF_TEXT = HF_SHARED | {
    "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8,
    "max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 49407,
}  # fmt: skip
HF_IMAGE = HF_SHARED | {
    "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 32, "num_channels": 3,
}  # fmt: skip


def read_hf(settings: Settings) -> VitConfig:
    """From config.json of a `CLIPModel`. UserError names what is not read here."""
    settings.one_of("model_type", ("clip",))
    text = _hf_part(settings, "text_config", HF_TEXT)
    image = _hf_part(settings, "vision_config", HF_IMAGE)
    image.one_of("num_channels", (3,))
    whole = Settings({"projection_dim": 512, **settings.values}, settings.where)
    # Before 2023 every file said 2, which was wrong: transformers then takes the highest id, as
    # OpenAI's own code does, and else the first place of the id (its pull request 24773).
    end = text.whole("eos_token_id", LARGEST, 0)
    return VitConfig(
        image=_hf_tower(image),
        text=_hf_tower(text),
        side=image.whole("image_size", 4096),
        patch=image.whole("patch_size", 4096),
        vocabulary=text.whole("vocab_size", LARGEST),
        context=text.whole("max_position_embeddings", 4096, 3),
        dim=whole.whole("projection_dim", WIDEST),
        end=None if end == 2 else end,
    )


def _hf_part(settings: Settings, name: str, usual: Mapping[str, Any]) -> Settings:
    part = settings.part(name)
    # Files of 2022 say the same twice; transformers takes this one, and what it leaves out too.
    again = settings.values.get(f"{name}_dict")
    over = {**usual, **settings.part(f"{name}_dict").values} if again is not None else {}
    return Settings({**usual, **part.values, **over}, part.where)


def _hf_tower(part: Settings) -> Tower:
    return _checked(
        part,
        Tower(
            width=part.whole("hidden_size", WIDEST),
            depth=part.whole("num_hidden_layers", DEEPEST),
            heads=part.whole("num_attention_heads", WIDEST),
            hidden=part.whole("intermediate_size", 8 * WIDEST),
            activation=part.one_of("hidden_act", ACTIVATIONS),
            eps=part.number("layer_norm_eps", 0.0, 1.0),
        ),
    )


def _checked(part: Settings, tower: Tower) -> Tower:
    if tower.width % tower.heads:
        raise UserError(f"{part.where}: {tower.heads} heads don't share a width of {tower.width}")
    return tower


# Settings of open_clip for other networks, with the values by which they change nothing.
OPEN_OFF: dict[str, tuple[Any, ...]] = {
    "ls_init_value": (None,), "output_tokens": (False,), "act_kwargs": (None, {}),
    "norm_kwargs": (None, {}),
}  # fmt: skip
OPEN_IMAGE_OFF: dict[str, tuple[Any, ...]] = OPEN_OFF | {
    "timm_model_name": (None,), "attentional_pool": (False,), "no_ln_pre": (False,),
    "pos_embed_type": ("learnable",), "final_ln_after_pool": (False,), "pool_type": ("tok",),
    "global_average_pool": (False,), "input_patchnorm": (False,),
}  # fmt: skip
OPEN_TEXT_OFF: dict[str, tuple[Any, ...]] = OPEN_OFF | {
    "hf_model_name": (None,), "hf_tokenizer_name": (None,), "tokenizer_kwargs": (None, {}),
    "embed_cls": (False,), "no_causal_mask": (False,), "final_ln_after_pool": (False,),
    "pool_type": ("argmax",), "proj_type": ("linear",), "proj_bias": (False,), "pad_id": (0,),
}  # fmt: skip
OPEN_WHOLE_OFF = {"nonscalar_logit_scale": (False,), "init_logit_bias": (None,)}


def read_open_clip(settings: Settings) -> VitConfig:
    """From open_clip_config.json. UserError names what is not read here."""
    model = settings.part("model_cfg")
    model = Settings({"quick_gelu": False, **model.values}, model.where)  # off unless it is said
    image, text = model.part("vision_cfg"), model.part("text_cfg")
    if isinstance(image.values.get("layers"), list) or image.values.get("timm_model_name"):
        raise UserError(f"{image.where} is a convolutional network or timm's: only ViTs are read")
    shared = ("layers", "width", "mlp_ratio")
    image.nothing_else(
        (*shared, "head_width", "patch_size", "image_size", "patch_dropout"), OPEN_IMAGE_OFF
    )
    text.nothing_else((*shared, "heads", "context_length", "vocab_size"), OPEN_TEXT_OFF)
    model.nothing_else(
        ("embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "custom_text", "init_logit_scale",
         "cast_dtype"),
        OPEN_WHOLE_OFF,
    )  # fmt: skip
    image = Settings({"head_width": 64, **image.values}, image.where)
    activation = "quick_gelu" if model.one_of("quick_gelu", (False, True)) else "gelu"
    heads = image.whole("width", WIDEST) // image.whole("head_width", WIDEST)
    return VitConfig(
        image=_open_tower(image, heads, activation),
        text=_open_tower(text, text.whole("heads", WIDEST), activation),
        side=image.whole("image_size", 4096),
        patch=image.whole("patch_size", 4096),
        vocabulary=text.whole("vocab_size", LARGEST),
        context=text.whole("context_length", 4096, 3),
        dim=model.whole("embed_dim", WIDEST),
        end=None,
    )


def _open_tower(part: Settings, heads: int, activation: str) -> Tower:
    width = part.whole("width", WIDEST)
    ratio = Settings({"mlp_ratio": 4.0, **part.values}, part.where).number("mlp_ratio", 0.0, 64.0)
    hidden = max(1, int(width * ratio))
    tower = Tower(width, part.whole("layers", DEEPEST), max(1, heads), hidden, activation, 1e-5)
    return _checked(part, tower)


# The network's name for a part, and those of the two layouts; each has a weight and a bias.
BLOCK = (
    ("norm1", "layer_norm1", "ln_1"), ("mix", "self_attn.out_proj", "attn.out_proj"),
    ("norm2", "layer_norm2", "ln_2"), ("up", "mlp.fc1", "mlp.c_fc"),
    ("down", "mlp.fc2", "mlp.c_proj"),
)  # fmt: skip
ENDS = ("weight", "bias")


def hf_names(config: VitConfig, found: Collection[str]) -> Names:
    """The network's tensors, each with the names of its parts in a `CLIPModel`'s file."""
    names: Names = {
        "log_logit_scale": ("logit_scale",),
        "image.first": ("vision_model.embeddings.class_embedding",),
        "image.patches.weight": ("vision_model.embeddings.patch_embedding.weight",),
        "image.positions": ("vision_model.embeddings.position_embedding.weight",),
        "image.out.weight": ("visual_projection.weight",),
        "text.tokens.weight": ("text_model.embeddings.token_embedding.weight",),
        "text.positions": ("text_model.embeddings.position_embedding.weight",),
        "text.out.weight": ("text_projection.weight",),
    }
    for end in ENDS:
        names[f"image.norm_in.{end}"] = (f"vision_model.pre_layrnorm.{end}",)  # spelt like this
        names[f"image.norm.{end}"] = (f"vision_model.post_layernorm.{end}",)
        names[f"text.norm.{end}"] = (f"text_model.final_layer_norm.{end}",)
    for own, theirs, depth in (
        ("image", "vision_model", config.image.depth),
        ("text", "text_model", config.text.depth),
    ):
        for number in range(depth):
            at, to = f"{own}.blocks.{number}", f"{theirs}.encoder.layers.{number}"
            for end in ENDS:
                names |= {f"{at}.{one}.{end}": (f"{to}.{other}.{end}",) for one, other, _ in BLOCK}
                names[f"{at}.qkv.{end}"] = tuple(f"{to}.self_attn.{p}_proj.{end}" for p in "qkv")
    return names


def open_clip_names(config: VitConfig, found: Collection[str]) -> Names:
    """The network's tensors, each with its name in open_clip's file; where that has the text tower
    in a part of its own (`CustomTextCLIP`), its names begin with "text."."""
    text = "text." if "text.token_embedding.weight" in found else ""
    names: Names = {
        "log_logit_scale": ("logit_scale",),
        "image.first": ("visual.class_embedding",),
        "image.patches.weight": ("visual.conv1.weight",),
        "image.positions": ("visual.positional_embedding",),
        "image.out.weight": ("visual.proj",),
        "text.tokens.weight": (f"{text}token_embedding.weight",),
        "text.positions": (f"{text}positional_embedding",),
        "text.out.weight": (f"{text}text_projection",),
    }
    for end in ENDS:
        names[f"image.norm_in.{end}"] = (f"visual.ln_pre.{end}",)
        names[f"image.norm.{end}"] = (f"visual.ln_post.{end}",)
        names[f"text.norm.{end}"] = (f"{text}ln_final.{end}",)
    for own, theirs, depth in (
        ("image", "visual.", config.image.depth),
        ("text", text, config.text.depth),
    ):
        for number in range(depth):
            at, to = f"{own}.blocks.{number}", f"{theirs}transformer.resblocks.{number}"
            for end in ENDS:
                names |= {f"{at}.{one}.{end}": (f"{to}.{other}.{end}",) for one, _, other in BLOCK}
                names[f"{at}.qkv.{end}"] = (f"{to}.attn.in_proj_{end}",)
    return names


HF = Layout(
    "config.json",
    ("model.safetensors",),
    read_hf,
    hf_names,
    ignored=(".position_ids",),
)
OPEN_CLIP = Layout(
    "open_clip_config.json",
    ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"),
    read_open_clip,
    open_clip_names,
    transposed=("image.out.weight", "text.out.weight"),
    ignored=("attn_mask",),
)
