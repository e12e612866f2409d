r"""A flow over gray levels, made honest: noise that fills a level's cell, and a bound on the probability of the levels.

    v = (k + u) / levels,   u in [0, 1)^D,   p(k) = E_{q(u|k)}[p(v) levels^-D / q(u | k)]
    log p(k) >= E_q[log p(v) - log q(u | k)] - D log levels        Theis et al. (2016, eq. 6); Ho et al. (2019, eq. 12)

q is uniform, or a flow of its own that is learned with the rest (variational dequantization).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from gdm_core import bijections as bi
from gdm_core.models.flow import Flow, spline
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer


class Dequantized(nn.Module):
    """A model of x in {0, 1/(levels-1), ..., 1}, by a flow on (0, 1)^D.

    Args:
        flow: unconditional, of v in (0, 1): its first layer is a `bijections.Logit`, say.
        levels: number of gray levels.
        noise: None for uniform noise; or a chain from u, through a sigmoid, to N(0, I), whose layers take as
            context the levels, flat, as numbers from -1 to 1: (B, D).
    """

    def __init__(self, flow: Flow, levels: int, noise: bi.Bijection | None = None):
        super().__init__()
        if flow.labels:
            raise bad("an unconditional flow", f"labels={flow.labels}", "a flow without labels")
        self.flow, self.levels, self.noise = flow, integer("levels", levels, 2), noise
        self.event_shape = flow.event_shape
        self.register_buffer("values", torch.linspace(0, 1, levels), persistent=False)

    def elbo(self, x: Tensor) -> Tensor:
        """A bound on log p(x), one draw of the noise.  (B, *event), of `values` -> (B,) nats."""
        k = self._index(x)
        u, log_q = self._fill(k)
        log_p = self.flow.log_prob((k + u) / self.levels)
        return log_p - k[0].numel() * math.log(self.levels) - log_q

    def loss(self, x: Tensor) -> Tensor:
        """Mean of minus the bound, nats per example."""
        return -self.elbo(x).mean()

    def bits(self, x: Tensor) -> Tensor:
        """What the bound costs in bits for each dimension: -elbo / (D log 2), (B,)."""
        return -self.elbo(x) / (self.event_shape.numel() * math.log(2))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Levels (n, *event): the cell in which the flow's sample lies."""
        v = self.flow.sample(n)
        return self.values[(v * self.levels).long().clamp(0, self.levels - 1)]

    def _index(self, x: Tensor) -> Tensor:
        """0 ... levels - 1, as floating numbers."""
        batch(x, self.event_shape, like=self.values)
        k = (x * (self.levels - 1)).round()
        if (k < 0).any() or (k > self.levels - 1).any() or (k / (self.levels - 1) - x).abs().max() > 1e-4:
            raise bad(f"gray levels 0, 1/{self.levels - 1}, ..., 1", "other numbers", "x.mul(levels - 1).round() ...")
        return k

    def _fill(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Noise u in (0, 1), like k, and log q(u | k), (B,)."""
        if self.noise is None:
            return torch.rand_like(k), k.new_zeros(len(k))
        e = torch.randn_like(k.flatten(1))
        c = 2 * k.flatten(1) / (self.levels - 1) - 1
        raw, log_det = self.noise.push(e, c)
        log_slope = (logsigmoid(raw) + logsigmoid(-raw)).sum(1)
        log_q = -0.5 * (e.square() + LOG_2PI).sum(1) - log_det - log_slope
        return raw.sigmoid().reshape(k.shape), log_q


def demos() -> dict[str, Dequantized]:
    """Two pixels of three levels."""
    inner = lambda: Flow(2, [bi.Logit(), *spline(2, 2, bins=4, reach=4.0, hidden=(16,)).bijection.layers])
    noise = lambda: bi.Chain([bi.Coupling(2, hidden=(16,), context=2), bi.Permutation.flip(2)])
    return {"uniform": Dequantized(inner(), 3), "variational": Dequantized(inner(), 3, noise())}
