r"""Generative adversarial network (Goodfellow et al., 2014), non-saturating.

critic  minimizes  -E log D(x) - E log(1 - D(G(z))),          generator  minimizes  -E log D(G(z)),     z ~ N(0, I)
"""

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.functional import one_hot, softplus

from gdm_core.networks import mlp
from gdm_core.validate import bad, batch, integer
from gdm_core.validate import labels as checked


class GAN(nn.Module):
    """Two small networks; with `labels` both are told y."""

    def __init__(self, features: int, latents: int, *, hidden: int = 16, labels: int = 0):
        super().__init__()
        self.event_shape, self.latents, self.labels = Size([features]), latents, labels
        self.generator = mlp(latents + labels, (hidden, hidden), features, nn.SiLU)
        self.critic = mlp(features + labels, (hidden, hidden), 1, nn.SiLU)
        self.register_buffer("_zero", torch.zeros(latents), persistent=False)

    def players(self) -> dict:
        """Whose parameters are whose."""
        return {"critic": self.critic.parameters(), "generator": self.generator.parameters()}

    def prior(self) -> Independent:
        """N(0, I) over (latents,)."""
        return Independent(Normal(self._zero, self._zero + 1), 1)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), or G(z, y).  (B, latents) -> (B, features)."""
        return self.generator(self._join(z, y))

    def sample(self, n: int, y: Tensor | int | None = None) -> Tensor:
        """(n, features), without a gradient."""
        z = self.prior().sample((integer("n", n),))
        if y is not None:
            y = torch.as_tensor(y, device=z.device).expand(n)
        with torch.no_grad():
            return self.generate(z, y)

    def critic_loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """How badly the critic tells data from samples, ().  No likelihood."""
        batch(x, self.event_shape, like=self._zero)
        fake = self.generate(self.prior().sample((len(x),)), y).detach()
        return softplus(-self.critic(self._join(x, y))).mean() + softplus(self.critic(self._join(fake, y))).mean()

    def generator_loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """How badly as many samples as x has pass for data, ().  No likelihood."""
        fake = self.generate(self.prior().sample((len(x),)), y)
        return softplus(-self.critic(self._join(fake, y))).mean()

    def _join(self, a: Tensor, y: Tensor | None) -> Tensor:
        if not self.labels:
            if y is not None:
                raise bad("no labels for an unconditional model", "y", "GAN(..., labels=10)")
            return a
        return torch.cat([a, one_hot(checked(y, len(a), self.labels), self.labels).to(a)], 1)


def demos() -> dict[str, GAN]:
    """In the plane, with and without labels."""
    return {"plane": GAN(2, 2), "conditional": GAN(2, 2, labels=3)}
