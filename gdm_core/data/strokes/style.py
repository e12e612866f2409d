"""From pen paths to one person's hand: the factors of style, each with a known effect.

    points -> + jitter -> spline -> curl -> width -> rotation -> slant -> frame (thickness, size)

`render.frame` then scales the result to MNIST's box, so slant, width and rotation change the shape, not the extent.
"""

import torch
from torch import Tensor

from gdm_core.data.strokes import chance
from gdm_core.data.strokes.paths import LIFTS, Pens

FACTORS = {  # name: (low, high, default)
    "slant": (-0.4, 0.7, 0.1),  # dx/dy: tangent of the angle by which verticals lean to the right
    "thickness": (1.1, 3.6, 2.2),  # pixels, full width of the line where it is darker than half
    "width": (0.6, 1.6, 1.0),  # factor on the natural ratio of width to height
    "size": (0.85, 1.05, 1.0),  # 1: the longer side of the ink is MNIST's 20 pixels
    "curl": (-0.6, 0.6, 0.0),  # radians by which both ends of a stroke roll in further than its path says
    "rotation": (-0.3, 0.3, 0.0),  # radians, counterclockwise
    "jitter": (0.0, 0.08, 0.03),  # standard deviation of the noise on control points, in digit heights
}
_POINTS, _STROKES, _BENDS = 0, 100, 200  # numbers of the random draws of a picture
_MIDDLE = (0.3, 0.5)  # where the plane's bending leaves the digit in place


def pen_way(pen: Pens, path: Tensor, noise: Tensor, slant, width, curl, rotation, jitter) -> Tensor:
    """Dense polylines `(N, P, 2)`, in digit heights, of the paths number `path` `(N,)`.

    Args:
        pen: `paths.pens(device)`.
        path: `(N,)` indices into its first axis.
        noise: `(N,)` int64 keys; jitter's draws depend on nothing else.
        slant, width, curl, rotation, jitter: `(N,)` each, in the units of `FACTORS`.
    """
    points = pen.points[path] + jitter[:, None, None] * _unsteadiness(pen, path, noise)
    way = torch.bmm(pen.spline[path], points)  # (N, P, 2)
    way = _roll(way, curl[:, None] * pen.roll[path], pen.middle[path])
    x, y = way.unbind(2)
    x, cos, sin = x * width[:, None], rotation.cos()[:, None], rotation.sin()[:, None]
    x, y = cos * x + sin * y, cos * y - sin * x  # y points down
    return torch.stack([x - slant[:, None] * y, y], 2)


def _unsteadiness(pen: Pens, path: Tensor, noise: Tensor) -> Tensor:
    """`(N, C, 2)` in standard deviations: points along the stroke, each later stroke as a whole, the plane bent."""
    n, C = len(path), pen.points.shape[1]
    alone = chance.normal(noise, _POINTS, 2 * (C + 2)).view(n, C + 2, 2)
    along = (alone[:, :-2] + 2**0.5 * alone[:, 1:-1] + alone[:, 2:]) / 2  # variance 1, neighbors drift together
    shift = chance.normal(noise, _STROKES, 2 * LIFTS).view(n, LIFTS, 2)
    shift = torch.cat([shift.new_zeros(n, 1, 2), shift], 1)  # the first stroke stays: the frame is its own
    shift = shift.gather(1, pen.stroke[path][..., None].expand(-1, -1, 2))
    x, y = (pen.points[path] - pen.points.new_tensor(_MIDDLE)).unbind(2)
    quadratic = 4 * torch.stack([x * x, x * y, y * y], 2)  # (N, C, 3), 1 at the upper and lower edge
    bent = quadratic @ chance.normal(noise, _BENDS, 6).view(n, 3, 2)
    return along + shift / 2 + bent


def _roll(way: Tensor, angle: Tensor, middle: Tensor) -> Tensor:
    """Turn each piece of the way by its `angle` `(N, P - 1)` and put the pieces together again, middles in place."""
    dx, dy = way.diff(dim=1).unbind(2)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * dx - sin * dy, sin * dx + cos * dy], 2)
    rolled = torch.cat([way.new_zeros(len(way), 1, 2), turned.cumsum(1)], 1)
    at = middle[..., None].expand(-1, -1, 2)
    return rolled + way.gather(1, at) - rolled.gather(1, at)
