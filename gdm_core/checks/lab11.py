"""Lab 11, energy and score: a partition function, both terms of a gradient, Langevin, its correction, denoising.

Truths come from sums in plain numbers, from differences of log Z, and from scores that have a formula.
"""

import math

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, require, tensor
from gdm_core.checks.exercise import Exercise

MOVES = ((0.05, 0), (0.4, 1))  # step size h, which of two batches


@Exercise
def log_z(answer: Answer, numbers: Generator) -> None:
    """log of the integral of exp(-e), as a sum over cells of unequal volume."""
    for shift in (0.0, 3.0, 2000.0):  # the last: exp(-e) is below every float
        points = torch.randn(40, 2, generator=numbers, dtype=torch.float64)
        volumes = 0.1 + torch.rand(40, generator=numbers, dtype=torch.float64)
        levels = _quartic(points)
        low = levels.min()
        got = tensor(answer(lambda x, c=shift: _quartic(x) + c, points, volumes), (), "()", "log Z")
        total = lambda e, v: sum(a * math.exp(-b) for a, b in zip(v.tolist(), (e - low).tolist()))  # noqa: B023
        truth = torch.tensor(math.log(total(levels, volumes)) - low.item() - shift)
        ones = torch.ones_like(volumes)
        mistakes = {
            "the sign of the energy: low energy is likely": ((levels + shift + volumes.log()).logsumexp(0)),
            "the cells' volumes are missing": torch.tensor(math.log(total(levels, ones))) - low - shift,
            "a mean over cells: the integral is a sum": truth - math.log(40),
            "this is Z, not its logarithm": truth.exp(),
            "the sign of log Z": -truth,
            "volumes multiply exp(-e): add their logarithm to -e": (volumes - levels - shift).logsumexp(0),
        }
        infinite = bool(torch.isinf(got))
        hint = "exp(-e) fell to 0, and its logarithm is infinite: use torch.logsumexp"
        require(not infinite, hint)
        equal(got, truth, mistakes, "log Z", f"for energies about {shift:g}")


@Exercise
def slope(answer: Answer, numbers: Generator) -> None:
    """Gradient of the mean of -log p by the parameters: data term less model term."""
    states = torch.randn(30, 4, generator=numbers, dtype=torch.float64)  # de/dtheta of each state: e = states @ theta
    theta = torch.randn(4, generator=numbers, dtype=torch.float64)
    seen = states[torch.randint(30, (11,), generator=numbers)]
    energies = states @ theta
    got = tensor(answer(seen, states, energies), (4,), "(P,)", "the gradient")
    loss = lambda t: (seen @ t).mean() + (-(states @ t)).logsumexp(0)
    d, truth = 1e-5, []
    for i in range(4):
        step = torch.zeros_like(theta)
        step[i] = d
        truth.append((loss(theta + step) - loss(theta - step)) / (2 * d))
    truth, p = torch.stack(truth), (-energies).softmax(0)
    data_term, model_term = seen.mean(0), p @ states
    equal(got, truth, {
        "the terms are exchanged: data term less model term": model_term - data_term,
        "the data term alone: energies would fall without end": data_term,
        "the model term alone": -model_term,
        "the sum of both: the model's energy is raised": data_term + model_term,
        "all states count the same: weigh each with p": data_term - states.mean(0),
        "high energy counts as likely: p is exp(-e) / Z": data_term - energies.softmax(0) @ states,
        "the weights do not sum to 1: divide by Z": data_term - (-energies).exp() @ states,
        "a sum over the data: take the mean": seen.sum(0) - model_term,
    }, "the gradient")  # fmt: skip


@Exercise
def langevin(answer: Answer, numbers: Generator) -> None:
    """One move with the noise given."""
    for h, _ in MOVES:
        x, e = (torch.randn(6, 2, generator=numbers, dtype=torch.float64) for _ in range(2))
        got = tensor(answer(_score, x, h, e), (6, 2), "(B, d)", "the new x")
        s, root = _score(x), math.sqrt(2 * h)
        equal(got, x + h * s + root * e, {
            "the noise has 2h in place of its square root": x + h * s + 2 * h * e,
            "half of the noise: √(2h), not √h": x + h * s + math.sqrt(h) * e,
            "√2 · h: the root is over both": x + h * s + math.sqrt(2) * h * e,
            "downhill in density: the score points up": x - h * s + root * e,
            "no noise: this only climbs": x + h * s,
            "the step size is missing before the score": x + s + root * e,
            "half of the step: h with √(2h), h/2 with √h": x + h / 2 * s + root * e,
            "this is the move alone: add the old x": h * s + root * e,
            "noise of unit size": x + h * s + e,
        }, "x", f"for h = {h}")  # fmt: skip


@Exercise
def accept(answer: Answer, numbers: Generator) -> None:
    """Probability that Metropolis' rule takes a move of Langevin."""
    for h, _ in MOVES:
        x = torch.randn(12, 2, generator=numbers, dtype=torch.float64)
        new = x + h * _score(x) + math.sqrt(2 * h) * torch.randn(12, 2, generator=numbers, dtype=torch.float64)
        got = tensor(answer(_quartic, _score, x, new, h), (12,), "(B,)", "the probability")
        fall = _quartic(x) - _quartic(new)  # log p(new) - log p(x)
        log_q = lambda b, a, pull, w=4: -(b - a - h * pull).square().sum(1) / (w * h)  # noqa: B023
        there, back = log_q(new, x, _score(x)), log_q(x, new, _score(new))
        chance = lambda log_ratio: log_ratio.exp().clamp(max=1)
        wide = log_q(x, new, _score(new), 2) - log_q(new, x, _score(x), 2)
        equal(got, chance(fall + back - there), {
            "without the way back: the proposal is not symmetric": chance(fall),
            "the ways are exchanged: q(x | x') stands above": chance(fall + there - back),
            "low energy is likely: the sign of the energies": chance(-fall + back - there),
            "the variance of q is 2h, so its exponent is divided by 4h": chance(fall + wide),
            "the way back goes along the score at x'": chance(fall + log_q(x, new, _score(x)) - there),
            "a probability: at most 1": (fall + back - there).exp(),
            "this is its logarithm": (fall + back - there).clamp(max=0),
            "this is its logarithm, not cut at 0": fall + back - there,
            "at most 1, not at least": (fall + back - there).exp().clamp(min=1),
        }, "the probability", f"for h = {h}")  # fmt: skip


@Exercise
def denoising_loss(answer: Answer, numbers: Generator) -> None:
    """Denoising score matching (Vincent, 2011), a mean over examples."""
    for sigma in (0.5, 2.0):
        x, e = (torch.randn(9, 3, generator=numbers, dtype=torch.float64) for _ in range(2))
        got = tensor(answer(_bent, x, sigma, e), (), "()", "the loss")
        s = _bent(x + sigma * e)
        loss = lambda off: off.square().sum(1).mean() / 2
        equal(got, loss(s + e / sigma), {
            "the noise is not divided by σ": loss(s + e),
            "the noise is divided by σ²": loss(s + e / sigma**2),
            "the sign: the score points back, to −ε/σ": loss(s - e / sigma),
            "the score was asked at x: it needs x + σ ε": loss(_bent(x) + e / sigma),
            "the noise is not scaled: x + σ ε": loss(_bent(x + e) + e / sigma),
            "the factor 1/2 is missing": 2 * loss(s + e / sigma),
            "the mean over all entries: sum over the features first": loss(s + e / sigma) / 3,
            "a sum over examples: take the mean": 9 * loss(s + e / sigma),
            "the length is not squared": (s + e / sigma).norm(dim=1).mean() / 2,
        }, "the loss", f"for σ = {sigma}")  # fmt: skip


def _quartic(x: Tensor) -> Tensor:
    """An energy, (B, 2) -> (B,)."""
    return 0.25 * x[:, 0] ** 4 + 0.5 * x[:, 0] * x[:, 1] + x[:, 1] ** 2


def _score(x: Tensor) -> Tensor:
    """Minus the slope of that energy."""
    require(x.ndim == 2 and x.shape[1] == 2, f"score wants x of shape (B, 2), got {tuple(x.shape)}")
    return -torch.stack([x[:, 0] ** 3 + 0.5 * x[:, 1], 0.5 * x[:, 0] + 2 * x[:, 1]], 1)


def _bent(x: Tensor) -> Tensor:
    require(x.ndim == 2 and x.shape[1] == 3, f"score wants x of shape (B, 3), got {tuple(x.shape)}")
    return torch.sin(x) - 0.5 * x.flip(1)
