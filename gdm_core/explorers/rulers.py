"""How far a cloud is from a mixture that is known, and how far true draws of it would be by chance.

Along a line a mixture of round Gaussians stays one, so that the quantiles that a cloud of n should have are exact.
"""

import torch
from torch import Tensor

from gdm_core.metrics import ascending, spread_directions
from gdm_core.quantiles import component

DIRECTIONS, CELLS = 16, 128  # lines, and points of each at which the distribution function is tabulated


class Ruler:
    """Sliced Wasserstein-2 distance of n points to each of T mixtures of round Gaussians in the plane.

    Args:
        means, std: (T, K, 2) and (T, K).
        weights: (K,), which sum to 1.
        n: points of a cloud.
    """

    def __init__(self, means: Tensor, std: Tensor, weights: Tensor, n: int):
        self.means, self.std, self.weights = means, std, weights
        self.lines = spread_directions(2, DIRECTIONS).to(means)  # (P, 2)
        mu = (means @ self.lines.T).mT[..., None, :]  # (T, P, 1, K)
        s = std[:, None, None]
        low, high = (mu - 5 * s).amin(-1), (mu + 5 * s).amax(-1)
        u = low + (high - low) * torch.linspace(0, 1, CELLS).to(means)  # (T, P, CELLS)
        F = (torch.special.ndtr((u[..., None] - mu) / s) * weights).sum(-1)
        level = ((torch.arange(n).to(means) + 0.5) / n).expand(*F.shape[:2], n).contiguous()
        i = torch.searchsorted(F, level).clamp(1, CELLS - 1)
        below, above = F.gather(-1, i - 1), F.gather(-1, i)
        share = (level - below) / (above - below).clamp_min(1e-12)
        self.quantiles = torch.lerp(u.gather(-1, i - 1), u.gather(-1, i), share)  # (T, P, n)

    def distance(self, x: Tensor) -> Tensor:
        """x: (T, ..., n, 2) -> (T, ...)."""
        along = ascending((x @ self.lines.T).mT)  # (T, ..., P, n)
        wanted = self.quantiles.reshape(len(x), *[1] * (x.ndim - 3), *self.quantiles.shape[1:])
        return (along - wanted).square().mean((-1, -2)).sqrt()

    def chance(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """Distances of R clouds of true draws, made of uniform (R, n) and normal (R, n, 2) numbers -> (T, R)."""
        k = component(self.weights, uniform)
        return self.distance(self.means[:, k] + self.std[:, k, None] * normal)
