r"""Chains that end up distributed as p(x) = exp(-e(x) / T) / Z, though nobody knows Z.

    Langevin    x' = x + h s(x) + sqrt(2 h T) noise,     s = -grad e            (Roberts & Tweedie, 1996, eq. 8)
    corrected   that move, accepted with probability min(1, p(x') q(x | x') / (p(x) q(x' | x)))     (ibid., MALA)
    annealed    Langevin at one noise level after the other, h = size sigma^2   (Song & Ermon, 2019, algorithm 1)
    gibbs       of symbols: x_i from p(x_i | the others), one after the other   (Geman & Geman, 1984)

Each is a generator: the start, then every state, (B, *event), without end unless `steps` says when.  Chains do not feel
each other.  The noise of step i is `noise(i)`, of the shape of x, standard normal and following `torch.manual_seed`
unless it is given.
"""

import collections
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from gdm_core.validate import bad, integer, positive

Field = Callable[[Tensor], Tensor]
Draw = Callable[[int], Tensor]


def score_of(energy: Field) -> Field:
    """-grad e of an energy (B, *event) -> (B,) of one example each, by autograd.

    >>> score_of(lambda x: x.square().sum(1) / 2)(torch.tensor([[3.0, -1.0]]))
    tensor([[-3.,  1.]])
    """

    def score(x: Tensor) -> Tensor:
        further = x.requires_grad
        with torch.enable_grad():
            x = x if further else x.detach().requires_grad_()
            return -torch.autograd.grad(energy(x).sum(), x, create_graph=further)[0]

    return score


def langevin(
    score: Field,
    x: Tensor,
    size: float,
    steps: int | None = None,
    *,
    temperature: float = 1.0,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """Down the energy, shaken.  Its stationary law is p up to an error of the order of `size`.

    Args:
        score: grad log p, (B, *event) -> (B, *event).
        x: the start, (B, *event).
        size: h, in squared units of x.
        steps: how many.
        temperature: T; 0 is gradient descent.
        noise: see the module.

    Raises:
        ValueError: at the call, a size that is not positive or a temperature below 0.
        FloatingPointError: while running, a state that is not finite.
    """
    size, heat, turns = positive("size", size, 0.01), _heat(temperature), _turns(steps)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for i in turns:
            state = _finite(
                state + size * score(state).detach() + math.sqrt(2 * size * heat) * _drawn(noise, i, state), i
            )
            yield state

    return run()


def corrected(
    energy: Field,
    x: Tensor,
    size: float,
    steps: int | None = None,
    *,
    score: Field | None = None,
    temperature: float = 1.0,
    noise: Draw | None = None,
    uniform: Draw | None = None,
) -> Iterator[Tensor]:
    """Langevin whose moves may be refused: p is its stationary law whatever the size.  A refused chain stays.

    Args:
        energy: (B, *event) -> (B,), nats.
        x, size, steps, noise: as for `langevin`.
        score: -grad e; by autograd unless given.
        temperature: T > 0.
        uniform: uniform(i), (B,) in [0, 1), decides step i; `torch.rand` unless given.

    Raises:
        ValueError, FloatingPointError: as `langevin`.
    """
    size, turns, score = positive("size", size, 0.01), _turns(steps), score or score_of(energy)
    heat = positive("temperature", temperature)

    def run() -> Iterator[Tensor]:
        state, level, pull = x.detach(), energy(x).detach(), score(x).detach()
        yield state
        for i in turns:
            moved = _finite(state + size * pull + math.sqrt(2 * size * heat) * _drawn(noise, i, state), i)
            level_there, pull_there = energy(moved).detach(), score(moved).detach()
            there = (moved - state - size * pull).square().flatten(1).sum(1)
            back = (state - moved - size * pull_there).square().flatten(1).sum(1)
            log_ratio = (level - level_there + (there - back) / (4 * size)) / heat
            toss = torch.rand_like(level) if uniform is None else uniform(i)
            taken = toss.log() < log_ratio
            wide = taken.reshape(-1, *[1] * (x.ndim - 1))
            state, pull = torch.where(wide, moved, state), torch.where(wide, pull_there, pull)
            level = torch.where(taken, level_there, level)
            yield state

    return run()


def annealed(
    score: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Sequence[float],
    size: float = 0.2,
    steps: int = 10,
    *,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """From much noise to little: `steps` moves at each level, whose law is p blurred by that much.

    Args:
        score: score(x, sigma), grad log of the density of data + sigma noise; sigma: ().
        x: the start, about as wide as the first level.
        sigmas: levels, falling.
        size: of a move, in units of sigma^2; epsilon / (2 sigma_L^2) in the paper.
        steps: moves at each level.
        noise: see the module; its steps are counted through all levels.

    Raises:
        ValueError: at the call, levels that do not fall or are not positive.
        FloatingPointError: as `langevin`.
    """
    levels = [positive("sigma", float(s)) for s in sigmas]
    if not levels or any(a <= b for a, b in itertools.pairwise(levels)):
        raise bad("noise levels that fall", [round(s, 4) for s in levels[:6]], "torch.logspace(1, -1, 10)")
    size, steps = positive("size", size, 0.2), integer("steps", steps)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for level, sigma in enumerate(levels):
            told = torch.tensor(sigma, dtype=x.dtype, device=x.device)
            at = lambda x, told=told: score(x, told)
            own = None if noise is None else lambda i, first=level * steps: noise(first + i)
            chain = langevin(at, state, size * sigma**2, steps, noise=own)
            next(chain)  # the start was yielded
            for state in chain:
                yield state

    return run()


def gibbs(
    conditional: Callable[[Tensor, int], Tensor], x: Tensor, sweeps: int | None = None, *, uniform: Draw | None = None
) -> Iterator[Tensor]:
    """The heat bath for symbols 0 and 1: each entry drawn anew given all others, one after the other.

    Args:
        conditional: conditional(x, i), p(x_i = 1 | the other entries), (B,).
        x: the start, (B, d).
        sweeps: how many; a state is yielded after each.
        uniform: uniform(t), (B, d) in [0, 1), decides sweep t; `torch.rand` unless given.
    """
    turns = _turns(sweeps)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for t in turns:
            state = state.clone()
            toss = torch.rand(x.shape, device=x.device) if uniform is None else uniform(t)
            for i in range(x.shape[1]):
                state[:, i] = (toss[:, i] < conditional(state, i)).to(state)
            yield state

    return run()


def last(states: Iterator[Tensor]) -> Tensor:
    """The last state of a chain with an end, when no other is kept."""
    return collections.deque(states, maxlen=1)[0]


def _drawn(noise: Draw | None, i: int, x: Tensor) -> Tensor:
    return torch.randn_like(x) if noise is None else noise(i)


def _finite(x: Tensor, i: int) -> Tensor:
    if not torch.isfinite(x.sum()):
        raise FloatingPointError(f"needed finite states, got NaN or infinity at step {i + 1}; try a smaller size")
    return x


def _heat(temperature: float) -> float:
    if not 0 <= temperature < math.inf:
        raise bad("a temperature >= 0", temperature, "temperature=1.0")
    return float(temperature)


def _turns(steps: int | None):
    return itertools.count() if steps is None else range(integer("steps", steps))
