"""Sliced Wasserstein distance: root of the mean of W_2(a.x, a.y)^2 over directions a (Bonneel et al., 2015, eq. 10)."""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from gdm_core.two_sample.statistics import pool
from gdm_core.validate import bad, integer


@torch.no_grad()
def sliced(x: Tensor, y: Tensor, directions: int | Tensor = 64) -> Tensor:
    """Sliced Wasserstein-2 distance of two samples of one size N, in the units of x: ().

    Along a line the best transport joins the k-th smallest of x to the k-th smallest of y.

    Args:
        x, y: (N, d), or (N, *event).
        directions: (P, d) unit vectors, or how many of `spread_directions`: the same ones at each call.

    Raises:
        ValueError: samples that `two_sample.statistics.pool` refuses, or not as many in both.
    """
    if len(x) != len(y):
        raise bad("as many examples of x as of y", f"{len(x)} and {len(y)}", "x[:n], y[:n]")
    z, n = pool(x, y), len(x)
    if not isinstance(directions, Tensor):
        directions = spread_directions(z.shape[1], directions)
    lines = directions.to(z) @ z.T  # (P, 2 N)
    return (ascending(lines[:, :n]) - ascending(lines[:, n:])).square().mean().sqrt()


@functools.cache
def spread_directions(d: int, count: int) -> Tensor:
    """(count, d) unit vectors, float64: evenly over half a turn of the plane, else random ones, always the same."""
    if integer("d", d) == 2:
        turn = math.pi * torch.arange(integer("directions", count), dtype=torch.float64) / count
        return torch.stack([turn.cos(), turn.sin()], 1)
    draws = torch.randn(
        integer("directions", count), d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    return draws / draws.norm(dim=1, keepdim=True)


def ascending(x: Tensor) -> Tensor:
    """Sorted along the last axis; NumPy's sort of float32 is many times faster than torch's on a CPU."""
    return x.sort(-1).values if x.is_cuda else torch.from_numpy(np.sort(x.detach().cpu().numpy(), -1)).to(x.device)
