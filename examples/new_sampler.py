"""A sampler of your own, registered and used from the command line.

python examples/new_sampler.py "a red apple" --sampler half_fresh --steps 20 -o apple.png
"""

from itertools import pairwise

from undiffuse.cli.main import main
from undiffuse.diffusion import Step, register_sampler


def half_fresh(denoiser, noise, cond, *, schedule, times, fresh):
    """The 20-step blend with half of the noise new and half of it kept at every step."""
    x_t, steps = noise, len(times) - 1
    for index, (t, s) in enumerate(pairwise(times), start=1):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        x0 = denoiser(x_t, t, cond)
        eps = (x_t - alpha_t * x0) / sigma_t
        mixed = 0.5**0.5 * (eps + fresh(index))
        x_t = alpha_s * x0 + sigma_s * mixed
        yield Step(index, steps, t, s, alpha_s, sigma_s, x_t=x_t, x0=x0)


if __name__ == "__main__":
    register_sampler("half_fresh", half_fresh)
    main()
