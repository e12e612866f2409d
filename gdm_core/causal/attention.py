r"""A small transformer along the elements (Vaswani et al., 2017; over pixels: Parmar et al., 2018).

Token i holds element i - 1 and the place i, in a picture at first the sum of a row, a column and a color, so that "one
row up" is one direction everywhere; it attends to the tokens before it and to itself:

    a_i = sum_{j <= i} softmax_j(q_i . k_j / sqrt(width / heads)) v_j
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as attend

from gdm_core.causal.inputs import Inputs
from gdm_core.validate import bad, integer


class Block(nn.Module):
    """Attention and a dense layer, `wider` times as wide, each beside what comes in (pre-norm)."""

    def __init__(self, width: int, heads: int, wider: int = 2):
        super().__init__()
        self.heads = heads
        self.norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, wider * width), nn.GELU(), nn.Linear(wider * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, d, width)."""
        q, k, v = self.heads_of(h)
        return self.after(h, attend(q, k, v, is_causal=True))

    def weights(self, h: Tensor) -> Tensor:
        """softmax_j(q_i . k_j / sqrt(width / heads)), 0 where j > i: (B, d, width) -> (B, heads, d, d)."""
        q, k, _ = self.heads_of(h)
        ahead = torch.ones(h.shape[1], h.shape[1], dtype=torch.bool, device=h.device).triu(1)
        return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(ahead, float("-inf")).softmax(-1)

    def heads_of(self, h: Tensor) -> Tensor:
        """q, k and v: (3, B, heads, d, width / heads)."""
        return self.qkv(self.norm(h)).unflatten(-1, (3, self.heads, -1)).movedim((2, 3), (0, 2))

    def after(self, h: Tensor, attended: Tensor) -> Tensor:
        h = h + self.join(attended.transpose(1, 2).flatten(2))
        return h + self.dense(self.dense_norm(h))


class Attention(nn.Module):
    """(B, *event) -> (B, channels, *event), in raster order, the colors of a pixel one after the other.

    Args:
        event_shape: (d,) or (C, H, W).
        channels: raw numbers an element.
        width, heads, layers: of the transformer.
        symbols: K, if elements k / (K-1) are names k, no quantities; 0 for numbers.
        labels: number of classes y; 0 for none.
    """

    def __init__(
        self,
        event_shape,
        channels: int,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        symbols: int = 0,
        labels: int = 0,
    ):
        super().__init__()
        self.event_shape, d = torch.Size(event_shape), torch.Size(event_shape).numel()
        if integer("width", width) % integer("heads", heads):
            raise bad(f"a width that {heads} heads share evenly", width, f"width={heads * (width // heads + 1)}")
        picture = len(event_shape) == 3
        area = self.event_shape[-2:].numel() if picture else d
        self.order = [c * area + place for place in range(area) for c in range(d // area)]
        self.inputs = Inputs(1, symbols)
        self.enter = nn.Linear(self.inputs.width, width)
        self.place = nn.Parameter(_places(*self.event_shape, width) if picture else 0.1 * torch.randn(d, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(integer("layers", layers)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))
        self.of_label = nn.Embedding(labels, width) if labels else None
        self.register_buffer("back", torch.tensor(self.order).argsort(), persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self._tokens(x, y)
        for block in self.blocks:
            h = block(h)
        return self.out(h)[:, self.back].movedim(-1, 1).unflatten(2, self.event_shape)

    @torch.no_grad()
    def weights(self, x: Tensor, element: int, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """How much the output at one element attends to each element of x, by layer and head.

        Args:
            x, y: (B, *event), (B,).
            element: place in `x.flatten(1)`.

        Returns:
            (layers, B, heads, *event), 0 from that element on; and the weight of the first token, which holds no
            element, (layers, B, heads).  Together they sum to 1.
        """
        h, i, out = self._tokens(x, y), int(self.back[element]), []
        for block in self.blocks:
            out.append(block.weights(h)[:, :, i])
            h = block(h)
        told = torch.stack(out)  # (layers, B, heads, d): of the tokens
        line = nn.functional.pad(told[..., 1:], (0, 1))  # token j + 1 holds element j of the order; none the last
        return line[..., self.back].unflatten(-1, self.event_shape), told[..., 0]

    def walk(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """Keeps the keys and values of all tokens so far."""
        line, kept = x.flatten(1), None  # a view: what is written into x shows in it
        for i in range(len(self.order)):
            before = line[:, self.order[i - 1], None] if i else None
            seen = x.new_zeros(len(x), self.inputs.width) if before is None else self.inputs(before)
            h = self._enter(seen[:, None], self.place[i : i + 1], y)  # (B, 1, width)
            if kept is None:
                shape = (2, len(x), self.blocks[0].heads, len(self.order), h.shape[-1] // self.blocks[0].heads)
                kept = [x.new_empty(shape) for _ in self.blocks]
            for block, cache in zip(self.blocks, kept):
                q, *new = block.heads_of(h)
                cache[:, :, :, i : i + 1] = torch.stack(new)
                h = block.after(h, attend(q, cache[0, :, :, : i + 1], cache[1, :, :, : i + 1]))
            yield self.out(h[:, 0])

    def _tokens(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(B, d, width), as they enter the first block."""
        line = x.flatten(1)[:, self.order]
        return self._enter(nn.functional.pad(self.inputs(line[..., None]), (0, 0, 1, 0))[:, :-1], self.place, y)

    def _enter(self, seen: Tensor, place: Tensor, y: Tensor | None) -> Tensor:
        h = self.enter(seen) + place
        return h if self.of_label is None else h + self.of_label(y)[:, None]


def _places(colors: int, rows: int, columns: int, width: int) -> Tensor:
    """In the order of the elements: (rows * columns * colors, width)."""
    row, column = torch.randn(rows, 1, 1, width), torch.randn(1, columns, 1, width)
    return (row + column + torch.randn(1, 1, colors, width)).flatten(0, 2)
