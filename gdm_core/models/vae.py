r"""Variational autoencoder (Kingma & Welling, 2014; Rezende, Mohamed & Wierstra, 2014).

z ~ N(0, I),     x | z ~ likelihood(f(theta, z)),     q(z | x) = N(g(phi, x))
log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))                        eq. 3 of Kingma & Welling
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from gdm_core import likelihoods, networks, yours
from gdm_core.bijections import Bijection, Chain, Coupling, Permutation, Pushed
from gdm_core.inference import kl
from gdm_core.validate import bad, batch, choice, integer

LOG_STD = (-10.0, 10.0)  # of q: far outside anything a fit reaches; NaN passes through, so divergence stays visible


class VAE(nn.Module):
    """Latent-variable model with a neural likelihood and an amortized Gaussian posterior.

    Args:
        event_shape: shape of one example, or the number of features.
        latents: size of z.
        hidden: units of the hidden layers of encoder and (reversed) decoder, (256,) where not given; () makes a linear
            VAE.
        likelihood: "gaussian" (one learned std), "bernoulli", "categorical", "discretized", or a module of
            `gdm_core.likelihoods` (fixed or predicted std, mixtures).
        levels: number of gray values, for "categorical" and "discretized".
        posterior: "diagonal" or "full" covariance of q(z | x); or a flow, a bijection from z to noise, on top of a
            diagonal one, whose means and log stds it is told as context (Rezende & Mohamed, 2015).
        labels: number of classes y that encoder and decoder are told; 0 for an unconditional model.
        beta: weight of the KL in `loss` (Higgins et al., 2017).  A plain attribute: annealing assigns it between steps.
        free_bits: nats a latent may cost in `loss` for nothing, judged on the batch mean (Kingma et al., 2016, eq. 15).
        network: "mlp" or "conv" (pictures (C, H, W)), whose layers follow from the picture's sides.
        encoder, decoder: own modules in place of these: x -> (B, 2 * latents), or latents + latents (latents + 1) / 2
            numbers for a full posterior; z -> (B, channels, *event).  With labels they take one-hot y second.

    Raises:
        ValueError: an option that is unknown, or that another one leaves without effect.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        latents: int,
        *,
        hidden: Sequence[int] | None = None,
        likelihood: str | nn.Module = "gaussian",
        levels: int | None = None,
        posterior: str | Bijection = "diagonal",
        labels: int = 0,
        beta: float = 1.0,
        free_bits: float = 0.0,
        network: str = "mlp",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.latents, self.labels = integer("latents", latents), integer("labels", labels, 0)
        flow = isinstance(posterior, Bijection)
        self.posterior = "flow" if flow else choice("posterior", posterior, ("diagonal", "full"))
        self.flow = posterior if flow else None
        self.likelihood = likelihoods.build(likelihood, levels)
        self.beta, self.free_bits = beta, free_bits
        for name, value in (("beta", beta), ("free_bits", free_bits)):
            if not 0 <= value < float("inf"):
                raise bad(f"{name} >= 0", value, f"{name}={name == 'beta':d}")
        self._counted()
        if hidden is not None and network == "conv":
            raise bad("no hidden units beside network='conv'", hidden, "hidden=None, or network='mlp'")
        hidden = (256,) if hidden is None else hidden
        out = 2 * latents if posterior != "full" else latents + latents * (latents + 1) // 2
        channels = self.likelihood.channels
        if choice("network", network, ("mlp", "conv")) == "mlp":
            new_encoder = lambda: networks.MLPEncoder(self.event_shape, out, hidden, labels)
            new_decoder = lambda: networks.MLPDecoder(latents, self.event_shape, channels, tuple(hidden)[::-1], labels)
        else:
            new_encoder = lambda: networks.ConvEncoder(self.event_shape, out, labels=labels)
            new_decoder = lambda: networks.ConvDecoder(latents, self.event_shape, channels, labels=labels)
        self.encoder = new_encoder() if encoder is None else encoder
        self.decoder = new_decoder() if decoder is None else decoder
        self.register_buffer("_zero", torch.zeros(latents), persistent=False)

    @property
    def values(self) -> Tensor | None:
        """What an entry of x may be under a discrete likelihood, (levels,)."""
        return likelihoods.values(self.likelihood, self._zero)

    def prior(self) -> Independent:
        """p(z) = N(0, I) over (latents,)."""
        return Independent(Normal(self._zero, torch.ones_like(self._zero)), 1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x | z).  z: (..., latents), y: (B,) or (...) -> distribution over (..., *event); `.mean` is the picture."""
        y = networks.labels_of_codes(y, z, self.latents)
        raw = networks.told(self.decoder, z.reshape(-1, self.latents), y, self.labels)  # (N, channels, *event)
        expected = (self.likelihood.channels, *self.event_shape)
        if raw.shape[1:] != expected:
            raise bad(f"a decoder whose output is (B, {expected})", tuple(raw.shape), "nn.Unflatten(1, ...) at its end")
        return self.likelihood(raw.reshape(*z.shape[:-1], *expected), len(self.event_shape))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        """q(z | x).  x: (B, *event), y: (B,) -> over (B, latents), Gaussian or `Pushed` through the flow."""
        batch(x, self.event_shape, like=self._zero)
        raw = networks.told(self.encoder, x, y, self.labels)
        q = self.latents
        wanted = 2 * q if self.posterior != "full" else q + q * (q + 1) // 2
        if raw.shape[1:] != (wanted,):
            raise bad(f"an encoder whose output is (B, {wanted})", tuple(raw.shape), f"a last layer of {wanted} units")
        mean, log_std, below = raw.split([q, q, wanted - 2 * q], 1)
        std = log_std.clamp(*LOG_STD).exp()
        if self.posterior != "full":
            base = Independent(Normal(mean, std), 1)
            return base if self.flow is None else Pushed(base, self.flow, raw)
        factor = torch.diag_embed(std)
        rows, columns = torch.tril_indices(q, q, -1, device=x.device)
        factor[:, rows, columns] = below
        return MultivariateNormal(mean, scale_tril=factor)

    def elbo(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The bound itself, whatever beta is: one draw of z, KL in closed form where there is one.  -> (B,) nats."""
        reconstruction, price, _ = self._parts(batch(x, self.event_shape), y)
        return reconstruction - price

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Batch mean of beta * KL - log p(x | z), nats per example.

        With beta = 1 and no free bits it is minus the bound; otherwise it bounds no likelihood.
        """
        reconstruction, price, q = self._parts(x, y)
        if not self.free_bits:
            return (self.beta * price - reconstruction).mean()
        self._counted()
        return self.beta * paid(kl(q.base_dist, self.prior().base_dist), self.free_bits) - reconstruction.mean()

    def sample(self, n: int, y: Tensor | Sequence[int] | int | None = None) -> Tensor:
        """Ancestral sampling, z from the prior and x from the likelihood: (n, *event).

        Args:
            y: labels of a conditional model: (n,), or one class for all.
        """
        if y is not None:
            y = torch.as_tensor(y, device=self._zero.device)
        with torch.no_grad():
            return self.decode(self.prior().sample((integer("n", n),)), y).sample()

    def _parts(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor, Distribution]:
        """log p(x | z), log q(z) - log p(z) or its mean, (B,) each, and q."""
        q = self.encode(x, y)
        z, prior = q.rsample(), self.prior()
        price = kl(q, prior) if self.flow is None else q.log_prob(z) - prior.log_prob(z)
        return self.decode(z, y).log_prob(x), price, q

    def _counted(self) -> None:
        if self.free_bits and self.posterior != "diagonal":
            got = repr(self.posterior)
            raise bad("posterior='diagonal' for free bits, which count each latent", got, "free_bits=0")


@yours.replaceable("lab04.free_bits", lambda theirs, ours, prices, floor: theirs(prices, floor))
def paid(prices: Tensor, floor: float) -> Tensor:
    """What latents cost that have `floor` nats free, judged on the batch mean.  prices: KL, (B, latents) -> ()."""
    return prices.mean(0).clamp(min=floor).sum()


def demos() -> dict[str, VAE]:
    """Small ones: one latent in the plane, full covariance, gray levels, labels, pictures."""
    return {
        "plane": VAE(2, 1, hidden=(16,)),
        "full": VAE(2, 2, hidden=(16,), posterior="full"),
        "gray": VAE(3, 2, hidden=(16,), likelihood="categorical", levels=4),
        "conditional": VAE(2, 1, hidden=(16,), labels=3),
        "convolutional": VAE((1, 6, 6), 2, network="conv"),
        "flow": VAE(2, 2, hidden=(16,), posterior=Chain([Coupling(2, hidden=(8,), context=4), Permutation.flip(2)])),
    }
