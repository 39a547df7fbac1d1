"""The science: schedules, targets, samplers, guidance and noise, as arithmetic on arrays.

Imports no torch. `noise(seed, index, step, shape)` stays in module `noise`, which it would hide.
"""

# ruff: noqa: F401, I001 - re-exported by name, packed by hand
# fmt: off
from undiffuse.diffusion.arrays import Array, Denoiser, Times, named
from undiffuse.diffusion.guidance import clamped, guided, switched
from undiffuse.diffusion.noise import batch_noise, noise_source
from undiffuse.diffusion.samplers import (
    SAMPLERS, Step, blend, ddim, ddpm, dpmpp_2m, euler, heun, previous)
from undiffuse.diffusion.schedule import (SCHEDULES, Schedule, cosine_schedule, ddpm_schedule,
    edm, even, linear_schedule, posterior_std, shifted)
from undiffuse.diffusion.targets import (
    EPS_START, TARGETS, as_denoiser, convert, loss_weight, mix, step_before, target, to_x0)
