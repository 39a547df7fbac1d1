"""The critic of patches: whom its losses train, and how strongly."""

import torch
from torch import nn

from undiffuse.training.critic import PatchCritic, balanced, critic_losses


def test_each_loss_trains_its_own_side() -> None:
    torch.manual_seed(0)
    critic, decoded = PatchCritic(4), torch.randn(2, 4, 32, 32, requires_grad=True)
    own, fooled = critic_losses(critic, decoded, torch.randn(2, 4, 32, 32))
    own.backward(retain_graph=True)
    assert decoded.grad is None
    assert all(parameter.grad is not None for parameter in critic.parameters())
    before = [parameter.grad.clone() for parameter in critic.parameters()]
    fooled.backward()
    assert decoded.grad is not None
    assert decoded.grad.abs().sum() > 0
    for parameter, known in zip(critic.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, known)


def test_the_critic_learns_to_tell_stripes_from_plain_pictures() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1)
    stripes = torch.ones(4, 1, 32, 32)
    stripes[..., ::2] = -1
    plain = torch.zeros(4, 1, 32, 32)
    optimizer = torch.optim.AdamW(critic.parameters(), 1e-3)
    for _ in range(40):
        own, _ = critic_losses(critic, plain, stripes)
        optimizer.zero_grad()
        own.backward()
        optimizer.step()
    assert critic(stripes).mean() > critic(plain).mean() + 1


def test_the_share_is_one_of_gradients() -> None:
    decoded = torch.randn(3, 4, requires_grad=True)
    x = nn.Parameter(torch.randn(3, 4))
    pixel_loss, adversarial = (decoded - x).square().sum(), 100 * decoded.sum()
    (alone,) = torch.autograd.grad(pixel_loss, decoded, retain_graph=True)
    total = balanced(pixel_loss, adversarial, decoded, 0.5)
    (gradient,) = torch.autograd.grad(total, decoded)
    torch.testing.assert_close((gradient - alone).norm(), 0.5 * alone.norm())
