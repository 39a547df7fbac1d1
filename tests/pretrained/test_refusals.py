"""Folders that hold no CLIP, or a broken one: one line that names the file and the thing."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.pretrained.pretrained_files import write_hf, write_open_clip  # noqa: E402
from undiffuse.errors import UserError  # noqa: E402
from undiffuse.pretrained.encoder import PretrainedClip  # noqa: E402
from undiffuse.pretrained.files import find_files  # noqa: E402
from undiffuse.pretrained.network import load  # noqa: E402


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    hf, other = tmp_path_factory.mktemp("hf"), tmp_path_factory.mktemp("open")
    write_hf(hf)
    write_open_clip(other, hf, custom=False, quick=True)
    return hf, other


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.fixture
def hf(written: tuple[Path, Path], tmp_path: Path) -> Path:
    return copied(written[0], tmp_path)


@pytest.fixture
def open_clip(written: tuple[Path, Path], tmp_path: Path) -> Path:
    return copied(written[1], tmp_path)


def refused(folder: Path, said: str) -> str:
    with pytest.raises(UserError, match=said) as raised:
        PretrainedClip(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class Trap:
    """Would leave a file behind if it were ever read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "clip.pt"])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_is_never_read(hf: Path, name: str, old: bool) -> None:
    (hf / "model.safetensors").unlink()
    trap = Trap(hf / "sprung")
    if old:
        (hf / name).write_bytes(pickle.dumps(trap, protocol=2))
    else:
        torch.save({"a": trap}, hf / name)
        assert zipfile.is_zipfile(hf / name)
    said = refused(hf, f"{name} is a pickle, which can run any code")
    assert "save_pretrained(FOLDER, safe_serialization=True)" in said
    if name == "clip.pt":
        refused(hf / name, "is a pickle")
    assert not trap.path.exists()


def test_folders_without_a_clip(hf: Path) -> None:
    refused(hf / "nowhere", "is no folder: give one with config.json")
    refused(hf / "config.json", "is no folder")
    (hf / "model.safetensors").rename(hf / "other.safetensors")
    refused(hf, r"has no CLIP in it: there is neither config.json with model.safetensors nor open")
    (hf / "model.safetensors.index.json").write_text("{}")
    refused(hf, "in several files")


@pytest.mark.parametrize("name", ["preprocessor_config.json", "tokenizer.json"])
def test_a_file_that_is_missing(hf: Path, name: str) -> None:
    (hf / name).unlink()
    refused(hf, f"has no {name}")


def test_the_processors_in_one_file(hf: Path) -> None:
    """As newer versions of transformers write them."""
    before = find_files(hf).preprocess
    said = json.loads((hf / "preprocessor_config.json").read_text())
    (hf / "preprocessor_config.json").unlink()
    (hf / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    assert find_files(hf).preprocess == before


@pytest.mark.parametrize(
    "data", [b"", b"x" * 100, b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x05\0\0\0\0\0\0\0nope!"]
)
def test_weights_that_are_broken(hf: Path, data: bytes) -> None:
    (hf / "model.safetensors").write_bytes(data)
    refused(hf, r"not a safetensors file, or is broken|lacks the tensor")


def renamed(name: str, to: str) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.update({to: tensors.pop(name)})


def put(name: str, make: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.update({name: make(tensors.get(name))})


POSITIONS = "text_model.embeddings.position_embedding.weight"
KEYS = "vision_model.encoder.layers.1.self_attn.k_proj.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("text_projection.weight"), "lacks the tensor text_projection.weight"),
        (renamed(KEYS, "another"), f"lacks the tensor {KEYS}"),
        (put("another", lambda _: torch.zeros(1)), "has a tensor another, which config.json"),
        (put(KEYS, lambda t: t[:-1].clone()), f"{KEYS} is F32 .*, and not floats of"),
        (put(KEYS, lambda t: t[None].clone()), f"{KEYS} is F32"),
        (put(KEYS, lambda t: t.long()), f"{KEYS} is I64"),
        (put(POSITIONS, lambda t: torch.cat([t, t])), f"{POSITIONS} is F32"),
        (put(POSITIONS, lambda t: t * float("nan")), f"{POSITIONS} is not finite"),
        (put("logit_scale", lambda t: t[None].clone()), "logit_scale is F32"),
    ],
)
def test_tensors_that_do_not_fit(hf: Path, change: Any, said: str) -> None:
    tensors = load_file(hf / "model.safetensors")
    change(tensors)
    save_file(tensors, hf / "model.safetensors")
    refused(hf, said)


def test_known_buffers_are_passed_over(hf: Path) -> None:
    tensors = load_file(hf / "model.safetensors")
    for tower in ("text", "vision"):
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(9)[None]
    save_file(tensors, hf / "model.safetensors")
    load(hf)


def changed(path: Path, *keys: str, **values: Any) -> None:
    """`values` in the object at `keys`; None takes one away."""
    whole = json.loads(path.read_text())
    part = whole
    for key in keys:
        part = part[key]
    for name, value in values.items():
        part.pop(name, None)
        if value is not None:
            part[name] = value
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("keys", "values", "said"),
    [
        ((), {"model_type": "siglip"}, "has model_type='siglip': undiffuse reads 'clip'"),
        ((), {"model_type": None}, "has no model_type"),
        ((), {"text_config": 3}, "text_config=3"),
        ((), {"text_config": None}, "has no text_config"),
        ((), {"projection_dim": 25}, "visual_projection.weight is F32|text_projection"),
        (("text_config",), {"hidden_act": "relu"}, "hidden_act='relu'"),
        (("text_config",), {"eos_token_id": [1, 2]}, "eos_token_id="),
        (("text_config",), {"eos_token_id": 5}, "the text tower's end is 5"),
        (("text_config",), {"hidden_size": 10**9}, "hidden_size=1000000000"),
        (("text_config",), {"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000"),
        (("text_config",), {"num_hidden_layers": True}, "num_hidden_layers=True"),
        (("text_config",), {"num_attention_heads": 5}, "5 heads don't share a width of 32"),
        (("text_config",), {"layer_norm_eps": "x"}, "layer_norm_eps='x'"),
        (("vision_config",), {"image_size": [32, 32]}, "image_size="),
        (("vision_config",), {"image_size": 64}, "crop_size="),
        (("vision_config",), {"patch_size": 16}, "position_embedding.weight is F32"),
        (("vision_config",), {"num_channels": 4}, "num_channels=4"),
        (("vision_config",), {"num_hidden_layers": 1}, "has a tensor vision_model.*layers.1"),
        (("vision_config",), {"num_hidden_layers": 3}, "lacks the tensor vision_model.*layers.2"),
    ],
)
def test_configurations(hf: Path, keys: tuple[str, ...], values: Any, said: str) -> None:
    changed(hf / "config.json", *keys, **values)
    refused(hf, said)


def test_the_configuration_that_is_said_twice(hf: Path) -> None:
    """The second one counts, as it does in transformers, with what it leaves out."""
    from transformers import CLIPConfig

    changed(hf / "config.json", text_config_dict={"hidden_size": 96, "layer_norm_eps": 0.5})
    text = find_files_text(hf)
    peer = CLIPConfig.from_pretrained(hf).text_config
    assert (text.width, text.eps, text.heads, text.depth) == (
        peer.hidden_size, peer.layer_norm_eps, peer.num_attention_heads, peer.num_hidden_layers,
    )  # fmt: skip


def find_files_text(folder: Path) -> Any:
    from undiffuse.pretrained.layouts import read_hf
    from undiffuse.pretrained.settings import Settings

    return read_hf(Settings.read(folder / "config.json")).text


@pytest.mark.parametrize(
    ("keys", "values", "said"),
    [
        ((), {"model_cfg": None}, "has no model_cfg"),
        ((), {"preprocess_cfg": None}, "has no preprocess_cfg"),
        (("preprocess_cfg",), {"mean": None}, "has no mean"),
        (("preprocess_cfg",), {"resize_mode": "longest"}, "resize_mode='longest'"),
        (("model_cfg",), {"quick_gelu": "yes"}, "quick_gelu='yes'"),
        (("model_cfg",), {"init_logit_bias": -10}, "init_logit_bias=-10"),
        (("model_cfg",), {"multimodal_cfg": {}}, "multimodal_cfg={}"),
        (("model_cfg", "vision_cfg"), {"layers": [3, 4, 6, 3]}, "only ViTs are read"),
        (("model_cfg", "vision_cfg"), {"timm_model_name": "x"}, "only ViTs are read"),
        (("model_cfg", "vision_cfg"), {"attentional_pool": True}, "attentional_pool=True"),
        (("model_cfg", "vision_cfg"), {"patch_size": None}, "has no patch_size"),
        (("model_cfg", "vision_cfg"), {"head_width": 5}, "9 heads don't share"),
        (("model_cfg", "text_cfg"), {"pool_type": "last"}, "pool_type='last'"),
        (("model_cfg", "text_cfg"), {"hf_model_name": "roberta"}, "hf_model_name='roberta'"),
        (("model_cfg", "text_cfg"), {"norm_kwargs": {"eps": 1e-6}}, "norm_kwargs="),
        (("model_cfg", "text_cfg"), {"width": 33}, "2 heads don't share a width of 33"),
    ],
)
def test_configurations_of_open_clip(
    open_clip: Path, keys: tuple[str, ...], values: Any, said: str
) -> None:
    changed(open_clip / "open_clip_config.json", *keys, **values)
    refused(open_clip, said)


def test_settings_that_do_nothing(open_clip: Path) -> None:
    config = open_clip / "open_clip_config.json"
    changed(config, "model_cfg", "text_cfg", pool_type="argmax", proj_bias=False, norm_kwargs={})
    changed(config, "model_cfg", "vision_cfg", pool_type="tok", attentional_pool=False)
    load(open_clip)
