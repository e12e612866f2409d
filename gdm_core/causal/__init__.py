"""Networks whose output at one element sees only the elements before it.

Each maps `x: (B, *event)` [and labels `y: (B,)`] to raw numbers `(B, channels, *event)`.  `order` lists the elements
(as places in `x.flatten(1)`) from the first to the last.  `walk(x, y)` goes through them one by one: it yields the raw
numbers `(B, channels)` of the next element and reads, in place, what its caller has meanwhile written into x.  What was
computed for earlier elements is kept, not computed again.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gdm_core.causal.attention import Attention
from gdm_core.causal.chain import Chain
from gdm_core.causal.convolution import Convolution
from gdm_core.causal.pixels import PixelCNN


def naive_walk(network: nn.Module, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
    """The same as `network.walk(x, y)`, by the whole network for every element."""
    for i in network.order:
        yield network(x, y).flatten(2)[:, :, i]


def sees(network: nn.Module, event_shape, element: int, y: int | None = None, n: int = 16) -> Tensor:
    """How strongly one element of the output hears each element of x: mean |gradient| at n random x, `event_shape`.

    Exactly zero where no path leads.  For networks of numbers: symbols have no gradient.
    """
    like = next(network.parameters())
    x = torch.rand(n, *event_shape, dtype=like.dtype, device=like.device, requires_grad=True)
    y = None if y is None else torch.full((n,), y, device=like.device)
    raw = network(x, y).flatten(2)[:, :, element].sum(0)
    return sum(torch.autograd.grad(r, x, retain_graph=True)[0].abs().mean(0) for r in raw)


__all__ = ["Attention", "Chain", "Convolution", "PixelCNN", "naive_walk", "sees"]
