"""The six factors of a scene: places on a grid of 480,000, the real values there, and the checks of both."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gdm_core.data.scenes.solids import SOLIDS
from gdm_core.validate import bad, choice

FACTORS = {"floor_hue": 10, "wall_hue": 10, "object_hue": 10, "scale": 8, "shape": 4, "orientation": 15}
SHAPES = tuple(SOLIDS)
COUNT = math.prod(FACTORS.values())

SCALES, ANGLES = (0.7, 1.4), (-30.0, 30.0)  # first and last on the grid
HUE = (0, 1)  # 1 itself is 0 again, and is not taken
RANGES = {"floor_hue": HUE, "wall_hue": HUE, "object_hue": HUE}  # of real values
RANGES |= {"scale": (0.5, 1.6), "shape": (0, 3), "orientation": (-45, 45)}
NAMES, SIZES = tuple(FACTORS), tuple(FACTORS.values())
PLACES = tuple(math.prod(SIZES[i + 1 :]) for i in range(len(SIZES)))  # the last factor turns fastest

Factors = Tensor | Mapping[str, Tensor] | Sequence


def factors(index: Tensor | Sequence[int]) -> Tensor:
    """Places on the grid of numbered scenes: `(N,)` in 0..479,999 -> `(N, 6)` long, columns as in `FACTORS`.

    >>> factors([0, 479_999]).tolist()
    [[0, 0, 0, 0, 0, 0], [9, 9, 9, 7, 3, 14]]
    """
    index = tensor("indices", index)
    if index.ndim != 1 or len(index) == 0:
        raise bad("indices of shape (N,) with N >= 1", tuple(index.shape), "torch.tensor([0])")
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise bad("whole-number indices", index.dtype, "index.long()")
    index = index.long()
    if index.min() < 0 or index.max() >= COUNT:
        outside = index[(index < 0) | (index >= COUNT)][0].item()
        raise bad(f"indices from 0 to {COUNT - 1}", outside, f"index % {COUNT}")
    return index[:, None] // index.new_tensor(PLACES) % index.new_tensor(SIZES)


def index(factors: Factors) -> Tensor:
    """Number of each scene, `(N,)` long: the inverse of `factors`.

    >>> index({"floor_hue": 3, "wall_hue": 1, "object_hue": 4, "scale": 1, "shape": 3, "orientation": 9}).tolist()
    [150834]
    """
    table = table_of(factors)
    if table.is_floating_point():
        raise bad("places on the grid, which are whole numbers", table.dtype, "factors.long()")
    return (table * table.new_tensor(PLACES)).sum(1)


def values(factors: Factors) -> Tensor:
    """Real values `(N, 6)`, float32, of places on the grid: hue k / 10, scale 0.7 to 1.4, shape, -30 to 30 degrees.

    Factors that are real values already are checked and come back as they are.
    """
    table = table_of(factors)
    if table.is_floating_point():
        return table.float()
    low = torch.tensor([0, 0, 0, SCALES[0], 0, ANGLES[0]], dtype=torch.float64, device=table.device)
    high = torch.tensor([0.9, 0.9, 0.9, SCALES[1], 3, ANGLES[1]], dtype=torch.float64, device=table.device)
    return (low + (high - low) * table / (table.new_tensor(SIZES) - 1)).float()


def sweep(name: str, scene: Factors) -> Tensor:
    """The scene with one factor at each of its places, all else as it is: `(1, 6)` -> `(cardinality, 6)` long.

    >>> sweep("shape", [[1, 2, 3, 4, 0, 7]])[:, 4].tolist()
    [0, 1, 2, 3]
    """
    choice("factor", name, FACTORS)
    table = table_of(scene)
    if len(table) != 1 or table.is_floating_point():
        raise bad("one scene as places on the grid, (1, 6)", f"{tuple(table.shape)} {table.dtype}", "factors([0])")
    rows = table.repeat(FACTORS[name], 1)
    rows[:, NAMES.index(name)] = torch.arange(FACTORS[name], device=rows.device)
    return rows


def tensor(name: str, value) -> Tensor:
    """Numbers in any form as a tensor."""
    try:
        return torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise bad(f"{name} as numbers, in equally long rows", repr(value), "a torch.Tensor") from None


def table_of(factors: Factors) -> Tensor:
    """Check factors in any of their forms and return them as `(N, 6)`, long or floating."""
    if isinstance(factors, Mapping):
        for name in factors:
            choice("factor", name, FACTORS)
        missing = [name for name in FACTORS if name not in factors]
        if missing:
            raise bad("all six factors", f"none for {', '.join(missing)}", f"{{{missing[0]!r}: 0, …}}")
        columns = [tensor(name, factors[name]) for name in FACTORS]
        if len({c.numel() for c in columns if c.ndim}) > 1 or any(c.ndim > 1 for c in columns):
            raise bad("six factors of one length (N,)", [tuple(c.shape) for c in columns], "one number for each scene")
        table = torch.stack(torch.broadcast_tensors(*(c.reshape(-1) for c in columns)), 1)
    else:
        table = tensor("factors", factors)
    if table.ndim != 2 or table.shape[1] != len(FACTORS) or len(table) == 0:
        hint = "factors[None] for one scene" if table.shape == (len(FACTORS),) else "scenes.factors(index)"
        raise bad("factors of shape (N, 6) with N >= 1", tuple(table.shape), hint)
    if table.is_complex() or table.dtype == torch.bool:
        raise bad("integer or floating factors", table.dtype, "factors.long()")
    if not table.is_floating_point():
        table = table.long()
    for name, column in zip(FACTORS, table.unbind(1)):
        check(name, column)
    return table


def check(name: str, column: Tensor) -> None:
    """One factor lies in its range."""
    if not column.is_floating_point():
        top = FACTORS[name] - 1
        wrong = column[(column < 0) | (column > top)]
        if len(wrong):
            raise bad(f"{name} from 0 to {top} on the grid", wrong[0].item(), "floating factors for real values")
        return
    low, high = RANGES[name]
    good, kind, span = (column >= low) & (column <= high), "a real", f"from {low} to {high}"
    if RANGES[name] is HUE:
        good, span = good & (column < high), "in [0, 1)"
    if name == "shape":
        good, kind = good & (column == column.round()), "a whole"
    if not good.all():
        found = column[~good][0].item()
        raise bad(f"{kind} {name} {span}", found, "factors.long() if these are places on the grid")
