"""Strokes in three styles, all else held: what a code of three numbers can tell of a digit whose class is known."""

import torch
from torch import Tensor

from gdm_core.data import strokes
from gdm_core.data.dataset import Dataset

STYLES = ("slant", "thickness", "width")
HELD = {"variant": 0, "rotation": 0.0, "curl": 0.0, "size": 1.0, "jitter": 0.0}


def draw(y: Tensor, style: Tensor) -> Tensor:
    """Digits y (N,) drawn in the styles (N, 3), in the order of `STYLES`: (N, 1, 28, 28)."""
    return strokes.draw(y, **dict(zip(STYLES, style.T)), **HELD)


def sample(n: int, seed: int = 0, device="cpu") -> Dataset:
    """`n` digits, class and styles drawn uniformly and independently of each other; see `strokes.sample`."""
    return strokes.sample(n, seed=seed, device=device, **HELD)


def styles(d: Dataset) -> Tensor:
    """The styles of a sample, (N, 3)."""
    return torch.stack([d.factors[name] for name in STYLES], 1)
