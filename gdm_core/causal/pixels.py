r"""Gated PixelCNN with two stacks and no blind spot (van den Oord et al., 2016, figure 2).

    a = A * v            the vertical stack sees all rows above
    v <- v + glu(a)
    h <- h + W glu(B * h + V a + y)      the horizontal stack sees its own row, to the left

No weight is masked: kernels have no taps ahead, and x itself enters one row down (v) or one pixel to the right (h).
That shift is what mask A does in the first layer; mask B is what all others then have by their shape.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, glu, linear, pad, silu

from gdm_core.causal.inputs import Inputs
from gdm_core.validate import bad, integer


class Layer(nn.Module):
    """One step of both stacks, on (B, width, H, W)."""

    def __init__(self, width: int, kernel: int, dropout: float):
        super().__init__()
        self.kernel, self.taps = kernel, kernel // 2 + 1  # taps: rows of v, or pixels of h, the own one included
        self.above = nn.Conv2d(width, 2 * width, (self.taps, kernel))
        self.left = nn.Conv2d(width, 2 * width, (1, self.taps))
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, v: Tensor, h: Tensor, told: Tensor | float) -> tuple[Tensor, Tensor]:
        a = self.down(pad(v, (0, 0, self.taps - 1, 0)))
        to_h = self.left(pad(h, (self.taps - 1, 0))) + self.across(a) + told
        return v + glu(a, 1), h + self.out(self.drop(glu(to_h, 1)))

    def down(self, v: Tensor) -> Tensor:
        """v with the rows above that the kernel reaches: (B, width, H + taps - 1, W) -> (B, 2 width, H, W)."""
        return self.above(pad(v, (self.kernel // 2, self.kernel // 2)))


class Head(nn.Module):
    """Features of a pixel -> raw numbers of its colors, each of which hears of the colors before it."""

    def __init__(self, width: int, colors: int, channels: int, inputs: Inputs):
        super().__init__()
        self.colors, self.channels, self.inputs = colors, channels, inputs
        self.hidden = nn.Linear(width, colors * width)
        self.out = nn.Parameter(torch.randn(colors, width, channels) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(colors, channels))
        if colors > 1:
            self.of_colors = nn.Linear(inputs.width - 1, colors * width, bias=False)
            from_color = torch.arange(inputs.width - 1) // max(inputs.symbols, 1)
            to_color = torch.arange(colors).repeat_interleave(width)
            self.register_buffer("earlier", (to_color[:, None] > from_color).float(), persistent=False)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """h: (..., width), x: (..., C) -> (..., C, channels)."""
        a = self.hidden(silu(h))
        if self.colors == 1:
            return (silu(a) @ self.out[0] + self.bias[0])[..., None, :]
        weight = self.of_colors.weight * self.earlier.to(h.dtype)
        a = a + linear(self.inputs(x)[..., :-1], weight)
        a = silu(a).unflatten(-1, (self.colors, -1))[..., None, :]  # (..., C, 1, width)
        return (a @ self.out)[..., 0, :] + self.bias


class PixelCNN(nn.Module):
    """(B, C, H, W) -> (B, channels, C, H, W): row by row, pixel by pixel, color by color.

    Args:
        event_shape: (C, H, W).
        channels: raw numbers an element.
        width: features of each stack.
        layers: of both stacks; one more reaches kernel // 2 pixels farther.
        kernel: odd side of the kernels that the two stacks cover together.
        dropout: share of gated features that training leaves out.
        symbols: K, if elements k / (K-1) are names k (codes, say), no gray levels; 0 for numbers.
        labels: number of classes y; 0 for none.
    """

    def __init__(
        self,
        event_shape,
        channels: int,
        *,
        width: int = 32,
        layers: int = 5,
        kernel: int = 3,
        dropout: float = 0.0,
        symbols: int = 0,
        labels: int = 0,
    ):
        super().__init__()
        self.colors, height, self.columns = event_shape
        if integer("kernel", kernel, 3) % 2 == 0:
            raise bad("an odd kernel", kernel, f"kernel={kernel + 1}")
        self.channels, self.width = channels, integer("width", width)
        area = height * self.columns
        self.order = [c * area + place for place in range(area) for c in range(self.colors)]
        self.inputs = Inputs(self.colors, symbols)
        self.enter_v = nn.Linear(self.inputs.width, width)
        self.enter_h = nn.Linear(self.inputs.width, width)
        self.place = nn.Parameter(0.01 * torch.randn(height, self.columns, width))
        self.layers = nn.ModuleList(Layer(width, kernel, dropout) for _ in range(integer("layers", layers)))
        self.head = Head(width, self.colors, channels, self.inputs)
        self.of_label = nn.Embedding(labels, layers * 2 * width) if labels else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        pixels = x.movedim(1, -1)  # (B, H, W, C)
        seen = self.inputs(pixels)
        v = self.enter_v(pad(seen, (0, 0, 0, 0, 1, 0))[:, :-1]).movedim(-1, 1)
        h = (self.enter_h(pad(seen, (0, 0, 1, 0))[:, :, :-1]) + self.place).movedim(-1, 1)
        for layer, told in zip(self.layers, self._told(y)):
            v, h = layer(v, h, told if y is None else told[:, :, None, None])
        return self.head(h.movedim(1, -1), pixels).movedim((-2, -1), (2, 1))

    @torch.no_grad()
    def walk(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """Keeps, of each layer, the rows of v above and the pixels of h to the left that its kernels still reach."""
        pixels, n, columns, width = x.movedim(1, -1), len(x), self.columns, self.width
        told, taps = list(self._told(y)), self.layers[0].taps
        rows = [x.new_zeros(n, width, taps, columns) for _ in self.layers]
        lines = [x.new_zeros(n, columns + taps - 1, width) for _ in range(len(self.layers) + 1)]  # padded on the left
        # Views and matrices that all pixels share: one pixel is three products a layer, and little else
        reach = [[line[:, c : c + taps].flatten(1) for line in lines[:-1]] for c in range(columns)]  # (B, taps * width)
        own = [[line[:, c + taps - 1] for line in lines] for c in range(columns)]  # (B, width)
        matrices = [
            (layer.left.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1), layer.out.weight[:, :, 0, 0].T)
            for layer in self.layers
        ]
        outside, to_h = x.new_zeros(n, self.inputs.width), self.enter_h.weight.T
        of_place = [row.unbind() for row in self.place + self.enter_h.bias]
        for r in range(pixels.shape[1]):
            above = self.inputs(pixels[:, r - 1]) if r else outside[:, None].expand(-1, columns, -1)
            v = self.enter_v(above).movedim(-1, 1)  # (B, width, W)
            contexts = []  # what h is told from above: W times (B, 2 width) of each layer
            for layer, kept, label in zip(self.layers, rows, told):
                kept[:, :, :-1] = kept[:, :, 1:].clone()
                kept[:, :, -1] = v
                a = layer.down(kept)
                context = conv2d(a, layer.across.weight, layer.left.bias)[:, :, 0]
                contexts.append((context if y is None else context + label[:, :, None]).permute(2, 0, 1).unbind())
                v = v + glu(a, 1)[:, :, 0]
            for c, context in enumerate(zip(*contexts)):
                before = self.inputs(pixels[:, r, c - 1]) if c else outside
                h = torch.addmm(of_place[r][c], before, to_h, out=own[c][0])
                for told_above, seen, after, (to_left, to_out) in zip(context, reach[c], own[c][1:], matrices):
                    gated = glu(torch.addmm(told_above, seen, to_left), 1)
                    h = torch.addmm(h, gated, to_out, out=after)
                for color in range(self.colors):
                    yield self.head(h, pixels[:, r, c])[:, color]

    def _told(self, y: Tensor | None):
        """What each layer is told of the label, (B, 2 width)."""
        if self.of_label is None:
            return [0.0] * len(self.layers)
        return self.of_label(y).chunk(len(self.layers), 1)
