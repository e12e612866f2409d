r"""A diffusion transformer (Peebles & Xie, 2023): a picture as a set of patches, told time and class by adaLN-zero.

    h + gate attention(norm(h) (1 + scale) + shift),   then the same with two layers in place of attention

Scale, shift and gate are linear in time and class, and begin at 0: before training a block passes on what it gets, and
the network answers 0.  Attention sees no order: where a patch lies is added to it as waves (Vaswani et al., 2017).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from gdm_core.networks import TimeAndLabel, mlp
from gdm_core.validate import bad, integer


class DiT(nn.Module):
    """network(x, t, y) -> like x, a denoiser of pictures.

    Args:
        event_shape: (C, H, W).
        patch: side of a patch, which divides H and W.
        width: numbers a patch, divisible by 4 and by `heads`.
        depth: blocks.
        heads: of attention.
        labels: number of classes y, 0 for none; or a network that reads y, as `TimeAndLabel` takes it.

    Raises:
        ValueError: a picture that patches do not tile, a width that heads or waves do not divide.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        patch: int = 2,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        labels: int | nn.Module = 0,
    ):
        super().__init__()
        channels, *sides = event_shape
        if len(sides) != 2 or any(side % integer("patch", patch) for side in sides):
            raise bad(f"pictures (C, H, W) whose sides {patch} divides", tuple(event_shape), "another patch")
        if width % 4 or width % integer("heads", heads):
            raise bad(
                f"a width that 4 and {heads} heads divide", width, f"width={4 * heads * max(width // (4 * heads), 1)}"
            )
        self.patch, pixels = patch, channels * patch**2
        self.told = TimeAndLabel(width, labels)
        self.first = nn.Linear(pixels, width)
        self.register_buffer("places", places(sides[0] // patch, sides[1] // patch, width))  # (tokens, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(integer("depth", depth)))
        self.norm, self.modulation = _norm(width), _zero(nn.Linear(width, 2 * width))
        self.last = _zero(nn.Linear(width, pixels))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W), t: (B,), y: (B,) integers, `labels` for none, or None -> (B, C, H, W)."""
        c = self.told(t, y)
        h = self.first(patches(x, self.patch)) + self.places  # (B, tokens, width)
        for block in self.blocks:
            h = block(h, c)
        scale, shift = self.modulation(silu(c))[:, None].chunk(2, 2)
        return picture(self.last(self.norm(h) * (1 + scale) + shift), x.shape, self.patch)


class Block(nn.Module):
    """Patches look at each other, then each at itself: (B, tokens, width) and (B, width) -> (B, tokens, width)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.modulation = _zero(nn.Linear(width, 6 * width))
        self.norm, self.qkv, self.out = _norm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_alone, self.alone = _norm(width), mlp(width, (4 * width,), width, nn.GELU)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift, gate, scale_alone, shift_alone, gate_alone = self.modulation(silu(c))[:, None].chunk(6, 2)
        h = h + gate * self.attention(self.norm(h) * (1 + scale) + shift)
        return h + gate_alone * self.alone(self.norm_alone(h) * (1 + scale_alone) + shift_alone)

    def attention(self, h: Tensor) -> Tensor:
        """(B, tokens, width) -> the same."""
        q, k, v = (a.unflatten(2, (self.heads, -1)).transpose(1, 2) for a in self.qkv(h).chunk(3, 2))
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def patches(x: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> (B, H/side W/side, C side^2), row by row."""
    tiles = x.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # (B, C, rows, side, columns, side)
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def picture(h: Tensor, shape: Sequence[int], side: int) -> Tensor:
    """`patches` back: (B, tokens, C side^2) -> shape, (B, C, H, W)."""
    tiles = h.reshape(len(h), shape[2] // side, shape[3] // side, shape[1], side, side)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(shape)


def places(rows: int, columns: int, width: int) -> Tensor:
    """Waves of row and column, half of the width each: (rows columns, width)."""
    rates = 100.0 ** -(torch.arange(width // 4) / (width // 4))  # from a radian a patch to little more than none
    row, column = (torch.arange(n)[:, None] * rates for n in (rows, columns))
    waves = lambda angle: torch.cat([angle.cos(), angle.sin()], 1)
    grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([waves(row)[grid[0].flatten()], waves(column)[grid[1].flatten()]], 1)


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, elementwise_affine=False)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
