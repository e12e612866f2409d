r"""Masked dense layers (MADE: Germain et al., 2015).

Each hidden unit has a degree m, and hears of x_1 ... x_m alone; output i hears units of degree m < i.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from gdm_core.validate import bad, integer


class Masked(nn.Linear):
    """A linear layer, some of whose weights are zero for ever.  mask: (out, in), bool."""

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.clone(), persistent=False)

    def forward(self, a: Tensor) -> Tensor:
        return linear(a, self.weight * self.mask, self.bias)


class Chain(nn.Module):
    """(B, d) -> (B, channels, d).

    Args:
        event_shape: (d,).
        channels: raw numbers an element.
        hidden: units of each hidden layer.
        labels: number of classes y; 0 for none.
    """

    def __init__(self, event_shape, channels: int, *, hidden: Sequence[int] = (64, 64), labels: int = 0):
        super().__init__()
        (d,) = event_shape
        if not hidden:
            raise bad("at least one hidden layer", hidden, "hidden=(64,)")
        self.order, self.channels = list(range(d)), channels
        degrees = torch.arange(1, d + 1)
        layers = []
        for width in hidden:
            of_unit = torch.arange(integer("hidden", width)) % d
            layers.append(Masked(of_unit[:, None] >= degrees))
            degrees = of_unit
        self.layers = nn.ModuleList(layers)
        self.out = Masked((torch.arange(1, d + 1)[:, None] > degrees).repeat(channels, 1))
        self.of_label = nn.Embedding(labels, layers[0].out_features) if labels else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        a = self.layers[0](x)
        if self.of_label is not None:
            a = a + self.of_label(y)
        for layer in self.layers[1:]:
            a = layer(silu(a))
        return self.out(silu(a)).unflatten(1, (self.channels, -1))

    def walk(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """One pass an element: the layers are small, and nothing is worth keeping."""
        for i in self.order:
            yield self(x, y)[:, :, i]
