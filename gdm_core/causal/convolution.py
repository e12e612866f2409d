r"""Causal convolutions along a line (WaveNet: van den Oord et al., 2016).

h_i <- h_i + W glu(A h_i + B h_{i - 2^l} + b)     layer l doubles how far back one sees
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import glu, pad, silu

from gdm_core.causal.inputs import Inputs
from gdm_core.validate import integer


class Convolution(nn.Module):
    """(B, d) -> (B, channels, d): element i sees the 2^layers elements before it.

    Args:
        event_shape: (d,).
        channels: raw numbers an element.
        width: features.
        layers: how many, with dilation 1, 2, 4, ...
        symbols: K, if the elements are k / (K-1) and k is a name, no quantity; 0 for numbers.
        labels: number of classes y; 0 for none.
    """

    def __init__(
        self, event_shape, channels: int, *, width: int = 32, layers: int = 4, symbols: int = 0, labels: int = 0
    ):
        super().__init__()
        (d,) = event_shape
        self.order = list(range(d))
        self.inputs = Inputs(1, symbols)
        self.enter = nn.Linear(self.inputs.width, integer("width", width))
        self.taps = nn.ModuleList(nn.Linear(2 * width, 2 * width) for _ in range(integer("layers", layers)))
        self.mix = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in self.taps)
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, channels))
        self.of_label = nn.Embedding(labels, width) if labels else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        before = pad(self.inputs(x[..., None]), (0, 0, 1, 0))[:, :-1]  # (B, d, inputs): that of the one before
        h = self._enter(before, y)
        for reach, tap, mix in self._layers():
            back = pad(h, (0, 0, reach, 0))[:, : h.shape[1]]
            h = h + mix(glu(tap(torch.cat([back, h], -1))))
        return self.head(h).movedim(-1, 1)

    def walk(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """Keeps the features of all elements so far."""
        kept = [[] for _ in self.taps]
        nothing = x.new_zeros(len(x), self.enter.out_features)
        for i in self.order:
            before = self.inputs(x[:, i - 1, None]) if i else x.new_zeros(len(x), self.inputs.width)
            h = self._enter(before, y)
            for past, (reach, tap, mix) in zip(kept, self._layers()):
                past.append(h)
                back = past[i - reach] if i >= reach else nothing
                h = h + mix(glu(tap(torch.cat([back, h], -1))))
            yield self.head(h)

    def _enter(self, before: Tensor, y: Tensor | None) -> Tensor:
        h = silu(self.enter(before))
        return h if self.of_label is None else h + self.of_label(y).reshape(len(h), *[1] * (h.ndim - 2), -1)

    def _layers(self):
        return ((2**level, tap, mix) for level, (tap, mix) in enumerate(zip(self.taps, self.mix)))
