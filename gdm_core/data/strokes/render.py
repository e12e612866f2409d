"""Ink: a polyline drawn with a round, soft pen, and the frame of MNIST around it."""

import math

import torch
from torch import Tensor

SIDE = 28  # pixels of the picture
BOX = 20.0  # pixels of the longer side of the ink, at half darkness (LeCun et al., 1998)
CENTER = 14.0  # pixel index of the center of mass
SOFT = 1.2  # pixels over which the edge of a line fades from black to white


def frame(way: Tensor, thickness: Tensor, size: Tensor, down: Tensor) -> Tensor:
    """Scale and shift the pen's way as MNIST does: ink in a 20 x 20 box, its center of mass in the middle.

    The mass is that of the line: where it crosses itself the picture's own center is off, by 0.25 pixels (rms).

    Args:
        way: `(N, P, 2)` in any unit.
        thickness: `(N,)` full width of the pen in pixels.
        size: `(N,)` 1 for the box of 20 pixels.
        down: `(N, P - 1)` which pieces leave ink.
    """
    low, high = way.amin(1), way.amax(1)  # (N, 2)
    room = (BOX * size - thickness).clamp_min(1.0)
    way = (way - low[:, None]) * (room / (high - low).amax(1))[:, None, None]
    step = way.diff(dim=1)
    ink = step.norm(dim=2) * down  # (N, P - 1)
    mass = ((way[:, :-1] + step / 2) * ink[..., None]).sum(1) / ink.sum(1, keepdim=True)
    return way - mass[:, None] + CENTER


def ink(way: Tensor, thickness: Tensor, down: Tensor) -> Tensor:
    """Pictures `(N, 1, 28, 28)` in [0, 1] of polylines `(N, P, 2)` in pixel indices (x, y).

    A pixel at distance d from the nearest piece gets `smoothstep((thickness / 2 - d) / SOFT + 1 / 2)`.  That is 0
    beyond d = (thickness + SOFT) / 2, so each piece touches only a small window of pixels: exact, 8 times less work.
    """
    n = len(way)
    start = way[:, :-1]
    step = way.diff(dim=1) * down[..., None]  # a lifted pen leaves a dot where it already was
    center = start + step / 2
    reach = (thickness + SOFT).amax() / 2 + step.norm(dim=2).amax() / 2
    W = min(SIDE, 2 * math.ceil(float(reach) - 0.5) + 2)
    corner = (center - (W - 1) / 2).round().clamp(0, SIDE - W)  # (n, S, 2)
    grid = torch.arange(W, device=way.device)
    dx, dy = step.unbind(2)
    length2 = (dx * dx + dy * dy).clamp_min(1e-12)
    x = corner[..., :1] + grid - start[..., :1]  # (n, S, W), from the start of the piece
    y = corner[..., 1:] + grid - start[..., 1:]
    t = ((x * (dx / length2)[..., None])[:, :, None, :] + (y * (dy / length2)[..., None])[..., None]).clamp_(0, 1)
    d2 = (x[:, :, None, :] - t * dx[..., None, None]).square_()
    d2 += (y[..., None] - t.mul_(dy[..., None, None])).square_()  # (n, S, W, W)
    at = corner.long()
    at = at[..., 1] * SIDE + at[..., 0] + SIDE * SIDE * torch.arange(n, device=way.device)[:, None]
    at = at[..., None, None] + (SIDE * grid[:, None] + grid)
    nearest = d2.new_full((n * SIDE * SIDE,), 1e4)
    nearest.scatter_reduce_(0, at.flatten(), d2.flatten(), "amin")
    d = nearest.view(n, -1).sqrt_()
    edge = ((thickness[:, None] / 2 - d) / SOFT + 0.5).clamp_(0, 1)
    return (edge * edge * (3 - 2 * edge)).view(n, 1, SIDE, SIDE)
