r"""How sure is one of a metric, and what does it say of data beside data?

    estimate    its value, and the standard error of a jackknife that leaves out groups of both samples
    band        its values between two disjoint parts of real data: nothing better can be reached, or told apart

Numbers of one model mean little without the second: Frechet distances of equal distributions are not 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from gdm_core.two_sample.sure import jackknife
from gdm_core.validate import bad, integer

Metric = Callable[[Tensor, Tensor], Tensor | float]


class Estimate(NamedTuple):
    """A number and its standard error, in its units."""

    value: float
    error: float


class Band(NamedTuple):
    """Of real data beside real data: the mean, and where 90 % of the values lie."""

    mean: float
    low: float
    high: float


def estimate(metric: Metric, x: Tensor, y: Tensor, *, groups: int = 20) -> Estimate:
    """metric(x, y) and its standard error, both samples being drawn.

    Args:
        x, y: (N, *event) and (M, *event), independent draws; a model's training is not drawn anew.
        groups: left out one after the other.

    Raises:
        ValueError: samples that `two_sample.statistics.pool` refuses, fewer than 2 examples a group.
    """
    return Estimate(*jackknife(x, y, metric, groups))


@torch.no_grad()
def band(
    metric: Metric, real: Tensor, n: int, m: int, *, repeats: int = 20, generator: Generator | None = None
) -> Band:
    """metric(x, y) of n and m real examples that have none in common, drawn `repeats` times.

    Args:
        real: (N, *event), N >= n + m.
        generator: of the draws, on the CPU; None follows `torch.manual_seed`.

    Raises:
        ValueError: fewer than n + m examples.
    """
    if integer("n", n, 2) + integer("m", m, 2) > len(real):
        raise bad(
            f"{n} + {m} real examples, none in both samples", len(real), f"n = m = {len(real) // 2}, or more data"
        )
    values = []
    for _ in range(integer("repeats", repeats, 2)):
        order = torch.randperm(len(real), generator=generator).to(real.device)
        values.append(float(metric(real[order[:n]], real[order[n : n + m]])))
    values = torch.tensor(values, dtype=torch.float64)
    low, high = values.quantile(torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    return Band(values.mean().item(), low, high)
