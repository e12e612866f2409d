r"""Statistics of two samples x (N, *event) and y (M, *event): small where p = q, large where they differ.

    means     |mean x - mean y|
    energy    2 E|x - y| - E|x - x'| - E|y - y'|                              Szekely & Rizzo (2013)
    ks        sup_t |F_x(t) - F_y(t)|, one number an example                  Kolmogorov (1933), Smirnov (1939)
    mmd       E k(x, x') + E k(y, y') - 2 E k(x, y)                           Gretton et al. (2012, eq. 3)
    witness   f(t) = mean_n k(t, x_n) - mean_m k(t, y_m)                      Gretton et al. (2012, section 2.3)

Means over pairs leave out an example with itself, so that energy and mmd are unbiased: 0 in the mean where p = q, and
below 0 about every second time.

A permutation changes who plays x, not where the points are.  So each statistic looks at the pooled points z (N + M, d)
once, and answers for many labelings at a time: of the N + M points, which play x?  For sums over pairs that is one
matrix product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.validate import bad, batch, positive

Labeled = Callable[[Tensor], Tensor]  # (B, N + M), 1 who plays x and 0 who plays y -> (B,)
AT_ONCE = 10_000  # points whose pairs are all looked at; of more than these, blocks
STRIP = 256  # rows of a product that go together
SOME = 500  # points that the median of all distances is taken of


@dataclass(frozen=True)
class Statistic:
    """`statistic(x, y)` is its value, (), with gradients; `over(z)` its values for many labelings of z.

    Attributes:
        over: pooled points (N + M, d) -> [labelings (B, N + M) of 0 and 1 in the dtype of z -> (B,)].
        pairs: looks at all pairs of points, so that more than `AT_ONCE` of them have to be cut into blocks.
    """

    over: Callable[[Tensor], Labeled]
    pairs: bool = field(default=False, kw_only=True)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """() value.  Raises ValueError: see `pool`; more than `AT_ONCE` points, where all pairs are looked at."""
        z = pool(x, y)
        if self.pairs and len(z) > AT_ONCE:
            raise bad(f"at most {AT_ONCE} points to pair", len(z), "two_sample.test(x, y, ...).value: means of blocks")
        return self.over(z)((torch.arange(len(z), device=z.device) < len(x)).to(z)[None])[0]


def pool(x: Tensor, y: Tensor) -> Tensor:
    """x over y, (N + M, d), each example flat.

    Raises:
        ValueError: no tensors, fewer than two examples, other event shapes, dtypes or devices, integers, NaN, infinity.
    """
    for name, sample in (("x", x), ("y", y)):
        event = sample.shape[1:] if isinstance(sample, Tensor) and sample.ndim else ()
        batch(sample, event, name=name, minimum=2)
    if x.shape[1:] != y.shape[1:]:
        got = f"{tuple(x.shape[1:])} and {tuple(y.shape[1:])}"
        raise bad("samples whose examples have one shape", got, "y.reshape(-1, *x.shape[1:])")
    if (x.dtype, x.device) != (y.dtype, y.device):
        raise bad("samples of one dtype and device", f"{x.dtype}, {x.device} and {y.dtype}, {y.device}", "y.to(x)")
    return torch.cat([x, y]).reshape(len(x) + len(y), -1)


@Statistic
def means(z: Tensor) -> Labeled:
    """|mean x - mean y|."""
    centered = z - z.mean(0)  # or far from the origin digits are lost
    return lambda first: torch.linalg.vector_norm(contrast(first) @ centered, dim=1)


@Statistic
def ks(z: Tensor) -> Labeled:
    """Largest distance of the two empirical distribution functions.  One number an example."""
    if z.shape[1] != 1:
        raise bad("one number an example, for ks", f"{z.shape[1]}", "energy, mmd(), or one feature at a time")
    value, order = z[:, 0].sort()
    last = torch.cat([value[1:] != value[:-1], value.new_ones(1, dtype=torch.bool)])  # equal points jump together

    def largest(first: Tensor) -> Tensor:
        n = first.sum(1, keepdim=True)
        m = first.shape[1] - n
        step = m * first - n * (1 - first)  # N M times the difference: whole numbers, so that ties are ties
        return (step[:, order].cumsum(1)[:, last].abs() / (n * m)).amax(1)

    return largest


def mmd(bandwidths: Sequence[float] = (1.0,), *, relative: bool = True) -> Statistic:
    """Squared maximum mean discrepancy with the mean of Gaussian kernels exp(-|s - t|^2 / 2 h^2), unbiased.

    Args:
        bandwidths: h, one or more.
        relative: in units of the median distance of all pooled points, which no permutation changes.
    """
    return Statistic(lambda z: quadratic(gaussian(distances(z), bandwidths, relative)), pairs=True)


def gaussian(distance: Tensor, bandwidths: Sequence[float] = (1.0,), relative: bool = True) -> Tensor:
    """Mean over h of exp(-distance^2 / 2 h^2); distance: (N + M, N + M) of pooled points."""
    unit = median(distance) if relative else 1.0
    square, scales = distance.square(), [unit * positive("bandwidths", h) for h in bandwidths]
    first, *others = (torch.exp(square * (-0.5 / h**2)) for h in scales)
    return sum(others, first) / len(scales) if others else first  # each pass over all pairs takes its time


def median(distance: Tensor) -> float:
    """Median of the distances of pairs, (N, N) -> a length; of many points every k-th, of equal ones 1."""
    step = -(-len(distance) // SOME)
    some = distance.detach()[::step, ::step]
    apart = some[(some > 0).triu()]  # each pair once
    return apart.median().item() if len(apart) else 1.0


def distances(s: Tensor, t: Tensor | None = None) -> Tensor:
    """|s_i - t_j|, (B, d), (C, d) -> (B, C); by differences: |s|^2 - 2 s.t + |t|^2 cancels for near points."""
    between = lambda a, b: torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    if t is not None or len(s) < STRIP or s.shape[1] < 16:  # few and short: nothing to save
        return between(s, s if t is None else t)
    both, rows = s.new_empty(len(s), len(s)), -(-len(s) // 8)  # each pair once, but for those within a strip
    for i in range(0, len(s), rows):
        both[i : i + rows, i:] = between(s[i : i + rows], s[i:])
        both[i:, i : i + rows] = both[i : i + rows, i:].mT
    return both


def quadratic(kernel: Tensor) -> Labeled:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y) for labelings, from the kernel (N + M, N + M) of pooled points."""
    each = kernel.triu(1)  # each pair once, nobody with oneself: strips beside the diagonal are half of the product
    row = each.sum(0) + each.sum(1)
    total, cuts = row.sum(), range(0, len(each), STRIP)

    def value(first: Tensor) -> Tensor:
        n = first.sum(1)
        m = first.shape[1] - n
        strips = (((first[:, i : i + STRIP] @ each[i : i + STRIP, i:]) * first[:, i:]).sum(1) for i in cuts)
        within = 2 * sum(strips)
        across = first @ row - within
        others = total - 2 * across - within
        return within / (n * (n - 1)) + others / (m * (m - 1)) - 2 * across / (n * m)

    return value


energy = Statistic(lambda z: quadratic(-distances(z)), pairs=True)


def _witness_by(theirs, ours, x, y, bandwidth=None):
    """Theirs is of flat points, and is told the width."""
    pool(x, y)
    h = _width(x, y) if bandwidth is None else positive("bandwidth", bandwidth)
    return lambda t: theirs(*(s.reshape(len(s), -1) for s in (t, x, y)), h)


@yours.replaceable("lab06.witness", _witness_by)
def witness(x: Tensor, y: Tensor, bandwidth: float | None = None) -> Callable[[Tensor], Tensor]:
    """f: (B, *event) -> (B,), positive where x has more points than y has, negative where y has more.

    Args:
        bandwidth: h; the median distance of the pooled points if None.
    """
    z, n = pool(x, y), len(x)
    h = _width(x, y) if bandwidth is None else positive("bandwidth", bandwidth)

    def f(t: Tensor) -> Tensor:
        kernel = torch.exp(-0.5 * (distances(t.reshape(len(t), -1), z) / h) ** 2)  # (B, N + M)
        return kernel[:, :n].mean(1) - kernel[:, n:].mean(1)

    return f


def _width(x: Tensor, y: Tensor) -> float:
    """The median distance of the pooled points, of many every k-th."""
    z = pool(x, y)
    return median(distances(z[:: -(-len(z) // SOME)]))


def contrast(first: Tensor) -> Tensor:
    """Weights of a difference of means: 1/N for those who play x, -1/M for the others.  (B, N + M)."""
    n = first.sum(1, keepdim=True)
    return first / n - (1 - first) / (first.shape[1] - n)
