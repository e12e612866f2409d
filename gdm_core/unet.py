r"""A small U-Net (Ronneberger et al., 2015), told time and class in each block as in Ho et al. (2020).

Pictures go down a stair of scales, each half as wide and high as the one before, and up again; on each stair the way up
sees what the way down has seen there.  A block adds to what comes in,

    h + conv(silu((1 + scale) norm(conv(silu(norm(h)))) + shift)),        scale and shift: linear in time and class,

and its last convolution begins at 0: before training a block passes on what it gets, and the network answers 0.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from gdm_core.networks import TimeAndLabel
from gdm_core.validate import bad, integer


class UNet(nn.Module):
    """network(x, t, y) -> like x, a denoiser of pictures.

    Args:
        event_shape: (C, H, W), both sides divisible by 2 for each stair.
        widths: channels on each stair, from the whole picture down.
        labels: number of classes y, 0 for none; or a network that reads y, as `TimeAndLabel` takes it.

    Raises:
        ValueError: a picture that cannot be halved so often.
    """

    def __init__(self, event_shape: Sequence[int], *, widths: Sequence[int] = (32, 64), labels: int | nn.Module = 0):
        super().__init__()
        channels, *sides = event_shape
        once = 2 ** (len(widths) - 1)
        if len(sides) != 2 or not widths or any(side % once for side in sides):
            raise bad(f"pictures (C, H, W) whose sides {once} divides", tuple(event_shape), "fewer widths")
        widths = [integer("width", w) for w in widths]
        told = 2 * widths[-1]
        self.told = TimeAndLabel(told, labels)
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Block(a, b, told) for a, b in zip([widths[0], *widths], widths))
        self.middle = Block(widths[-1], widths[-1], told)
        self.up = nn.ModuleList(Block(a + b, a, told) for a, b in zip(widths[-2::-1], widths[:0:-1]))
        self.norm, self.last = _norm(widths[0]), _zero(nn.Conv2d(widths[0], channels, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W), t: (B,), y: (B,) integers, `labels` for none, or None -> (B, C, H, W)."""
        c, h, seen = self.told(t, y), self.first(x), []
        for stair, block in enumerate(self.down):
            h = block(avg_pool2d(h, 2) if stair else h, c)
            seen.append(h)
        h = self.middle(h, c)
        for block, there in zip(self.up, seen[-2::-1]):
            h = block(torch.cat([there, interpolate(h, scale_factor=2)], 1), c)
        return self.last(silu(self.norm(h)))


class Block(nn.Module):
    """Two convolutions beside a path that leaves all as it was: (B, a, H, W) and (B, told) -> (B, b, H, W)."""

    def __init__(self, a: int, b: int, told: int):
        super().__init__()
        self.norm, self.conv = _norm(a), nn.Conv2d(a, b, 3, padding=1)
        self.modulation = nn.Linear(told, 2 * b)
        self.norm_told, self.conv_told = _norm(b), _zero(nn.Conv2d(b, b, 3, padding=1))
        self.path = nn.Identity() if a == b else nn.Conv2d(a, b, 1)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.modulation(silu(c))[:, :, None, None].chunk(2, 1)
        inner = self.norm_told(self.conv(silu(self.norm(h))))
        return self.path(h) + self.conv_told(silu((1 + scale) * inner + shift))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
