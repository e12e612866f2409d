"""Lab 09, normalizing flows: a planar layer, its constraint, a coupling there and back, bits per dimension.

Truths come from determinants of whole Jacobians and from loops over single numbers.
"""

import math

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise


@Exercise
def planar(answer: Answer, numbers: Generator) -> None:
    """z = x + u tanh(w'x + b), log|1 + u'psi(x)|."""
    draw = lambda *shape: torch.randn(*shape, generator=numbers, dtype=torch.float64)
    for n, d in ((4, 2), (3, 5)):
        x, w, u, b = draw(n, d), draw(d), 0.8 * draw(d), 0.4
        if w @ u < -0.5:
            u = -u
        z, log_det = parts(answer(x, w, u, b), "z", "log_det")
        h = torch.tensor([math.tanh(sum((row * w).tolist()) + b) for row in x], dtype=torch.float64)
        moved = torch.stack([row + float(h[i]) * u for i, row in enumerate(x)])
        equal(tensor(z, (n, d), "(B, d)", "z"), moved, {
            "b is missing: h takes w'x + b": x + torch.tanh(x @ w)[:, None] * u,
            "x itself stays: add what u moves": h[:, None] * u,
            "u and w are exchanged: h takes w'x + b, and moves along u": x + torch.tanh(x @ u + b)[:, None] * w,
            "the tanh is missing": x + (x @ w + b)[:, None] * u,
        }, "z")  # fmt: skip
        along, slope = w @ u, 1 - h**2
        J = torch.eye(d, dtype=torch.float64) + slope[:, None, None] * u[:, None] * w  # (n, d, d)
        truth = torch.linalg.slogdet(J)[1]
        equal(tensor(log_det, (n,), "(B,)", "log_det"), truth, {
            "this is the determinant: take its logarithm": truth.exp(),
            "the sign is turned: z spreads where |1 + u'psi| > 1": -truth,
            "h itself stands where its slope belongs: h' = 1 - tanh²": (1 + h * along).abs().log(),
            "the 1 is missing: psi'u is only what u adds to it": (slope * along).abs().log(),
            "tanh² is not squared: h' = 1 - tanh²": (1 + (1 - h) * along).abs().log(),
            "w'w stands where u'w belongs": (1 + slope * (w @ w)).abs().log(),
        }, "log_det")  # fmt: skip


@Exercise
def unfolded(answer: Answer, numbers: Generator) -> None:
    """u + (softplus(w'u) - 1 - w'u) w / |w|^2 (Rezende & Mohamed, 2015, A.1)."""
    for w, u in (((1.2, -0.5), (-2.0, 0.7)), ((0.3, 0.4), (1.0, 0.5)), ((2.0, 1.0, -1.0), (-0.2, -0.8, 0.9))):
        along, square = sum(a * b for a, b in zip(w, u)), sum(a * a for a in w)
        wanted = math.log1p(math.exp(along)) - 1
        moved = lambda by: torch.tensor([b + by * a for a, b in zip(w, u)], dtype=torch.float64)  # noqa: B023
        inputs = [torch.tensor(v, dtype=torch.float64) for v in (w, u)]
        equal(tensor(answer(*inputs), (len(w),), "(d,)", "the new u"), moved((wanted - along) / square), {
            "u was not moved": moved(0.0),
            "w has a length: divide by |w|²": moved(wanted - along),
            "divide by |w|², not by |w|": moved((wanted - along) / square**0.5),
            "the old w'u stays in it: take it away before the new one is added": moved(wanted / square),
            "softplus alone keeps w'u above 0: it may go down to −1": moved((wanted + 1 - along) / square),
            "the difference is turned around: new w'u less the old one": moved((along - wanted) / square),
        }, "u", f"for w = {w}, u = {u}")  # fmt: skip


@Exercise
def couple(answer: Answer, numbers: Generator) -> None:
    """z1 = x1, z2 = x2 exp(s(x1)) + t(x1), log|det| = sum of s."""
    for n, d in ((3, 4), (4, 6)):
        x = torch.randn(n, d, generator=numbers, dtype=torch.float64)
        first, second = x.split(d // 2, 1)
        s, t = _s(first), _t(first)
        z, log_det = parts(answer(_asked(_s, d // 2), _asked(_t, d // 2), x), "z", "log_det")
        join = lambda a, b: torch.cat([a, b], 1)
        truth = join(first, second * s.exp() + t)
        equal(tensor(z, (n, d), "(B, d)", "z"), truth, {
            "s is a logarithm: multiply by exp(s)": join(first, second * s + t),
            "t is added behind the scale, not before it": join(first, (second + t) * s.exp()),
            "this goes back: here x becomes z": join(first, (second - t) * (-s).exp()),
            "t is missing": join(first, second * s.exp()),
            "the halves are exchanged: the first one stays in front": join(second * s.exp() + t, first),
            "the second half says how the first one moves; here it is the other way round":
                join(first * _s(second).exp() + _t(second), second),
            "the second half reads itself: s and t take the first": join(first, second * _s(second).exp() + _t(second)),
        }, "z")  # fmt: skip
        equal(tensor(log_det, (n,), "(B,)", "log_det"), torch.stack([row.sum() for row in s]), {
            "the sign is turned: a scale of exp(s) adds s": -s.sum(1),
            "this is the determinant: its logarithm is the sum of s": s.sum(1).exp(),
            "the mean over the features: the determinant is a product, so its logarithm a sum": s.mean(1),
            "a scale counts: log exp(s) = s": s.exp().sum(1),
            "t moves, and stretches nothing": (s + t).sum(1),
        }, "log_det")  # fmt: skip


@Exercise
def uncouple(answer: Answer, numbers: Generator) -> None:
    """x1 = z1, x2 = (z2 - t(z1)) exp(-s(z1))."""
    for n, d in ((3, 2), (4, 6)):
        x = torch.randn(n, d, generator=numbers, dtype=torch.float64)
        first, second = x.split(d // 2, 1)
        s, t = _s(first), _t(first)
        moved = second * s.exp() + t
        z = torch.cat([first, moved], 1)
        join = lambda b: torch.cat([first, b], 1)  # noqa: B023
        got = tensor(answer(_asked(_s, d // 2), _asked(_t, d // 2), z), (n, d), "(B, d)", "x")
        equal(got, x, {
            "t goes first: it was added last": join(moved * (-s).exp() - t),
            "exp(s) was multiplied with: divide by it": join((moved - t) * s.exp()),
            "t was added: take it away": join((moved + t) * (-s).exp()),
            "this goes there, not back": join(moved * s.exp() + t),
            "s is a logarithm: divide by exp(s)": join((moved - t) / s),
            "s and t are to read the first half, which stayed as it was":
                join((moved - _t(moved)) * (-_s(moved)).exp()),
            "nothing moved": z,
        }, "x")  # fmt: skip


@Exercise
def bits(answer: Answer, numbers: Generator) -> None:
    """-(mean log p(v) - D log levels) / (D log 2)."""
    for n, pixels, levels in ((5, 64, 17), (3, 12, 256)):
        log_p = pixels * (1 + torch.rand(n, generator=numbers, dtype=torch.float64))
        nats = sum(pixels * math.log(levels) - float(v) for v in log_p) / n
        truth = nats / pixels / math.log(2)
        number = lambda v: torch.tensor(v, dtype=torch.float64)
        mean = log_p.mean().item()
        equal(tensor(answer(log_p, pixels, levels), (), "()", "bits per dimension"), number(truth), {
            "these are nats: divide by log 2": number(nats / pixels),
            "these are bits a picture: divide by D": number(nats / math.log(2)),
            "the cell of a level is 1/levels wide in each pixel: its volume is missing":
                number(-mean / pixels / math.log(2)),
            "a cell for each pixel: D log levels, not log levels":
                number((math.log(levels) - mean) / pixels / math.log(2)),
            "the sign of the volume is turned": number((-mean - pixels * math.log(levels)) / pixels / math.log(2)),
            "the sign is turned: bits are what it costs": number(-truth),
            "a sum over pictures: take the mean": number(n * truth),
        }, "bits", f"for D = {pixels}, {levels} levels")  # fmt: skip


def _s(a: Tensor) -> Tensor:
    return 0.6 * torch.sin(1.3 * a) + 0.2


def _t(a: Tensor) -> Tensor:
    return 0.5 * a**2 - 0.7


def _asked(net, half: int):
    """A network that says what it wants when it gets something else."""

    def checked(a: Tensor) -> Tensor:
        require(a.ndim == 2 and a.shape[1] == half, f"s and t want one half, (B, {half}), got {tuple(a.shape)}")
        return net(a)

    return checked
