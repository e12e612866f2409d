"""Lab 12, diffusion: a jump to any step, the posterior of one step back, the exact mean, the loss, a sampling step.

Truths come from loops over steps, from sums over a grid, and from plain numbers.
"""

import math

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise

PAIRS = ((0.9, 0.4, 0.6, 0.8), (1.0, 0.5, 1.0, 2.0))  # alpha_s, sigma_s, alpha_t, sigma_t


@Exercise
def jump(answer: Answer, numbers: Generator) -> None:
    """x after all steps of a chain, at once."""
    for steps in (2, 7):
        betas = 0.05 + 0.2 * torch.rand(steps, generator=numbers, dtype=torch.float64)
        x, e = (torch.randn(5, 3, generator=numbers, dtype=torch.float64) for _ in range(2))
        got = tensor(answer(x, betas, e), (5, 3), "(B, d)", "x_k")
        kept = 1.0
        for beta in betas.tolist():
            kept *= 1 - beta
        mixed = lambda a, b: a * x + b * e  # noqa: B023
        last, root = 1 - betas[-1].item(), math.sqrt(kept)
        equal(got, mixed(root, math.sqrt(1 - kept)), {
            "this is the last step alone: multiply 1 - β over all steps": mixed(math.sqrt(last), math.sqrt(1 - last)),
            "the signal rate stands for its root": mixed(kept, math.sqrt(1 - kept)),
            "the variance of the noise stands for its root": mixed(root, 1 - kept),
            "both roots are missing": mixed(kept, 1 - kept),
            "1 - √ā is not √(1 - ā)": mixed(root, 1 - root),
            "signal and noise are exchanged": mixed(math.sqrt(1 - kept), root),
            "betas were multiplied: multiply 1 - β": mixed(betas.prod().sqrt(), (1 - betas.prod()).sqrt()),
            "betas were added: shares that are kept multiply": mixed(
                (1 - betas.sum()).clamp(min=0).sqrt(), betas.sum().sqrt()
            ),
            "the data do not shrink: √ā x": mixed(1.0, math.sqrt(1 - kept)),
        }, "x_k", f"after {steps} steps")  # fmt: skip


@Exercise.worth(mean=2, variance=2)
def posterior(answer: Answer, numbers: Generator) -> None:
    """q(x_s | x_t, x): mean and variance."""
    for a_s, s_s, a_t, s_t in PAIRS:
        x, x_t = (torch.randn(6, generator=numbers, dtype=torch.float64) for _ in range(2))
        mean, variance = parts(answer(x, x_t, a_s, s_s, a_t, s_t), "mean", "variance")
        step = a_t / a_s
        new = s_t**2 - step**2 * s_s**2
        places = torch.linspace(-9, 9, 4001, dtype=torch.float64)  # the product of both densities, on a grid
        log_p = -((places - a_s * x[:, None]) ** 2) / (2 * s_s**2) - (x_t[:, None] - step * places) ** 2 / (2 * new)
        p = log_p.softmax(1)
        truth = p @ places
        spread = (p @ places**2 - truth**2).mean()
        answer.part("mean")
        equal(tensor(mean, (6,), "(B,)", "the mean"), truth, {
            "x and x_t are exchanged": (a_s * new * x_t + step * s_s**2 * x) / s_t**2,
            "the noise of one step is σ_t² - a² σ_s², with a = α_t / α_s": (
                a_s * s_t**2 * x + step * s_s**2 * x_t
            ) / (s_t**2 + step**2 * s_s**2),
            "this is the mean without x_t: α_s x": a_s * x,
            "divide by σ_t²": a_s * new * x + step * s_s**2 * x_t,
            "σ stands for σ²": (a_s * math.sqrt(new) * x + step * s_s * x_t) / s_t,
            "the step's a = α_t / α_s before x_t is missing": (a_s * new * x + s_s**2 * x_t) / s_t**2,
            "α_s before x is missing": (new * x + step * s_s**2 * x_t) / s_t**2,
        }, "the mean", f"for α_s = {a_s}, σ_s = {s_s}")  # fmt: skip
        answer.part("variance")
        variance = variance.mean() if isinstance(variance, Tensor) and variance.ndim else variance
        whole = torch.tensor(new * s_s**2 / s_t**2, dtype=torch.float64)
        require(abs(whole - spread) < 1e-6, "the check is broken")
        equal(tensor(variance, (), "()", "the variance"), whole, {
            "this is the standard deviation": whole.sqrt(),
            "this is the noise of the step forward": torch.tensor(new),
            "this is σ_s²: x_t says something too": torch.tensor(s_s**2),
            "precisions add, not variances": torch.tensor(new + s_s**2),
            "divide by σ_t²": torch.tensor(new * s_s**2),
            "divide by σ_t², not by σ_t": torch.tensor(new * s_s**2 / s_t),
        }, "the variance", f"for α_s = {a_s}, σ_s = {s_s}")  # fmt: skip


@Exercise
def best_guess(answer: Answer, numbers: Generator) -> None:
    """E[x | x_t] of a finite set of points."""
    for alpha, sigma in ((0.8, 0.6), (1.0, 0.05), (0.1, 1.5)):
        points = torch.randn(7, 2, generator=numbers, dtype=torch.float64)
        x_t = alpha * points[:4] + sigma * torch.randn(4, 2, generator=numbers, dtype=torch.float64)
        got = tensor(answer(x_t, points, alpha, sigma), (4, 2), "(B, d)", "the guess")
        rows = []
        for x in x_t.tolist():
            levels = [sum((a - alpha * b) ** 2 for a, b in zip(x, point)) / (2 * sigma**2) for point in points.tolist()]
            weights = [math.exp(min(levels) - level) for level in levels]
            rows.append([sum(w * p[i] for w, p in zip(weights, points.tolist())) / sum(weights) for i in range(2)])
        square = torch.cdist(x_t, points * alpha) ** 2
        mean = lambda logits: logits.softmax(1) @ points  # noqa: B023
        naive = torch.isnan(got).any()
        require(not naive, "exp fell to 0 for all points: torch.softmax subtracts the largest exponent first")
        equal(got, torch.tensor(rows, dtype=torch.float64), {
            "points shrink too: compare x_t with α times each": mean(
                -(torch.cdist(x_t, points) ** 2) / (2 * sigma**2)
            ),
            "the sign: near points count more": mean(square / (2 * sigma**2)),
            "the exponent is divided by 2 σ², not by σ²": mean(-square / sigma**2),
            "the exponent is divided by 2 σ², not by 2 σ": mean(-square / (2 * sigma)),
            "the distance is squared in a Gaussian": mean(-square.sqrt() / (2 * sigma**2)),
            "this is the nearest point: take the mean with weights": points[square.argmin(1)],
            "the mean of α x: divide by α": alpha * mean(-square / (2 * sigma**2)),
            "σ is missing in the exponent": mean(-square / 2),
            "weights sum to 1 over the points, not over the batch": (-square / (2 * sigma**2)).softmax(0) @ points,
        }, "the guess", f"for α = {alpha}, σ = {sigma}")  # fmt: skip


@Exercise
def training_loss(answer: Answer, numbers: Generator) -> None:
    """Mean over the batch of the squared error of the told noise."""
    x, e = (torch.randn(9, 3, generator=numbers, dtype=torch.float64) for _ in range(2))
    a = 0.1 + 0.8 * torch.rand(9, generator=numbers, dtype=torch.float64)
    got = tensor(answer(_tells, x, a, e), (), "()", "the loss")
    root, off = a.sqrt()[:, None], (1 - a).sqrt()[:, None]
    loss = lambda x_t, wanted=e: (wanted - _tells(x_t, a)).square().sum(1).mean()
    noisy = root * x + off * e
    equal(got, loss(noisy), {
        "the roots are missing: √a x + √(1-a) ε": loss(root**2 * x + off**2 * e),
        "the root of the signal rate is missing": loss(root**2 * x + off * e),
        "the root of 1 - a is missing": loss(root * x + off**2 * e),
        "the noise is not scaled": loss(root * x + e),
        "the data do not shrink": loss(x + off * e),
        "the network was asked about the clean x": loss(x),
        "signal and noise are exchanged": loss(off * x + root * e),
        "the network tells the noise, not x": loss(noisy, x),
        "the wanted noise is not scaled": loss(noisy, off * e),
        "the mean over all entries: sum over the features first": loss(noisy) / 3,
        "a sum over examples: take the mean": 9 * loss(noisy),
        "half of it: the loss has no 1/2": loss(noisy) / 2,
        "the length is not squared": (e - _tells(noisy, a)).norm(dim=1).mean(),
        "one a for all: each example has its own": (e - _tells(a[0].sqrt() * x + (1 - a[0]).sqrt() * e, a))
        .square()
        .sum(1)
        .mean(),
    }, "the loss")  # fmt: skip


@Exercise
def step(answer: Answer, numbers: Generator) -> None:
    """From signal rate a to the higher rate b, the told noise put back."""
    for a, b in ((0.2, 0.5), (0.6, 1.0)):
        x = torch.randn(6, 3, generator=numbers, dtype=torch.float64)
        got = tensor(answer(_tells_all, x, a, b), (6, 3), "(B, d)", "the new x")
        e = _tells_all(x, a)
        guess = (x - math.sqrt(1 - a) * e) / math.sqrt(a)
        mixed = lambda low, high: low * guess + high * e  # noqa: B023
        equal(got, mixed(math.sqrt(b), math.sqrt(1 - b)), {
            "this is the guess alone: shrink it and put the noise back": guess,
            "the noise is put back at the old rate": mixed(math.sqrt(b), math.sqrt(1 - a)),
            "the guess is shrunk by the old rate: this is x again": mixed(math.sqrt(a), math.sqrt(1 - b)),
            "the guess is not shrunk: √b times it": mixed(1.0, math.sqrt(1 - b)),
            "no noise was put back": mixed(math.sqrt(b), 0.0),
            "the roots are missing: √b and √(1-b)": mixed(b, 1 - b),
            "the old x was mixed in, not the guess": math.sqrt(b) * x + math.sqrt(1 - b) * e,
            "the guess divides by √a": math.sqrt(b) * math.sqrt(a) * guess + math.sqrt(1 - b) * e,
            "the guess divides by √a, not by a": math.sqrt(b) * guess / math.sqrt(a) + math.sqrt(1 - b) * e,
            "the noise is taken out with √(1-a), not with 1-a": math.sqrt(b) * (x - (1 - a) * e) / math.sqrt(a)
            + math.sqrt(1 - b) * e,
            "the noise was added to x: take it out for the guess": math.sqrt(b)
            * (x + math.sqrt(1 - a) * e)
            / math.sqrt(a)
            + math.sqrt(1 - b) * e,
            "the network was asked at the new rate": _with(x, _tells_all(x, b), a, b),
        }, "the new x", f"from a = {a} to b = {b}")  # fmt: skip


def _with(x: Tensor, e: Tensor, a: float, b: float) -> Tensor:
    return math.sqrt(b) * (x - math.sqrt(1 - a) * e) / math.sqrt(a) + math.sqrt(1 - b) * e


def _tells(x: Tensor, a: Tensor) -> Tensor:
    """A network with no training, told a signal rate for each example."""
    require(x.ndim == 2 and x.shape[1] == 3, f"net wants x of shape (B, 3), got {tuple(x.shape)}")
    require(isinstance(a, Tensor) and a.shape == (len(x),), "net wants the signal rate of each example, (B,)")
    return torch.sin(x) - 0.5 * x.flip(1) + a[:, None]


def _tells_all(x: Tensor, a: float) -> Tensor:
    """The same, told one rate for all."""
    require(x.ndim == 2 and x.shape[1] == 3, f"net wants x of shape (B, 3), got {tuple(x.shape)}")
    return torch.sin(x) - 0.5 * x.flip(1) + torch.as_tensor(a, dtype=x.dtype)
