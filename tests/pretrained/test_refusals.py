"""Folders without a CLIP, or with a broken one: one line that names the file and the reason."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.pretrained.pretrained_files import write_hf, write_open_clip  # noqa: E402
from undiffuse.errors import UserError  # noqa: E402
from undiffuse.pretrained.config import build_network  # noqa: E402
from undiffuse.pretrained.encoder import PretrainedClip  # noqa: E402
from undiffuse.pretrained.files import read_json  # noqa: E402

POSITIONS = "text_model.embeddings.position_embedding.weight"
KEYS = "vision_model.encoder.layers.1.self_attn.k_proj.weight"


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


def assert_refused(folder: Path, message: str) -> str:
    with pytest.raises(UserError, match=message) as raised:
        PretrainedClip(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class Trap:
    """Creates a file if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "clip.pt"])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_is_never_loaded(hf: Path, name: str, old: bool) -> None:
    (hf / "model.safetensors").unlink()
    trap = Trap(hf / "sprung")
    if old:
        (hf / name).write_bytes(pickle.dumps(trap, protocol=2))
    else:
        torch.save({"a": trap}, hf / name)
        assert zipfile.is_zipfile(hf / name)
    said = assert_refused(hf, f"{name} is a pickle, which can run any code")
    assert "save_pretrained(FOLDER, safe_serialization=True)" in said
    if name == "clip.pt":
        assert_refused(hf / name, "is a pickle")
    assert not trap.path.exists()


def test_folders_without_a_clip_are_refused(hf: Path) -> None:
    assert_refused(hf / "nowhere", r"is no folder: give one with config\.json")
    assert_refused(hf / "config.json", "is no folder")
    (hf / "model.safetensors").rename(hf / "other.safetensors")
    assert_refused(hf, r"there is neither config\.json with model\.safetensors nor open")
    (hf / "model.safetensors.index.json").write_text("{}")
    assert_refused(hf, "in several files")


def test_a_missing_file_is_named(hf: Path) -> None:
    (hf / "tokenizer.json").unlink()
    assert_refused(hf, r"has no tokenizer\.json")
    (hf / "preprocessor_config.json").unlink()
    assert_refused(hf, r"preprocessor_config\.json can't be read: No such file")


def test_broken_weight_files_are_refused(hf: Path) -> None:
    for data in (b"", b"x" * 100, b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\5\0\0\0\0\0\0\0nope!"):
        (hf / "model.safetensors").write_bytes(data)
        assert_refused(hf, r"model\.safetensors can't be used: (Error while deserial|it lacks)")


def test_tensors_that_do_not_fit_are_refused(hf: Path) -> None:
    tensors = load_file(hf / "model.safetensors")
    keys, positions = tensors[KEYS], tensors[POSITIONS]
    without = {name: tensor for name, tensor in tensors.items() if name != KEYS}
    for changed, message in (
        (without, f"lacks the tensor {KEYS}"),
        ({**without, "another": keys}, "has the tensor another"),
        ({**tensors, "another": torch.zeros(1)}, "has the tensor another"),
        ({**tensors, KEYS: keys[:-1].clone()}, rf"{KEYS} is torch.float32 \[47, 48\], expected"),
        ({**tensors, KEYS: keys[None].clone()}, f"{KEYS} is torch.float32"),
        ({**tensors, KEYS: keys.long()}, f"{KEYS} is torch.int64"),
        ({**tensors, POSITIONS: positions.repeat(2, 1)}, f"{POSITIONS} is torch.float32"),
        ({**tensors, POSITIONS: positions * float("nan")}, f"{POSITIONS} has values"),
        ({**tensors, "logit_scale": torch.zeros(1)}, "logit_scale is torch.float32"),
    ):
        save_file(changed, hf / "model.safetensors")
        assert_refused(hf, rf"model\.safetensors can't be used: .*{message}")


def test_open_clips_tensors_that_do_not_fit_are_refused(open_clip: Path) -> None:
    path = open_clip / "open_clip_model.safetensors"
    tensors, name = load_file(path), "transformer.resblocks.0.attn.in_proj_weight"
    for changed, message in (
        ({key: one for key, one in tensors.items() if key != name}, f"it has no '{name}'"),
        ({**tensors, "another": torch.zeros(1)}, "has the tensor another"),
        ({**tensors, name: tensors[name][:-1].clone()}, "95"),
        ({**tensors, "visual.proj": tensors["visual.proj"].t().contiguous()}, "visual_projection"),
    ):
        save_file(changed, path)
        assert_refused(open_clip, rf"open_clip_model\.safetensors can't be used: .*{message}")


def test_buffers_in_old_files_are_ignored(hf: Path) -> None:
    tensors = load_file(hf / "model.safetensors")
    for tower in ("text", "vision"):
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(9)[None]
    save_file(tensors, hf / "model.safetensors")
    PretrainedClip(hf)


def change(path: Path, *keys: str, **values: Any) -> None:
    """Set `values` in the object at `keys`; None deletes a key."""
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
    ("part", "values", "message"),
    [
        (None, {"model_type": "siglip"}, "model_type='siglip' is not one of"),
        (None, {"model_type": None}, "model_type=None"),
        (None, {"text_config": 3}, "text_config=3 is no object"),
        (None, {"text_config": None}, "it has no 'text_config'"),
        ("text_config", {"hidden_act": "nope"}, "nope"),
        ("text_config", {"eos_token_id": [1, 2]}, "eos_token_id="),
        ("text_config", {"hidden_size": 10**9}, "hidden_size=1000000000"),
        ("text_config", {"hidden_size": 32.0}, "hidden_size=32.0"),
        ("text_config", {"hidden_size": -32}, "hidden_size=-32"),
        ("text_config", {"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000"),
        ("text_config", {"num_hidden_layers": True}, "num_hidden_layers=True"),
        ("text_config", {"num_attention_heads": 5}, "32.* is not a multiple .*5"),
        ("text_config", {"layer_norm_eps": "x"}, "layer_norm_eps"),
        ("vision_config", {"image_size": [32, 32]}, "image_size="),
    ],
)
def test_configurations_are_refused(
    hf: Path, part: str | None, values: dict[str, Any], message: str
) -> None:
    change(hf / "config.json", *([part] if part else []), **values)
    assert_refused(hf, rf"config\.json can't be used: .*{message}")


def test_a_configuration_that_does_not_fit_the_other_files_is_refused(hf: Path) -> None:
    text = (hf / "config.json").read_text()
    for part, values, message in (
        ((), {"projection_dim": 25}, "_projection.weight is torch.float32"),
        (("text_config",), {"eos_token_id": 5}, r"and not as \[start, 5\]"),
        (("vision_config",), {"image_size": 64}, "crop_size="),
        (("vision_config",), {"patch_size": 16}, "_embedding.weight is torch.float32"),
        (("vision_config",), {"num_hidden_layers": 1}, "has the tensor vision_model.*layers.1"),
        (("vision_config",), {"num_hidden_layers": 3}, "lacks the tensor vision_model.*layers.2"),
    ):
        (hf / "config.json").write_text(text)
        change(hf / "config.json", *part, **values)
        assert_refused(hf, message)


def test_settings_that_could_load_code_or_kernels_are_ignored(hf: Path) -> None:
    path = hf / "config.json"
    change(path, auto_map={"AutoModel": "evil.Model"}, dtype="float16")
    change(path, quantization_config={"quant_method": "bitsandbytes"})
    for part in ("text_config", "vision_config"):
        change(path, part, _attn_implementation="user/kernel", output_attentions=True)
    config = PretrainedClip(hf).network.config
    assert not hasattr(config, "quantization_config")
    assert config.text_config._attn_implementation == "sdpa"
    assert not config.text_config.output_attentions


def test_the_second_copy_of_a_configuration_counts_as_in_transformers(hf: Path) -> None:
    from transformers import CLIPConfig

    change(hf / "config.json", text_config_dict={"hidden_size": 96, "layer_norm_eps": 0.5})
    found = build_network(hf / "config.json").config.text_config
    wanted = CLIPConfig.from_pretrained(hf).text_config
    for name in ("hidden_size", "layer_norm_eps", "num_attention_heads", "num_hidden_layers"):
        assert getattr(found, name) == getattr(wanted, name)


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        ((), {"model_cfg": None}, "it has no 'model_cfg'"),
        ((), {"preprocess_cfg": None}, "it has no 'preprocess_cfg'"),
        (("preprocess_cfg",), {"mean": None}, "it has no 'mean'"),
        (("model_cfg",), {"quick_gelu": "yes"}, "quick_gelu='yes'"),
        (("model_cfg",), {"init_logit_bias": -10}, "init_logit_bias=-10"),
        (("model_cfg",), {"multimodal_cfg": {"layers": 12}}, "multimodal_cfg={"),
        (("model_cfg", "vision_cfg"), {"layers": [3, 4, 6, 3]}, "layers="),
        (("model_cfg", "vision_cfg"), {"timm_model_name": "x"}, "timm_model_name='x'"),
        (("model_cfg", "vision_cfg"), {"attentional_pool": True}, "attentional_pool=True"),
        (("model_cfg", "vision_cfg"), {"width": 10**9}, "width=1000000000"),
        (("model_cfg", "vision_cfg"), {"head_width": 5}, "is not a multiple"),
        (("model_cfg", "vision_cfg"), {"patch_size": None}, "patch_embedding.weight is"),
        (("model_cfg", "text_cfg"), {"pool_type": "last"}, "pool_type='last'"),
        (("model_cfg", "text_cfg"), {"hf_model_name": "roberta"}, "hf_model_name='roberta'"),
        (("model_cfg", "text_cfg"), {"norm_kwargs": {"eps": 1e-6}}, "norm_kwargs="),
        (("model_cfg", "text_cfg"), {"width": 33}, "33.* is not a multiple"),
    ],
)
def test_open_clips_configurations_are_refused(
    open_clip: Path, keys: tuple[str, ...], values: Any, message: str
) -> None:
    change(open_clip / "open_clip_config.json", *keys, **values)
    assert_refused(open_clip, message)


def test_open_clips_default_settings_are_accepted(open_clip: Path) -> None:
    path = open_clip / "open_clip_config.json"
    change(path, "model_cfg", "text_cfg", pool_type="argmax", proj_bias=False, norm_kwargs={})
    change(path, "model_cfg", "vision_cfg", pool_type="tok", attentional_pool=False)
    PretrainedClip(open_clip)


def test_files_that_are_no_json_objects_are_refused(tmp_path: Path) -> None:
    deep = '{"a":' * 9_999 + "1" + "}" * 9_999
    for text in ("", "[]", "{", "nul", '"x"', "[" * 99_999, deep, "\udc80"):
        (tmp_path / "x.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(UserError, match=r"x\.json can't be used: [^\n]+$"):
            read_json(tmp_path / "x.json")
