"""Rooms with four free factors, each uniform and independent; a purple sphere stands in all of them.

Small scenes, of which a code of four numbers could tell everything; factors are numbers in [0, 1].
"""

import torch
from torch import Tensor

from gdm_core.data import scenes

FACTORS = ("floor", "wall", "scale", "orientation")
ARC, CIRCLE = (0.3, 0.7), (0.0, 1.0)  # the part of the color circle that floor and wall run through
STD = 12**-0.5  # of each factor
_FORMS = (9, 14)  # steps of scale and orientation: of few shapes each is rendered once


def sample(
    n: int, seed: int, hues: tuple[float, float] = ARC, side: int = 24, device="cpu"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw `n` rooms; the same seed gives the same factors on every device.

    Args:
        hues: from where to where floor and wall run on the color circle.
        side: pixels.

    Returns:
        Pictures (n, 3, side, side) and the factors by name, (n,) each, in [0, 1].
    """
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed))
    u[:, 2:] = _stepped(u[:, 2:])
    u = u.to(device)
    return draw(u, hues, side), dict(zip(FACTORS, u.T))


def draw(u: Tensor, hues: tuple[float, float] = ARC, side: int = 24) -> Tensor:
    """Rooms with these factors, in the order of `FACTORS`.  u: (N, 4) in [0, 1] -> (N, 3, side, side)."""
    table = u.new_zeros(len(u), 6)
    table[:, :2] = hues[0] + (hues[1] - hues[0]) * u[:, :2]
    table[:, 1] = table[:, 1] + 0.7
    table[:, :2] = table[:, :2].clamp(0, 1.7) % 1.0
    table[:, 2], table[:, 4] = 0.8, 2
    forms = _stepped(u[:, 2:])
    table[:, 3], table[:, 5] = 0.6 + forms[:, 0], -30 + 60 * forms[:, 1]
    return torch.cat([scenes.render(part, side, u.device) for part in table.split(1000)])


def _stepped(u: Tensor) -> Tensor:
    """Scale and orientation (N, 2), rounded to the places that are rendered."""
    steps = u.new_tensor(_FORMS)
    return (u * steps).round() / steps
