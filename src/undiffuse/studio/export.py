"""Writes the studio as a static site: the page, the model's files and onnxruntime-web.

The site draws in the browser with the modules in page/source-local. Weights are those of the model
as they are stored, a file for each part of a network, so that a part is fetched when it is used.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save

from undiffuse import __version__
from undiffuse.clip.lexicon import FILE
from undiffuse.config import IMAGE_SIZE
from undiffuse.data import npm
from undiffuse.data.emoji_sets import Package
from undiffuse.errors import UserError
from undiffuse.explore.space import Space, default_cache_folder
from undiffuse.layout import words as scene_words
from undiffuse.layout.boxes import PLACES, ROWS
from undiffuse.layout.grounds import GROUNDS, Ground
from undiffuse.layout.parse import MAX_NAME, MAX_THINGS, MAX_WORDS
from undiffuse.layout.words import COLORS
from undiffuse.pipeline import TextToImage, load
from undiffuse.pipeline.init_image import STRENGTH
from undiffuse.pipeline.options import UNIFORM_SAMPLERS
from undiffuse.pipeline.prompt import NEGATIVE_WEIGHT, NO_NOUN
from undiffuse.pipeline.record import OPTIONS, SETTINGS
from undiffuse.runtime.networks import ClipEncoder
from undiffuse.runtime.session import FAST, GRAPHS, graph_file, weight_file
from undiffuse.runtime.weights import write_weights
from undiffuse.studio.policy import content_policy
from undiffuse.studio.settings import model_description

# 11 MB of WebAssembly; version 1.30 has 14 MB.
ONNXRUNTIME = Package(
    "onnxruntime-web", "1.22.0",
    "sha512-Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg==",
)  # fmt: skip
# The build without WebGPU. Scripts end in .js here: some servers do not know .mjs.
RUNTIME_FILES = {
    "dist/ort.wasm.min.mjs": "ort.wasm.min.js",
    "dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    "dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
PAGE = Path(__file__).with_name("page")
SERVER_FILES = {"main.js", "source-http.js", "api.js", "api.css", "api.html"}
SITE = "model/site.json"  # what the page needs to know
_UNNAMED = b"weights-are-handed-over"  # in graphs whose weights are known to Python only


def export_site(
    out: Path, model: Path | None = None, packages: Path | None = None, *,
    overwrite: bool = False, threads: int = 2,
) -> int:  # fmt: skip
    """Write the site to a folder, whole or not at all; returns its size in bytes.

    model     folder of weights; None for the shipped model.
    packages  folder with the tarball of onnxruntime-web; None fetches it with npm, once.
    UserError for a folder that is not empty, unless it holds a site and `overwrite` is true; for a
    model that browsers can't run; and if npm is missing.
    """
    out = Path(os.path.realpath(out))
    _check_out(out, overwrite)
    loaded = load(model, threads)
    _check_model(loaded)
    folder = packages or default_cache_folder() / "packages"
    if packages is None:
        npm.fetch([ONNXRUNTIME], folder)
    runtime = npm.read_files(ONNXRUNTIME, folder, RUNTIME_FILES.__contains__)
    with _new_folder(out) as site:
        _write_page(site)
        for path, name in RUNTIME_FILES.items():
            _write(site / "onnxruntime" / name, runtime[path])
        about = _write_model(site, loaded)
        _write(site / SITE, json.dumps(about, ensure_ascii=False).encode())
        return sum(path.stat().st_size for path in site.rglob("*") if path.is_file())


def _check_out(out: Path, overwrite: bool) -> None:
    if out.is_dir() and any(out.iterdir()):
        if not (out / SITE).is_file():
            raise UserError(f"{out} has other files than a site: give a new or an empty folder")
        if not overwrite:
            raise UserError(f"{out} has a site already: give another folder, or --overwrite")


def _check_model(model: TextToImage) -> None:
    if not isinstance(model.clip, ClipEncoder):
        raise UserError(f"{model.folder} has a pretrained CLIP, which browsers can't run: "
                        "export a model with a CLIP of undiffuse")  # fmt: skip
    for name in _graphs(model):
        path = graph_file(model.folder, name)
        if not path.is_file() or _UNNAMED in path.read_bytes():
            raise UserError(f"{path} is missing, or does not name its weights: export it again "
                            "with `undiffuse train export-onnx`")  # fmt: skip


def _graphs(model: TextToImage) -> list[str]:
    """The graphs that the model uses."""
    reads_tokens = model.denoiser.config.text_tokens > 0
    return [name for name in GRAPHS if name != "clip_cond" or reads_tokens]


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, which replaces it at the end. UserError if that fails."""
    new = out.with_name(f".undiffuse-{os.getpid()}-{out.name}")
    old = new.with_name(f"{new.name}-old")
    try:
        new.mkdir(parents=True)
        yield new
        if out.exists():
            out.replace(old)
        new.replace(out)
    except OSError as error:
        if old.exists() and not out.exists():
            old.replace(out)
        raise UserError(f"{out} can't be written: {error.strerror}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_page(site: Path) -> None:
    """The page's files, with the source that draws in the browser."""
    names = [path.relative_to(PAGE).as_posix() for path in sorted(PAGE.rglob("*.*"))
             if path.name != "__pycache__"]  # fmt: skip
    for name in names:
        if name not in SERVER_FILES:
            _write(site / name, (PAGE / name).read_bytes())
    policy = content_policy({"script-src": "'self' 'wasm-unsafe-eval'", "worker-src": "'self'"})
    preload = '  <link rel="modulepreload" href="{}" fetchpriority="low">\n'
    local = [name for name in names if name.startswith("source-local/") and "worker" not in name]
    page = (site / "index.html").read_text("utf-8")
    for old, new in (
        ('<meta charset="utf-8">\n', '<meta charset="utf-8">\n  <meta http-equiv='
         f'"Content-Security-Policy"\n    content="{policy}">\n'),
        (preload.format("source-http.js"), "".join(map(preload.format, local))),
        ('src="main.js"', 'src="source-local/main.js"'),
    ):  # fmt: skip
        if page.count(old) != 1:
            raise RuntimeError(f"index.html has {page.count(old)} times {old!r}")
        page = page.replace(old, new)
    _write(site / "index.html", page.encode())


def _write_model(site: Path, model: TextToImage) -> dict[str, Any]:
    """Graphs, weights, lexicon and the vectors of words; returns what the page needs to know."""
    assert isinstance(model.clip, ClipEncoder)
    graphs = {}
    for name in _graphs(model):
        kind, part = GRAPHS[name].kind, GRAPHS[name].part
        weights = f"model/{kind}{'-' * bool(part)}{part.rstrip('.')}.safetensors"
        if not (site / weights).exists():
            _write(site / weights, _stored_part(weight_file(model.folder, kind), part))
        graphs[name] = {"graph": f"model/{name}.onnx", "weights": weights}
        _write(site / graphs[name]["graph"], graph_file(model.folder, name).read_bytes())
    if model.denoisers.has_fast:
        _write(site / f"model/{FAST}.safetensors", weight_file(model.folder, FAST).read_bytes())
        graphs[FAST] = graphs["denoiser"] | {"weights": f"model/{FAST}.safetensors"}
    words, vectors = Space(model.clip, default_cache_folder()).vocabulary
    # int8 changes a cosine by less than 0.001.
    meta = {"kind": "words", "config": {}}
    write_weights(site / "model/words.safetensors", {"words": vectors}, meta, int8=True)
    lexicon = None
    if model.reader is not None:
        _write(site / "model" / FILE, (model.folder / FILE).read_bytes())
        lexicon = {"file": f"model/{FILE}", "languages": model.reader.lexicon.languages}
    return {
        **_describe(model, model.clip), "graphs": graphs, "lexicon": lexicon,
        "words": {"file": "model/words.safetensors", "list": words},
        "scenes": scene_tables() if model.reader and model.codec.config.image_channels == 4
        else None,
    }  # fmt: skip


def _describe_fast(model: TextToImage) -> dict[str, Any] | None:
    """What the fast denoiser changes in the settings and in the record."""
    network = model.denoisers.fast
    if network is None:
        return None
    config = model.defaults.in_few_steps(network.few_steps)
    names = ("steps", "sampler", "guidance", "style_below")
    return {
        "drawing": {name: getattr(config, name) for name in names},
        "record": {"model": network.hash, "fast": True},
    }


def scene_tables() -> dict[str, Any]:
    """The words that scenes are read with, the places of things, and the grounds."""
    words = {name: _plain(value) for name, value in vars(scene_words).items()
             if name.isupper() and not name.startswith("_")}  # fmt: skip
    words |= {"MAX_NAME": MAX_NAME, "MAX_THINGS": MAX_THINGS, "MAX_WORDS": MAX_WORDS}
    grounds = {name: _ground(one) for name, one in GROUNDS.items()}
    return {"words": words, "rows": ROWS, "places": PLACES, "grounds": grounds}


def _plain(value: Any) -> Any:
    """A table of words as JSON data: sets as lists, phrases and patterns as texts."""
    if isinstance(value, dict):
        pairs = ((" ".join(key) if isinstance(key, tuple) else key, one)
                 for key, one in value.items())  # fmt: skip
        return {key: _plain(one) for key, one in pairs}
    if isinstance(value, Set):
        return sorted(value)
    return value.pattern if isinstance(value, re.Pattern) else value


def _ground(ground: Ground) -> dict[str, Any]:
    extra = ground.extra and ground.extra.__name__.removeprefix("_")
    return {"sky": ground.sky, "floor": ground.floor, "horizon": ground.horizon,
            "hill": ground.hill, "extra": extra}  # fmt: skip


def _stored_part(path: Path, part: str) -> bytes:
    """The tensors whose names begin with `part`, as they are stored."""
    with safe_open(path, framework="np") as file:
        names = [name for name in file.keys() if name.startswith(part)]  # noqa: SIM118
        return save({name: file.get_tensor(name) for name in names})


def _describe(model: TextToImage, clip: ClipEncoder) -> dict[str, Any]:
    """Settings, sizes and constants, so that they are written once, in Python."""
    denoiser = model.denoiser
    versions = {"undiffuse": __version__, ONNXRUNTIME.name: ONNXRUNTIME.version}
    about = model_description(model)
    about["limits"]["candidates"] = [1, 1]  # not in browsers
    return {
        "model": {**about, "files": ["png"]},
        "fast": _describe_fast(model),
        "drawing": asdict(model.defaults),
        "uniformSamplers": list(UNIFORM_SAMPLERS),
        "constants": {"negative": NEGATIVE_WEIGHT, "strength": STRENGTH, "colors": sorted(COLORS),
                      "no_nouns": sorted(NO_NOUN)},
        "floats": [name for name, kind in (SETTINGS | OPTIONS).items() if kind is float],
        "record": {
            "model": denoiser.hash, "codec": model.codec.hash, "versions": versions,
            "processor": "browser",
        },
        "clip": {
            "config": asdict(clip.config), "dim": clip.dim, "image_size": IMAGE_SIZE,
            "tokenizer": json.loads(clip.tokenizer.to_json()),
        },
        "codec": {"config": asdict(model.codec.config)},
        "denoiser": {
            "config": asdict(denoiser.config), "cond_size": denoiser.config.cond_size,
            "chain": denoiser.chain,
        },
    }  # fmt: skip
