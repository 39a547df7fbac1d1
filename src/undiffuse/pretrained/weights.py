"""Strict loading of safetensors weights into transformers' CLIPModel."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from undiffuse.errors import UserError
from undiffuse.pretrained.files import REFUSAL, is_pickle, user_errors

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPModel

Tensors = dict[str, "Tensor"]
BUFFERS = (".position_ids", "attn_mask")  # in some files, but no weights
# Parts of tensor names: transformers', open_clip's.
RENAMES = (
    ("text_model.", ""), ("vision_model.", "visual."), ("embeddings.", ""),
    ("patch_embedding", "conv1"), ("position_embedding.weight", "positional_embedding"),
    ("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"), ("final_layer_norm", "ln_final"),
    ("encoder.layers", "transformer.resblocks"), ("layer_norm", "ln_"), ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"), ("self_attn", "attn"), ("q_proj.", "in_proj_"),
    ("k_proj.", "in_proj_"), ("v_proj.", "in_proj_"), ("visual_projection.weight", "visual.proj"),
    ("text_projection.weight", "text_projection"),
)  # fmt: skip


def load_weights(network: "CLIPModel", path: Path) -> None:
    """Load a file's tensors into a network from `build_network`, as float32.

    UserError for a pickle, and for a tensor that is missing, unexpected, of another shape, not
    floating-point or not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    expected = network.state_dict()
    with user_errors(path):
        try:
            tensors = load_file(path)
        except SafetensorError:
            if is_pickle(path):
                raise UserError(f"{path} {REFUSAL}") from None
            raise
        if path.name.startswith("open_clip"):
            tensors = _from_open_clip(tensors, expected)
        tensors = {name: one for name, one in tensors.items() if not name.endswith(BUFFERS)}
        _check(tensors, expected)
        network.load_state_dict({name: one.float() for name, one in tensors.items()}, assign=True)
    for tower in (network.text_model, network.vision_model):
        positions = tower.embeddings.position_embedding.num_embeddings
        tower.embeddings.position_ids = torch.arange(positions)[None]  # a buffer, not in the file


def open_clip_name(name: str, *, custom_text: bool) -> str:
    """open_clip's name for a tensor of CLIPModel. `custom_text`: the text encoder is a module of
    its own (`CustomTextCLIP`)."""
    is_text = name.startswith("text_")
    for ours, theirs in RENAMES:
        name = name.replace(ours, theirs)
    return f"text.{name}" if is_text and custom_text else name


def _from_open_clip(stored: Tensors, names: Iterable[str]) -> Tensors:
    """The tensors of CLIPModel, and those that are unexpected under their own names."""
    custom_text = "text.token_embedding.weight" in stored
    sources = {name: open_clip_name(name, custom_text=custom_text) for name in names}
    tensors = {name: stored[name] for name in stored.keys() - set(sources.values())}
    for name, source in sources.items():
        tensor = stored[source]
        if ".in_proj_" in source:  # queries, keys and values are one tensor
            tensor = tensor.unflatten(0, (3, -1))["qkv".index(name.split(".")[-2][0])]
        elif source.endswith(("visual.proj", "text_projection")):  # stored as (in, out)
            tensor = tensor.t().contiguous()
        tensors[name] = tensor
    return tensors


def _check(tensors: Tensors, expected: Tensors) -> None:
    for name in sorted(tensors.keys() ^ expected.keys()):
        raise ValueError(f"it {'lacks' if name in expected else 'has'} the tensor {name}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or not tensor.is_floating_point():
            found = f"{tensor.dtype} {list(tensor.shape)}"
            raise ValueError(f"{name} is {found}, expected floats {list(expected[name].shape)}")
        if not tensor.isfinite().all():
            raise ValueError(f"{name} has values that are not finite")
