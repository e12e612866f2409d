r"""Invertible maps, and how they follow each other.

    log p(x) = log p_Z(f(x)) + log|det df/dx|         f = to_latent,     f^-1 = to_data

A chain adds up:  log|det d(f_K ... f_1)/dx| = sum_k log|det df_k/dx_{k-1}|  (Rezende & Mohamed, 2015, eq. 7, read from
the data's side).
"""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn


class Bijection(nn.Module):
    """What every layer offers.  Its log|det| is written once, in `to_latent`; `to_data` inverts and says nothing of it.

    A context c, (B, context), is what the map may depend on beside x: labels, or the picture that a posterior is of.
    A layer that has no use for it lets it pass.
    """

    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, ...) -> z (B, ...) and log|det dz/dx| (B,), nats."""
        raise NotImplementedError

    def to_data(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The x whose `to_latent` is z."""
        raise NotImplementedError

    def push(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x = to_data(z) and log|det dx/dz|, minus what `to_latent` says at that x."""
        x = self.to_data(z, c)
        return x, -self.to_latent(x, c)[1]


class Chain(Bijection):
    """Layers in the order in which data pass them on their way to noise."""

    def __init__(self, layers: Iterable[Bijection]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def to_latent(self, x, c=None):
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer.to_latent(x, c)
            total = total + log_det
        return x, total

    def states(self, x: Tensor, c: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """After each layer: where x is now, and that layer's own log|det|, (B,)."""
        for layer in self.layers:
            x, log_det = layer.to_latent(x, c)
            yield x, log_det

    def to_data(self, z, c=None):
        for layer in reversed(self.layers):
            z = layer.to_data(z, c)
        return z

    def film(self, z: Tensor, c: Tensor | None = None) -> Iterator[Tensor]:
        """z on its way to the data: after the last layer is undone, after the one before it ..."""
        for layer in reversed(self.layers):
            z = layer.to_data(z, c)
            yield z

    def push(self, z, c=None):
        total = z.new_zeros(len(z))
        for layer in reversed(self.layers):
            z, log_det = layer.push(z, c)
            total = total + log_det
        return z, total


class Swapped(Bijection):
    """The same map, read the other way: for layers that are to be fast from noise to data, as in a posterior."""

    def __init__(self, layer: Bijection):
        super().__init__()
        self.layer = layer

    def to_latent(self, x, c=None):
        return self.layer.push(x, c)

    def to_data(self, z, c=None):
        return self.layer.to_latent(z, c)[0]

    def push(self, z, c=None):
        return self.layer.to_latent(z, c)
