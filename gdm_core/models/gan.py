r"""Generative adversarial networks (Goodfellow et al., 2014) and their cures, as options.

    z ~ N(0, I),     x = G(z),     critic and generator each go down a loss of `gdm_core.adversarial`

    r1, r2   r/2 E |grad D|^2 at data, at samples               (Mescheder et al., 2018, eq. 9 and 10)
    gp       gp E (|grad D(u x + (1 - u) G(z))| - 1)^2          (Gulrajani et al., 2017, eq. 3)
    spectral every layer of the critic divided by its norm      (Miyato et al., 2018)

R3GAN is the relativistic loss with r1 and r2 (Huang et al., 2024).
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.utils.parametrize import register_parametrization

from gdm_core import networks
from gdm_core.adversarial import LOSSES, slopes
from gdm_core.validate import bad, batch, choice, integer, positive


class GAN(nn.Module):
    """A generator and a critic; with `labels` both are told y.

    Args:
        event_shape: shape of one example, or the number of features.
        latents: size of z.
        loss: one of `adversarial.LOSSES`.
        r1, r2, gp: weights of the penalties on the critic's slope.
        spectral: spectral normalization of the critic.
        labels: number of classes; 0 for an unconditional model.
        hidden: units of the hidden layers of the critic and (reversed) the generator, (128, 128) where not given.
        network: "mlp" or "conv" (pictures (C, H, W)), whose layers follow from the picture's sides.
        unit: whether values lie in [0, 1], as those of pictures do: the logistic function ends the generator.
        generator, critic: own modules in place of these: z -> (B, 1, *event), x -> (B, 1).  With labels they take
            one-hot y second.  Data and samples may share a batch of the critic: no batch normalization there.

    Raises:
        ValueError: an option that is unknown or negative, or that another one leaves without effect.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        latents: int,
        *,
        loss: str = "non-saturating",
        r1: float = 0.0,
        r2: float = 0.0,
        gp: float = 0.0,
        spectral: bool = False,
        labels: int = 0,
        hidden: Sequence[int] | None = None,
        network: str = "mlp",
        unit: bool = False,
        generator: nn.Module | None = None,
        critic: nn.Module | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.latents, self.labels = integer("latents", latents), integer("labels", labels, 0)
        self.cost = LOSSES[choice("loss", loss, LOSSES)]
        for name, weight in (("r1", r1), ("r2", r2), ("gp", gp)):
            if not 0 <= weight < float("inf"):
                raise bad(f"{name} >= 0", weight, f"{name}=1.0")
        self.r1, self.r2, self.gp, self.unit = r1, r2, gp, unit
        if choice("network", network, ("mlp", "conv")) == "mlp":
            hidden = (128, 128) if hidden is None else tuple(hidden)
            new_generator = lambda: networks.MLPDecoder(
                latents, self.event_shape, 1, hidden[::-1], labels, activation=nn.SiLU
            )
            new_critic = lambda: networks.MLPEncoder(self.event_shape, 1, hidden, labels, activation=nn.SiLU)
        elif hidden is not None:
            raise bad("no hidden units beside network='conv'", hidden, "hidden=None, or network='mlp'")
        else:
            new_generator = lambda: networks.ConvDecoder(latents, self.event_shape, labels=labels)
            new_critic = lambda: networks.ConvEncoder(self.event_shape, 1, labels=labels)
        self.generator = new_generator() if generator is None else generator
        self.critic = new_critic() if critic is None else critic
        if critic is None and self.cost.differences:
            self.critic.net[-1].register_parameter("bias", None)  # which would learn nothing
        if spectral:
            for layer in self.critic.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    register_parametrization(layer, "weight", UnitNorm())
        self.register_buffer("_zero", torch.zeros(latents), persistent=False)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Whose parameters are whose."""
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    def prior(self) -> Independent:
        """p(z) = N(0, I) over (latents,)."""
        return Independent(Normal(self._zero, torch.ones_like(self._zero)), 1)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z).  z: (..., latents), y: what broadcasts to (...) -> (..., *event)."""
        y = networks.labels_of_codes(y, z, self.latents)
        raw = networks.told(self.generator, z.reshape(-1, self.latents), y, self.labels)
        if raw.shape[1:] != (1, *self.event_shape):
            needed = f"a generator whose output is (B, 1, {', '.join(map(str, self.event_shape))})"
            raise bad(needed, tuple(raw.shape), "nn.Unflatten(1, ...) at its end")
        x = raw.reshape(*z.shape[:-1], *self.event_shape)
        return x.sigmoid() if self.unit else x

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """D(x): above zero where the critic bets on data.  x: (B, *event), y: (B,) -> (B,)."""
        told = networks.told(self.critic, x, y, self.labels)
        if told.shape != (len(x), 1):
            raise bad("a critic whose output is (B, 1)", tuple(told.shape), "a last layer of one unit")
        return told[:, 0]

    def sample(self, n: int, y: Tensor | Sequence[int] | int | None = None) -> Tensor:
        """Samples (n, *event), without a gradient.

        Args:
            y: labels of a conditional model: (n,), or one class for all.
        """
        with torch.no_grad():
            return self.generate(self.prior().sample((integer("n", n),)), y)

    def critic_loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the critic pays for telling data from as many samples, (); no likelihood.  x: (B, *event), y: (B,)."""
        batch(x, self.event_shape, like=self._zero)
        with torch.no_grad():  # a graph of the generator would be for nobody
            fake = self.generate(self.prior().sample((len(x),)), y)
        n, points = len(x), [x, fake]
        if self.gp:
            u = torch.rand(n, *[1] * len(self.event_shape), dtype=x.dtype, device=x.device)
            points.append(u * points[0] + (1 - u) * points[1])
        penalties = ((self.r1 / 2, 0.0), (self.r2 / 2, 0.0), (self.gp, 1.0))[: len(points)]  # weight, slope wanted
        seen = {}
        for steep in (False, True):  # one batch of all that have a penalty, one of the rest: slopes are dear
            those = [i for i, (weight, _) in enumerate(penalties) if bool(weight) is steep]
            if those:
                at, told = torch.cat([points[i] for i in those]), None if y is None else y.repeat(len(those))
                logits, slope = self._steep(at, told) if steep else (self.logits(at, told), at.new_zeros(len(at)))
                seen |= zip(those, zip(logits.split(n), slope.split(n)))
        loss = self.cost.critic(seen[0][0], seen[1][0])
        for i, (weight, wanted) in enumerate(penalties):
            loss = loss + weight * (seen[i][1] - wanted) ** 2 if weight else loss
        return loss.mean()

    def generator_loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the generator pays for as many samples as x has, (); no likelihood."""
        fake = self.logits(self.generate(self.prior().sample((len(x),)), y), y)
        with torch.no_grad():
            real = self.logits(batch(x, self.event_shape, like=self._zero), y) if self.cost.pairs else fake
        return self.cost.generator(real, fake).mean()

    def _steep(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """D(x) and |dD / dx|, (B,) each, with a gradient where the critic has one."""
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.critic.parameters())
        with torch.enable_grad():
            logits = self.logits(x.requires_grad_(), y)
            slope = slopes(logits, x)
        return (logits, slope) if learns else (logits.detach(), slope.detach())


class UnitNorm(nn.Module):
    """W / |W|, the largest singular value, of a layer's weight (out, in, ...).

    Exact, by an eigenvalue problem of the smaller side: torch's own keeps a running estimate, another one in
    evaluation mode.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """A weight whose largest singular value is 1; the same shape."""
        W = weight.flatten(1)
        W = W if len(W) <= W.shape[1] else W.mT
        return weight / torch.linalg.eigh(W @ W.mT).eigenvalues[-1].sqrt()


def clip(optimizer: torch.optim.Optimizer, critic: nn.Module, most: float = 0.01) -> None:
    """After every move of `optimizer`, cut the critic's weights to [-most, most] (Arjovsky et al., 2017)."""
    positive("most", most, 0.01)

    def cut(*_) -> None:
        with torch.no_grad():
            for p in critic.parameters():
                p.clamp_(-most, most)

    optimizer.register_step_post_hook(cut)


def demos() -> dict[str, GAN]:
    """In the plane, with a cure each, and of pictures with labels."""
    return {
        "plane": GAN(2, 2, hidden=(16,)),
        "clipped slope": GAN(2, 2, loss="Wasserstein", gp=1.0, hidden=(16,)),
        "pairs": GAN(2, 2, loss="relativistic", r1=0.1, r2=0.1, hidden=(16,)),
        "spectral": GAN(2, 2, spectral=True, hidden=(16,), labels=3),
        "pictures": GAN((1, 8, 8), 3, network="conv", unit=True, labels=2),
    }
