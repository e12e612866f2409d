"""Lab 13, straight paths: a line and its slope, optimal pairs of numbers, Heun's step, jumps, MeanFlow's goal.

Truths come from differences between two near times, from trying every order, and from loops over plain numbers.
"""

import itertools

import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise


@Exercise.worth(point=1, velocity=2)
def on_the_line(answer: Answer, numbers: Generator) -> None:
    """x_t and dx_t / dt of the straight path."""
    x, e = (torch.randn(6, 3, generator=numbers, dtype=torch.float64) for _ in range(2))
    t = 0.1 + 0.8 * torch.rand(6, generator=numbers, dtype=torch.float64)
    point, velocity = parts(answer(x, e, t), "x_t", "velocity")
    on = lambda t: torch.stack([x[b] + t[b] * (e[b] - x[b]) for b in range(6)])
    x_t = on(t)
    answer.part("point")
    equal(tensor(point, (6, 3), "(B, d)", "x_t"), x_t, {
        "t = 0 is data, t = 1 is noise: they are exchanged": on(1 - t),
        "a line, not chapter 12's arc: no roots": (1 - t).sqrt()[:, None] * x + t.sqrt()[:, None] * e,
        "the data do not shrink: (1 - t) x": x + t[:, None] * e,
        "one t for all: each pair has its own": x + t[0] * (e - x),
    }, "x_t")  # fmt: skip
    answer.part("velocity")
    slope = (on(t + 1e-4) - on(t - 1e-4)) / 2e-4
    equal(tensor(velocity, (6, 3), "(B, d)", "the velocity"), slope, {
        "the sign: t grows from data to noise": x - e,
        "this is the way from x_t to the noise: the whole line has one slope": e - x_t,
        "this is the way from x to x_t: divide by t": x_t - x,
        "this is the noise alone: x moves out of the line as well": e,
        "this is x_t itself": x_t,
    }, "the velocity")  # fmt: skip


@Exercise
def optimal_pairs(answer: Answer, numbers: Generator) -> None:
    """The order of the noise that makes the sum of squared distances least."""
    for order in ((2, 0, 5, 3, 1, 4), (4, 5, 1, 0, 3, 2)):  # neither is its own inverse
        x = torch.tensor(order, dtype=torch.float64) + 0.3 * torch.rand(6, generator=numbers, dtype=torch.float64) - 2.5
        e = 1.5 * torch.randn(6, generator=numbers, dtype=torch.float64)
        got = tensor(answer(x, e), (6,), "(B,)", "the noise")
        orders = [list(o) for o in itertools.permutations(range(6))]
        cost = (x - e[torch.tensor(orders)]).square().sum(1)
        ranked = e.sort().values
        nearest = e[(x[:, None] - e).abs().argmin(1)]
        equal(got, e[orders[int(cost.argmin())]], {
            "these are the pairs as they came": e,
            "sorted noise belongs to sorted x: x stays where it is, so give each x the noise of its rank": ranked,
            "who is k-th is not which rank one has: argsort twice": ranked[x.argsort()],
            "this is the worst order: the largest x gets the largest noise": ranked.flip(0)[x.argsort().argsort()],
            "the noise in the order of x, before it was sorted itself": e[x.argsort().argsort()],
            "each noise is used once: the nearest one for each x loses the law of the noise": nearest,
            "return the noise, not x": x.sort().values,
        }, "the noise")  # fmt: skip


@Exercise
def heun_step(answer: Answer, numbers: Generator) -> None:
    """One step of second order from t down to r."""
    for t, r in ((0.9, 0.5), (0.4, 0.0)):
        x = torch.randn(5, 3, generator=numbers, dtype=torch.float64)
        got = tensor(answer(_velocity, x, t, r), (5, 3), "(B, d)", "the new x")
        h, here = t - r, _velocity(x, t)
        landed = torch.stack([x[b] - h * here[b] for b in range(5)])
        there = _velocity(landed, r)
        middle = _velocity(x - h / 2 * here, (t + r) / 2)
        equal(got, x - h / 2 * here - h / 2 * there, {
            "this is Euler's step: ask again where it lands": landed,
            "time falls: walk against v": x + h / 2 * (here + _velocity(x + h * here, r)),
            "the landing point went the wrong way: against v there too": x
            - h / 2 * (here + _velocity(x + h * here, r)),
            "this is the slope of the landing point alone: take the mean of both": x - h * there,
            "both slopes were added: take their mean": x - h * (here + there),
            "the step starts at x, not where Euler landed": landed - h / 2 * (here + there),
            "v at the landing point belongs to time r": x - h / 2 * (here + _velocity(landed, t)),
            "at time r v is asked about the landing point, not about x": x - h / 2 * (here + _velocity(x, r)),
            "this is the midpoint rule: Heun takes the mean of two slopes": x - h * middle,
            "the length of the step, t - r, is missing": x - (here + _velocity(x - here, r)) / 2,
        }, "the new x", f"from t = {t} to {r}")  # fmt: skip


@Exercise
def jumps(answer: Answer, numbers: Generator) -> None:
    """K jumps of equal length from noise to data."""
    for K in (3, 1):
        z = torch.randn(5, 2, generator=numbers, dtype=torch.float64)
        got = tensor(answer(_average, z, K), (5, 2), "(B, d)", "the data")
        walk = lambda told, sign=-1.0: _walked(z, K, told, sign)  # noqa: B023
        equal(got, walk(lambda t, r: (t, r)), {
            "this is Euler: u was told the start twice": walk(lambda t, r: (t, t)),
            "u was told its two times in the other order: start, then end": walk(lambda t, r: (r, t)),
            "the sign: a jump takes (t - r) u away": walk(lambda t, r: (t, r), 1.0),
            "each jump ends at its own r, not at 0": walk(lambda t, r: (t, 0.0)),
            "t = 1 is noise: start there": walk(lambda t, r: (1 - t, 1 - r)),
            "all jumps start at t = 1: let t fall": walk(lambda t, r: (1.0, 1 - 1 / K)),  # noqa: B023
            "the length of a jump, t - r, is missing": _walked(z, K, lambda t, r: (t, r), -1.0, whole=True),
            "one jump alone: take K of them": z - _average(z, 1.0, 0.0),
        }, "the data", f"in {K} jumps")  # fmt: skip


@Exercise.worth(value=3, held=1)
def goal(answer: Answer, numbers: Generator) -> None:
    """v - (t - r) (v d_z u + d_t u), through which no gradient goes."""
    z, v = (torch.randn(7, 3, generator=numbers, dtype=torch.float64) for _ in range(2))
    a, b = 0.1 + 0.8 * torch.rand(2, 7, generator=numbers, dtype=torch.float64)
    t, r = torch.maximum(a, b), torch.minimum(a, b)
    weight = torch.full((3,), 0.7, dtype=torch.float64, requires_grad=True)

    def u(z, t, r):
        fine = all(isinstance(s, Tensor) and s.shape == (len(z),) for s in (t, r))
        require(fine, "u wants t and r of each example, (B,)")
        t, r = t[:, None], r[:, None]
        return weight.to(z) * torch.sin(z) * (1 + t) - 0.5 * z.flip(1) * r + t**2 + r * t

    result = answer.with_gradients(u, z.clone(), t.clone(), r.clone(), v.clone())
    answer.part("value")
    got = tensor(result.detach() if isinstance(result, Tensor) else result, (7, 3), "(B, d)", "the goal")
    far, h = (t - r)[:, None], 1e-4
    with torch.no_grad():
        moved = lambda z_by, t_by, r_by=0.0: (
            (  # a derivative by differences
                u(z + h * z_by * v, t + h * t_by, r + h * r_by) - u(z - h * z_by * v, t - h * t_by, r - h * r_by)
            )
            / (2 * h)
        )
        slope, level = moved(1.0, 1.0), u(z, t, r)
        ones = (u(z + h, t + h, r) - u(z - h, t - h, r)) / (2 * h)
    equal(got, v - far * slope, {
        "z moves along the flow: the term v ∂z u is missing": v - far * moved(0.0, 1.0),
        "t moves too: the term ∂t u is missing": v - far * moved(1.0, 0.0),
        "r stays where it is: only z and t move": v - far * moved(1.0, 1.0, 1.0),
        "r was moved in place of t": v - far * moved(1.0, 0.0, 1.0),
        "the sign: (t - r) D u is taken away": v + far * slope,
        "the length t - r is missing": v - slope,
        "this is the derivative alone": slope,
        "this is v alone, flow matching: the derivative is missing": v,
        "z moves with v, not with 1": v - far * ones,
        "this is what is left of u less its goal: return the goal": level - v + far * slope,
    }, "the goal")  # fmt: skip
    answer.part("held")
    require(not result.requires_grad, "the goal must hold still: no gradient may go through it (.detach())")


def _velocity(x: Tensor, t: float) -> Tensor:
    """A field that no step solves."""
    require(x.ndim == 2 and x.shape[1] == 3, f"v wants x of shape (B, 3), got {tuple(x.shape)}")
    return torch.sin(x) - 0.5 * x.flip(1) + t * x


def _average(z: Tensor, t: float, r: float) -> Tensor:
    """A map with no training, told two times."""
    require(z.ndim == 2 and z.shape[1] == 2, f"u wants z of shape (B, 2), got {tuple(z.shape)}")
    return torch.cos(z) * (1 + t) - 0.3 * z.flip(1) * r + t * r


def _walked(z: Tensor, K: int, told, sign: float, whole: bool = False) -> Tensor:
    for k in range(K):
        t, r = (K - k) / K, (K - k - 1) / K
        z = z + sign * (1 if whole else 1 / K) * _average(z, *told(t, r))
    return z
