r"""Where a bound loses: the family of q, or the encoder that has to guess its parameters.

    log p(x) - L[q_phi] = (log p(x) - L[q*]) + (L[q*] - L[q_phi])          Cremer, Li & Duvenaud (2018, eq. 3-5)
       inference gap    =  approximation gap  +  amortization gap

q* is the best member of the family for this one x, found by per-datapoint inference.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gdm_core.inference.bounds import checked, elbo, given, iwae_bound
from gdm_core.inference.per_datapoint import PerDatapoint, fit_per_datapoint
from gdm_core.validate import bad, integer


class Mean(NamedTuple):
    """A mean over examples and its standard error."""

    value: float
    error: float


def mean_and_error(values: Tensor) -> Mean:
    """Mean of (B,) values and its standard error, std / sqrt(B).

    >>> mean_and_error(torch.tensor([1.0, 3.0]))
    Mean(value=2.0, error=1.0)
    """
    if values.ndim != 1 or len(values) < 2:
        raise bad("at least 2 values (B,)", tuple(values.shape), "a larger batch")
    values = values.double()
    return Mean(values.mean().item(), (values.std() / len(values) ** 0.5).item())


@dataclass(frozen=True, eq=False)
class Gap:
    """The two parts of an inference gap; all tensors (B,), nats.

    Attributes:
        log_px: log p(x), exact or a tight lower bound.
        best: L[q*].
        amortized: L[q_phi].
        exact: whether log_px was given; if not, `approximation` is a lower bound of the true one.
    """

    log_px: Tensor
    best: Tensor
    amortized: Tensor
    exact: bool

    @property
    def approximation(self) -> Mean:
        """log p(x) - L[q*]: what the family of q cannot express."""
        return mean_and_error(self.log_px - self.best)

    @property
    def amortization(self) -> Mean:
        """L[q*] - L[q_phi]: what the encoder loses against an own optimization for each x."""
        return mean_and_error(self.best - self.amortized)

    @property
    def total(self) -> Mean:
        """log p(x) - L[q_phi] = KL(q_phi || posterior)."""
        return mean_and_error(self.log_px - self.amortized)


def inference_gap(
    model,
    x: Tensor,
    *,
    log_px: Tensor | None = None,
    steps: int = 300,
    full: bool | None = None,
    samples: int = 1000,
    lr: float = 0.02,
    y: Tensor | None = None,
) -> Gap:
    """Split log p(x) - L[q_phi] for every x.

    Args:
        model: `protocols.HasLatent` with a Gaussian encoder.
        x: (B, *event).
        log_px: (B,) exact values, such as `grid_posterior(model, x).log_px`; None takes the importance bound with
            `samples` draws from a full-covariance q fitted for each x and widened by a tenth, which is below log p(x).
            Draws from q* itself would not do: where it misses the posterior they miss log p(x) as well.
        steps, lr: of the per-datapoint optimization, which starts at the encoder's answer.
        full: family of q*; None takes the encoder's own.
        samples: draws for each bound.
        y: (B,) labels of a conditional model.
    """
    x = checked(model, x, y)
    if log_px is not None and log_px.shape != x.shape[:1]:
        raise bad(f"log_px ({len(x)},)", tuple(log_px.shape), "grid_posterior(model, x).log_px")
    with torch.no_grad():
        q_phi = model.encode(x, *given(y))
    nu = PerDatapoint.at(q_phi, full)
    for _ in fit_per_datapoint(model, x, steps, nu=nu, lr=lr, samples=16, y=y):
        pass
    q_star = nu.q(detach=True)
    with torch.no_grad():
        with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            best = _mean_elbo(model, x, q_star, samples, y)
        amortized = _mean_elbo(model, x, q_phi, samples, y)  # the same noise: it leaves the difference of the two
    reference = log_px
    if log_px is None:
        wide = PerDatapoint.at(q_star, full=True)
        for _ in fit_per_datapoint(model, x, steps, nu=wide, lr=lr, samples=16, y=y):
            pass
        with torch.no_grad():
            wide.lower *= 1.1
            wide.log_std += math.log(1.1)
            reference = iwae_bound(model, x, samples, wide.q(detach=True), y)
    return Gap(reference, best, amortized, exact=log_px is not None)


def _mean_elbo(model, x: Tensor, q, samples: int, y: Tensor | None) -> Tensor:
    """The ELBO with many draws, about a million elements of x at a time."""
    chunk, left, total = max(1, 2**20 // x.numel()), integer("samples", samples), 0.0
    while left > 0:
        now = min(chunk, left)
        total = total + now * elbo(model, x, now, q, y)  # (B,)
        left -= now
    return total / samples
