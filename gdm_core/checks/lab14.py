"""Lab 14, guidance and holes: dropped labels, guidance, pasting, an exact posterior, a pull, an interval.

Truths come from loops over entries, from precisions, from a Jacobian in closed form, and from bisection.
"""

import math

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise


def _random(*shape: int, numbers: Generator) -> Tensor:
    return torch.randn(*shape, generator=numbers, dtype=torch.float64)


@Exercise
def drop_labels(answer: Answer, numbers: Generator) -> None:
    """Labels, a share of them replaced by the index of "no label"."""
    for classes, p in ((10, 0.3), (4, 0.75), (4, 0.0), (4, 1.0)):
        y = torch.randint(classes, (40,), generator=numbers)
        y[:4] = torch.arange(4)
        u = torch.rand(40, generator=numbers, dtype=torch.float64)
        u[0], u[1] = min(p + 0.01, 0.99), max(p - 0.01, 0.0)
        got = tensor(answer(y, classes, p, u), (40,), "(B,)", "the labels")
        told = torch.tensor([classes if a < p else b for a, b in zip(u.tolist(), y.tolist())])
        drop = lambda there, index=classes, y=y: torch.where(there, torch.tensor(index), y)
        equal(got, told.double(), {
            "no label was dropped": y,
            "all labels were dropped": drop(u < 2),
            "dropped where u ≥ p: a share 1 - p is gone": drop(u >= p),
            'class 0 is a class: "no label" has the index C': drop(u < p, 0),
            '-1 is no index of the network\'s: "no label" has the index C': drop(u < p, -1),
            'the last class has the index C - 1: "no label" is one more': drop(u < p, classes - 1),
        }, "the labels", f"for C = {classes}, p = {p}")  # fmt: skip


@Exercise.worth(inside=3, outside=2)
def guided(answer: Answer, numbers: Generator) -> None:
    """V + w (D - V) inside an interval of time, D outside."""
    for name, times in (("inside", (0.5, 0.2, 0.7)), ("outside", (0.1, 0.9))):
        answer.part(name)
        for t in times:
            for w in (3.0, 0.5, 0.0):
                x, y = _random(5, 3, numbers=numbers), torch.tensor([0, 1, 2, 1, 0])
                got = tensor(answer(_tells, x, t, y, w, 0.2, 0.7), (5, 3), "(B, d)", "the mean")
                D, V = _tells(x, t, y), _tells(x, t, None)
                mixed = V + w * (D - V)
                away = {
                    "V and D are swapped: w = 1 must be the network with its label": D + w * (V - D),
                    "this is w + 1: start from V, not from D": D + w * (D - V),
                    "the weights do not sum to 1: w for D leaves 1 - w for V": V + w * D,
                    "this is the network without its label": V,
                }
                if name == "inside":
                    ends = "both ends belong to the interval" if t in (0.2, 0.7) else "inside the interval w counts"
                    equal(got, mixed, {ends: D, **away}, "the mean", f"for t = {t}, w = {w}")
                else:
                    equal(got, D, {
                        "outside of the interval w does not count": mixed,
                        "outside of the interval the label is still told": V,
                        **away,
                    }, "the mean", f"for t = {t}, w = {w}")  # fmt: skip


@Exercise
def paste(answer: Answer, numbers: Generator) -> None:
    """Replacement: what is seen is as noisy as the rest before the network, clean after it."""
    for alpha, sigma in ((0.8, 0.6), (1.0, 2.0)):
        x_t, e = (_random(4, 5, numbers=numbers) for _ in range(2))
        y, kept = _random(5, numbers=numbers), torch.tensor([True, False, False, True, False])
        got = tensor(answer(_net, x_t, y, kept, alpha, sigma, e), (4, 5), "(B, d)", "the guess")
        rows = [
            [alpha * y[i].item() + sigma * e[b, i].item() if kept[i] else x_t[b, i].item() for i in range(5)]
            for b in range(4)
        ]
        guess = _net(torch.tensor(rows, dtype=torch.float64))
        truth = torch.tensor(
            [[y[i].item() if kept[i] else guess[b, i].item() for i in range(5)] for b in range(4)]
        ).double()
        fill = lambda pasted, here=kept: torch.where(kept, y, _net(torch.where(here, pasted, x_t)))  # noqa: B023
        whole = y.expand(4, 5)
        equal(got, truth, {
            "clean pixels were pasted at a noisy time: the network knows another level of noise": fill(whole),
            "the mask is inverted: kept is True where the picture is seen": torch.where(
                ~kept, y, _net(torch.where(~kept, alpha * y + sigma * e, x_t))
            ),
            "the mask of the first replacement is inverted": fill(alpha * y + sigma * e, ~kept),
            "the network was asked about x_t before anything was pasted": torch.where(kept, y, _net(x_t)),
            "the guess keeps the network's answer where y is seen": guess,
            "after the network y is clean: no noise there": torch.where(kept, alpha * y + sigma * e, guess),
            "y shrinks by α at this level": fill(y + sigma * e),
            "the noise is scaled by σ": fill(alpha * y + e),
            "σ, not σ²": fill(alpha * y + sigma**2 * e),
            "one noise for all rows": fill(alpha * y + sigma * e[:1]),
        }, "the guess", f"for α = {alpha}, σ = {sigma}")  # fmt: skip


@Exercise.worth(mean=3, covariance=3)
def posterior(answer: Answer, numbers: Generator) -> None:
    """N(m, S) given some entries with noise: mean and covariance."""
    cases = []
    for kept, std in (([True, False, True, False], 0.5), ([False, True, False, False], 0.2)):
        root, mean = _random(4, 4, numbers=numbers), _random(4, numbers=numbers)
        S, kept = root @ root.T + 0.2 * torch.eye(4).double(), torch.tensor(kept)
        y = _random(int(kept.sum()), numbers=numbers)
        told = parts(answer(mean, S, kept, y, std), "mean", "covariance")
        cases.append((mean, S, kept, y, std, *told))
    answer.part("mean")
    for m, S, kept, y, std, mean, _ in cases:
        A = torch.eye(4).double()[kept]
        spread = torch.linalg.inv(torch.linalg.inv(S) + A.T @ A / std**2)  # precisions add
        truth = spread @ (torch.linalg.inv(S) @ m + A.T @ y / std**2)
        gain = lambda extra, b=S, A=A: b @ A.T @ torch.linalg.inv(A @ b @ A.T + extra * torch.eye(len(A)).double())
        full = torch.zeros(4).double().index_put((kept.nonzero()[:, 0],), y)
        equal(tensor(mean, (4,), "(d,)", "the mean"), truth, {
            "y has noise: τ² is missing in S + τ² I": m + gain(0.0) @ (y - A @ m),
            "τ stands for τ²": m + gain(std) @ (y - A @ m),
            "y - m, where it is seen: the mean of what is seen is missing": m + gain(std**2) @ y,
            "the mean before y is missing": gain(std**2) @ (y - A @ m),
            "the sign: y above its mean pulls up": m - gain(std**2) @ (y - A @ m),
            "y was copied: it has noise, and the hole has to move too": torch.where(kept, full, m),
            "the mean moves in the hole as well: take all rows of C": torch.where(kept, truth, m),
        }, "the mean", f"for kept = {kept.tolist()}, τ = {std}")  # fmt: skip
    answer.part("covariance")
    for _, S, kept, _, std, _, covariance in cases:
        A = torch.eye(4).double()[kept]
        truth = torch.linalg.inv(torch.linalg.inv(S) + A.T @ A / std**2)
        gain = lambda extra, b=S, A=A: b @ A.T @ torch.linalg.inv(A @ b @ A.T + extra * torch.eye(len(A)).double())
        equal(tensor(covariance, (4, 4), "(d, d)", "the covariance"), truth, {
            "this is the covariance before y": S,
            "the sign: y takes uncertainty away": S + gain(std**2) @ A @ S,
            "τ² is missing in S + τ² I": S - gain(0.0) @ A @ S,
            "τ stands for τ²": S - gain(std) @ A @ S,
            "the noise of y is no part of x": truth + std**2 * torch.eye(4).double(),
            "variances alone: entries go together": torch.diag(truth.diagonal()),
        }, "the covariance", f"for kept = {kept.tolist()}, τ = {std}")  # fmt: skip


@Exercise
def pull(answer: Answer, numbers: Generator) -> None:
    """D + sigma^2 / alpha grad log N(y; D seen, (r2 + std^2) I), through the network."""
    for alpha, sigma, std, r2 in ((0.8, 0.6, 0.4, 0.0), (0.6, 1.2, 0.3, 0.8)):
        x_t, kept = _random(4, 5, numbers=numbers), torch.tensor([True, False, True, True, False])
        y = _random(3, numbers=numbers)
        told = answer.with_gradients(_net, x_t, y, kept, alpha, sigma, std, r2)
        require(isinstance(told, Tensor), f"needed a tensor (B, d), got {type(told).__name__}")
        got = tensor(told.detach(), (4, 5), "(B, d)", "the guess")
        D = _net(x_t)
        missed = torch.zeros(4, 5).double()
        missed[:, kept] = y - D[:, kept]
        slope = torch.einsum("bi,bij->bj", missed, _jacobian(x_t))  # missed^T J
        s2, var = sigma**2 / alpha, r2 + std**2
        equal(got, D + s2 * slope / var, {
            "the gradient did not go through the network: it must not be detached": D + s2 * missed / var,
            "the sign: go up the log-density": D - s2 * slope / var,
            "the slope pulls D, not x_t": x_t + s2 * slope / var,
            "divide by r² + τ², not by twice of it": D + s2 * slope / (2 * var),
            "the log-density has a 1/2": D + 2 * s2 * slope / var,
            "r² is missing: this is DPS for every r": D + s2 * slope / std**2,
            "τ² is missing": D + s2 * slope / r2 if r2 else None,
            "variances add, not deviations": D + s2 * slope / (math.sqrt(r2) + std) ** 2,
            "τ stands for τ²": D + s2 * slope / (r2 + std),
            "σ²/α before the slope is missing": D + slope / var,
            "σ stands for σ²": D + sigma / alpha * slope / var,
            "divide by α": D + sigma**2 * slope / var,
            "this is the guess before the pull": D,
            "the square of the distance is summed over what is seen, not averaged": D + s2 * slope / (3 * var),
            "the sum over examples, not the mean: each row has its own slope": D + s2 * slope / (4 * var),
        }, "the guess", f"for α = {alpha}, σ = {sigma}, r² = {r2}")  # fmt: skip


@Exercise
def wilson(answer: Answer, numbers: Generator) -> None:
    """Both ends of Wilson's interval."""
    for n, z in ((20, 1.96), (50, 1.0), (81, 2.576)):
        k = torch.tensor([n, 0, 1, int(torch.randint(2, n - 2, (), generator=numbers))], dtype=torch.float64)
        got = tensor(answer(k, n, z), (4, 2), "(F, 2)", "the interval")
        truth = torch.tensor([[_end(p, n, z, side) for side in (-1, 1)] for p in (k / n).tolist()]).double()
        pair = lambda center, half: torch.stack([center - half, center + half], 1)
        p, by = k / n, 1 + z**2 / n
        naive, extra, center = p * (1 - p) / n, z**2 / (4 * n**2), p + z**2 / (2 * n)
        both = z * (naive + extra).sqrt()
        equal(got, truth, {
            "this is the naive interval, p̂ ± z std": pair(p, z * naive.sqrt()),
            "the divisor 1 + z²/n is missing": pair(center, both),
            "the divisor stands under the half width too": pair(center / by, both),
            "the center is p̂ + z²/2n": pair(p, both) / by,
            "z²/4n² under the root is missing": pair(center, z * naive.sqrt()) / by,
            "z stands before the root": pair(center, both / z) / by,
            "the lower end comes first": truth.flip(1),
            "the root is missing": pair(center, z * (naive + extra)) / by,
            "the ends are shares, not counts": n * truth,
        }, "the interval", f"for n = {n}")  # fmt: skip


def _end(p: float, n: int, z: float, side: int) -> float:
    """The share farthest from p that is z of its own deviations away, by bisection."""
    near, far = p, 1.0 if side > 0 else 0.0
    for _ in range(80):
        middle = (near + far) / 2
        inside = abs(middle - p) <= z * math.sqrt(middle * (1 - middle) / n)
        near, far = (middle, far) if inside else (near, middle)
    return near


def _tells(x: Tensor, t: float, y: Tensor | None) -> Tensor:
    """A network with no training; its label moves what it says."""
    require(x.ndim == 2 and x.shape[1] == 3, f"net wants x of shape (B, 3), got {tuple(x.shape)}")
    label = torch.zeros(len(x)) if y is None else 1.0 + y
    return torch.sin(x) + float(t) * x.flip(1) + 0.7 * label.to(x)[:, None]


def _net(x: Tensor) -> Tensor:
    """A network with no training that mixes entries; `_jacobian` is its derivative."""
    require(x.ndim == 2 and x.shape[1] == 5, f"net wants x of shape (B, 5), got {tuple(x.shape)}")
    return 0.6 * torch.sin(x) + x.roll(1, 1) * 0.5 - 0.3 * x.roll(2, 1)


def _jacobian(x: Tensor) -> Tensor:
    """(B, d, d): row i, column j is d out_i / d x_j."""
    eye = torch.eye(5, dtype=x.dtype)
    return torch.diag_embed(0.6 * torch.cos(x)) + 0.5 * eye.roll(1, 0) - 0.3 * eye.roll(2, 0)
