r"""Gray levels as equal cells of [0, 1], and how much of a density on [0, 1] falls into each.

    P(k) = F((k + 1) / L) - F(k / L),     k = 0 ... L - 1

    kumaraswamy   F(u) = 1 - (1 - u^a)^b                       (Kumaraswamy, 1980): much like a Beta, with F closed
    logit-normal  F(u) = Phi((logit(u) - m) / s)               (Aitchison & Shen, 1980)

A Beta's F is an incomplete Beta function, which has no gradient here.  Unlike a logistic these families have no mass
outside [0, 1], so the outermost cells need no tails.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints

from gdm_core.likelihoods import LOG_STD, level_index
from gdm_core.validate import choice, integer

FAMILIES = ("kumaraswamy", "logit-normal")


class UnitInterval(nn.Module):
    """A likelihood like those of `gdm_core.likelihoods`: two raw numbers an element, `levels` gray values k / (L-1).

    Args:
        levels: L.
        family: "kumaraswamy" or "logit-normal".
    """

    channels = 2

    def __init__(self, levels: int, family: str = "kumaraswamy"):
        super().__init__()
        self.levels, self.family = integer("levels", levels, 2), choice("family", family, FAMILIES)

    def forward(self, raw: Tensor, dims: int) -> Independent:
        return Independent(Cells(*raw.unbind(-dims - 1), self.levels, self.family), dims)


class Cells(Distribution):
    """One gray value: first and second are log a, log b of Kumaraswamy's or m, log s of the logit-normal."""

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, first: Tensor, second: Tensor, levels: int, family: str):
        self.first, self.second, self.levels, self.family = first, second.clamp(*LOG_STD), levels, family
        super().__init__(first.shape, validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        k = level_index(x, self.levels).to(self.first.dtype)
        low, high = k / self.levels, (k + 1) / self.levels
        if self.family == "kumaraswamy":
            a, b = self.first.clamp(*LOG_STD).exp(), self.second.exp()
            above = lambda u: b * torch.log1p(-(u**a))  # log(1 - F)
            inside = k < self.levels - 1
            # The upper end of the last cell leaves nothing above; the unused branch stays finite for its gradient.
            rest = above(torch.where(inside, high, 0.5)) - above(torch.where(inside, low, 0.25))
            return above(low) + torch.where(inside, torch.log(-torch.expm1(rest.clamp_max(-1e-12))), 0.0)
        edge = lambda u: (torch.logit(u.clamp(1e-6, 1 - 1e-6)) - self.first) * torch.exp(-self.second)
        a, b = edge(low), edge(high)
        mirror = a + b > 0  # into the lower tail, where log Phi is accurate
        a, b = torch.where(mirror, -b, a), torch.where(mirror, -a, b)
        lowest, highest = k == 0, k == self.levels - 1
        open_below = torch.where(mirror, highest, lowest)  # nothing is left out on that side
        open_above = torch.where(mirror, lowest, highest)
        top = torch.where(open_above, 0.0, torch.special.log_ndtr(b))
        bottom = torch.special.log_ndtr(a)
        gap = torch.where(open_below, -math.inf, bottom - top)
        safe = torch.where(open_below, torch.full_like(gap, -1.0), gap.clamp_max(-1e-12))
        return top + torch.where(open_below, 0.0, torch.log(-torch.expm1(safe)))

    def sample(self, sample_shape=()) -> Tensor:
        with torch.no_grad():
            values = torch.linspace(0, 1, self.levels, dtype=self.first.dtype, device=self.first.device)
            log_p = self.log_prob(values.reshape(-1, *[1] * self.first.ndim).expand(-1, *self.first.shape))
            u = torch.rand(self._extended_shape(sample_shape), dtype=log_p.dtype, device=log_p.device)
            below = (log_p.exp().cumsum(0).movedim(0, -1) < u[..., None]).sum(-1)
            return values[below.clamp_max(self.levels - 1)]
