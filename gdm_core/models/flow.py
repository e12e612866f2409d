r"""Normalizing flows (Rezende & Mohamed, 2015; Dinh et al., 2017; Papamakarios et al., 2021).

    z = f(x) ~ N(0, I),     log p(x) = log N(f(x); 0, I) + log|det df/dx|

A flow is a bijection and a base; the functions below put together those of the literature.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, Normal

from gdm_core import bijections as bi
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch, integer
from gdm_core.validate import labels as checked

# Rows that a CPU takes at once where no gradient is needed: they stay in its cache.
TILE = 4096
TILE_OF_PICTURES = 1024  # of a hundred numbers or more


class Flow(nn.Module):
    """A density by change of variables.

    Args:
        event_shape: shape of one example, or the number of features.
        bijection: from data to latents; a list of layers is chained.
        labels: number of classes y, which layers built with `context=labels` are told; 0 for an unconditional flow.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        bijection: bi.Bijection | Sequence[bi.Bijection],
        *,
        labels: int = 0,
    ):
        super().__init__()
        self.event_shape = Size([integer("features", event_shape)] if isinstance(event_shape, int) else event_shape)
        layers = [bijection] if isinstance(bijection, bi.Bijection) else list(bijection)
        self.bijection = layers[0] if len(layers) == 1 and isinstance(layers[0], bi.Chain) else bi.Chain(layers)
        self.labels = integer("labels", labels, 0)
        last = self.bijection.layers[-1:]  # none: the base alone
        self.latent_shape = getattr(last[0], "latent_shape", self.event_shape) if last else self.event_shape
        self.register_buffer("_zero", torch.zeros(self.latent_shape), persistent=False)

    def prior(self) -> Independent:
        """p(z) = N(0, I)."""
        return Independent(Normal(self._zero, torch.ones_like(self._zero)), len(self.latent_shape))

    def to_latent(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and log|det dz/dx|.  (B, *event) -> (B, *latent) and (B,) nats.

        Raises:
            ValueError: x that the flow sends to infinity.
        """
        z, log_det = self._to_latent(x, y)
        if not torch.isfinite(z.sum() + log_det.sum()):
            raise bad("x that the flow maps to a finite z", "NaN or infinity", "x nearer to what it was trained on")
        return z, log_det

    def to_data(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The x with `to_latent` z.  (B, *latent) -> (B, *event).

        Raises:
            ValueError: z that the flow sends to infinity.
        """
        batch(z, self.latent_shape, name="z", like=self._zero)
        x = self.bijection.to_data(z, self._told(y, len(z)))
        if not torch.isfinite(x.sum()):
            raise bad("z that the flow maps to a finite x", "NaN or infinity", "z nearer to 0, or fewer layers")
        return x

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, *event) -> (B,) nats."""
        tile = TILE if self.event_shape.numel() < 100 else TILE_OF_PICTURES
        if torch.is_grad_enabled() or x.device.type != "cpu" or len(batch(x, self.event_shape)) <= tile:
            return self._log_prob(*self.to_latent(x, y))
        parts = zip(x.split(tile), [None] * len(x) if y is None else y.split(tile))
        return torch.cat([self._log_prob(*self.to_latent(*part)) for part in parts])

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean of -log p(x | y), nats per example.  What is not finite is left to the training to tell."""
        return -self._log_prob(*self._to_latent(x, y)).mean()

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | int | None = None) -> Tensor:
        """(n, *event); y: one class for all, or (n,)."""
        y = None if y is None else torch.as_tensor(y, device=self._zero.device).expand(integer("n", n))
        return self.to_data(self.prior().sample((integer("n", n),)), y)

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor | None = None) -> None:
        """Set every activation norm by what reaches it from x, (B, *event): once, before training."""
        c = self._told(y, len(batch(x, self.event_shape, like=self._zero, minimum=2)))
        norms = [layer for layer in self.modules() if isinstance(layer, bi.ActNorm)]
        try:
            for layer in norms:
                layer.starting = True
            self.bijection.to_latent(x, c)
        finally:
            for layer in norms:
                layer.starting = False

    def states(self, x: Tensor, y: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """After each layer of a chain: where x is, and that layer's own log|det|."""
        batch(x, self.event_shape, like=self._zero)
        return self.bijection.states(x, self._told(y, len(x)))

    def film(self, z: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """z on its way to the data, a state for each layer of a chain."""
        batch(z, self.latent_shape, name="z", like=self._zero)
        return self.bijection.film(z, self._told(y, len(z)))

    def _to_latent(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        batch(x, self.event_shape, like=self._zero)
        return self.bijection.to_latent(x, self._told(y, len(x)))

    def _log_prob(self, z: Tensor, log_det: Tensor) -> Tensor:
        return log_det - 0.5 * (z.square() + LOG_2PI).flatten(1).sum(1)

    def _told(self, y: Tensor | None, n: int) -> Tensor | None:
        """The labels as context, (n, labels)."""
        if self.labels:
            return nn.functional.one_hot(checked(y, n, self.labels), self.labels).to(self._zero.dtype)
        if y is not None:
            raise bad("no labels for an unconditional flow", "y", "labels=10 when the flow is made")
        return None


def planar(features: int, layers: int = 16) -> Flow:
    """Planar layers (Rezende & Mohamed, 2015), read from the data: sampling bisects."""
    return Flow(features, [bi.Planar(features) for _ in range(integer("layers", layers))])


def radial(features: int, layers: int = 16) -> Flow:
    """Radial layers (Rezende & Mohamed, 2015)."""
    return Flow(features, [bi.Radial(features) for _ in range(integer("layers", layers))])


def realnvp(features: int, layers: int = 8, *, hidden: Sequence[int] = (64, 64), labels: int = 0) -> Flow:
    """Affine couplings whose halves take turns (Dinh et al., 2017)."""
    return coupled(features, bi.Affine(), layers, hidden, labels)


def spline(
    features: int,
    layers: int = 6,
    *,
    bins: int = 8,
    reach: float = 5.0,
    hidden: Sequence[int] = (64, 64),
    labels: int = 0,
) -> Flow:
    """Spline couplings (Durkan et al., 2019) for data within [-reach, reach]: what is outside stays as it is."""
    return coupled(features, bi.Spline(bins, reach), layers, hidden, labels)


def coupled(features: int, map, layers: int, hidden: Sequence[int], labels: int = 0) -> Flow:
    """Couplings by a `map` of `bijections.elementwise` that move one half and the other by turns."""
    made = lambda first: bi.Coupling(features, map, first=first, hidden=hidden, context=labels)
    return Flow(features, [made(i % 2 == 1) for i in range(integer("layers", layers))], labels=labels)


def autoregressive(
    features: int, layers: int = 4, *, map=None, hidden: Sequence[int] = (64, 64), labels: int = 0
) -> Flow:
    """Masked autoregressive layers (Papamakarios et al., 2017), each in the order opposite to the last."""
    out: list[bi.Bijection] = []
    for _ in range(integer("layers", layers)):
        out += [bi.MaskedAutoregressive(features, map, hidden=hidden, context=labels), bi.Permutation.flip(features)]
    return Flow(features, out, labels=labels)


def transformer(features: int, layers: int = 4, *, width: int = 32, blocks: int = 2, labels: int = 0) -> Flow:
    """Autoregressive layers whose network is a causal transformer over the features (Zhai et al., 2024)."""
    out: list[bi.Bijection] = []
    for _ in range(integer("layers", layers)):
        net = bi.CausalTransformer(features, width=width, blocks=blocks, context=labels)
        out += [bi.MaskedAutoregressive(features, net=net), bi.Permutation.flip(features)]
    return Flow(features, out, labels=labels)


def glow(event_shape: Sequence[int], scales: int = 2, steps: int = 4, *, width: int = 32) -> Flow:
    """Activation norm, 1x1 convolution, affine coupling, `steps` times at each scale (Kingma & Dhariwal, 2018).

    Args:
        event_shape: (C, H, W), sides that can be halved `scales` times.
        width: channels of the couplings' networks.

    Call `start` with some data before training.
    """
    made = []
    for channels, *_ in bi.shapes(event_shape, integer("scales", scales)):
        step = lambda n: [
            bi.ActNorm(n),
            bi.Mix(n),
            bi.Coupling(n, net=bi.ChannelNet(n // 2, n, width)),
        ]
        made.append(bi.Chain(layer for _ in range(integer("steps", steps)) for layer in step(channels)))
    return Flow(event_shape, bi.MultiScale(event_shape, made))


def demos() -> dict[str, Flow]:
    """In the plane, one of each kind; pictures."""
    small = {"layers": 2, "hidden": (16,)}
    return {
        "planar": planar(2, 3),
        "radial": radial(2, 3),
        "affine": realnvp(2, **small),
        "spline": spline(2, bins=4, **small),
        "linear": Flow(2, [bi.ActNorm(2), bi.Mix(2)]),
        "autoregressive": autoregressive(2, **small),
        "transformer": transformer(2, 2, width=8, blocks=1),
        "conditional": realnvp(2, labels=3, **small),
        "pictures": glow((1, 4, 4), 2, 1, width=8),
    }
