r"""BiGAN (Donahue, Krahenbuhl & Darrell, 2017; Dumoulin et al., 2017): a GAN that learns to go back as well.

    z ~ N(0, I),   pairs (G(z), z) and (x, E(x)),   the critic D(x, z) tells which pair is which

The critic's best logit is log p(x, E(x)) / q(G(z), z); where no critic tells the pairs apart, E inverts G almost
everywhere (Donahue et al., theorem 2).  No pixel is ever compared with another: E(G(z)) = z is a consequence, not a
loss.
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.functional import softplus

from gdm_core import networks
from gdm_core.adversarial import slopes
from gdm_core.validate import bad, batch, choice, integer


class BiGAN(nn.Module):
    """Generator, encoder, and a critic of pairs.

    Args:
        event_shape: shape of one example, or the number of features.
        latents: size of z.
        r1: weight of the penalty r1/2 E |dD / d(x, z)|^2 at the data's pairs, as in `gan`.
        hidden: units of the hidden layers of critic and encoder and (reversed) the generator.
        network: "mlp" or "conv" (pictures (C, H, W)) for generator and encoder; the critic is an MLP of pairs.
        unit: whether values lie in [0, 1]: the logistic function ends the generator.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        latents: int,
        *,
        r1: float = 0.0,
        hidden: Sequence[int] = (128, 128),
        network: str = "mlp",
        unit: bool = False,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.latents, self.unit, self.r1 = integer("latents", latents), unit, r1
        if not 0 <= r1 < float("inf"):
            raise bad("r1 >= 0", r1, "r1=0.1")
        if choice("network", network, ("mlp", "conv")) == "mlp":
            self.generator = networks.MLPDecoder(latents, self.event_shape, 1, tuple(hidden)[::-1], activation=nn.SiLU)
            self.encoder = networks.MLPEncoder(self.event_shape, latents, hidden, activation=nn.SiLU)
        else:
            self.generator = networks.ConvDecoder(latents, self.event_shape)
            self.encoder = networks.ConvEncoder(self.event_shape, latents)
        self.critic = networks.mlp(self.event_shape.numel() + latents, hidden, 1, nn.SiLU)
        self.register_buffer("_zero", torch.zeros(latents), persistent=False)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Generator and encoder are on one side: both want pairs that cannot be told apart."""
        both = [*self.generator.parameters(), *self.encoder.parameters()]
        return {"critic": list(self.critic.parameters()), "generator": both}

    def prior(self) -> Independent:
        """p(z) = N(0, I) over (latents,)."""
        return Independent(Normal(self._zero, torch.ones_like(self._zero)), 1)

    def generate(self, z: Tensor) -> Tensor:
        """G(z).  z: (..., latents) -> (..., *event)."""
        if z.shape[-1:] != (self.latents,):
            raise bad(f"z of shape (..., {self.latents})", tuple(z.shape), "prior().sample((n,))")
        x = self.generator(z.reshape(-1, self.latents)).reshape(*z.shape[:-1], *self.event_shape)
        return x.sigmoid() if self.unit else x

    def encode(self, x: Tensor) -> Tensor:
        """E(x), one code for each, no distribution.  (B, *event) -> (B, latents)."""
        return self.encoder(batch(x, self.event_shape, like=self._zero))

    def logits(self, x: Tensor, z: Tensor) -> Tensor:
        """D(x, z): above zero where the critic bets on x from the data.  (B, *event), (B, latents) -> (B,)."""
        return self.critic(torch.cat([x.flatten(1), z], 1))[:, 0]

    def sample(self, n: int) -> Tensor:
        """Samples (n, *event), without a gradient."""
        with torch.no_grad():
            return self.generate(self.prior().sample((integer("n", n),)))

    def critic_loss(self, x: Tensor) -> Tensor:
        """What the critic pays for telling pairs apart, (); no likelihood.  x: (B, *event)."""
        with torch.no_grad():
            z = self.prior().sample((len(x),))
            code, made = self.encode(x), self.generate(z)
        loss = softplus(self.logits(made, z)).mean()
        if not self.r1:
            return loss + softplus(-self.logits(x, code)).mean()
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.critic.parameters())
        with torch.enable_grad():
            pair = torch.cat([x.flatten(1), code], 1).requires_grad_()
            real = self.critic(pair)[:, 0]
            loss = loss + (softplus(-real) + self.r1 / 2 * slopes(real, pair) ** 2).mean()
        return loss if learns else loss.detach()

    def generator_loss(self, x: Tensor) -> Tensor:
        """What generator and encoder pay, each for its own pairs taken for the other's, (); no likelihood."""
        z = self.prior().sample((len(x),))
        return (softplus(self.logits(x, self.encode(x))) + softplus(-self.logits(self.generate(z), z))).mean()


def demos() -> dict[str, BiGAN]:
    """In the plane, with and without a penalty, and of pictures."""
    return {
        "plane": BiGAN(2, 1, hidden=(16,)),
        "penalty": BiGAN(2, 2, r1=0.5, hidden=(16,)),
        "pictures": BiGAN((1, 8, 8), 3, network="conv", unit=True, hidden=(32,)),
    }
