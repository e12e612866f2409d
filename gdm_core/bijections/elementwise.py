r"""Increasing maps of a number, whose parameters something else chooses: what couplings and masked layers apply.

affine   b = a exp(s) + t
spline   b = y_k + (y_{k+1} - y_k) (m_k v^2 + d_k v (1-v)) / (m_k + (d_{k+1} + d_k - 2 m_k) v (1-v))
         in the bin x_k <= a < x_{k+1},  v = (a - x_k) / (x_{k+1} - x_k),  m_k the bin's mean slope
         (Gregory & Delbourgo, 1982; Durkan et al., 2019, eq. 4-8); outside of [-reach, reach] b = a
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, softmax, softplus

from gdm_core.validate import bad, integer, positive

STEEPEST = 3.0  # |s| of an affine map: a factor of 20 a layer, so that no first step of a training ends at infinity


class Affine:
    """b = a exp(s) + t, with s held within [-3, 3] by a tanh."""

    parameters = 2

    def __call__(self, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """a: (...), p: (..., 2) -> b and log db/da, (...)."""
        s, t = p.unbind(-1)
        s = STEEPEST * torch.tanh(s / STEEPEST)
        return torch.addcmul(t, a, s.exp()), s

    def inverse(self, b: Tensor, p: Tensor) -> Tensor:
        """The a that is mapped to b."""
        return (b - p[..., 1]) * torch.exp(-STEEPEST * torch.tanh(p[..., 0] / STEEPEST))


class Spline:
    """Monotone rational-quadratic spline on [-reach, reach] with `bins` pieces, and the identity outside."""

    def __init__(self, bins: int = 8, reach: float = 5.0):
        self.bins, self.reach = integer("bins", bins, 2), positive("reach", reach, 5.0)
        self.least = 1e-3  # width and height of a bin, as a share of the whole, and slope of a knot
        if self.bins * self.least >= 0.5:
            raise bad("at most 499 bins", bins, "bins=8")
        self.parameters = 3 * bins - 1  # widths, heights, slopes of the inner knots

    def _knots(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x and y of the knots (..., bins + 1), and the slopes there, which are 1 at both ends."""
        widths, heights, slopes = p.split([self.bins, self.bins, self.bins - 1], -1)

        def corners(raw: Tensor) -> Tensor:
            share = self.least + (1 - self.bins * self.least) * softmax(raw, -1)
            inner = self.reach * (2 * share.cumsum(-1)[..., :-1] - 1)
            return pad(pad(inner, (1, 0), value=-self.reach), (0, 1), value=self.reach)

        zero = math.log(math.expm1(1 - self.least))  # slope 1 where the raw number is 0
        return corners(widths), corners(heights), pad(self.least + softplus(slopes + zero), (1, 1), value=1.0)

    def _bin(self, at: Tensor, edges: Tensor, *tables: Tensor) -> list[Tensor]:
        """Left and right entry of each table, in the bin where `at` lies."""
        k = (at[..., None] >= edges[..., 1:-1]).sum(-1, keepdim=True)
        return [t.gather(-1, k + side)[..., 0] for t in tables for side in (0, 1)]

    def __call__(self, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """a: (...), p: (..., 3 bins - 1) -> b and log db/da, (...)."""
        x, y, d = self._knots(p)
        inside = a.abs() < self.reach
        at = torch.where(inside, a, 0.0)
        x0, x1, y0, y1, d0, d1 = self._bin(at, x, x, y, d)
        m, v = (y1 - y0) / (x1 - x0), (at - x0) / (x1 - x0)
        vv = v * (1 - v)
        below = m + (d1 + d0 - 2 * m) * vv
        b = y0 + (y1 - y0) * (m * v.square() + d0 * vv) / below
        slope = m.square() * (d1 * v.square() + 2 * m * vv + d0 * (1 - v).square()) / below.square()
        return torch.where(inside, b, a), torch.where(inside, slope.log(), 0.0)

    def inverse(self, b: Tensor, p: Tensor) -> Tensor:
        """The a that is mapped to b: the root of a quadratic in v."""
        x, y, d = self._knots(p)
        inside = b.abs() < self.reach
        at = torch.where(inside, b, 0.0)
        x0, x1, y0, y1, d0, d1 = self._bin(at, y, x, y, d)
        m, rise = (y1 - y0) / (x1 - x0), at - y0
        bend = rise * (d1 + d0 - 2 * m)
        A = (y1 - y0) * (m - d0) + bend
        B = (y1 - y0) * d0 - bend
        C = -m * rise
        root = (B.square() - 4 * A * C).clamp_min(0).sqrt()
        a = x0 + (x1 - x0) * 2 * C / (-B - root)
        return torch.where(inside, a, b)
