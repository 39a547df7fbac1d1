"""A torch network of your own in undiffuse's samplers: it learns two points in the plane.

A sampler needs `denoiser(x_t, t, cond) -> x0` and nothing else.
"""

import torch
from torch import Tensor, nn

from undiffuse.diffusion import add_noise, dpmpp_2m, linear_schedule, shifted_times

POINTS = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
SCHEDULE = linear_schedule()


def main(steps: int = 1000) -> Tensor:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        x0, t = POINTS[torch.randint(2, (256,))], torch.rand(256)
        x_t = add_noise(SCHEDULE, x0, torch.randn(256, 2), t)
        loss = (network(torch.cat([x_t, t[:, None]], 1)) - x0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def denoiser(x_t: Tensor, t: float, cond: Tensor | None) -> Tensor:
        return network(torch.cat([x_t, torch.full((len(x_t), 1), t)], 1))

    noise, times = torch.randn(8, 2), shifted_times(20, 1.5)
    *_, last = dpmpp_2m(denoiser, noise, None, schedule=SCHEDULE, times=times)
    print(last.x_t)
    return last.x_t


if __name__ == "__main__":
    main()
