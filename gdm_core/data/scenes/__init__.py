"""Rendered rooms, 64 x 64 x 3: pictures that six known numbers describe completely.

A cube, cylinder, sphere or capsule stands in the corner of a room.  Factors, their order and their cardinalities are
those of 3D Shapes (Burgess & Kim, 2018), so that an index means the same combination here and there; the pictures are
our own.  All 480,000 are made when they are asked for.

A scene is given by six whole numbers, its place on the grid, or by six real ones: three hues in [0, 1), scale, shape
(0 to 3) and orientation in degrees, positive when the camera has gone to the right.  Integer tensors are read as
places, floating ones as values, so sliders and data set use one `render`.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gdm_core.data.dataset import Dataset
from gdm_core.data.scenes import captions, palette, room, words
from gdm_core.data.scenes.grid import COUNT, FACTORS, SCALES, SHAPES, Factors, factors, index, sweep, values
from gdm_core.data.scenes.reading import read
from gdm_core.data.scenes.room import PARTS
from gdm_core.validate import choice, integer
from gdm_core.validate import device as existing

SPLITS = {"train": 400_000, "validation": 40_000, "test": 40_000}
COLORS = palette.WORDS


def render(factors: Factors, size: int = 64, device="cpu") -> Tensor:
    """Draw scenes.

    Args:
        factors: `(N, 6)`, whole numbers for places on the grid, floating for real values; or the same by name, such as
            `dataset.factors` or `{"floor_hue": 0.3, …}`.
        size: pixels on a side.
        device: where they are drawn.

    Returns:
        `(N, 3, size, size)`, float32 in [0, 1].

    Raises:
        ValueError: another shape, no scenes, unknown or missing names, values out of range, a device that is not here.

    >>> scene = {"floor_hue": 0.55, "wall_hue": 0.2, "object_hue": 0.0, "scale": 1.1, "shape": 2, "orientation": -12.5}
    >>> render(scene, size=128).shape
    torch.Size([1, 3, 128, 128])
    """
    integer("size", size, 8, 1024)
    return _draw(values(factors), size, existing(device))


def parts(factors: Factors, size: int = 64, device="cpu") -> Tensor:
    """How much of each pixel shows floor, wall, object and skirting board (`PARTS`): the truth for segmentation.

    Arguments and errors are those of `render`.

    Returns:
        `(N, 4, size, size)`, float32, multiples of 1/16 that sum to 1 over the parts.
    """
    integer("size", size, 8, 1024)
    table, device = values(factors).cpu(), existing(device)
    out = torch.empty(len(table), len(PARTS), size, size, dtype=torch.float32, device=device)
    for geometry, rows in _by_geometry(table):
        out[rows.to(device)] = room.coverage(*geometry, size, device)
    return out


def caption(factors: Factors) -> list[str]:
    """A sentence for each scene; real values are put into the nearest words.

    >>> caption([[7, 2, 0, 5, 3, 10]])
    ['A large red capsule on a blue floor between yellow walls, seen from the right (13 degrees).']
    """
    table = values(factors).double()
    hues = (table[:, :3] * len(COLORS)).round().long() % len(COLORS)
    steps = FACTORS["scale"] - 1
    sizes = ((table[:, 3] - SCALES[0]) / (SCALES[1] - SCALES[0]) * steps).round().long().clamp(0, steps)
    rows = zip(hues.tolist(), sizes.tolist(), table[:, 4].long().tolist(), table[:, 5].tolist())
    return [words.sentence(*hue, size, SHAPES[shape], degrees) for hue, size, shape, degrees in rows]


def load(split: str = "train", n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """Scenes drawn without replacement from one split, rounded to 256 levels.

    The 480,000 are divided once and for all, in an order that has nothing to do with their factors, into 400,000 for
    training, 40,000 for validation and 40,000 for tests.  Labels are shapes; `factors` are places on the grid, by name.

    Args:
        split: "train", "validation" or "test".
        n: how many, None for 10,000 (which take 470 MiB).
        seed: which; fewer scenes with the same seed are the first of more.
        device: where they are drawn and stay.

    Raises:
        ValueError: unknown split, more scenes than it holds, a negative seed, a device that is not here.
    """
    device = existing(device)
    table = factors(chosen(split, n, seed))
    x = _draw(values(table), 64, device, levels=256)
    known = {name: column.contiguous() for name, column in zip(FACTORS, table.to(device).unbind(1))}
    return Dataset("scenes", x, labels=known["shape"], factors=known, levels=256)


def chosen(split: str = "train", n: int | None = None, seed: int = 0) -> Tensor:
    """Numbers of the scenes that `load` draws: (n,), which `factors` reads.

    Raises:
        ValueError: unknown split, more scenes than it holds, a negative seed.
    """
    choice("split", split, SPLITS)
    n = integer("n", 10_000 if n is None else n, 1, SPLITS[split])
    generator = torch.Generator().manual_seed(integer("seed", seed, 0))
    members = _order()[split]
    return members[torch.randperm(len(members), generator=generator)[:n]]


# 64-pixel light takes 128 KiB: all 480 geometries of the grid fit in 60 MiB, and colors come almost for nothing
_kept = lru_cache(maxsize=512)(room.light)
_recent = lru_cache(maxsize=4)(room.light)


def _draw(table: Tensor, size: int, device, levels: int | None = None) -> Tensor:
    """Pictures of real values, all of one geometry together; rounded to k / (levels - 1) if need be."""
    table = table.cpu()
    floor, wall, thing = palette.rgb(table[:, :3]).square().unbind(1)  # a screen shows the square of what it is sent
    colors = room.mixed(floor, wall, thing).to(device)  # (N, 3, 8)
    out = torch.empty(len(table), 3, size, size, dtype=torch.float32, device=device)
    find = _kept if size <= 64 else _recent
    for geometry, rows in _by_geometry(table):
        light = find(*geometry, size, device).view(1, room.TERMS, -1)
        for some in rows.to(device).split(max(1, 2**18 // size**2)):  # a chunk stays in the processor's cache
            picture = torch.bmm(colors[some], light.expand(len(some), -1, -1)).clamp_(0, 1).sqrt_()
            if levels:
                picture.mul_(levels - 1).round_().div_(levels - 1)
            out[some] = picture.view(-1, 3, size, size)
    return out


def _by_geometry(table: Tensor):
    """Yield (shape, scale, degrees) and the rows that share them; rounded, so that equal geometries are found again."""
    keys, inverse, counts = table[:, 3:].unique(dim=0, return_inverse=True, return_counts=True)
    rows = inverse.argsort(stable=True).split(counts.tolist())
    for (scale, shape, degrees), chosen in zip(keys.tolist(), rows):
        yield (SHAPES[int(shape)], round(scale, 5), round(degrees, 4)), chosen


def _splitmix64(n: np.ndarray) -> np.ndarray:
    """The n-th output of splitmix64 started at 0 (Steele, Lea & Flood, 2014): 64 bits that tell nothing of n."""
    z = n.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@lru_cache(maxsize=1)
def _order() -> dict[str, Tensor]:
    """Indices of each split: all of them, sorted by their hash, and cut."""
    order = torch.from_numpy(np.argsort(_splitmix64(np.arange(1, COUNT + 1))))
    return dict(zip(SPLITS, order.split(list(SPLITS.values()))))


__all__ = [
    "COLORS",
    "COUNT",
    "FACTORS",
    "PARTS",
    "SHAPES",
    "SPLITS",
    "caption",
    "captions",
    "chosen",
    "factors",
    "index",
    "load",
    "parts",
]
__all__ += ["read", "render", "sweep", "values"]
