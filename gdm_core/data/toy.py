"""Twelve small targets, known exactly, all within about [-4, 4]: `target(name)` is the distribution, `load` a data set.

Moons and spirals are *defined* as equally weighted Gaussians, a standard deviation or less apart along a curve.  They
look like the curve blurred by noise (the ripple is below 1e-6 of the density), and density, score and sampler stay
exact, because all three are those of the mixture.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gdm_core.data.dataset import Dataset, stream
from gdm_core.data.shapes import Banana, Checkerboard, Funnel, Pinwheel, Rings
from gdm_core.data.targets import Gaussian, Mixture, Target
from gdm_core.validate import choice, integer


def bimodal() -> Mixture:
    """1-D: two bumps of unequal weight and width."""
    return Mixture([[-1.5], [1.5]], std=[0.4, 0.8], weights=[0.4, 0.6])


def trimodal() -> Mixture:
    """1-D: three bumps, the middle one narrow."""
    return Mixture([[-2.4], [0.0], [2.0]], std=[0.7, 0.3, 0.5], weights=[0.45, 0.2, 0.35])


def gaussian() -> Gaussian:
    """2-D: one Gaussian with standard deviations 1.5 and 1 and correlation 0.8."""
    return Gaussian([0.5, -0.5], [[1.5, 0.0], [0.8, 0.6]])


def eight_gaussians() -> Mixture:
    """2-D: eight equal bumps on a circle of radius 3."""
    angle = torch.arange(8) * (math.pi / 4)
    return Mixture(3 * torch.stack([angle.cos(), angle.sin()], 1), std=0.3)


def grid_gaussians() -> Mixture:
    """2-D: 5 x 5 equal bumps, 1.5 apart: who loses modes shows it here."""
    axis = 1.5 * torch.arange(-2.0, 3.0)
    return Mixture(torch.cartesian_prod(axis, axis), std=0.15)


def moons() -> Mixture:
    """2-D: two half circles that reach into each other."""

    def upper(t: Tensor) -> Tensor:
        return 2 * torch.stack([torch.cos(math.pi * t) - 0.5, torch.sin(math.pi * t) - 0.25], 1)

    arc = along(upper, 80)
    return Mixture(torch.cat([arc, -arc]), std=0.2, modes=[0] * len(arc) + [1] * len(arc))


def rings() -> Rings:
    """2-D: three circles around the origin."""
    return Rings([1.0, 2.2, 3.4], std=0.12)


def checkerboard() -> Checkerboard:
    """2-D: eight squares of a 4 x 4 board; it has no score."""
    return Checkerboard(4, width=2.0)


def two_spirals() -> Mixture:
    """2-D: two arms of one and a half turns each."""

    def arm(t: Tensor) -> Tensor:
        r, angle = 0.3 + 3.3 * t, 3 * math.pi * t
        return torch.stack([r * angle.cos(), r * angle.sin()], 1)

    curve = along(arm, 160)
    return Mixture(torch.cat([curve, -curve]), std=0.12, modes=[0] * len(curve) + [1] * len(curve))


def pinwheel() -> Pinwheel:
    """2-D: five bent arms."""
    return Pinwheel(5, radius=2.1, std=(0.6, 0.18), twist=0.6)


def banana() -> Banana:
    """2-D: a Gaussian bent along a parabola."""
    return Banana(std=(1.3, 0.4), bend=0.4)


def funnel() -> Funnel:
    """2-D: a wide mouth and a narrow neck, which no single step size fits."""
    return Funnel(std=(1.4, 0.7))


def along(curve: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """`count` points (count, d) of a curve t in [0, 1] -> (len(t), d), in the middle of stretches of equal length."""
    t = torch.linspace(0, 1, 20 * count + 1, dtype=torch.float64)
    pieces = torch.linalg.vector_norm(curve(t).diff(dim=0), dim=1).numpy()
    length = np.concatenate([[0.0], pieces.cumsum()])
    middle = (np.arange(count) + 0.5) / count * length[-1]
    return curve(torch.from_numpy(np.interp(middle, length, t.numpy())))


_TARGETS = {
    make.__name__: make
    for make in (
        bimodal,
        trimodal,
        gaussian,
        eight_gaussians,
        grid_gaussians,
        moons,
        rings,
        checkerboard,
        two_spirals,
        pinwheel,
        banana,
        funnel,
    )
}
NAMES = tuple(_TARGETS)


def target(name: str) -> Target:
    """The distribution called `name`: `log_prob`, `score` (except the checkerboard), `sample`, `entropy`.

    Raises:
        ValueError: unknown name.

    >>> round(target("checkerboard").entropy(), 4)  # log 32: the floor of every model's loss
    3.4657
    """
    return _TARGETS[choice("toy target", name, NAMES)]()


def load(name: str, split: str = "train", n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """`n` draws (10,000 if None) of a target, float32, with its exact `density`.

    `labels` are the modes the draws came from, None where there is only one.  Splits and seeds have random streams of
    their own; the same arguments give the same numbers on every device, because the draws are made on the CPU.

    Raises:
        ValueError: unknown name or split, n < 1, a negative seed.
    """
    density = target(name)
    choice("split", split, ("train", "validation", "test"))
    n = 10_000 if n is None else integer("n", n)
    x, labels = density.draw(n, stream(name, split, seed))
    return Dataset(name, x, labels, density=density).to(device)
