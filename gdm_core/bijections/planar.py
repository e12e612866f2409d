r"""Layers of a few numbers (Rezende & Mohamed, 2015).

planar   z = x + u h(w'x + b),  h = tanh        log|1 + u'psi(x)|,  psi(x) = h'(w'x + b) w         eq. 10-12
radial   z = x + beta h(r) (x - x0),  h(r) = 1 / (alpha + r),  r = |x - x0|
         (d - 1) log(1 + beta h) + log(1 + beta h + beta h' r)                                     eq. 14
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gdm_core.bijections.bijection import Bijection
from gdm_core.validate import integer

HALVINGS = 60  # of a bracket a few units wide: down to the last bit of float64


def solve(rises: Callable[[Tensor], tuple[Tensor, Tensor]], target: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The s between low and high with rises(s) = target, by bisection; all of one shape.

    Args:
        rises: s -> value, which increases with s, and slope.

    Returns:
        s.  Its gradient, the first one, is that of the implicit function: by a Newton step behind the last halving.
    """
    with torch.no_grad():
        low, high = low.clone(), high.clone()
        for _ in range(HALVINGS):
            s = 0.5 * (low + high)
            below = rises(s)[0] < target
            low, high = torch.where(below, s, low), torch.where(below, high, s)
        s = 0.5 * (low + high)
        slope = rises(s)[1]
    return s - (rises(s)[0] - target) / slope


def unfolded(w: Tensor, u: Tensor) -> Tensor:
    """u, (d,), with its part along w, (d,), replaced so that w'u = softplus(w'u) - 1 > -1 (their appendix A.1)."""
    along = w @ u
    return u + (softplus(along) - 1 - along) * w / w.square().sum().clamp_min(1e-12)


class Planar(Bijection):
    """Stretches space along one direction u, more or less so along another, w.

    Invertible if w'u >= -1, so u is moved along w (`unfolded`).  The inverse is one equation in
    s = w'x + b, solved by bisection.
    """

    def __init__(self, features: int):
        super().__init__()
        self.w = nn.Parameter(torch.randn(integer("features", features)) / features**0.5)
        self.u = nn.Parameter(0.1 * torch.randn(features))
        self.b = nn.Parameter(torch.zeros(()))

    def to_latent(self, x, c=None):
        u, h = unfolded(self.w, self.u), torch.tanh(x @ self.w + self.b)  # (B,)
        return x + h[:, None] * u, torch.log1p((1 - h.square()) * (self.w @ u))

    def to_data(self, z, c=None):
        u = unfolded(self.w, self.u)
        along = self.w @ u

        def rises(s: Tensor) -> tuple[Tensor, Tensor]:
            h = torch.tanh(s)
            return s + along * h, 1 + along * (1 - h.square())

        target, reach = z @ self.w + self.b, along.abs()
        return z - torch.tanh(solve(rises, target, target - reach, target + reach))[:, None] * u


class Radial(Bijection):
    """Draws space toward a point x0, or pushes it away.  Invertible as beta > -alpha; the inverse is a quadratic."""

    def __init__(self, features: int):
        super().__init__()
        self.center = nn.Parameter(torch.randn(integer("features", features)))
        self.log_alpha = nn.Parameter(torch.zeros(()))
        self.raw = nn.Parameter(torch.full((), 0.54))  # softplus of it is about 1: the identity

    def _numbers(self) -> tuple[Tensor, Tensor]:
        alpha = self.log_alpha.exp()
        return alpha, alpha * (softplus(self.raw) - 1)

    def to_latent(self, x, c=None):
        alpha, beta = self._numbers()
        away = x - self.center
        r = torch.linalg.vector_norm(away, dim=1, keepdim=True)  # (B, 1)
        h = 1 / (alpha + r)
        log_det = (x.shape[1] - 1) * torch.log1p(beta * h) + torch.log1p(beta * alpha * h.square())
        return x + beta * h * away, log_det[:, 0]

    def to_data(self, z, c=None):
        alpha, beta = self._numbers()
        away = z - self.center
        R = torch.linalg.vector_norm(away, dim=1, keepdim=True)
        p = alpha + beta - R  # r^2 + p r - alpha R = 0; the root that is no difference of like numbers
        root = torch.sqrt(p.square() + 4 * alpha * R)
        r = torch.where(p > 0, 2 * alpha * R / (root + p), 0.5 * (root - p))
        return self.center + away / (1 + beta / (alpha + r))
