"""Lab 10, autoregressive and masked models: mask, draw, pixel, bound and the price of a turn.

Truths come from positions counted one by one, from loops over values and from sums in plain numbers.
"""

import math

import torch
from torch import Generator

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, require, tensor
from gdm_core.checks.exercise import Exercise


@Exercise
def mask(answer: Answer, numbers: Generator) -> None:
    """Ones before the center in raster order, and at the center but in the first layer."""
    for size in (3, 5, 1):
        both = [tensor(answer(size, first), (size, size), "(size, size)", "the mask") for first in (True, False)]
        place = torch.arange(size * size).reshape(size, size)
        before, center = place < size * size // 2, place == size * size // 2
        own_row, left = place // size == size // 2, place % size <= size // 2
        table = lambda first, later: torch.stack([first, later]).double()
        truth = table(before, before | center)
        mistakes = {
            "A and B are exchanged: the first layer must not hear the pixel itself": table(before | center, before),
            "the center is heard in the first layer: there the pixel would see itself":
                table(before | center, before | center),
            "the center is never heard: later layers may": table(before, before),
            "this is the other side: what comes after": table(~before & ~center, ~before),
            "rows above are heard to the left alone: all of them may be heard": truth * left,
            "of its own row a pixel hears the left, not all": table(before | own_row, before | own_row),
            "the center's row is missing to the left": truth * (~own_row | center),
        }  # fmt: skip
        equal(torch.stack(both), truth, mistakes, "masks A and B", f"for size {size}")


@Exercise
def from_noise(answer: Answer, numbers: Generator) -> None:
    """The smallest k with P(X <= k) >= u."""
    for rows, values in ((40, 4), (1, 3), (25, 7)):
        p = torch.rand(rows, values, generator=numbers, dtype=torch.float64) + 0.1
        p = p / p.sum(1, keepdim=True)
        u = torch.rand(rows, generator=numbers, dtype=torch.float64) * 0.998 + 0.001
        truth, other = [], []
        for row, at in zip(p.tolist(), u.tolist()):
            total, k = row[0], 0
            while total < at:
                k += 1
                total += row[k]
            truth.append(k)
            total, k = row[0], 0
            while total < 1 - at and k < values - 1:
                k += 1
                total += row[k]
            other.append(k)
        truth, other = torch.tensor(truth).double(), torch.tensor(other).double()
        got = tensor(answer(p.log(), u), (rows,), "(B,)", "the draws")
        mistakes = {
            "the draws begin at 0, these at 1": truth + 1,
            "this is one value too low: count what lies below u": (truth - 1).clamp_min(0),
            "this is the most likely value, whatever u is": p.argmax(1).double(),
            "log-probabilities want `exp` before they are summed": (p.log().cumsum(1) < u[:, None]).sum(1).double(),
            "without `cumsum` each probability is compared alone": (p < u[:, None]).sum(1).double(),
            "these are the values above u: count those below": (p.cumsum(1) >= u[:, None]).sum(1).double(),
            "u runs the other way: P(X <= k) >= u, not 1 - u": other,
        }
        equal(got, truth, mistakes, "draw", "for some u")


@Exercise
def logistic_mass(answer: Answer, numbers: Generator) -> None:
    """A logistic between midpoints, the outermost levels open."""
    for rows, levels in ((4, 5), (1, 2), (3, 9)):
        mean = levels * torch.rand(rows, generator=numbers, dtype=torch.float64)
        scale = 0.5 + torch.rand(rows, generator=numbers, dtype=torch.float64)
        got = tensor(answer(mean, scale, levels), (rows, levels), "(B, levels)", "the masses")
        table = lambda open_ends=True, low=-0.5, high=0.5, F=_logistic, power=1.0, m=mean, s=scale, n=levels: (
            torch.tensor(
                [
                    [
                        (1.0 if open_ends and k == n - 1 else F((k + high - a) / b**power))
                        - (0.0 if open_ends and k == 0 else F((k + low - a) / b**power))
                        for k in range(n)
                    ]
                    for a, b in zip(m.tolist(), s.tolist())
                ],
                dtype=torch.float64,
            )
        )
        truth = table()
        density = torch.tensor(
            [[_slope((k - a) / b) / b for k in range(levels)] for a, b in zip(mean.tolist(), scale.tolist())],
            dtype=torch.float64,
        )
        mistakes = {
            "the outermost levels are not open: they get all that is left on their side": table(open_ends=False),
            "the edges lie at the levels: they belong halfway between": table(low=0.0, high=1.0),
            "the edges lie a level too low: k - 1/2 to k + 1/2": table(low=-1.0, high=0.0),
            "divide by the scale: it is multiplied here": table(power=-1.0),
            "the scale is missing": table(power=0.0),
            "this is the density at the level, not the mass around it": density,
            "these are logarithms: probabilities are wanted": truth.log(),
            "this is a Gaussian: F is the logistic function": table(F=_normal),
        }
        equal(got, truth, mistakes, "P", f"for {levels} levels")
        require(bool((got >= -1e-6).all()), "a probability is negative")


@Exercise
def erased_bound(answer: Answer, numbers: Generator) -> None:
    """d / m times the sum over what is erased."""
    for rows, d in ((5, 6), (1, 4), (7, 3)):
        told = -2 * torch.rand(rows, d, generator=numbers, dtype=torch.float64) - 0.1
        rank = torch.rand(rows, d, generator=numbers).argsort(1).argsort(1)
        m = 1 + torch.arange(rows) % (d - 1)
        erased = rank < m[:, None]
        got = tensor(answer(told, erased), (rows,), "(B,)", "the bound")
        sums = [
            [sum(t for t, e in zip(a, b) if e == want) for a, b in zip(told.tolist(), erased.tolist())]
            for want in (1, 0)
        ]
        of_erased, of_known = (torch.tensor(s, dtype=torch.float64) for s in sums)
        m = m.double()
        mistakes = {
            "the weight d / m is missing": of_erased,
            "the sum is over what is known: what is erased counts": d / m * of_known,
            "nothing was left out: only what is erased counts": d / m * (of_erased + of_known),
            "this is the mean over what is erased: d times that is wanted": of_erased / m,
            "the weight is turned round: d / m": m / d * of_erased,
            "m differs from example to example: count the erased of each": d / m.mean() * of_erased,
            "m counts what is erased, not what is left": d / (d - m) * of_erased,
            "this is minus the bound": -d / m * of_erased,
        }
        equal(got, d / m * of_erased, mistakes, "bound", f"for d = {d}")


@Exercise
def together(answer: Answer, numbers: Generator) -> None:
    """H(a) + H(b) - H(a, b)."""
    sizes = ((2, 2), (3, 4), (2, 5))
    for number, (k, n) in enumerate(sizes):
        joint = torch.rand(k, n, generator=numbers, dtype=torch.float64) ** 3 + 0.01
        if number == 2:
            joint[0, 1] = 0.0
        joint = joint / joint.sum()
        first, second = joint.sum(1).tolist(), joint.sum(0).tolist()
        cells = [(i, j, joint[i, j].item()) for i in range(k) for j in range(n)]
        number_of = lambda value: torch.tensor(value, dtype=torch.float64)
        truth = sum(p * math.log(p / (first[i] * second[j])) for i, j, p in cells if p > 0)
        entropy = lambda ps: -sum(p * math.log(p) for p in ps if p > 0)
        whole = entropy(p for *_, p in cells)
        turned = (
            sum(first[i] * second[j] * math.log(first[i] * second[j] / p) for i, j, p in cells) if number < 2 else None
        )
        got = tensor(answer(joint), (), "()", "the loss")
        mistakes = {
            "this is minus the loss: it cannot be below zero": number_of(-truth),
            "these are bits: nats are wanted, without log 2": number_of(truth / math.log(2)),
            "this is the KL the other way round: p comes first": None if turned is None else number_of(turned),
            "this is the entropy of the pair": number_of(whole),
            "the entropy of the pair is missing": number_of(entropy(first) + entropy(second)),
            "this is what remains of one given the other: H(a, b) - H(a)": number_of(whole - entropy(first)),
            "this is what remains of one given the other: H(a, b) - H(b)": number_of(whole - entropy(second)),
            "this is a mean over the cells, not a sum": number_of(truth / (k * n)),
        }
        require(not torch.isnan(got).any(), "0 log 0 is 0: where the joint is 0, nothing is added")
        equal(got, number_of(truth), mistakes, "loss", f"for a table of {k} by {n}")


def _logistic(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _slope(a: float) -> float:
    return _logistic(a) * _logistic(-a)


def _normal(a: float) -> float:
    return 0.5 * (1 + math.erf(a / math.sqrt(2)))
