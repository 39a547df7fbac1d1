"""A pretrained CLIP's network (torch): ViT and causal text transformer, as OpenAI trained them
(Radford et al. 2021, arXiv 2103.00020), and the strict reading of its weights.

A linear layer on top of it, with the rest as it is:

    network = load(Path("clip-vit-base-patch32")).requires_grad_(False)
    probe = torch.nn.Linear(network.config.dim, classes)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-2)
    for pictures, labels in batches:  # as `Preprocess` makes them: (B, 3, side, side)
        loss = F.cross_entropy(probe(network.encode_image(pictures)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.clip.model import LOGIT_SCALE_MAX
from undiffuse.errors import UserError
from undiffuse.pretrained.files import ClipFiles, find_files, why_not_safetensors
from undiffuse.pretrained.layouts import Layout, Tower, VitConfig

FLOATS = ("F16", "BF16", "F32", "F64")


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x); `causal`: nothing ahead is seen."""

    def __init__(self, tower: Tower, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.activation, self.causal = tower.heads, tower.activation, causal
        self.norm1 = nn.LayerNorm(tower.width, tower.eps)
        self.qkv = nn.Linear(tower.width, 3 * tower.width)
        self.mix = nn.Linear(tower.width, tower.width)
        self.norm2 = nn.LayerNorm(tower.width, tower.eps)
        self.up = nn.Linear(tower.width, tower.hidden)
        self.down = nn.Linear(tower.hidden, tower.width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, N, size) each
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.mix(seen.transpose(1, 2).reshape(batch, length, width))
        wide = self.up(self.norm2(x))
        # OpenAI's approximation of GELU (arXiv 1606.08415, section 2), and GELU itself.
        quick = self.activation == "quick_gelu"
        return x + self.down(wide * torch.sigmoid(1.702 * wide) if quick else F.gelu(wide))


class Vit(nn.Module):
    """Pictures `(B, 3, side, side)` -> features `(B, dim)`, read off the class token."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        tower = config.image
        self.patches = nn.Conv2d(3, tower.width, config.patch, config.patch, bias=False)
        self.first = nn.Parameter(torch.empty(tower.width))
        places = (config.side // config.patch) ** 2 + 1
        self.positions = nn.Parameter(torch.empty(places, tower.width))
        self.norm_in = nn.LayerNorm(tower.width, tower.eps)
        self.blocks = nn.Sequential(*(Block(tower, causal=False) for _ in range(tower.depth)))
        self.norm = nn.LayerNorm(tower.width, tower.eps)
        self.out = nn.Linear(tower.width, config.dim, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.patches(pictures).flatten(2).transpose(1, 2)  # (B, N, width)
        x = torch.cat([self.first.expand(len(x), 1, -1), x], dim=1) + self.positions
        return self.out(self.norm(self.blocks(self.norm_in(x))[:, 0]))


class CausalText(nn.Module):
    """Ids `(B, N)` -> features `(B, dim)`, read off the end of each text; what follows it, padding,
    is never seen."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        tower, self.end = config.text, config.end
        self.tokens = nn.Embedding(config.vocabulary, tower.width)
        self.positions = nn.Parameter(torch.empty(config.context, tower.width))
        self.blocks = nn.Sequential(*(Block(tower, causal=True) for _ in range(tower.depth)))
        self.norm = nn.LayerNorm(tower.width, tower.eps)
        self.out = nn.Linear(tower.width, config.dim, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.blocks(self.tokens(ids) + self.positions[: ids.shape[1]])
        ends = ids == (ids.amax(1, keepdim=True) if self.end is None else self.end)
        last = ends.int().argmax(1)  # (B,), the first of them: padding may be the same token
        return self.out(self.norm(x[torch.arange(len(x), device=x.device), last]))


class PretrainedNetwork(nn.Module):
    """Both towers and the logarithm of the inverse temperature."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        self.image, self.text = Vit(config), CausalText(config)
        self.log_logit_scale = nn.Parameter(torch.empty(()))

    @property
    def logit_scale(self) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=LOGIT_SCALE_MAX)

    def encode_image(self, pictures: Tensor) -> Tensor:
        """`(B, 3, side, side)`, as `Preprocess` makes them -> features `(B, dim)`, of any length:
        divide by the norm for cosines. Gradients pass through."""
        return self.image(pictures)

    def encode_text(self, ids: Tensor) -> Tensor:
        """Ids `(B, N)`, N up to the context -> features `(B, dim)`, of any length."""
        return self.text(ids)


def load(folder: Path) -> PretrainedNetwork:
    """The network in a folder of either layout, in float32.

    UserError for a pickle, for a configuration that is not read here, and, by name, for a tensor
    that is missing, unknown, of another shape, no float or not finite.
    """
    return load_files(find_files(folder))


def load_files(files: ClipFiles) -> PretrainedNetwork:
    """The same, of files that were found."""
    with torch.device("meta"):  # no memory before the file's shapes are known to fit
        network = PretrainedNetwork(files.config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    try:
        with safe_open(files.weights, framework="pt") as file:
            tensors = _read(file, files, shapes)
    except (SafetensorError, OSError) as error:
        raise UserError(why_not_safetensors(files.weights)) from error
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def _read(file: Any, files: ClipFiles, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    found = set(file.keys())
    names = files.layout.names(files.config, found)
    wanted = {part for parts in names.values() for part in parts}
    for name in sorted(wanted - found):
        raise UserError(f"{files.weights} lacks the tensor {name}")
    for name in sorted(found - wanted):
        if not name.endswith(files.layout.ignored):
            said = f"{files.weights} has a tensor {name}"
            raise UserError(f"{said}, which {files.layout.config_file} doesn't account for")
    return {
        name: _tensor(file, name, names[name], shape, files.weights, files.layout)
        for name, shape in shapes.items()
    }


def _tensor(
    file: Any, own: str, parts: tuple[str, ...], shape: tuple[int, ...], path: Path, layout: Layout
) -> Tensor:
    """A tensor of the network, made of its parts in the file, one upon the other."""
    turned = own in layout.transposed
    wanted = list(shape[::-1] if turned else shape)
    if len(parts) > 1:
        wanted[0] //= len(parts)
    tensors = []
    for name in parts:
        stored = file.get_slice(name)
        if list(stored.get_shape()) != wanted or stored.get_dtype() not in FLOATS:
            said = f"{stored.get_dtype()} {list(stored.get_shape())}"
            raise UserError(f"{path}: {name} is {said}, and not floats of {wanted}")
        tensor = file.get_tensor(name).float()
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} is not finite")
        tensors.append(tensor)
    whole = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    return whole.t().contiguous() if turned else whole
