r"""One network for the score at every noise level (Song & Ermon, 2019): s(x, sigma) = grad log p_sigma(x).

    p_sigma: the density of x + sigma noise;     s(x, sigma) = -x / c^2 + F(x / c, t) / (sigma c),     c^2 = 1 + sigma^2

    loss = E (sigma c)^2 / 2 |s(x + sigma noise, sigma) + noise / sigma|^2          (Karras et al., 2022, eq. 7 and 8)

The first term of s is the score of N(0, I) blurred, and F, a network, what data of about unit size add to it: the loss
asks the same of F at every level.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core import denoising, mcmc, score_matching
from gdm_core.networks import MLPEncoder
from gdm_core.validate import bad, batch, integer, positive


class NoisyScore(nn.Module):
    """The score at noise levels up to `largest`.

    Args:
        event_shape: shape of one example, or the number of features.
        largest: the largest sigma: several times the size of the data.
        hidden: units of the hidden layers.
        network: own F in place of the layers: F(x, t), (B, *event) and (B,) -> (B, *event).
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        largest: float = 4.0,
        hidden: Sequence[int] = (128, 128),
        network: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.largest = positive("largest", largest, 4.0)
        self.network = _Layers(self.event_shape, hidden) if network is None else network

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t = 1, sigma_t = largest t^3: many levels are small ones."""
        return torch.ones_like(t), self.largest * t**3

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x | x_t].  x_t: (B, *event), t: (B,) or () -> (B, *event)."""
        like = next(self.parameters())
        batch(x_t, self.event_shape, name="x_t", like=like)
        t = t.to(like).expand(len(x_t))
        sigma = denoising.at(self.schedule, t, x_t)[1]
        c = (1 + sigma**2).sqrt()
        told = self.network(x_t / c, t)
        if told.shape != x_t.shape:
            raise bad(f"a network whose output is {tuple(x_t.shape)}", tuple(told.shape), "an output as large as x")
        return x_t / c**2 + sigma / c * told

    def score_at(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """grad log p_sigma(x) at noise level sigma, a number or (B,), above 0.  (B, *event) -> (B, *event)."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        if not ((sigma > 0) & (sigma <= self.largest * (1 + 1e-6))).all():
            raise bad(f"sigma in (0, {self.largest:g}]", sigma.max().item(), f"largest={sigma.max().item():g}")
        t = (sigma / self.largest) ** (1 / 3)
        return denoising.score(self.denoise(x, t), x, t, self.schedule)

    def loss(self, x: Tensor) -> Tensor:
        """Denoising score matching at random levels, each weighed with (sigma c)^2.  No likelihood."""
        batch(x, self.event_shape, like=next(self.parameters()))
        # Below that there is no noise to tell: sigma is 1/8000 of the largest.
        t = 0.05 + 0.95 * torch.rand(len(x), dtype=x.dtype, device=x.device)
        sigma = self.schedule(t)[1]
        loss = score_matching.denoising(lambda x_t: self.score_at(x_t, sigma), x, sigma)
        return (sigma**2 * (1 + sigma**2) * loss).mean()

    @torch.no_grad()
    def sample(self, n: int, levels: int = 16, steps: int = 10, smallest: float = 0.02) -> Tensor:
        """Annealed Langevin from noise, then the mean of the data behind it: (n, *event).

        Args:
            levels: noise levels from `largest` down to `smallest`, of equal ratio.
            steps: at each level.
        """
        like = next(self.parameters())
        x = self.largest * torch.randn(integer("n", n), *self.event_shape, dtype=like.dtype, device=like.device)
        ratio = (positive("smallest", smallest, 0.02) / self.largest) ** (1 / max(integer("levels", levels) - 1, 1))
        sigmas = [self.largest * ratio**k for k in range(levels)]
        x = mcmc.last(mcmc.annealed(self.score_at, x, sigmas, steps=steps))
        t = torch.tensor((sigmas[-1] / self.largest) ** (1 / 3), dtype=like.dtype, device=like.device)
        return self.denoise(x, t)


class _Layers(nn.Module):
    """A perceptron that sees t beside the flattened x."""

    def __init__(self, event_shape: Size, hidden: Sequence[int]):
        super().__init__()
        self.net = MLPEncoder(event_shape, event_shape.numel(), hidden, labels=3, activation=nn.SiLU)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        waves = torch.stack([t, torch.cos(torch.pi * t), torch.sin(torch.pi * t)], 1)
        return self.net(x, waves).reshape(x.shape)


def demos() -> dict[str, NoisyScore]:
    """In the plane, and pictures."""
    return {"plane": NoisyScore(2, hidden=(32, 32)), "pictures": NoisyScore((1, 4, 4), hidden=(32,))}
