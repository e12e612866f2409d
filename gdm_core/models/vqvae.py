r"""Vector-quantized variational autoencoder (van den Oord, Vinyals & Kavukcuoglu, 2017).

    k(x) = argmin_j ||g(phi, x) - e_j||,     z = e_k                                   eq. 1 and 2, at each position
    loss = -log p(x | z) + ||sg[g(x)] - e_k||^2 + commitment ||g(x) - sg[e_k]||^2      eq. 3, sg stops the gradient

The decoder's gradient goes straight through the argmin to the encoder.  With q(z | x) one code for sure and a uniform
prior over K codes at each of M positions, the KL is M log K: log p(x) >= log p(x | z) - M log K.
"""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from gdm_core import likelihoods, networks
from gdm_core.validate import bad, batch, choice, integer


class VQVAE(nn.Module):
    """Autoencoder whose code is a grid of entries of a learned codebook.

    Args:
        event_shape: shape of one example, or the number of features.
        codes: K, entries of the codebook.
        width: size of one entry.
        likelihood, levels: as for `VAE`; "gaussian" has a fixed std of 0.1 here, for a learned one can shrink without
            limit beside codes that cost nothing.
        commitment: weight of the encoder's pull to its code; the paper's beta.
        network: "conv" halves pictures `halvings` times and puts one code at each place that is left; "mlp" cuts the
            output of one network into `positions` codes.
        encoder, decoder: own modules: x -> (B, width, *grid), (B, width, *grid) -> (B, channels, *event).
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        codes: int = 64,
        width: int = 16,
        likelihood: str | nn.Module = "gaussian",
        levels: int | None = None,
        commitment: float = 0.25,
        network: str = "conv",
        halvings: int = 2,
        positions: int = 4,
        hidden: Sequence[int] = (256,),
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.codes, self.width, self.commitment = integer("codes", codes, 2), integer("width", width), commitment
        if likelihood == "gaussian":
            likelihood = likelihoods.Gaussian(0.1, learn=None)
        self.likelihood = likelihoods.build(likelihood, levels)
        channels = self.likelihood.channels
        if encoder is None or decoder is None:
            if choice("network", network, ("conv", "mlp")) == "conv":
                pair = _convolutions(self.event_shape, width, channels, integer("halvings", halvings))
            else:
                pair = _dense(self.event_shape, width, channels, integer("positions", positions), hidden)
        self.encoder = pair[0] if encoder is None else encoder
        self.decoder = pair[1] if decoder is None else decoder
        self.codebook = nn.Parameter(torch.randn(codes, width) / width**0.5)
        self.grid = _probe(self)

    @property
    def values(self) -> Tensor | None:
        """What an entry of x may be under a discrete likelihood, (levels,)."""
        return likelihoods.values(self.likelihood, self.codebook)

    def encode_codes(self, x: Tensor) -> Tensor:
        """(B, *event) -> (B, *grid) integers from 0 to codes - 1."""
        return self._nearest(self._features(x))

    def decode_codes(self, codes: Tensor) -> Distribution:
        """(B, *grid) integers -> p(x | codes) over (B, *event); `.mean` is the picture."""
        whole = not codes.is_floating_point() and codes.dtype != torch.bool and codes.numel()
        if not whole or codes.shape[1:] != self.grid or codes.min() < 0 or codes.max() >= self.codes:
            spelled = f"integer codes (B, {', '.join(map(str, self.grid))}) below {self.codes}"
            raise bad(spelled, f"{tuple(codes.shape)} {codes.dtype}", "encode_codes(x)")
        return self._decode(self._entries(codes.long()))

    def elbo(self, x: Tensor) -> Tensor:
        """log p(x | z) - M log K, a bound on log p(x) for a uniform prior over codes.  (B, *event) -> (B,) nats."""
        codes = self.encode_codes(batch(x, self.event_shape))
        return self.decode_codes(codes).log_prob(x) - math.prod(self.grid) * math.log(self.codes)

    def loss(self, x: Tensor) -> Tensor:
        """Batch mean of eq. 3: nats for the first term; distances, summed over the grid, for the others.  No bound."""
        features = self._features(x)  # (B, width, *grid)
        entries = self._entries(self._nearest(features))
        straight = features + (entries - features).detach()
        to_code = (entries - features.detach()).square().flatten(1).sum(1)
        to_encoder = (features - entries.detach()).square().flatten(1).sum(1)
        return (to_code + self.commitment * to_encoder - self._decode(straight).log_prob(x)).mean()

    def usage(self, x: Tensor) -> Tensor:
        """How often each code answers to `x`: (codes,), sums to 1."""
        with torch.no_grad():
            count = torch.bincount(self.encode_codes(x).flatten(), minlength=self.codes)
        return count / count.sum()

    def perplexity(self, x: Tensor) -> float:
        """exp of the entropy of `usage`: how many codes are in use, from 1 to `codes`."""
        return torch.special.entr(self.usage(x)).sum().exp().item()

    def revive(self, x: Tensor) -> int:
        """Move each code that no example uses onto a random feature of `x`, each another one; returns how many moved.

        A code far from all features is never nearest and gets no gradient: without this most of a codebook stays dead.
        """
        dead = (self.usage(x) == 0).nonzero()[:, 0]
        with torch.no_grad():
            features = self._features(x).movedim(1, -1).reshape(-1, self.width)
            order = torch.randperm(len(features), device=features.device)  # of two equal codes one stays dead
            self.codebook[dead] = features[order.repeat(-(-len(dead) // len(order)))[: len(dead)]]
        return len(dead)

    def sample(self, n: int) -> Tensor:
        """Codes drawn from the uniform prior, x from the likelihood: (n, *event).

        A picture's codes depend on one another, so this looks poor until a prior over codes is learned.
        """
        with torch.no_grad():
            codes = torch.randint(self.codes, (integer("n", n), *self.grid), device=self.codebook.device)
            return self.decode_codes(codes).sample()

    def _features(self, x: Tensor) -> Tensor:
        batch(x, self.event_shape, like=self.codebook)
        features = self.encoder(x)
        if features.ndim < 2 or features.shape[1] != self.width:
            raise bad(
                f"an encoder whose output is (B, {self.width}, *grid)", tuple(features.shape), f"width={self.width}"
            )
        return features

    def _nearest(self, features: Tensor) -> Tensor:
        flat = features.detach().movedim(1, -1)  # (B, *grid, width)
        book = self.codebook.detach()
        # ||f - e||^2 without ||f||^2, which no comparison needs
        return (book.square().sum(1) - 2 * flat @ book.T).argmin(-1)

    def _entries(self, codes: Tensor) -> Tensor:
        return self.codebook[codes].movedim(-1, 1)  # (B, width, *grid)

    def _decode(self, entries: Tensor) -> Distribution:
        raw = self.decoder(entries)
        expected = (self.likelihood.channels, *self.event_shape)
        if raw.shape[1:] != expected:
            raise bad(f"a decoder whose output is (B, {expected})", tuple(raw.shape), "nn.Unflatten(1, ...) at its end")
        return self.likelihood(raw, len(self.event_shape))


def _probe(model: VQVAE) -> Size:
    """The grid that the encoder makes of a picture; in evaluation mode, so that no statistic learns from the probe."""
    modes = [(m, m.training) for m in model.encoder.modules()]
    model.encoder.eval()
    with torch.no_grad():
        grid = model._features(torch.zeros(1, *model.event_shape)).shape[2:]
    for module, training in modes:
        module.training = training
    return grid


def _dense(event, width: int, channels: int, positions: int, hidden) -> tuple[nn.Module, nn.Module]:
    encoder = networks.MLPEncoder(event, width * positions, hidden)
    decoder = networks.MLPDecoder(width * positions, event, channels, tuple(hidden)[::-1])
    return nn.Sequential(encoder, nn.Unflatten(1, (width, positions))), nn.Sequential(nn.Flatten(), decoder)


def _convolutions(event, width: int, channels: int, halvings: int) -> tuple[nn.Module, nn.Module]:
    if len(event) != 3 or any(s % 2**halvings for s in event[1:]):
        raise bad(
            f"pictures (C, H, W) with sides divisible by {2**halvings}", tuple(event), "halvings=1, network='mlp'"
        )
    sizes = [32 * 2**i for i in range(halvings)]
    down: list[nn.Module] = []
    for a, b in zip([event[0], *sizes], sizes):
        down += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
    up: list[nn.Module] = [nn.Conv2d(width, sizes[-1], 3, padding=1), nn.ReLU()]
    for a, b in zip(sizes[::-1], [*sizes[-2::-1], channels * event[0]]):
        up += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
    encoder = nn.Sequential(*down, nn.Conv2d(sizes[-1], width, 3, padding=1))
    return encoder, nn.Sequential(*up[:-1], nn.Unflatten(1, (channels, event[0])))


def demos() -> dict[str, VQVAE]:
    """Two codes out of eight in the plane, the same for gray levels, and pictures with a grid of codes."""
    dense = {"codes": 8, "width": 2, "network": "mlp", "positions": 2, "hidden": (16,)}
    return {
        "plane": VQVAE(2, **dense),
        "gray": VQVAE(3, likelihood="categorical", levels=4, **dense),
        "convolutional": VQVAE((1, 4, 4), codes=8, width=4, halvings=1),
    }
