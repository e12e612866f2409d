r"""Numbers that papers print beside pictures, and which can all be fooled (lecture 6 shows how).

    frechet              |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))             Heusel et al. (2017, eq. 6)
    precision, recall    share of y inside a ball of x; of x inside one of y   Kynkaanniemi et al. (2019, eq. 1)
    density, coverage    balls of x around a y, over k; balls of x with a y    Naeem et al. (2020, eq. 3 and 4)
    modes                how many known modes have samples near them
    sliced               mean of W_2(a.x, a.y)^2 over directions a, rooted     Bonneel et al. (2015, eq. 10)
    copies               a y 3 times nearer to one x than to the next          Yoon et al. (2023)

A ball of x reaches from one example to its k-th nearest of the same sample.  Where p = q, and of N and M examples,

    E coverage = 1 - prod_{i=1..k} (N - i)/(M + N - i),   E density = 1

since the k nearest of all others are then any k of N - 1 + M.  Frechet distance sees two moments alone; of two samples
of N from one N(0, I_d) it is about (2 d + d (d + 1)/2)/N.
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.couplings import root
from gdm_core.two_sample.statistics import distances, pool
from gdm_core.validate import bad, integer, positive


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Frechet distance (squared) of the Gaussians with the moments of x (N, d) and y (M, d): (), float64.

    Raises:
        ValueError: samples that `two_sample.statistics.pool` refuses.
    """
    z = pool(x, y).double()
    x, y = z[: len(x)], z[len(x) :]
    covariance = lambda s: torch.atleast_2d(torch.cov(s.T))
    return frechet_of_moments(x.mean(0), covariance(x), y.mean(0), covariance(y))


def frechet_of_moments(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> Tensor:
    """The same of means (d,) and covariances (d, d).

    tr (S S')^(1/2) is the sum of the roots of the eigenvalues of S^(1/2) S' S^(1/2), which is symmetric.
    """
    half = root(cov)
    cross = torch.linalg.eigvalsh(half @ other_cov @ half).clamp_min(0).sqrt().sum()
    return (mean - other_mean).square().sum() + cov.trace() + other_cov.trace() - 2 * cross


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


class Copies(NamedTuple):
    """Of each generated example: whether it is a copy, which example of the training set is nearest, and how far."""

    copied: Tensor
    nearest: Tensor
    distance: Tensor


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
    return Copies(two.values[:, 0] < ratio * two.values[:, 1], two.indices[:, 0], two.values[:, 0])


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


def coverage_if_equal(n: int, m: int, k: int) -> float:
    """E coverage where p = q, for n real and m generated examples.

    >>> round(coverage_if_equal(100, 100, 5), 4), round(coverage_if_equal(200, 100, 3), 4)
    (0.9711, 0.7067)
    """
    return 1 - math.prod((n - i) / (m + n - i) for i in range(1, integer("k", k) + 1))
