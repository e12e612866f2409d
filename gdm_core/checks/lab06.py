"""Lab 06, two-sample tests: MMD, permutation p-value, witness, the best guess, Frechet distance.

Truths come from loops over pairs, numpy and scipy; deals are counted one by one.
"""

import math

import numpy as np
import torch
from scipy.special import expit
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, require, tensor
from gdm_core.checks.exercise import Exercise


@Exercise
def mmd(answer: Answer, numbers: Generator) -> None:
    """Unbiased squared MMD with a Gaussian kernel (Gretton et al., 2012, eq. 3)."""
    for n, m, d, h in ((5, 4, 2, 1.3), (3, 6, 1, 0.7)):
        x, y = _normal(numbers, n, d) + 0.8, _normal(numbers, m, d)
        xx, yy, xy = _kernel(x, x, h), _kernel(y, y, h), _kernel(x, y, h)
        apart = lambda K: K.sum() - K.trace()
        within = apart(xx) / (n * (n - 1)) + apart(yy) / (m * (m - 1))
        truth = within - 2 * xy.mean()
        wide = [_kernel(a, b, math.sqrt(h / 2)) for a, b in ((x, x), (y, y), (x, y))]
        flat = [_kernel(a, b, h / math.sqrt(2)) for a, b in ((x, x), (y, y), (x, y))]
        value = lambda K, L, C: apart(K) / (n * (n - 1)) + apart(L) / (m * (m - 1)) - 2 * C.mean()
        equal(tensor(answer(x, y, h), (), "()"), truth, {
            "a point is no pair with itself: leave the diagonals out": xx.mean() + yy.mean() - 2 * xy.mean(),
            "without the diagonal there are N (N - 1) pairs": apart(xx) / n**2 + apart(yy) / m**2 - 2 * xy.mean(),
            "the diagonal is in the sum, though not in the count":
                xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.mean(),
            "pairs across count twice": within - xy.mean(),
            "the sign: alike within minus alike across": -truth,
            "pairs across have a diagonal that counts": within - 2 * (xy.sum() - xy.trace()) / (n * m),
            "h is squared in the kernel": value(*wide),
            "the 2 of 2 h^2 is missing": value(*flat),
        }, "MMD²", f"h = {h}")  # fmt: skip


@Exercise
def p_value(answer: Answer, numbers: Generator) -> None:
    """p = (1 + #{T_b >= T}) / (1 + B), T_b of the pooled points dealt again."""
    for n, m, count in ((6, 4, 30), (5, 7, 18)):
        x, y = _normal(numbers, n, 2) + 0.45, _normal(numbers, m, 2)
        keys = torch.rand(count, n + m, generator=numbers)
        deals = keys <= keys.kthvalue(n, dim=1, keepdim=True).values
        deals[:2] = torch.arange(n + m) < n  # deals may repeat what came: ties
        z, statistic = torch.cat([x, y]), lambda a, b: (a.mean(0) - b.mean(0)).square().sum()
        values = np.array([float(((z[d].mean(0) - z[~d].mean(0)) ** 2).sum()) for d in deals])
        T = float(((x.mean(0) - y.mean(0)) ** 2).sum())
        large, above = int((values >= T - 1e-12).sum()), int((values > T + 1e-12).sum())
        small = int((values <= T + 1e-12).sum())
        share = lambda a, b: torch.tensor(a / b, dtype=torch.float64)
        swapped = torch.cat([y, x])
        other = np.array([float(((swapped[d].mean(0) - swapped[~d].mean(0)) ** 2).sum()) for d in deals])
        equal(tensor(answer(x, y, statistic, deals), (), "()"), share(1 + large, 1 + count), {
            "a p-value of 0 would be possible: the deal that came counts, above and below": share(large, count),
            "the deal that came counts above as well": share(large, 1 + count),
            "the deal that came counts below as well": share(1 + large, count),
            "a deal that is as large counts: >=, not >": share(1 + above, 1 + count),
            "large values speak against: count T_b >= T": share(1 + small, 1 + count),
            "the heap begins with x: torch.cat([x, y])": share(1 + int((other >= T - 1e-12).sum()), 1 + count),
        }, "p", f"N = {n}, M = {m}")  # fmt: skip


@Exercise
def witness(answer: Answer, numbers: Generator) -> None:
    """f(t) = mean k(t, x) - mean k(t, y)."""
    for n, m, d, h in ((5, 3, 2, 1.4), (4, 6, 1, 0.6)):
        t, x, y = _normal(numbers, 7, d), _normal(numbers, n, d) - 0.5, _normal(numbers, m, d) + 0.5
        of_x, of_y = _kernel(t, x, h), _kernel(t, y, h)
        truth = of_x.mean(1) - of_y.mean(1)
        equal(tensor(answer(t, x, y, h), (7,), "(B,)"), truth, {
            "the sign: positive where x has more": -truth,
            "means, not sums: N and M may differ": of_x.sum(1) - of_y.sum(1),
            "both samples are divided by their own number": of_x.sum(1) / n - of_y.sum(1) / n,
            "the samples were added, not compared": of_x.mean(1) + of_y.mean(1),
            "the 2 of 2 h^2 is missing":
                _kernel(t, x, h / math.sqrt(2)).mean(1) - _kernel(t, y, h / math.sqrt(2)).mean(1),
            "h is squared in the kernel":
                _kernel(t, x, math.sqrt(h / 2)).mean(1) - _kernel(t, y, math.sqrt(h / 2)).mean(1),
        }, "f(t)", f"h = {h}")  # fmt: skip


@Exercise
def best_guess(answer: Answer, numbers: Generator) -> None:
    """D* = p / (p + q) from log-densities."""
    for low in (0.0, -2000.0):
        log_p, log_q = _normal(numbers, 6) + low, 1.5 * _normal(numbers, 6) + low
        truth = torch.from_numpy(expit((log_p - log_q).numpy()))
        said = tensor(answer(log_p, log_q), (6,), "(B,)")
        require(
            not bool(said.isnan().any()), "densities of e^-2000 are 0 in a computer, and 0/0 is NaN: stay with logs"
        )
        equal(said, truth, {
            "this is the guess for q: swap p and q": 1 - truth,
            "this is p/q, not p/(p + q)": (log_p - log_q).exp(),
            "this is the logit, log p - log q: it wants a sigmoid": log_p - log_q,
            "this is log D*: take its exp": truth.log(),
            "p and q as they came, not their logarithms": log_p / (log_p + log_q),
            "this is a decision; wanted is a probability": (log_p > log_q).double(),
            "densities of e^-2000 are 0 in a computer: stay with logs": torch.zeros(6, dtype=torch.float64),
        }, "D*", f"log p near {low:.0f}")  # fmt: skip


@Exercise
def frechet(answer: Answer, numbers: Generator) -> None:
    """|m - m'|^2 + sum (s - s')^2, diagonal covariances, variances over N."""
    for n, m, d in ((6, 9, 3), (5, 4, 2)):
        x, y = 0.7 * _normal(numbers, n, d) + 0.4, 1.6 * _normal(numbers, m, d)
        a, b = x.numpy(), y.numpy()
        shift, (v, w) = ((np.mean(a, 0) - np.mean(b, 0)) ** 2).sum(), (np.var(a, 0), np.var(b, 0))
        as_tensor = lambda value: torch.tensor(float(value), dtype=torch.float64)
        truth = shift + (v + w - 2 * np.sqrt(v * w)).sum()
        unbiased = (a.std(0, ddof=1) - b.std(0, ddof=1)) ** 2
        equal(tensor(answer(x, y), (), "()"), as_tensor(truth), {
            "the cross term is missing: - 2 s s'": as_tensor(shift + (v + w).sum()),
            "variances were subtracted: it takes standard deviations": as_tensor(shift + ((v - w) ** 2).sum()),
            "the cross term takes s s', the root of the variances' product":
                as_tensor(shift + (v + w - 2 * v * w).sum()),
            "variances over N here: correction=0": as_tensor(shift + unbiased.sum()),
            "the means count as well": as_tensor(truth - shift),
            "the spreads count as well": as_tensor(shift),
            "this is the root of what was asked": as_tensor(np.sqrt(truth)),
            "sum over the features, not their mean": as_tensor(truth / d),
        }, "the distance")  # fmt: skip


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=numbers, dtype=torch.float64)


def _kernel(s: Tensor, t: Tensor, h: float) -> Tensor:
    """By loops over pairs."""
    return torch.tensor([[math.exp(-float(((a - b) ** 2).sum()) / (2 * h * h)) for b in t] for a in s]).double()
