"""Some q(z) of one picture, searched or guessed, and how far each is from the exact posterior.

KL(q || p(z | x)) = log p(x) - E_q[log p(x, z)] - H(q), in nats; log p(x) by a grid, the expectation by quadrature.
"""

import functools
import math
from dataclasses import dataclass

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.distributions import Distribution

from gdm_core import inference
from gdm_core.widgets import Noise, plane

STEPS = 200  # of a search
NODES = 14  # of the quadrature a latent
LIMIT, SIDE = 6.0, 161  # the grid on which log p(x) is exact
HELD = (0.5, 0.865, 0.99)  # of the posterior, in the regions shown; two std of a Gaussian hold the second
WHOLE = 3.2  # half the width of the whole plane
STARTS = {"the prior": False, "the encoder's answer": True}


@dataclass(frozen=True, eq=False)
class Trail:
    """Some q(z) = N(mean, covariance) of one picture and how far each is from the posterior, KL in nats."""

    means: Tensor  # (T, 2)
    covariances: Tensor  # (T, 2, 2)
    gaps: Tensor  # (T,)


def log_joint(model, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) of one picture.  x: (1, H, W), z: (..., 2) -> (...)."""
    return model.decode(z).log_prob(x) + model.prior().log_prob(z)


def measured(model, x: Tensor, means: Tensor, factors: Tensor, log_px: float, nodes: int = NODES) -> Trail:
    """KL(q || posterior) = log p(x) - E_q[log p(x, z)] - H(q), the expectation by Gauss-Hermite quadrature.

    Args:
        means: (T, 2).
        factors: (T, 2, 2), Cholesky factors of the covariances.
    """
    places, weights = (means.new_tensor(a) for a in hermegauss(nodes))
    weights = torch.outer(weights, weights).flatten() / (2 * math.pi)
    u = torch.cartesian_prod(places, places)  # (Q, 2)
    z = means[:, None] + u @ factors.mT  # (T, Q, 2)
    energy = torch.cat([log_joint(model, x, part) for part in z.split(32)]) @ weights
    entropy = math.log(2 * math.pi * math.e) + factors.diagonal(dim1=1, dim2=2).log().sum(1)
    return Trail(means, factors @ factors.mT, log_px - energy - entropy)


class Searches:
    """The searches of all pictures of a gallery: each at once for all, which takes hardly longer than for one.

    Args:
        model: with two latents.
        x: (N, 1, H, W).
        noise: of the searches, `noise(step, samples, N, 2)`.
    """

    def __init__(self, model, x: Tensor, noise: Noise):
        self.model, self.x, self.noise = model, x, noise
        self.states = functools.cache(self._states)

    def _states(self, warm: bool, full: bool) -> list[Distribution]:
        q = self.model.encode(self.x)
        nu = inference.PerDatapoint.at(q, full) if warm else inference.PerDatapoint(len(self.x), 2, full).to(self.x)
        with torch.enable_grad():
            lr, options = 0.03 if warm else 0.12, {"samples": 16, "noise": self.noise}
            return [s.q for s in inference.fit_per_datapoint(self.model, self.x, STEPS, nu=nu, lr=lr, **options)]

    def parts(self, i: int, warm: bool, full: bool, since: int = 0) -> tuple[Tensor, Tensor]:
        """Means (T, 2) and Cholesky factors (T, 2, 2) of picture i's q from a step on."""
        found = self.states(warm, full)[since:]
        factor = lambda q: q.scale_tril[i] if full else torch.diag(q.stddev[i])
        return torch.stack([q.mean[i] for q in found]), torch.stack([factor(q) for q in found])


class Case:
    """One picture: what is exactly true of it, the encoder's guess, and its searches.  Each is computed once."""

    def __init__(self, searches: Searches, i: int):
        self.searches, self.i = searches, i
        self.model, self.x = searches.model, searches.x[i]
        self.end, self.search, self.map = (functools.cache(f) for f in (self._end, self._search, self._map))

    @functools.cached_property
    def grid(self) -> inference.GridPosterior:
        return inference.grid_posterior(self.model, self.x[None], LIMIT, SIDE)

    @functools.cached_property
    def log_px(self) -> float:
        return self.grid.log_px.item()

    @functools.cached_property
    def guess(self) -> Trail:
        """The encoder's q, a trail of one."""
        q = self.model.encode(self.x[None])
        return measured(self.model, self.x, q.mean, torch.diag_embed(q.stddev), self.log_px)

    def least(self, full: bool) -> float:
        """What the best q of the family leaves, nats: of two searches, since one may get stuck."""
        return min(self.end(warm, full) for warm in STARTS.values())

    def _end(self, warm: bool, full: bool) -> float:
        """The gap that a search leaves, nats."""
        parts = self.searches.parts(self.i, warm, full, STEPS)
        return measured(self.model, self.x, *parts, self.log_px).gaps.item()

    def _search(self, warm: bool, full: bool) -> Trail:
        """The whole way; its end is measured as finely as the encoder's q, the rest as a curve needs it."""
        trail = measured(self.model, self.x, *self.searches.parts(self.i, warm, full), self.log_px, nodes=8)
        trail.gaps[-1] = self.end(warm, full)
        return trail

    def _map(self, whole: bool, side: int = 120) -> tuple[tuple, Tensor]:
        """Where to look, and in how many of the regions `HELD` each place there lies, (side, side)."""
        extent = (-WHOLE, WHOLE, -WHOLE, WHOLE) if whole else self._around()
        z = self.x.new_tensor(plane(extent, side))
        density = torch.stack([log_joint(self.model, self.x, row) for row in z]) - self.log_px
        return extent, (density[..., None] >= self.least_dense).sum(-1)

    @functools.cached_property
    def least_dense(self) -> Tensor:
        """Log density at the edge of the smallest region that holds so much of the posterior, for all of `HELD`."""
        density, order = self.grid.log_posterior[0].sort(descending=True)
        held = self.grid.mass[0][order].cumsum(0)
        return density[torch.searchsorted(held, held.new_tensor(HELD)).clamp(max=len(held) - 1)]

    def _around(self) -> tuple[float, float, float, float]:
        """A square that holds the posterior and the encoder's q."""
        reach = 3.2 * torch.stack([c.diagonal().sqrt() for c in (self.grid.covariance[0], self.guess.covariances[0])])
        places = torch.stack([self.grid.mean[0], self.guess.means[0]])
        low, high = (places - reach).amin(0), (places + reach).amax(0)
        middle, half = (low + high) / 2, 0.55 * (high - low).max()
        left, bottom = (middle - half).tolist()
        return left, left + 2 * half.item(), bottom, bottom + 2 * half.item()
