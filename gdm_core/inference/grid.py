r"""Exact inference for one or two latents: quadrature on a grid.

p(x) = integral p(x | z) p(z) dz,     p(z | x) = p(x | z) p(z) / p(x)
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from gdm_core.inference.bounds import checked, decoded_size, given
from gdm_core.validate import bad, integer, positive


@dataclass(frozen=True, eq=False)
class GridPosterior:
    """What quadrature on a grid of latents says about each x.

    Attributes:
        axis: (side,) coordinates along each latent.
        points: (G, latents), G = side ** latents.
        log_posterior: (B, G) log p(z | x) at the points, a density.
        log_px: (B,) log p(x) in nats.
    """

    axis: Tensor
    points: Tensor
    log_posterior: Tensor
    log_px: Tensor

    @property
    def cell(self) -> float:
        """Length or area of one cell."""
        return (self.axis[1] - self.axis[0]).item() ** self.points.shape[1]

    @property
    def mass(self) -> Tensor:
        """(B, G) probability of each cell."""
        return self.log_posterior.exp() * self.cell

    @property
    def mean(self) -> Tensor:
        """(B, latents) posterior mean."""
        return self.mass @ self.points

    @property
    def covariance(self) -> Tensor:
        """(B, latents, latents) posterior covariance."""
        centered = self.points - self.mean[:, None]  # (B, G, latents)
        return torch.einsum("bg,bgi,bgj->bij", self.mass, centered, centered)

    def image(self, i: int) -> Tensor:
        """The posterior density of example i: (side,) or (side, side), first latent along the first axis."""
        return self.log_posterior[i].exp().reshape([len(self.axis)] * self.points.shape[1])

    def kl(self, q: Distribution) -> Tensor:
        """KL(q || p(z | x)) in nats by the same quadrature, (B,), for q over (B, latents).

        Raises:
            ValueError: more than 0.1 % of some q lies off the grid, or q is narrower than its cells.
        """
        log_q = q.log_prob(self.points[:, None]).T  # (B, G)
        mass = log_q.exp() * self.cell
        worst = (mass.sum(1) - 1).abs().max().item()
        if worst > 1e-3:
            raise bad("q on the grid", f"total mass off by {worst:.2g}", "a larger half_width or a larger side")
        return (mass * (log_q - self.log_posterior)).sum(1)


def grid_posterior(
    model, x: Tensor, half_width: float = 6.0, side: int = 200, y: Tensor | None = None
) -> GridPosterior:
    """Exact posterior and exact log p(x) of a model with one or two latents, by quadrature in log space.

    The sum over a uniform grid converges faster than any power of the spacing for smooth densities; how far it is from
    the limit is judged by the three grids (nine, with two latents) of every third point.  One of them alone could lie
    as luckily as the whole: midway between two points of the grid.

    Args:
        model: prior over (1,) or (2,).
        x: (B, *event).
        half_width: the grid covers [-half_width, half_width] along each latent.
        side: points along each latent.
        y: (B,) labels of a conditional model.

    Raises:
        ValueError: x or y that do not fit, more latents, posterior mass at the border (over 1e-4), or cells wider than
            the posterior.
    """
    x = checked(model, x, y)
    half_width, side = positive("half_width", half_width, 6.0), integer("side", side, 8)
    prior = model.prior()
    if tuple(prior.event_shape) not in ((1,), (2,)):
        raise bad("1 or 2 latents for a grid", tuple(prior.event_shape), "iwae_bound(model, x, samples=1000)")
    latents = prior.event_shape[0]
    axis = torch.linspace(-half_width, half_width, side, dtype=x.dtype, device=x.device)
    points = torch.cartesian_prod(*[axis] * latents).reshape(-1, latents)  # (G, latents)
    with torch.no_grad():
        joint = _log_joint(model, points, x, y)  # (B, G)
    log_cell = latents * math.log((axis[1] - axis[0]).item())
    log_px = joint.logsumexp(1) + log_cell
    result = GridPosterior(axis, points, joint - log_px[:, None], log_px)
    border = (points.abs() >= axis[-1]).any(1)
    worst = result.mass[:, border].sum(1).max().item()
    if not worst < 1e-4:
        hint = f"half_width={1.5 * half_width:g}"
        raise bad("a posterior inside the grid", f"mass {worst:.2g} on its border", hint)
    board, change = joint.reshape(-1, *[side] * latents), 0.0
    for start in itertools.product(range(3), repeat=latents):
        third = board[:, *(slice(first, None, 3) for first in start)].flatten(1)
        moved = third.logsumexp(1) + log_cell + latents * math.log(3) - log_px
        change = max(change, moved.abs().max().item())
    if not change < 0.7:  # the whole grid is then right to some thousandths of a nat
        found = f"log p(x) moves by {change:.2g} at a third of the points"
        raise bad("a grid finer than the posterior", found, f"side={2 * side}")
    return result


def _log_joint(model, points: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
    """log p(x, z) of every example at every point, (B, G); what is decoded serves all examples (of a class)."""
    joint = x.new_empty(len(x), len(points))
    classes = [None] if y is None else y.unique()
    size = max(1, 2**20 // decoded_size(model, x))
    for start in range(0, len(points), size):
        z = points[start : start + size]
        for c in classes:
            p, log_prior = model.decode(z, *given(None if c is None else c.expand(len(z)))), model.prior().log_prob(z)
            for i in range(len(x)) if c is None else (y == c).nonzero()[:, 0]:
                joint[i, start : start + size] = p.log_prob(x[i]) + log_prior
    return joint
