r"""Coupling (Dinh et al., 2015; 2017, eq. 7-8): one half stays, and says how the other half is moved.

z_1 = x_1,     z_2 = map(x_2; net(x_1)),     log|det dz/dx| = sum of the log slopes of the map
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gdm_core.bijections.bijection import Bijection
from gdm_core.bijections.elementwise import Affine
from gdm_core.networks import mlp
from gdm_core.validate import bad, integer

RELU = partial(nn.ReLU, inplace=True)  # of a linear layer's output, which nobody else needs


class Coupling(Bijection):
    """One half of the features, or of a picture's channels, is moved.

    Args:
        features: an even number of features, or of channels.
        map: of `bijections.elementwise`.
        first: move the first half, as the second says; by turns with the other way round, all is moved.
        hidden: units of the network's hidden layers.
        activation: between them; a smooth one, such as `nn.SiLU`, makes a smooth density and takes twice as long.
        context: numbers that the network is told beside the half that stays.
        net: own network in place of it: (B, features / 2 + context, ...) -> (B, map.parameters * features / 2, ...).

    Raises:
        ValueError: an odd number of features.
    """

    def __init__(
        self,
        features: int,
        map: Affine | None = None,
        *,
        first: bool = False,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        activation: Callable[[], nn.Module] = RELU,
        net: nn.Module | None = None,
    ):
        super().__init__()
        if integer("features", features, 2) % 2:
            raise bad(
                "an even number of features, to have two halves",
                features,
                f"features={features + 1}, or a MaskedAutoregressive layer",
            )
        self.half, self.first, self.context = features // 2, first, integer("context", context, 0)
        self.map = Affine() if map is None else map
        if net is None:
            net = start_small(mlp(self.half + context, hidden, self.half * self.map.parameters, activation))
        self.net = net

    def to_latent(self, x, c=None):
        stays, moves, p = self._parts(x, c)
        moves, log_slope = self.map(moves, p)
        one = self.half == 1 and log_slope.ndim == 2  # no sum: one operation less, there and back
        return self._joined(stays, moves), log_slope.squeeze(1) if one else log_slope.flatten(1).sum(1)

    def to_data(self, z, c=None):
        stays, moves, p = self._parts(z, c)
        return self._joined(stays, self.map.inverse(moves, p))

    def _parts(self, a: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if a.shape[1] != 2 * self.half:
            raise bad(f"{2 * self.half} features", a.shape[1], f"Coupling({a.shape[1]})")
        stays, moves = a.split(self.half, 1)
        if self.first:
            stays, moves = moves, stays
        p = self.net(told(stays, c, self.context)).unflatten(1, (self.map.parameters, self.half))
        return stays, moves, p.movedim(1, -1)  # (B, half, ..., parameters)

    def _joined(self, stays: Tensor, moves: Tensor) -> Tensor:
        return torch.cat([moves, stays] if self.first else [stays, moves], 1)


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
