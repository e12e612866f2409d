"""Lab 07, game dynamics: moves of two players, the growth that a step foretells, a penalty that reaches the critic.

Truths come from formulas in plain numbers, from trace and determinant, and from a critic whose slope has a formula.
"""

import math

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, require, tensor
from gdm_core.checks.exercise import Exercise

POINTS = ((0.8, -0.5, 0.3), (-0.4, 1.2, 0.7))  # x, y, step size


@Exercise
def both_at_once(answer: Answer, numbers: Generator) -> None:
    """One step: x down, y up, both from the old place."""
    for x, y, lr in POINTS:
        (fx, fy), w = _slope(x, y), (x, y)
        got = tensor(answer(_asked, torch.tensor(w, dtype=torch.float64), lr), (2,), "(2,)", "the new w")
        mistakes = {
            "both went down: the second player climbs": (x - lr * fx, y - lr * fy),
            "both climbed: the first player goes down": (x + lr * fx, y + lr * fy),
            "the signs are exchanged: x goes down, y goes up": (x + lr * fx, y - lr * fy),
            "y saw the new x: here both move from the old place": _turns(x, y, lr),
            "the step size is missing": (x - fx, y + fy),
            "this is the move alone: add the old w": (-lr * fx, lr * fy),
            "x went down y's slope, and y up x's: each has its own": (x - lr * fy, y + lr * fx),
            "nothing moved": w,
        }
        equal(got, _pair(x - lr * fx, y + lr * fy), _pairs(mistakes), "w", f"at w = ({x}, {y}), lr = {lr}")


@Exercise
def by_turns(answer: Answer, numbers: Generator) -> None:
    """x moves; then y, who sees where x went."""
    for x, y, lr in POINTS:
        fx, fy = _slope(x, y)
        got = tensor(answer(_asked, torch.tensor((x, y), dtype=torch.float64), lr), (2,), "(2,)", "the new w")
        first_y = y + lr * fy
        mistakes = {
            "y moved from the old place: ask for the slope again, at the new x": (x - lr * fx, y + lr * fy),
            "y moved first: here x does": (x - lr * _slope(x, first_y)[0], first_y),
            "the second player went down: it climbs": (x - lr * fx, y - lr * _slope(x - lr * fx, y)[1]),
            "x moved twice: at the second turn y alone moves": _twice(x, y, lr),
            "the first player climbed: it goes down": (x + lr * fx, y + lr * _slope(x + lr * fx, y)[1]),
            "the second turn forgot its step size": (x - lr * fx, y + _slope(x - lr * fx, y)[1]),
            "the second turn forgot where y was: add the old y": (x - lr * fx, lr * _slope(x - lr * fx, y)[1]),
        }
        equal(got, _pair(*_turns(x, y, lr)), _pairs(mistakes), "w", f"at w = ({x}, {y}), lr = {lr}")


@Exercise
def look_ahead(answer: Answer, numbers: Generator) -> None:
    """Extragradient (Korpelevich, 1976): the pull from a step ahead moves the old w."""
    for x, y, lr in POINTS:
        fx, fy = _slope(x, y)
        ahead = x - lr * fx, y + lr * fy
        gx, gy = _slope(*ahead)
        got = tensor(answer(_asked, torch.tensor((x, y), dtype=torch.float64), lr), (2,), "(2,)", "the new w")
        mistakes = {
            "this is a plain step: move as one is pulled there, a step ahead": ahead,
            "the move starts from ahead: it starts at the old w": (ahead[0] - lr * gx, ahead[1] + lr * gy),
            "this is the mean of both pulls (Heun's method): only the pull from ahead counts":
                (x - lr * (fx + gx) / 2, y + lr * (fy + gy) / 2),
            "the look ahead has no step size": _far(x, y, lr),
            "the second look has its signs exchanged": (x + lr * gx, y - lr * gy),
            "the look ahead has its signs exchanged: x goes down there too": _behind(x, y, lr),
        }  # fmt: skip
        equal(got, _pair(x - lr * gx, y + lr * gy), _pairs(mistakes), "w", f"at w = ({x}, {y}), lr = {lr}")


@Exercise
def growth(answer: Answer, numbers: Generator) -> None:
    """Spectral radius of a linear step of two numbers."""
    cases = ((0.8, 0.2, 0.2, 0.5), (0.9, -0.4, 0.7, 0.8), (0.2, 0.5, 0.3, -1.1), (0.6, -0.3, 0.3, 0.6))
    for a, b, c, d in cases:
        M = torch.tensor([[a, b], [c, d]], dtype=torch.float64)
        asked: list = []

        def step(w, M=M, asked=asked):
            asked.append(w)
            require(tuple(w.shape) == (2,), f"step wants w of shape (2,), got {tuple(w.shape)}")
            return M @ w.to(M)

        got = tensor(answer(step), (), "()", "the growth")
        require(bool(asked), "step was never asked: its matrix is what it does to (1, 0) and (0, 1)")
        trace, det = a + d, a * d - b * c
        root = trace**2 / 4 - det  # of z^2 - trace z + det
        pair = [trace / 2 + s * math.sqrt(max(root, 0)) for s in (1, -1)]
        values = [abs(z) for z in pair] if root >= 0 else [math.sqrt(det)] * 2
        stretch = torch.linalg.matrix_norm(M, 2)
        mistakes = {
            "the real part alone: a complex eigenvalue has the length √(real² + imaginary²)": max(pair),
            "an eigenvalue of −1.2 grows too: take absolute values": max(pair),
            "this is the smallest of the eigenvalues": min(values),
            "this is the determinant: the product of the eigenvalues": det,
            "this is the largest stretch of one step (a singular value), not the growth in the long run": stretch,
            "the square root is missing: |λ|² of a pair is not |λ|": max(values) ** 2,
            "this is the sum of the eigenvalues": trace,
            "these are distances to 1": max(abs(z - 1) for z in pair),
        }
        known = {hint: torch.as_tensor(v, dtype=torch.float64) for hint, v in mistakes.items()}
        truth = torch.tensor(max(values), dtype=torch.float64)
        if root < 0:
            known.pop("an eigenvalue of −1.2 grows too: take absolute values")
        else:
            known.pop("the real part alone: a complex eigenvalue has the length √(real² + imaginary²)")
        equal(got, truth, known, "the growth", f"for M = {M.tolist()}")


@Exercise
def penalty(answer: Answer, numbers: Generator) -> None:
    """R1 (Mescheder et al., 2018): gamma / 2 times the mean squared slope of D over the data."""
    x = torch.randn(7, 2, generator=numbers, dtype=torch.float64)
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, -0.6))

    def critic(x: Tensor) -> Tensor:
        return a.to(x) * torch.sin(x[:, 0]) + b.to(x) * x[:, 1] ** 2

    for gamma in (1.0, 3.0):
        u, v = x[:, 0].cos(), 2 * x[:, 1]
        squares = (a.item() * u) ** 2 + (b.item() * v) ** 2  # of the slope, from the formula
        result = answer.with_gradients(critic, x.clone(), gamma)
        got = tensor(result.detach() if isinstance(result, Tensor) else result, (), "()", "the penalty")
        truth = gamma / 2 * squares.mean()
        equal(got, truth, {
            "half of gamma: the factor 1/2 is missing": gamma * squares.mean(),
            "the slope's length is not squared": gamma / 2 * squares.sqrt().mean(),
            "a sum over examples: take the mean": gamma / 2 * squares.sum(),
            "the mean over all entries: sum over the features, then the mean over examples": truth / 2,
            "the mean slope was squared: square first": gamma / 2 * ((a * u).mean() ** 2 + (b * v).mean() ** 2),
            "gamma is missing": squares.mean() / 2,
            "a slope of 1 is wanted here: that is another penalty": gamma / 2 * ((squares.sqrt() - 1) ** 2).mean(),
        }, "the penalty", f"for gamma = {gamma:g}")  # fmt: skip
        hint = "the penalty does not reach the critic: torch.autograd.grad(..., create_graph=True)"
        require(isinstance(result, Tensor) and result.requires_grad, hint)
        slopes = torch.autograd.grad(result, (a, b), allow_unused=True)
        require(all(s is not None for s in slopes), hint)
        wanted = gamma * torch.stack([a * (u**2).mean(), b * (v**2).mean()]).detach()
        equal(torch.stack(slopes).double(), wanted, {}, "the gradient of the penalty by the critic's parameters")


def _slope(x: float, y: float) -> tuple[float, float]:
    """(f_x, f_y) of f = xy + 0.3 x^2 - 0.2 y^2 + 0.1 x^2 y."""
    return y + 0.6 * x + 0.2 * x * y, x - 0.4 * y + 0.1 * x**2


def _asked(w: Tensor) -> Tensor:
    require(tuple(w.shape) == (2,), f"slope wants w = (x, y) of shape (2,), got {tuple(w.shape)}")
    return _pair(*_slope(float(w[0]), float(w[1])))


def _turns(x: float, y: float, lr: float) -> tuple[float, float]:
    x = x - lr * _slope(x, y)[0]
    return x, y + lr * _slope(x, y)[1]


def _twice(x: float, y: float, lr: float) -> tuple[float, float]:
    new = x - lr * _slope(x, y)[0]
    fx, fy = _slope(new, y)
    return new - lr * fx, y + lr * fy


def _behind(x: float, y: float, lr: float) -> tuple[float, float]:
    fx, fy = _slope(x, y)
    gx, gy = _slope(x + lr * fx, y - lr * fy)
    return x - lr * gx, y + lr * gy


def _far(x: float, y: float, lr: float) -> tuple[float, float]:
    fx, fy = _slope(x, y)
    gx, gy = _slope(x - fx, y + fy)
    return x - lr * gx, y + lr * gy


def _pair(x: float, y: float) -> Tensor:
    return torch.tensor([x, y], dtype=torch.float64)


def _pairs(mistakes: dict) -> dict[str, Tensor]:
    return {hint: _pair(*w) for hint, w in mistakes.items()}
