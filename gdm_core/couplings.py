r"""Which noise goes with which example: pairs (x, noise) for the straight path x_t = (1 - t) x + t noise.

    independent  as they were drawn                                    Lipman et al. (2023), Liu et al. (2023)
    optimal      the permutation of a batch that minimizes sum |x_i - noise_i|^2         Tong et al. (2024), Pooladian
                 et al. (2023)
    reflow       x is where a model's flow takes the noise             Liu et al. (2023, eq. 1)
    entropic     least E|x - noise|^2 + 2 sigma^2 KL(pairs | independent) of Gaussians: the ends of a Schroedinger
                 bridge, whose reference is a Brownian motion of variance sigma^2   Janati et al. (2020, theorem 1)

A coupling is a function (x, noise) -> (x, noise), both (B, *event): rows belong together afterwards, and the law of x
alone and of the noise alone is what it was.  Where a coupling moves rows it moves the noise: labels of x stay right.

The loss of flow matching, E|velocity(x_t, t) - (noise - x)|^2, cannot fall below E Var(noise - x | x_t).  In one
dimension, for x = N(0, s^2) and pairs that are optimal in batches of B, this `floor` is an integral; for B = 1 it is
pi s/2, and for large B it goes to 0.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import special
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gdm_core.validate import bad, integer, positive

Coupling = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def independent(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs as they came."""
    return _pairs(x, noise)


def optimal(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The noise in another order, so that the sum of the squared distances is least.  It takes B^3 operations at worst.

    >>> optimal(torch.tensor([[0.0], [5.0]]), torch.tensor([[4.0], [1.0]]))[1].flatten()
    tensor([1., 4.])
    """
    _pairs(x, noise)
    cost = torch.cdist(x.detach().flatten(1).double(), noise.detach().flatten(1).double()).square()
    rows, columns = linear_sum_assignment(cost.cpu().numpy())  # rows come sorted
    return x, noise[torch.from_numpy(columns).to(noise.device)]


def reflow(generate: Callable[[Tensor], Tensor]) -> Coupling:
    """Pairs of a model: the noise and where `generate` takes it, (B, *event) -> (B, *event); the data are not used.

    The law of x is the model's: what it missed stays missed.
    """

    def couple(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        _pairs(x, noise)
        with torch.no_grad():
            return _pairs(generate(noise), noise)

    return couple


def entropic(mean: Tensor, cov: Tensor, sigma: float) -> Coupling:
    """For x ~ N(mean, cov) and noise ~ N(0, I), both of d features: sigma = 0 is optimal transport, a large one is
    independent.  The noise of the pair is drawn from its law given x, with the noise that came as the chance in it.

    Args:
        mean, cov: (d,) and (d, d), positive definite.
        sigma: standard deviation of the Brownian reference after one unit of time, in units of x.
    """
    d = len(mean)
    cross = bridge(cov, torch.eye(d, dtype=cov.dtype, device=cov.device), sigma)
    gain = torch.linalg.solve(cov, cross).T  # E[noise | x] = gain (x - mean)
    rest = root(torch.eye(d, dtype=cov.dtype, device=cov.device) - gain @ cross)

    def couple(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        _pairs(x, noise)
        if x.shape[1:] != (d,):
            raise bad(f"x of shape (B, {d})", tuple(x.shape), "the mean and covariance of these x")
        return x, (x - mean.to(x)) @ gain.to(x).T + noise @ rest.to(x)

    return couple


def bridge(cov: Tensor, other: Tensor, sigma: float) -> Tensor:
    """Cov(x, y), (d, d), of the entropic pairs of x ~ N(., cov) and y ~ N(., other).

    C = (A^1/2 D A^-1/2 - sigma^2 I) / 2,     D = (4 A^1/2 B A^1/2 + sigma^4 I)^1/2
    """
    if not 0 <= sigma < math.inf:
        raise bad("sigma >= 0", sigma, "sigma=0.5")
    half, eye = root(cov), torch.eye(len(cov), dtype=cov.dtype, device=cov.device)
    if not half.diagonal().min() > 0 or torch.linalg.matrix_rank(half) < len(cov):
        raise bad("a covariance that is positive definite", cov.tolist(), "cov + 1e-6 * torch.eye(d)")
    middle = root(4 * half @ other @ half + sigma**4 * eye)
    return (half @ torch.linalg.solve(half, middle, left=False) - sigma**2 * eye) / 2


def root(cov: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix (d, d) with no eigenvalue below 0."""
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T


def floor(s: float, pairs: int = 1) -> float:
    """E Var(noise - x | x_t), x ~ N(0, s^2), noise ~ N(0, 1), one number an example, optimal in batches of `pairs`.

    Optimal pairs of numbers have equal ranks.  So a pair is one of rank k of B in both, each k equally likely: its
    density is a sum of B products.  By quadrature in x_t and at right angles to it; B = 64 takes a second, 256 fifteen.

    >>> round(floor(2.0) / math.pi, 6)  # pi s / 2
    1.0
    """
    positive("s", s)
    step = min(0.4, 1 / math.sqrt(integer("pairs", pairs)))  # the width that a batch leaves to the other end of a pair
    along, across = np.meshgrid(*2 * [np.arange(-6.5, 6.5 + step, step)], indexing="ij")
    total = 0.0
    for t, weight in zip(*_unit_gauss(24)):
        size = math.hypot((1 - t) * s, t)  # x_t = size times along
        cos, sin = (1 - t) * s / size, t / size
        x, e = cos * along - sin * across, sin * along + cos * across  # x in units of s
        density, v = _ranked(x, e, pairs), e - s * x
        mass, mean = density.sum(1), (density * v).sum(1)
        total += weight * ((density * v**2).sum() - (mean**2 / np.maximum(mass, 1e-300)).sum())
    return float(total * step**2)


def cost(s: float, pairs: int = 1) -> float:
    """E (noise - x)^2 of the same pairs: (1 - s)^2 for infinitely many.

    >>> cost(2.0)
    5.0
    """
    z, k = np.arange(-8, 8, 0.01), np.arange(1, integer("pairs", pairs) + 1)[:, None]
    ranked = np.exp(_log_rank(z, k, pairs) - z**2 / 2) / math.sqrt(2 * math.pi)  # density of the k-th of B numbers
    means = 0.01 * (z * ranked).sum(1)
    return float(1 + positive("s", s) ** 2 - 2 * s * (means**2).mean())


def _unit_gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's points in [0, 1] and their weights."""
    points, weights = np.polynomial.legendre.leggauss(points)
    return (points + 1) / 2, weights / 2


def _ranked(a: np.ndarray, b: np.ndarray, pairs: int) -> np.ndarray:
    """Density of two standard normal numbers that are paired by rank in batches."""
    total = 0.0
    for k in range(1, integer("pairs", pairs) + 1):
        total = total + np.exp(_log_rank(a, k, pairs) + _log_rank(b, k, pairs))
    return total / pairs * np.exp(-(a**2 + b**2) / 2) / (2 * math.pi)


def _log_rank(z: np.ndarray, k, pairs: int) -> np.ndarray:
    """log of how many times likelier z is as the k-th of B normal numbers than as any of them."""
    constant = -special.betaln(k, pairs - k + 1)
    return constant + (k - 1) * special.log_ndtr(z) + (pairs - k) * special.log_ndtr(-z)


def _pairs(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != noise.shape or x.ndim < 2:
        raise bad("x and noise of one shape (B, *event)", f"{tuple(x.shape)} and {tuple(noise.shape)}", "randn_like(x)")
    return x, noise
