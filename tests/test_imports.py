"""What starting costs, and that drawing needs no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "onnxruntime", "numpy", "PIL", "tqdm")


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import undiffuse; undiffuse.__version__; dir(undiffuse)",
        "from undiffuse import DrawConfig, UserError",
        "import sys; sys.argv[1:] = ['--help']; import undiffuse.cli.main as m; m.main()",
        "import sys; sys.argv[1:] = ['draw', '-h']; import undiffuse.cli.main as m; m.main()",
    ],
)
def test_starting_loads_nothing_heavy(code: str) -> None:
    loaded = run(f"{code}\nimport sys; print('loaded', *sys.modules)").rpartition("loaded")[2]
    assert not set(loaded.split()) & set(HEAVY)


def test_drawing_needs_no_torch(model_folder: Path) -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None  # importing either now fails
import undiffuse
model = undiffuse.load(sys.argv[1])
model.generate("a red apple", steps=2)
model.clip.encode_image(model.generate("", steps=1)[0].pixels.transpose(2, 0, 1)[None])
print(*sys.modules)
"""
    loaded = run(code, str(model_folder)).split()
    assert "onnxruntime" in loaded
    assert not [name for name in loaded if name.startswith("torch.")]


def test_an_unknown_name_is_an_attribute_error() -> None:
    import undiffuse

    assert set(undiffuse.__all__) == set(dir(undiffuse))
    for name in undiffuse.__all__:
        assert getattr(undiffuse, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = undiffuse.nothing
