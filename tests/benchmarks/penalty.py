"""A critic's step of WGAN-GP, through the same weights and noise as in the form of tutorials; CPU ms."""

import copy

import torch
from torch import Tensor

from gdm_core.models.gan import GAN

from ._race import race, table

BATCH = 64


def tutorial(gan: GAN, x: Tensor) -> Tensor:
    """Three passes and a penalty (Gulrajani et al., 2017, algorithm 1), as they are usually written down."""
    fake = gan.generate(gan.prior().sample((len(x),))).detach()
    real_validity, fake_validity = gan.critic(x), gan.critic(fake)
    alpha = torch.rand(len(x), *[1] * (x.ndim - 1))
    between = (alpha * x + (1 - alpha) * fake).requires_grad_(True)
    told = gan.critic(between)
    (gradients,) = torch.autograd.grad(told, between, torch.ones_like(told), create_graph=True, retain_graph=True)
    penalty = ((gradients.view(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()
    return fake_validity.mean() - real_validity.mean() + gan.gp * penalty


def step(loss, optimizer) -> float:
    optimizer.zero_grad()
    (paid := loss()).backward()
    optimizer.step()
    return paid.item()


def main() -> None:
    torch.set_num_threads(1)
    wgan = {"loss": "Wasserstein", "gp": 10.0}
    rows = []
    for name, gan in (
        ("plane, two layers of 128", GAN(2, 2, **wgan)),
        ("28 x 28, two layers of 256", GAN((1, 28, 28), 16, hidden=(256, 256), **wgan)),
        ("28 x 28, convolutions", GAN((1, 28, 28), 16, network="conv", **wgan)),
    ):
        x, other = torch.randn(BATCH, *gan.event_shape), copy.deepcopy(gan)
        # the library's players move by a fused Adam, tutorials by the default
        ours = torch.optim.Adam(gan.critic.parameters(), 1e-4, betas=(0.0, 0.9), fused=True)
        theirs = torch.optim.Adam(other.critic.parameters(), 1e-4, betas=(0.0, 0.9))
        runs = {
            "ours": lambda gan=gan, x=x, ours=ours: step(lambda: gan.critic_loss(x), ours),
            "tutorial": lambda other=other, x=x, theirs=theirs: step(lambda: tutorial(other, x), theirs),
        }
        paid = []
        for run in runs.values():
            torch.manual_seed(0)
            paid.append(run())
        ms = race(runs, rounds=41, warm=5)
        ratio = ms["tutorial"] / ms["ours"]
        rows.append((name, ms["ours"], ms["tutorial"], ratio, ">= 1.2", f"{abs(paid[0] - paid[1]):.0e}"))
    table((f"WGAN-GP, a critic's step on {BATCH}", "ours", "tutorial", "ratio", "goal", "losses differ by"), *rows)


if __name__ == "__main__":
    main()
