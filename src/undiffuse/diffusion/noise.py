"""Noise that depends on (seed, index, step) and on nothing else: not on batch, order or thread."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from undiffuse.diffusion.arrays import Array, check_int
from undiffuse.errors import UserError


# Philox-4x64 (Salmon et al. 2011) of key and counter: NumPy promises its bits for ever, and normals
# only within a version. Box and Muller (1958): for u1, u2 uniform,
# sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2) is standard normal.
def noise(seed: int, index: int, step: int, shape: Sequence[int]) -> np.ndarray:
    """Standard normal noise of one picture at one step: float32, of the given shape (C, H, W).

    Step 0 is the noise that drawing starts from, step k >= 1 the fresh noise of step k
    (`Step.index`). The random bits are the same everywhere. Logarithm and cosine, in float64, may
    differ between processors in the last place, which changes at most one float32 value in 10^8.
    UserError unless seed, index and step are whole numbers in [0, 2**64).
    """
    key = [check_int("seed", seed, 0, 2**64), check_int("index", index, 0, 2**64)]
    # The lowest word counts the blocks in a step.
    counter = [0, check_int("step", step, 0, 2**64), 0, 0]
    size = math.prod(check_int("shape", side) for side in shape)
    pairs = (size + 1) // 2
    philox = np.random.Philox(key=np.array(key, np.uint64), counter=np.array(counter, np.uint64))
    bits = philox.random_raw(2 * pairs).reshape(pairs, 2)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # (pairs, 2), in [0, 1)
    radius = np.sqrt(-2.0 * np.log(uniform[:, 0] + 2.0**-53))  # of (0, 1]: no logarithm of 0
    angle = 2.0 * np.pi * uniform[:, 1]
    normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return normal.reshape(-1)[:size].reshape(tuple(shape)).astype(np.float32)


def batch_noise(seed: int, indices: Sequence[int], step: int, shape: Sequence[int]) -> np.ndarray:
    """The noise of several pictures: float32 (B, C, H, W); row b is that of indices[b]."""
    if len(indices) == 0:
        raise UserError("indices is empty: name at least one picture, for example [0]")
    return np.stack([noise(seed, index, step, shape) for index in indices])


def noise_source(seed: int, indices: Sequence[int], shape: Sequence[int]) -> Callable[[int], Array]:
    """step -> (B, C, H, W): `source(0)` starts a sampler, `source` itself is its `fresh`."""
    return lambda step: batch_noise(seed, indices, step, shape)
