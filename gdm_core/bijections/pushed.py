"""A distribution pushed through a bijection f: z = f^-1(e), e ~ base, log q(z) = log base(f(z)) + log|det df/dz|."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from gdm_core.bijections.bijection import Bijection


class Pushed(Distribution):
    """`base` over (B, L), carried by `bijection.push` with the context c (B, context) of each example.

    The density of the last draw is remembered, so that no draw has to find its way back.
    """

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, bijection: Bijection, c: Tensor | None = None):
        self.base, self.bijection, self.c = base, bijection, c
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample(self, sample_shape=()) -> Tensor:
        """(S, B, L)."""
        e = self.base.rsample(sample_shape)
        z, log_det = self.bijection.push(*self._rows(e))
        z, log_det = z.reshape(e.shape), log_det.reshape(e.shape[:-1])
        self._last = z, self.base.log_prob(e) - log_det
        return z

    def sample(self, sample_shape=()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """(..., B, L) -> (..., B), nats."""
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        e, log_det = self.bijection.to_latent(*self._rows(value))
        return self.base.log_prob(e.reshape(value.shape)) + log_det.reshape(value.shape[:-1])

    def _rows(self, a: Tensor) -> tuple[Tensor, Tensor | None]:
        """All draws as one batch, each beside the context of its example."""
        c = None if self.c is None else self.c.expand(*a.shape[:-1], -1).reshape(-1, self.c.shape[-1])
        return a.reshape(-1, a.shape[-1]), c
