r"""How sure is one of a statistic, and how often does a test see a difference?

interval   T +- t sqrt((G - 1)/G sum_g (T_(g) - mean T_(.))^2),  T_(g): without the g-th group   Quenouille, Tukey
power      share of repetitions with p <= level, with Wilson's interval (1927)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdm_core.two_sample.statistics import Statistic, pool
from gdm_core.validate import bad, integer


def interval(
    x: Tensor, y: Tensor, statistic: Statistic, *, level: float = 0.95, groups: int = 20
) -> tuple[float, float]:
    """Confidence interval of what the statistic estimates, by a jackknife that leaves out groups of both samples.

    It needs p != q: there the statistic is about normal.  Under H0 a statistic of pairs is not, and a test answers.

    Raises:
        ValueError: samples that `pool` refuses, a level outside (0, 1), too few examples for the groups.
    """
    from scipy.stats import t  # takes as long to import as torch does

    if not 0 < level < 1:
        raise bad("a level between 0 and 1", level, "level=0.95")
    value, error = jackknife(x, y, statistic, groups)
    half = float(t.ppf(0.5 + level / 2, groups - 1)) * error
    return value - half, value + half


def jackknife(
    x: Tensor, y: Tensor, statistic: Callable[[Tensor, Tensor], Tensor | float], groups: int = 20
) -> tuple[float, float]:
    """statistic(x, y) and its standard error.  ValueError: samples that `pool` refuses, too few for the groups."""
    pool(x, y)
    if min(len(x), len(y)) < 2 * integer("groups", groups, 2):
        raise bad(f"at least {2 * groups} examples of either sample", f"{len(x)} and {len(y)}", "fewer groups")
    with torch.no_grad():
        x, y = x.double(), y.double()
        group = lambda s: torch.arange(len(s), device=s.device) % groups
        value = float(statistic(x, y))
        left_out = [float(statistic(x[group(x) != g], y[group(y) != g])) for g in range(groups)]
    without = torch.tensor(left_out, dtype=torch.float64)
    error = ((groups - 1) * without.var(correction=0)).sqrt().item()
    return value, error


@dataclass(frozen=True)
class Power:
    """Of `repeats` tests with n examples of each, this share saw the difference; 95 % interval from low to high."""

    n: int
    share: float
    low: float
    high: float


def power(
    draw: Callable[[int], tuple[Tensor, Tensor]],
    p_value: Callable[[Tensor, Tensor], float],
    sizes: Iterable[int],
    *,
    repeats: int = 100,
    level: float = 0.05,
) -> list[Power]:
    """How often p <= level, for samples of each size.

    Args:
        draw: n -> two samples of n.
        p_value: of two samples, such as `lambda x, y: test(x, y, energy, permutations=99).p`.
    """
    from scipy.stats import binomtest

    integer("repeats", repeats)
    curve = []
    for n in sizes:
        seen = sum(p_value(*draw(n)) <= level for _ in range(repeats))
        low, high = binomtest(seen, repeats).proportion_ci(0.95, "wilson")
        curve.append(Power(n, seen / repeats, float(low), float(high)))
    return curve
