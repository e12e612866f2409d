r"""A denoiser (Ho et al., 2020; Karras et al., 2022): x_t = alpha_t x + sigma_t noise, denoise(x_t, t) = E[x | x_t].

loss = E ||x - denoise(x_t, t, y)||^2,     t ~ U(0, 1),     alpha_t = cos(pi t / 2),     sigma_t = sin(pi t / 2)
"""

import math

import torch
from solvers import ancestral
from torch import Size, Tensor, nn
from torch.nn.functional import one_hot

from gdm_core.denoising import at, noisy
from gdm_core.networks import mlp
from gdm_core.validate import bad, batch, integer
from gdm_core.validate import labels as checked


class Denoiser(nn.Module):
    """One network of x_t, of waves of t, and of y where there are `labels`."""

    def __init__(self, features: int, *, hidden: int = 32, labels: int = 0):
        super().__init__()
        self.event_shape, self.labels = Size([features]), labels
        self.net = mlp(features + 4 + labels, (hidden, hidden), features, nn.SiLU)

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t, sigma_t."""
        return torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x | x_t] or E[x | x_t, y].  x_t: (B, features), t: (B,) or () -> (B, features)."""
        batch(x_t, self.event_shape, name="x_t", like=next(self.parameters()))
        t = t.expand(len(x_t))
        parts = [x_t, *(wave(math.pi * t * k)[:, None] for k in (0.5, 1) for wave in (torch.cos, torch.sin))]
        if self.labels:
            parts.append(one_hot(checked(y, len(x_t), self.labels), self.labels).to(x_t))
        elif y is not None:
            raise bad("no labels for an unconditional model", "y", "Denoiser(..., labels=10)")
        alpha, sigma = at(self.schedule, t, x_t)
        return alpha * x_t + sigma * self.net(torch.cat(parts, 1))  # little noise leaves the network little to say

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Squared error, summed over the event, at random times.  No likelihood."""
        batch(x, self.event_shape, like=next(self.parameters()))
        t = torch.rand(len(x), dtype=x.dtype, device=x.device)
        x_t = noisy(x, t, self.schedule, torch.randn_like(x))
        return (x - self.denoise(x_t, t, y)).square().sum(1).mean()

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | int | None = None, steps: int = 40) -> Tensor:
        """Ancestral sampling from noise: (n, features)."""
        like = next(self.parameters())
        y = None if y is None else torch.as_tensor(y, device=like.device).expand(integer("n", n))
        times = torch.linspace(1, 0, integer("steps", steps) + 1, dtype=like.dtype, device=like.device)
        noise = lambda i: torch.randn(integer("n", n), *self.event_shape, dtype=like.dtype, device=like.device)
        *_, x = ancestral(lambda x, t: self.denoise(x, t, y), self.schedule, times, noise)
        return x


def demos() -> dict[str, Denoiser]:
    """In the plane, with and without labels."""
    return {"plane": Denoiser(2), "conditional": Denoiser(2, labels=3)}
