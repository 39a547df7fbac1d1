"""Diffusion on NumPy arrays and torch tensors: schedules, targets, samplers, guidance, noise."""

# ruff: noqa: F401, I001 - re-exported by name, packed by hand
# fmt: off
from undiffuse.diffusion.arrays import Array, Denoiser, Times, lookup
from undiffuse.diffusion.guidance import clamp_x0, classifier_free_guidance, switch_cond
from undiffuse.diffusion.noise import batch_noise, noise_source
from undiffuse.diffusion.samplers import (
    SAMPLERS, Step, blend, ddim, ddpm, dpmpp_2m, euler, heun, previous, register_sampler)
from undiffuse.diffusion.schedule import (SCHEDULES, Schedule, cosine_schedule, ddpm_schedule,
    linear_schedule, posterior_std, shifted_times, uniform_times)
from undiffuse.diffusion.targets import (
    EPS_START, TARGETS, as_denoiser, convert, loss_weight, add_noise, previous_time, target, to_x0)
