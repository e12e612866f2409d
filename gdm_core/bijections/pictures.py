r"""Pictures (Dinh et al., 2017, sections 3.6-3.7): squeeze, stop half of the channels, go on with the rest.

    h_0 = x,    (z_{i+1}, h_{i+1}) = f_{i+1}(h_i),    z = (z_1, ..., z_L)            eq. 13-16

And from gray levels in (0, 1) to the line:  z = logit(a + (1 - 2a) x).
"""

import math
from collections.abc import Sequence

import torch
from torch import Size, nn
from torch.nn.functional import logsigmoid, pixel_shuffle, pixel_unshuffle

from gdm_core.bijections.bijection import Bijection
from gdm_core.validate import bad


class Squeeze(Bijection):
    """Four neighbors become four channels: (B, C, H, W) -> (B, 4C, H/2, W/2)."""

    def to_latent(self, x, c=None):
        if x.ndim != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise bad("pictures (B, C, H, W) with even sides", tuple(x.shape), "fewer scales, or a border of zeros")
        return pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def to_data(self, z, c=None):
        return pixel_shuffle(z, 2)


class Logit(Bijection):
    """z = logit(edge + (1 - 2 edge) x), for x in (0, 1): a gray level becomes a number on the line.

    Densities see only the z between logit(edge) and logit(1 - edge); in samples what lies beyond becomes 0 or 1.
    """

    def __init__(self, edge: float = 0.05):
        super().__init__()
        if not 0 < edge < 0.5:
            raise bad("edge between 0 and 0.5", edge, "edge=0.05")
        self.edge = edge

    def to_latent(self, x, c=None):
        if len(x) and (x.min() < 0 or x.max() > 1):
            raise bad("gray levels in [0, 1]", f"{x.min():.3g} to {x.max():.3g}", "dividing by the largest level")
        inside = self.edge + (1 - 2 * self.edge) * x
        z = inside.logit()
        log_slope = math.log(1 - 2 * self.edge) - logsigmoid(z) - logsigmoid(-z)
        return z, log_slope.flatten(1).sum(1)

    def to_data(self, z, c=None):
        return ((z.sigmoid() - self.edge) / (1 - 2 * self.edge)).clamp(0, 1)


class MultiScale(Bijection):
    """Squeeze and flow at each scale; half of the channels stop there, except at the last.  z is flat, (B, C H W).

    Args:
        event_shape: (C, H, W).
        scales: for each scale a bijection of what the squeeze left; `shapes` tells of which size.

    Raises:
        ValueError: sides that cannot be halved so often.
    """

    def __init__(self, event_shape: Sequence[int], scales: Sequence[Bijection]):
        super().__init__()
        self.shapes = shapes(event_shape, len(scales))
        self.latent_shape = Size([math.prod(event_shape)])
        self.squeeze, self.scales = Squeeze(), nn.ModuleList(scales)

    def to_latent(self, x, c=None):
        done, total = [], x.new_zeros(len(x))
        for i, scale in enumerate(self.scales):
            x, log_det = scale.to_latent(self.squeeze.to_latent(x)[0], c)
            total = total + log_det
            if i < len(self.scales) - 1:
                stopped, x = x.chunk(2, 1)
                done.append(stopped.flatten(1))
        return torch.cat([*done, x.flatten(1)], 1), total

    def to_data(self, z, c=None):
        sizes = [math.prod(shape) // 2 for shape in self.shapes[:-1]] + [math.prod(self.shapes[-1])]
        *done, x = z.split(sizes, 1)
        x = x.unflatten(1, self.shapes[-1])
        for i, scale in reversed(list(enumerate(self.scales))):
            if i < len(self.scales) - 1:
                channels, *sides = self.shapes[i]
                x = torch.cat([done[i].unflatten(1, (channels // 2, *sides)), x], 1)
            x = self.squeeze.to_data(scale.to_data(x, c))
        return x


def shapes(event_shape: Sequence[int], scales: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of what the flow at each scale works on.

    >>> shapes((1, 8, 8), 2)
    [(4, 4, 4), (8, 2, 2)]
    """
    event = tuple(event_shape)
    if len(event) != 3 or any(side % 2**scales for side in event[1:]):
        raise bad(f"pictures (C, H, W) whose sides can be halved {scales} times", event, "fewer scales")
    channels, high, wide = event
    out = []
    for i in range(scales):
        channels, high, wide = 4 * channels // (2 if i else 1), high // 2, wide // 2
        out.append((channels, high, wide))
    return out


class ChannelNet(nn.Sequential):
    """Glow's network in a coupling: 3x3, 1x1, 3x3 convolutions, the last one small: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, features: int, out: int, width: int = 32):
        super().__init__(
            nn.Conv2d(features, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, out, 3, padding=1),
        )
        with torch.no_grad():
            for p in self[-1].parameters():
                p.mul_(0.01)
