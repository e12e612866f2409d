r"""Coupling (Dinh et al., 2015; 2017, eq. 7-8): one half stays, and says how the other half is moved.

z_1 = x_1,     z_2 = map(x_2; net(x_1)),     log|det dz/dx| = sum of the log slopes of the map
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gdm_core.bijections.bijection import Bijection
from gdm_core.bijections.elementwise import Affine
from gdm_core.networks import mlp
from gdm_core.validate import bad, integer


class Coupling(Bijection):
    """The second half of the features, or of a picture's channels, is moved.

    Which half is second is for a `Permutation` between two couplings to change.

    Args:
        features: an even number of features, or of channels.
        map: of `bijections.elementwise`.
        hidden: units of the network's hidden layers.
        context: numbers that the network is told beside the first half.
        net: own network in place of it: (B, features / 2 + context, ...) -> (B, features / 2 * map.parameters, ...).

    Raises:
        ValueError: an odd number of features.
    """

    def __init__(
        self,
        features: int,
        map: Affine | None = None,
        *,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        net: nn.Module | None = None,
    ):
        super().__init__()
        if integer("features", features, 2) % 2:
            raise bad(
                "an even number of features, to have two halves",
                features,
                f"features={features + 1}, or a MaskedAutoregressive layer",
            )
        self.half, self.context = features // 2, integer("context", context, 0)
        self.map = Affine() if map is None else map
        if net is None:
            net = start_small(mlp(self.half + context, hidden, self.half * self.map.parameters, nn.SiLU))
        self.net = net

    def to_latent(self, x, c=None):
        first, second, p = self._parts(x, c)
        second, log_slope = self.map(second, p)
        return torch.cat([first, second], 1), log_slope.flatten(1).sum(1)

    def to_data(self, z, c=None):
        first, second, p = self._parts(z, c)
        return torch.cat([first, self.map.inverse(second, p)], 1)

    def _parts(self, a: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if a.shape[1] != 2 * self.half:
            raise bad(f"{2 * self.half} features", a.shape[1], f"Coupling({a.shape[1]})")
        first, second = a.split(self.half, 1)
        p = self.net(told(first, c, self.context)).unflatten(1, (self.half, self.map.parameters))
        return first, second, p.movedim(2, -1)  # (B, half, ..., parameters)


def told(a: Tensor, c: Tensor | None, context: int) -> Tensor:
    """The context beside a, as planes where a is a picture: (B, C + context, ...)."""
    if not context:
        return a
    if c is None or c.shape != (len(a), context):
        raise bad(f"a context ({len(a)}, {context})", None if c is None else tuple(c.shape), "c=context")
    return torch.cat([a, c.to(a.dtype).reshape(*c.shape, *[1] * (a.ndim - 2)).expand(-1, -1, *a.shape[2:])], 1)


def start_small(net: nn.Sequential) -> nn.Sequential:
    """The last layer a hundredth of its usual size: the map starts near the identity."""
    with torch.no_grad():
        for p in net[-1].parameters():
            p.mul_(0.01)
    return net
