"""Helpers for NumPy arrays and torch tensors alike, and checks of arguments."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, TypeAlias, TypeVar

import numpy as np

from undiffuse.errors import UserError

Array: TypeAlias = Any  # numpy.ndarray or torch.Tensor: no type names both without importing torch
Times: TypeAlias = Any  # a float, or an array (B,): one noise level for each picture
Denoiser: TypeAlias = Callable[[Array, float, Array | None], Array]  # (x_t, t, cond) -> x0
T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str, argument: str) -> T:
    """`table[name]`. UserError with the known names for an unknown one."""
    if name not in table:
        raise UserError(f"{argument}={name!r} is unknown: choose one of {', '.join(table)}")
    return table[name]


def check_int(argument: str, value: int, least: int = 1, below: int = 10**6 + 1) -> int:
    """`value`. UserError unless it is a whole number with least <= value < below."""
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_int or not least <= value < below:
        raise UserError(f"{argument}={value!r}: give a whole number from {least} to {below - 1}")
    return int(value)


def check_range(argument: str, value: float, low: float, high: float) -> float:
    """`value` as a float. UserError unless low <= value <= high."""
    if not isinstance(value, Real) or not low <= float(value) <= high:
        raise UserError(f"{argument}={value!r}: give a number from {low:g} to {high:g}")
    return float(value)


def array_kind(x: object) -> str:
    """'numpy' or 'torch' for an array, else the name of x's type."""
    roots = {base.__module__.partition(".")[0] for base in type(x).__mro__}
    return next((name for name in ("numpy", "torch") if name in roots), type(x).__name__)


def check_array(argument: str, x: Array, like: Array | None = None) -> None:
    """UserError unless x is a float array, of the kind and shape of `like` where that is given."""
    if array_kind(x) not in ("numpy", "torch") or "float" not in str(x.dtype):
        found = x.dtype if array_kind(x) in ("numpy", "torch") else array_kind(x)
        raise UserError(f"{argument} is {found}: give a float array of NumPy or of torch")
    if like is not None and (array_kind(x), np.shape(x)) != (array_kind(like), np.shape(like)):
        found, wanted = (f"of {array_kind(y)} with shape {tuple(np.shape(y))}" for y in (x, like))
        raise UserError(f"{argument} is {found}: it must be {wanted}")


def check_cond(argument: str, cond: Array, x_t: Array, rows: tuple[int, ...]) -> None:
    """UserError unless cond is (B, D), of x_t's kind, with B one of `rows`."""
    check_array(argument, cond)
    if array_kind(cond) != array_kind(x_t) or cond.ndim != 2 or cond.shape[0] not in rows:
        found = f"of {array_kind(cond)} with shape {tuple(cond.shape)}"
        raise UserError(f"{argument} is {found}: give one of {array_kind(x_t)}, ({rows[-1]}, D)")


def in_float64(t: Times) -> float | np.ndarray:
    """t as a float or a float64 NumPy array. UserError for a value outside [0, 1]."""
    if isinstance(t, Real):
        return check_range("t", float(t), 0.0, 1.0)
    check_array("t", t)
    values = np.asarray(
        t if array_kind(t) == "numpy" else t.detach().cpu().double().numpy(), np.float64
    )
    for stray in values[~((values >= 0.0) & (values <= 1.0))]:
        check_range("t", float(stray), 0.0, 1.0)
    return values


def as_array_like(values: np.ndarray, x: Array) -> Array:
    """float64 values as an array of x's kind and dtype (and, in torch, device)."""
    return values.astype(x.dtype) if array_kind(x) == "numpy" else x.new_tensor(values)


def elementwise(function: Callable[[Any], Any], t: Times) -> Times:
    """function(t), computed in float64, in the type of t: float, NumPy array or tensor."""
    result = function(in_float64(t))
    return float(result) if isinstance(t, Real) else as_array_like(np.asarray(result), t)


def per_picture(coefficient: Times, x: Array) -> Array:
    """A coefficient to multiply x with: a float, or (B,) as (B, 1, 1, 1) in x's kind and dtype."""
    if isinstance(coefficient, Real):
        return float(coefficient)
    if coefficient.shape not in ((), (1,), (x.shape[0],)):
        raise UserError(f"t has shape {coefficient.shape}: give a float or ({x.shape[0]},)")
    return as_array_like(coefficient.reshape((-1,) + (1,) * (x.ndim - 1)), x)
