r"""Autoregressive models: a chain of conditionals, one element after the other.

    log p(x | y) = sum_i log p(x_i | x_1 ... x_{i-1}, y)
    x_i = F_i^-1(u_i),     u_i ~ U(0, 1),     F_i the distribution function of p(x_i | x_1 ... x_{i-1}, y)

One network tells all conditionals at once where x is known (`gdm_core.causal`); to sample takes one turn an element.
Neural: Bengio & Bengio (2000); pictures: Theis & Bethge (2015), van den Oord et al. (2016).
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent

from gdm_core import likelihoods
from gdm_core.causal import Attention, Chain, Convolution, PixelCNN, naive_walk
from gdm_core.quantiles import quantile
from gdm_core.validate import bad, batch, choice, integer
from gdm_core.validate import labels as checked

NETWORKS = {"pixelcnn": PixelCNN, "attention": Attention, "convolution": Convolution, "chain": Chain}


class Autoregressive(nn.Module):
    """A causal network and a likelihood for each element.

    Args:
        event_shape: (C, H, W) for "pixelcnn", (d,) for "chain" and "convolution", either for "attention".
        likelihood, levels: as for `VAE`, or a module of `gdm_core.likelihoods`; codes k of K are elements k / (K-1),
            "categorical", levels=K, symbols=K.
        network: one of `NETWORKS`, built with `options` (see `gdm_core.causal`), or a module like those.
        labels: number of classes y; 0 for an unconditional model.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        likelihood: str | nn.Module = "categorical",
        levels: int | None = None,
        network: str | nn.Module = "pixelcnn",
        labels: int = 0,
        **options,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.labels = integer("labels", labels, 0)
        self.likelihood = likelihoods.build(likelihood, levels)
        if isinstance(network, str):
            choice("network", network, NETWORKS)
            dims = {"pixelcnn": (3,), "attention": (1, 3)}.get(network, (1,))
            if len(self.event_shape) not in dims:
                other = "pixelcnn" if len(self.event_shape) == 3 else "chain"
                spelled = "pictures (C, H, W)" if 3 in dims else "events (d,)"
                raise bad(f"{spelled} for the network {network!r}", tuple(self.event_shape), f"network={other!r}")
            network = NETWORKS[network](self.event_shape, self.likelihood.channels, labels=labels, **options)
        self.network = network

    @property
    def values(self) -> Tensor | None:
        """All that an element may be under a discrete likelihood, (levels,); None for a density."""
        return likelihoods.values(self.likelihood, self._like)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, *event) -> (B,) nats."""
        return self._given(x, y).log_prob(x)

    def elementwise(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x_i | what comes before it, y) of each element, (B, *event) nats; their sum is `log_prob`."""
        return self._given(x, y).base_dist.log_prob(x)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean of -log p(x | y), nats per example."""
        return -self.log_prob(x, y).mean()

    def sample(
        self, n: int, y: Tensor | int | None = None, *, noise: Tensor | None = None, kept: bool = True
    ) -> Tensor:
        """Draws (n, *event), element by element.

        Args:
            n: how many.
            y: one class for all, or (n,).
            noise: u in (0, 1), (n, *event), from which x follows; drawn if None.
            kept: use what the network keeps from element to element; False computes it all anew, for the same x.
        """
        x = self._like.new_zeros(integer("n", n), *self.event_shape)
        return self._fill(x, torch.zeros_like(x, dtype=torch.bool), y, noise, kept)

    def complete(
        self, x: Tensor, known: Tensor, y: Tensor | int | None = None, *, noise: Tensor | None = None
    ) -> Tensor:
        """x with its unknown elements drawn, each given what comes before it: (B, *event).

        Known elements that come *after* an unknown one have no say in it: this is a draw of p(unknown | known) only if
        all that is known comes first.

        Args:
            x: (B, *event); what its unknown elements hold does not count.
            known: bool, of x's shape or of one example's.
            y, noise: as in `sample`.
        """
        x, event = batch(x, self.event_shape, like=self._like), tuple(self.event_shape)
        if known.dtype != torch.bool or tuple(known.shape) not in (event, tuple(x.shape)):
            raise bad(f"known as bool {event}", f"{known.dtype} {tuple(known.shape)}", "known = x > 0.5, say")
        return self._fill(torch.where(known, x, 0), known.expand_as(x), y, noise, True)

    @torch.no_grad()
    def _fill(self, x: Tensor, known: Tensor, y, noise: Tensor | None, kept: bool) -> Tensor:
        y = None if y is None else torch.as_tensor(y, device=x.device).expand(len(x))
        if noise is None:
            noise = torch.rand_like(x)
        elif noise.shape != x.shape or noise.min() < 0 or noise.max() > 1:
            got = f"{tuple(noise.shape)} from {noise.min():.3g} to {noise.max():.3g}"
            raise bad(f"noise of shape {tuple(x.shape)} from 0 to 1", got, "torch.rand_like(x)")
        walk = self.network.walk if kept else lambda *told: naive_walk(self.network, *told)
        x = x.contiguous()
        line, values, steps = x.flatten(1), self.values, walk(x, self._told(y, len(x)))
        given, noise = known.flatten(1).unbind(1), noise.flatten(1).unbind(1)
        free, all_known = known.flatten(1).any(0).logical_not().tolist(), known.flatten(1).all(0).tolist()
        last = max((step for step, i in enumerate(self.network.order) if not all_known[i]), default=-1)
        for i, raw in zip(self.network.order[: last + 1], steps):
            if not all_known[i]:
                drawn = quantile(self.likelihood(raw, 0), noise[i], values)
                line[:, i] = drawn if free[i] else torch.where(given[i], line[:, i], drawn)
        return x

    def _given(self, x: Tensor, y: Tensor | None) -> Independent:
        """All conditionals, each given what comes before it in x."""
        x = batch(x, self.event_shape, like=self._like)
        if self.values is not None:
            likelihoods.level_index(x, len(self.values))
        return self.likelihood(self.network(x, self._told(y, len(x))), len(self.event_shape))

    @property
    def _like(self) -> Tensor:
        return next(self.network.parameters())

    def _told(self, y: Tensor | None, n: int) -> Tensor | None:
        if self.labels:
            return checked(y, n, self.labels)
        if y is not None:
            raise bad("no labels for an unconditional model", "y", "Autoregressive(..., labels=10)")
        return None


def demos() -> dict[str, Autoregressive]:
    """A density in the plane, a line of symbols, small pictures by convolution and attention, in color and by class."""
    logistics = likelihoods.Discretized(3, components=2)
    return {
        "plane": Autoregressive(2, likelihood=likelihoods.Gaussians(3), network="chain", hidden=(16,)),
        "line": Autoregressive(7, levels=3, network="convolution", width=4, layers=2, symbols=3, labels=2),
        "board": Autoregressive((1, 3, 3), levels=2, width=4, layers=2),
        "colors": Autoregressive((2, 2, 2), likelihood=logistics, width=4, layers=2, labels=2),
        "attention": Autoregressive((2, 2, 2), levels=3, network="attention", width=8, heads=2, layers=1, labels=2),
        "chain": Autoregressive(7, levels=3, network="chain", hidden=(14, 14), labels=2),
    }
