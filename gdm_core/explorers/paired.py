r"""Pairs of numbers (y of the data, e of the noise) on the line x_t = (1 - t) y + t e, and all about them exactly.

In one dimension the best permutation of a batch joins equal ranks.  Two that are joined in a batch of B have density

    p(y, e) = q(y) N(e; 0, 1) B sum_k Bin(k; B - 1, u) Bin(k; B - 1, v),     u, v: the shares of data, noise below

(a Bernstein copula; Sancetta & Satchell, 2004).  From it follow by quadrature, at each t and x, with slope = e - y:

    density p_t(x),    velocity E[slope | x_t = x],    Var[slope | x_t = x], whose mean is the floor of the loss

The flow keeps shares: it goes from e to the quantile of p_t at that share.  So one reflow joins equal shares, which is
the best transport (here, not in the plane): each pair has a slope of its own, and the floor is 0.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

REACH, NODES, FINE = 5.0, 121, 1001  # of the noise and the data; points of a quadrature, of a table
SCORES = 321  # points of the table of densities by normal scores, -REACH to REACH


class Moments(NamedTuple):
    """At some times (rows) and places (columns): density of x_t, mean and variance of the slope."""

    density: Tensor
    velocity: Tensor
    variance: Tensor


class Pairs:
    """Noise N(0, 1) and data from equal bumps, in pairs of equal rank in batches.

    Args:
        means: (K,) of the bumps.
        std: of each.
        batch: B, 1 for independent pairs, 0 for pairs of equal shares (B without end; one reflow).
    """

    def __init__(self, means: Tensor, std: float, batch: int):
        self.means, self.std, self.batch = means, std, batch
        low, high = means.min().item() - REACH * std, means.max().item() + REACH * std
        self.y = torch.linspace(low, high, FINE).to(means)
        away = (self.y[:, None] - means) / std
        self.q = (-0.5 * away**2).exp().mean(1) / (std * math.sqrt(2 * math.pi))
        share = torch.special.ndtr(away.double()).mean(1)
        self.scores = torch.special.ndtri(share.clamp(1e-12, 1 - 1e-12)).clamp(-REACH, REACH).to(means)
        self.table = together(batch, means) if batch > 1 else None

    def data(self, score: Tensor) -> Tensor:
        """The y below which there is as much of the data as of N(0, 1) below `score`."""
        return interpolate(score, self.scores, self.y)

    def chances(self, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes of the lines through (t, x) and their weights, (X, NODES) each, whose sum is p_t(x); B > 0."""
        x = x[:, None]
        if t < 0.5:  # over the noise: as it moves, y moves less
            e = torch.linspace(-REACH, REACH, NODES).to(x)
            y = (x - t * e) / (1 - t)
            step = 2 * REACH / (NODES - 1) / (1 - t)
        else:
            y = torch.linspace(self.y[0].item(), self.y[-1].item(), NODES).to(x)
            e = (x - (1 - t) * y) / t
            step = (y[1] - y[0]).item() / t
        e, y = torch.broadcast_tensors(e, y)
        place = (y - self.y[0]) * ((FINE - 1) / (self.y[-1] - self.y[0]))
        inside = (place >= 0) & (place <= FINE - 1)
        weight = inside * linear(self.q, place) * (-0.5 * e**2).exp() * (step / math.sqrt(2 * math.pi))
        if self.table is not None:
            weight = weight * bilinear(self.table, linear(self.scores, place), e)
        return e - y, weight

    def moments(self, times: Tensor, x: Tensor) -> Moments:
        """At times (T,) strictly between 0 and 1 and places (X,)."""
        if not self.batch:
            return self._of_shares(times, x)
        rows = []
        for t in times.tolist():
            slope, weight = self.chances(t, x)
            p = weight.sum(1)
            v = (weight * slope).sum(1) / p.clamp_min(1e-30)
            rows.append((p, v, (weight * (slope - v[:, None]) ** 2).sum(1) / p.clamp_min(1e-30)))
        return Moments(*(torch.stack(part) for part in zip(*rows)))

    def _of_shares(self, times: Tensor, x: Tensor) -> Moments:
        e = torch.linspace(-REACH, REACH, FINE).to(x)
        y, rows = self.data(e), []
        for t in times.tolist():
            at = t * e + (1 - t) * y  # grows with e: no two lines cross
            grows = at.diff() / e.diff()
            here = interpolate(x, at, e)
            middle = interpolate(x, (at[1:] + at[:-1]) / 2, grows)
            inside = (x >= at[0]) & (x <= at[-1])
            p = inside * (-0.5 * here**2).exp() / math.sqrt(2 * math.pi) / middle
            rows.append((p, here - self.data(here), torch.zeros_like(x)))
        return Moments(*(torch.stack(part) for part in zip(*rows)))


def together(batch: int, like: Tensor) -> Tensor:
    """How many times likelier two normal scores meet in a batch than by chance, (SCORES, SCORES)."""
    u = torch.special.ndtr(torch.linspace(-REACH, REACH, SCORES, dtype=torch.float64))
    ranks = torch.distributions.Binomial(batch - 1, u[:, None].clamp(1e-12, 1 - 1e-12))
    each = ranks.log_prob(torch.arange(batch, dtype=torch.float64)).exp()
    return (batch * each @ each.T).to(like)


def linear(table: Tensor, place: Tensor) -> Tensor:
    """Values of a table (N,) at places from 0 to N - 1, between its entries on a straight line."""
    place = place.clamp(0, len(table) - 1)
    i = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table[i], table[i + 1], place - i)


def bilinear(table: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Of a square table over normal scores."""
    a, b = (((s + REACH) * ((SCORES - 1) / (2 * REACH))).clamp(0, SCORES - 1) for s in (a, b))
    i, j = (s.long().clamp(max=SCORES - 2) for s in (a, b))
    flat, k = table.flatten(), i * SCORES + j
    low, high = (torch.lerp(flat[k + down], flat[k + down + 1], b - j) for down in (0, SCORES))
    return torch.lerp(low, high, a - i)


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The polygon through (x, y), both (N,), x rising, at any places; constant beyond its ends."""
    i = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    share = ((at - x[i - 1]) / (x[i] - x[i - 1]).clamp_min(1e-12)).clamp(0, 1)
    return torch.lerp(y[i - 1], y[i], share)
