r"""Distributions whose density, score and sampler are all exact: what a model can be held against.

    mixture   p(x) = sum_k w_k N(x; m_k, s_k^2 I),   grad log p(x) = sum_k p(k | x) (m_k - x) / s_k^2
    Gaussian  p(x) = N(x; m, L L^T)

The shapes that are no mixture are in `data.shapes`.  Each target is an `nn.Module`: `.to(device)` moves it.  Densities
are computed in the dtype and on the device of `x`.
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer

TILE = 1024  # rows at a time: (TILE, components) stays in the cache, and memory stays bounded


def tiled(method):
    """Check `x: (B, *event)`, then apply `method` to some rows at a time."""

    @functools.wraps(method)
    def checked(self, x: Tensor) -> Tensor:
        x = batch(x, self.event_shape)
        return method(self, x) if len(x) <= TILE else torch.cat([method(self, rows) for rows in x.split(TILE)])

    return checked


class Target(nn.Module):
    """What the targets share.  Each has, of its own:

    - `log_prob(x)`, (B, *event) -> (B,), nats, and `score(x)`, its gradient, where there is one;
    - `draw(n, generator=None)`: draws (n, *event) and the number (n,) of the mode each came from, None for one mode;
    - `quadrature()`: points (M, *event) and weights (M,), float64, such that `(weights * f(points)).sum()` is the
      integral of f over all x.

    Attributes:
        event_shape: (1,) or (2,).
    """

    event_shape = Size([2])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws, (n, *event), that follow `torch.manual_seed`, or a generator on the target's device."""
        return self.draw(n, generator)[0]

    def entropy(self) -> float:
        """-E[log p(x)] in nats: the lowest mean negative log-likelihood that any model can reach.  By quadrature."""
        points, weights = self.quadrature()
        log_prob = self.log_prob(points)
        return -(weights * log_prob.exp() * log_prob).sum().item()

    def _normal(self, *shape: int, generator: torch.Generator | None) -> Tensor:
        like = next(self.buffers())
        return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)

    def _choose(self, weights: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
        return torch.multinomial(weights, integer("n", n), replacement=True, generator=generator)


def grid(low: Sequence[float], high: Sequence[float], step: float) -> tuple[Tensor, Tensor]:
    """Cell centers (M, d) of a regular grid over a box, and the cells' volumes (M,), float64.

    For smooth densities that vanish at the border the midpoint rule converges faster than any power of `step`.

    >>> points, weights = grid([0.0], [1.0], 0.25)
    >>> points.flatten().tolist(), weights.sum().item()
    ([0.125, 0.375, 0.625, 0.875], 1.0)
    """
    axes, volume = [], 1.0
    for a, b in zip(low, high):
        cells = math.ceil((b - a) / step - 1e-9)
        width = (b - a) / cells
        axes.append(a + width * (torch.arange(cells, dtype=torch.float64) + 0.5))
        volume *= width
    points = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    return points, torch.full((len(points),), volume, dtype=torch.float64)


class Mixture(Target):
    """Round Gaussians: p(x) = sum_k w_k N(x; m_k, s_k^2 I).

    Args:
        means: m, (K, d).
        std: s, one number or (K,).
        weights: w, (K,), up to a factor; equal if None.
        modes: (K,), which mode a component belongs to where many components draw one curve; by default 0 ... K-1.
    """

    def __init__(self, means, std, weights=None, modes=None):
        super().__init__()
        means = torch.as_tensor(means, dtype=torch.float32)
        if means.ndim != 2 or len(means) == 0:
            raise bad("means of shape (K, d)", tuple(means.shape), "means[:, None] for numbers")
        k = len(means)
        weights = torch.ones(k) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        std = torch.as_tensor(std, dtype=torch.float32)
        for name, value in (("std", std), ("weights", weights)):
            if (name, value.ndim) != ("std", 0) and value.shape != (k,) or not (value > 0).all():
                raise bad(f"positive {name} for {k} components", value.tolist(), f"{name}=torch.ones({k})")
        self.event_shape = means.shape[1:]
        self.register_buffer("means", means)  # (K, d)
        self.register_buffer("std", std.expand(k).clone())
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("modes", torch.arange(k) if modes is None else torch.as_tensor(modes))

    def _log_joint(self, x: Tensor) -> Tensor:
        """log w_k + log N(x; m_k, s_k^2 I), (B, K)."""
        means, std, log_weights = self.means.to(x), self.std.to(x), self.weights.to(x).log().log_softmax(0)
        d = means.shape[1]
        # One coordinate at a time: no (B, K, d) tensor, and no cancellation as in |x|^2 - 2 x.m + |m|^2.
        square = sum(((x[:, i, None] - means[:, i]) / std) ** 2 for i in range(d))
        return (log_weights - d * std.log() - 0.5 * d * LOG_2PI) - 0.5 * square

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        return self._log_joint(x).logsumexp(1)

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (B, d): the pull (m_k - x) / s_k^2 of each component, weighted by p(k | x)."""
        pull = self._log_joint(x).softmax(1) / self.std.to(x) ** 2  # (B, K)
        return pull @ self.means.to(x) - x * pull.sum(1, keepdim=True)

    def noisy(self, sigma: float, alpha: float = 1.0) -> "Mixture":
        """The law of alpha x + sigma noise, noise ~ N(0, I): a mixture too, with an exact score at every level."""
        if not (0 <= sigma < math.inf and 0 < alpha < math.inf):
            raise bad("sigma >= 0 and alpha > 0", (sigma, alpha), "sigma=0.5")
        std = ((alpha * self.std) ** 2 + sigma**2).sqrt()
        return Mixture(alpha * self.means, std, self.weights, self.modes)

    def draw(self, n, generator=None):
        k = self._choose(self.weights, n, generator)
        x = self.means[k] + self.std[k, None] * self._normal(n, *self.event_shape, generator=generator)
        return x, self.modes[k]

    def quadrature(self):
        reach = 8 * self.std.max().item()
        low, high = self.means.amin(0) - reach, self.means.amax(0) + reach
        return grid(low.tolist(), high.tolist(), self.std.min().item() / 2)


class Gaussian(Target):
    """N(mean, L L^T): mean (d,), scale_tril L (d, d)."""

    def __init__(self, mean, scale_tril):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale_tril", torch.as_tensor(scale_tril, dtype=torch.float32))
        self.event_shape = self.mean.shape

    def _white(self, x: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.scale_tril.to(x), (x - self.mean.to(x)).T, upper=False).T  # (B, d)

    @tiled
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats."""
        log_det = self.scale_tril.to(x).diagonal().log().sum()
        return -0.5 * (self._white(x) ** 2).sum(1) - log_det - 0.5 * x.shape[1] * LOG_2PI

    @tiled
    def score(self, x: Tensor) -> Tensor:
        """grad log p(x) = -(L L^T)^-1 (x - mean), (B, d)."""
        return -torch.linalg.solve_triangular(self.scale_tril.to(x).T, self._white(x).T, upper=True).T

    def draw(self, n, generator=None):
        noise = self._normal(integer("n", n), *self.event_shape, generator=generator)
        return self.mean + noise @ self.scale_tril.T, None

    def quadrature(self):
        tril = self.scale_tril.cpu().double()
        d = len(tril)
        noise, weights = grid([-8.0] * d, [8.0] * d, 0.25)
        return self.mean.cpu().double() + noise @ tril.T, weights * tril.diagonal().prod()

    def entropy(self) -> float:
        """d/2 log(2 pi e) + log|L|, nats."""
        d = len(self.mean)
        return 0.5 * d * (1 + LOG_2PI) + self.scale_tril.cpu().double().diagonal().log().sum().item()
