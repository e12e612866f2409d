r"""What a picture of a room shows: analysis by synthesis over all 480,000 scenes (Yuille & Kersten, 2006).

In the light that a screen sends, x^2, a scene of geometry g and colors c is linear: c . L_g (`room`).  With the rows of
Q_g an orthonormal basis of L_g, the distance of a picture p splits into a part that no colors can mend and the rest:

    |p - c . L_g|^2  =  |p|^2 - |Q_g p|^2  +  |Q_g p - Q_g L_g^T c|^2

The first part is found for the 480 geometries at once, and from the least of them on the 1,000 colors are tried until
it is larger than the whole distance of the best scene so far: the answer is that of trying all 480,000.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from gdm_core.data.scenes import palette, room
from gdm_core.data.scenes.grid import FACTORS, SHAPES, values
from gdm_core.validate import batch

SIDE = 16  # pixels on a side at which pictures are compared: enough to tell neighbors, and noise averages out
FIRST = 8  # geometries tried before the question whether more are needed
CHUNK = 128  # pictures at a time


class Reading(NamedTuple):
    """Places on the grid (N, 6), long, and how far each picture is from that scene, (N,).

    The distance is root mean square over 16 x 16 x 3 numbers in linear light, [0, 1]: at most .01 for a scene of the
    grid, and about .06 for one under noise of standard deviation .2.
    """

    factors: Tensor
    distance: Tensor


class _Table(NamedTuple):
    basis: Tensor  # (480, 8, SIDE^2): Q_g
    mixed: Tensor  # (480, 8, 8): Q_g L_g^T
    square: Tensor  # (480, 1000): |c . L_g|^2
    colors: Tensor  # (24, 1000)


@torch.no_grad()
def read(x: Tensor) -> Reading:
    """The scene of the grid that is nearest to each picture.

    Args:
        x: (N, 3, S, S) in [0, 1], as `render` draws them, S a multiple of 16.  What lies outside is cut off.

    Raises:
        ValueError: another shape, NaN.

    >>> from gdm_core.data import scenes
    >>> scenes.read(scenes.render([[7, 2, 0, 5, 3, 10]])).factors.tolist()
    [[7, 2, 0, 5, 3, 10]]
    """
    side = x.shape[-1] if isinstance(x, Tensor) and x.ndim and x.shape[-1] and x.shape[-1] % SIDE == 0 else 64
    batch(x, (3, side, side), name="pictures")
    found = [_nearest(some.float().clamp(0, 1), _table(x.device)) for some in x.split(CHUNK)]
    scene, square = (torch.cat(column) for column in zip(*found))
    geometry, color = scene // 1000, scene % 1000
    places = [color // 100, color // 10 % 10, color % 10, geometry // 60, geometry // 15 % 4, geometry % 15]
    return Reading(torch.stack(places, 1), (square.clamp(min=0) / (3 * SIDE**2)).sqrt())


def _nearest(x: Tensor, table: _Table) -> tuple[Tensor, Tensor]:
    """Number of the nearest scene, geometry by geometry, and its squared distance: (n,) each."""
    seen = torch.nn.functional.adaptive_avg_pool2d(x.square(), SIDE).flatten(2)  # (n, 3, SIDE^2)
    whole = seen.square().sum((1, 2))
    inside = torch.einsum("ncp,gkp->ngck", seen, table.basis)  # (n, 480, 3, 8)
    least = whole[:, None] - inside.square().sum((2, 3))  # no colors come nearer
    order = least.argsort(1)
    scene, best = _best(inside, order[:, :FIRST], table)
    # Rounding in float32 must not end the search too early.
    unsure = (best + whole > least.gather(1, order[:, FIRST:][:, :1])[:, 0] - 1e-4).nonzero()[:, 0]
    for i in unsure.tolist():
        more = order[i : i + 1, FIRST:][:, least[i, order[i, FIRST:]] <= best[i] + whole[i] + 1e-4]
        if more.shape[1]:
            other, closer = _best(inside[i : i + 1], more, table)
            if closer[0] < best[i]:
                scene[i], best[i] = other[0], closer[0]
    return scene, best + whole


def _best(inside: Tensor, tried: Tensor, table: _Table) -> tuple[Tensor, Tensor]:
    """The nearest scene among all colors of the geometries tried, (n, k), and its distance less |p|^2."""
    rows = torch.arange(len(tried), device=tried.device)[:, None]
    toward = (inside[rows, tried] @ table.mixed[tried]).flatten(2)  # (n, k, 24): light of each kind that is seen
    distance = (table.square[tried] - 2 * toward @ table.colors).flatten(1)
    best, place = distance.min(1)
    return tried.gather(1, place[:, None] // 1000)[:, 0] * 1000 + place % 1000, best


@lru_cache(maxsize=2)
def _table(device: torch.device) -> _Table:
    """Light of the 480 geometries and the 1,000 colors; made in about a second."""
    sizes = list(FACTORS.values())
    geometries = torch.cartesian_prod(*(torch.arange(n) for n in sizes[3:]))  # in the order of `places`
    scenes = values(torch.cat([torch.zeros_like(geometries), geometries], 1))
    drawn = [room.light(SHAPES[int(k)], round(s, 5), round(a, 4), 64, "cpu") for s, k, a in scenes[:, 3:].tolist()]
    light = torch.nn.functional.adaptive_avg_pool2d(torch.stack(drawn), SIDE).flatten(2).double()  # (480, 8, SIDE^2)
    basis = torch.linalg.svd(light, full_matrices=False)[2]
    floor, wall, thing = (
        palette.rgb(torch.cartesian_prod(*(torch.arange(n) for n in sizes[:3])) / 10).square().unbind(1)
    )
    colors = room.mixed(floor, wall, thing).double()  # (1000, 3, 8)
    square = torch.einsum("cik,gkl,cil->gc", colors, light @ light.mT, colors)
    mixed = basis @ light.mT
    return _Table(*(t.float().to(device) for t in (basis, mixed, square, colors.flatten(1).T)))
