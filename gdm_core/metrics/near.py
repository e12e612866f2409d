r"""Who lies near whom: are samples among the data, are the data among samples, are they copies?

    precision, recall    share of y inside a ball of x; of x inside one of y   Kynkaanniemi et al. (2019, eq. 1)
    density, coverage    balls of x around a y, over k; balls of x with a y    Naeem et al. (2020, eq. 3 and 4)
    copies               a y 3 times nearer to one x than to the next          Yoon et al. (2023)
    modes                how many known modes have samples near them

A ball of x reaches from one example to its k-th nearest of the same sample.  Where p = q, and of N and M examples,

    E coverage = 1 - prod_{i=1..k} (N - i)/(M + N - i),   E density = 1

since the k nearest of all others are then any k of N - 1 + M.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.two_sample.statistics import distances, pool
from gdm_core.validate import bad, integer, positive


@dataclass(frozen=True)
class Neighbors:
    """Shares from 0 to 1; density is 1 in the mean where p = q, and can be larger."""

    precision: float
    recall: float
    density: float
    coverage: float


@torch.no_grad()
def neighbors(x: Tensor, y: Tensor, k: int = 5) -> Neighbors:
    """Precision, recall, density and coverage of generated y (M, d) beside real x (N, d).

    Raises:
        ValueError: samples that `pool` refuses, k not from 1 to the size of the smaller sample less one.
    """
    z, n = pool(x, y), len(x)
    if integer("k", k) >= min(n, len(z) - n):
        raise bad("k below the number of examples", f"k={k} of {n} and {len(z) - n}", "k=5, or more examples")
    x, y = z[:n], z[n:]
    reach = lambda s: distances(s).kthvalue(k + 1, dim=1).values  # the nearest is the example itself
    across = distances(x, y)  # (N, M)
    inside = across <= reach(x)[:, None]
    return Neighbors(
        precision=inside.any(0).double().mean().item(),
        recall=(across <= reach(y)).any(1).double().mean().item(),
        density=(inside.sum() / (k * len(y))).item(),
        coverage=inside.any(1).double().mean().item(),
    )


def coverage_if_equal(n: int, m: int, k: int) -> float:
    """E coverage where p = q, for n real and m generated examples.

    >>> round(coverage_if_equal(100, 100, 5), 4), round(coverage_if_equal(200, 100, 3), 4)
    (0.9711, 0.7067)
    """
    return 1 - math.prod((n - i) / (m + n - i) for i in range(1, integer("k", k) + 1))


class Copies(NamedTuple):
    """Of each generated example: is it a copy, which training example is nearest, how far it is, and the next one."""

    copied: Tensor
    nearest: Tensor
    distance: Tensor
    next: Tensor


@torch.no_grad()
def copies(y: Tensor, x: Tensor, ratio: float = 1 / 3) -> Copies:
    """Which of the generated y (M, *event) are copies of one of the training set x (N, *event): (M,) each.

    A copy is nearer to it than `ratio` times its distance from the second nearest: in what units they come, and how
    crowded they lie, does not matter.

    Raises:
        ValueError: fewer than two examples, another shape, a ratio not from 0 to 1.
    """
    if len(x) < 2 or y.shape[1:] != x.shape[1:]:
        raise bad(f"y (M, *event) and at least 2 of x {tuple(x.shape)}", tuple(y.shape), "the training set as x")
    if not 0 < ratio < 1:
        raise bad("a ratio between 0 and 1", ratio, "ratio=1/3")
    flat = dict(x1=y.flatten(1), x2=x.to(y).flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    two = torch.cdist(**flat).topk(2, largest=False)
    distance, following = two.values.T
    return Copies(distance < ratio * following, two.indices[:, 0], distance, following)


class Modes(NamedTuple):
    """How many modes have their share of the samples, and which share of all samples is near one."""

    covered: int
    near: float


def _modes_by(covered, ours, y, means, std, least=0.1):
    found, near = covered(y, means.to(y), std, least)
    return Modes(int(found), float(near))


@yours.replaceable("lab08.covered", _modes_by)
@torch.no_grad()
def modes(y: Tensor, means: Tensor, std: float, least: float = 0.1) -> Modes:
    """Which of K equal modes a generator reaches (after Srivastava et al., 2017, who count a mode from one sample on).

    Args:
        y: samples (M, d).
        means, std: (K, d) and the standard deviation of each along every axis; near is within 3 of it.
        least: share of a mode's even part M / K that must be near it.

    Raises:
        ValueError: samples of another dimension, fewer samples than modes, std or least not positive.
    """
    if y.ndim != 2 or y.shape[1:] != means.shape[1:] or len(y) < len(means):
        needed = f"at least {len(means)} samples (M, {means.shape[-1]})"
        raise bad(needed, tuple(y.shape), "gan.sample(2000)")
    far, which = torch.cdist(y, means.to(y)).min(1)
    near = far <= 3 * positive("std", std, 0.3)
    counts = torch.bincount(which[near], minlength=len(means))
    return Modes(int((counts >= positive("least", least, 0.1) * len(y) / len(means)).sum()), near.float().mean().item())
