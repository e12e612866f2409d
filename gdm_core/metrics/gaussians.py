r"""Distances that compare moments: of two Gaussians, and of all polynomials of third degree.

    frechet      |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))                             Heusel et al. (2017, eq. 6)
    kernel       unbiased MMD^2 with k(s, t) = (s.t / d + 1)^3                        Binkowski et al. (2018, section 4)

Frechet distance sees two moments alone; of two samples of N from one N(0, I_d) it is about (2 d + d (d + 1)/2)/N.  The
kernel distance is 0 in the mean where p = q, whatever N is.
"""

import torch
from torch import Tensor

from gdm_core.couplings import root
from gdm_core.two_sample.statistics import Statistic, pool, quadratic


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Frechet distance (squared) of the Gaussians with the moments of x (N, d) and y (M, d): (), float64.

    Raises:
        ValueError: samples that `two_sample.statistics.pool` refuses.
    """
    z = pool(x, y).double()
    x, y = z[: len(x)], z[len(x) :]
    covariance = lambda s: torch.atleast_2d(torch.cov(s.T))
    return frechet_of_moments(x.mean(0), covariance(x), y.mean(0), covariance(y))


def frechet_of_moments(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> Tensor:
    """The same of means (d,) and covariances (d, d).

    tr (S S')^(1/2) is the sum of the roots of the eigenvalues of L^T S' L, which is symmetric, S = L L^T.
    """
    half, singular = torch.linalg.cholesky_ex(cov)
    half = root(cov) if singular else half  # which costs five times as much
    cross = torch.linalg.eigvalsh(half.mT @ other_cov @ half).clamp_min(0).sqrt().sum()
    return (mean - other_mean).square().sum() + cov.trace() + other_cov.trace() - 2 * cross


kernel = Statistic(lambda z: quadratic((z @ z.T / z.shape[1] + 1) ** 3), pairs=True)
