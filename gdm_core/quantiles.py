r"""From a uniform number to a draw: x = F^-1(u), the smallest x with P(X <= x) >= u.

One u for each element makes sampling a function of noise: the same u, the same picture, however it is computed.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

HALVINGS = 60  # of an interval: to the last bit of float64


def component(weights: Tensor, u: Tensor) -> Tensor:
    """Which of K components a draw comes from, for each u between 0 and 1 in a tensor of any shape.

    Args:
        weights: (K,), sum 1.

    >>> component(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.1, 0.6, 0.99])).tolist()
    [0, 1, 2]
    """
    return torch.searchsorted(weights.cumsum(0), u.to(weights).contiguous()).clamp(max=len(weights) - 1)


def quantile(p: Distribution, u: Tensor, values: Tensor | None = None) -> Tensor:
    """x with P(X <= x) = u, for each member of a batch of distributions of one number.

    By the distribution's own `icdf`; else by a sum over `values`; else by halving an interval.

    Args:
        p: batch shape (B,).
        u: (B,), between 0 and 1.
        values: (K,), rising, all that x may be; None for a density with a `cdf`.
    """
    while isinstance(p, Independent):
        p = p.base_dist
    try:
        return p.icdf(u)
    except NotImplementedError:
        pass
    if values is not None:
        below = p.log_prob(values[:, None].expand(-1, len(u))).exp().cumsum(0) < u  # (K, B)
        return values[below.sum(0).clamp_max(len(values) - 1)]
    low, high = torch.full_like(u, -1.0), torch.full_like(u, 1.0)
    while (p.cdf(high) < u).any():
        high = 2 * high
    while (p.cdf(low) > u).any():
        low = 2 * low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left = p.cdf(middle) < u
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return (low + high) / 2
