r"""Rules by which two players move: one step each, for any game.

    simultaneous   w + h v(w)                                    alternating   the second answers the first's new move
    extragradient  w + h v(w + h v(w))                           (Korpelevich, 1976)
    optimistic     w + h (2 v(w_t) - v(w_{t-1}))                 (Popov, 1980; Daskalakis et al., 2018)
    consensus      w + h (v - gamma J^T v)                       (Mescheder, Nowozin & Geiger, 2017)
    proximal       w' = w + h v(w')                              (Rockafellar, 1976)
    competitive    d = h (v + J_across d)                        (Schaefer & Anandkumar, 2019, eq. 4)
    momentum       m' = beta m + v, w + h m'; beta may be negative  (Polyak, 1964; Gidel et al., 2019)
    lookahead      w + alpha (k steps of another rule - w)       (Zhang et al., 2019; Chavdarova et al., 2021)
    heun, runge_kutta, midpoint     integrators of dw/dt = v(w), of order 2, 4 and 2 (implicit)

A rule is a function `step(game, w, memory) -> (w, memory)`; memory, None before the first step, is what momentum and
optimism keep.  h is one step size, or one for each player.  A step draws one batch, unless it says otherwise.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gdm_core.games.game import checked, rates
from gdm_core.validate import bad, integer, positive

Rate = float | tuple[float, float]
Rule = Callable[..., tuple[Tensor, Tensor | None]]


def simultaneous(lr: Rate, momentum: float = 0.0) -> Rule:
    """Both move at once; `momentum` beta in (-1, 1)."""
    lr, beta = checked(lr), _beta(momentum)

    def step(game, w, memory):
        v = game.field(w, game.draw())
        if not beta:
            return w + rates(game, lr, w) * v, None
        m = v if memory is None else beta * memory + v
        return w + rates(game, lr, w) * m, m

    return step


def alternating(lr: Rate, momentum: float = 0.0, moves: tuple[int, int] = (1, 1)) -> Rule:
    """The first player moves, then the second, who sees where the first went; each on a new batch.

    Args:
        lr: step size, or one each.
        momentum: beta in (-1, 1).
        moves: how often each of the two moves in a step.
    """
    lr, beta = checked(lr), _beta(momentum)
    turns = [i for i in (0, 1) for _ in range(integer("moves", moves[i]))]

    def step(game, w, memory):
        m = torch.zeros_like(w) if memory is None else memory
        for i in turns:
            v = game.field(w, game.draw(), player=i)
            if not beta:
                w = w + rates(game, lr, w) * v
                continue
            mine = rates(game, (1.0 - i, float(i)), w)
            m = (1 - mine) * m + mine * (beta * m + v)
            w = w + rates(game, lr, w) * mine * m
        return w, m if beta else None

    return step


def extragradient(lr: Rate, fresh: bool = False) -> Rule:
    """Look a step ahead, and move as one is pulled there; `fresh`: the second look is at a new batch."""
    lr = checked(lr)

    def step(game, w, memory):
        batch = game.draw()
        ahead = w + rates(game, lr, w) * game.field(w, batch)
        return w + rates(game, lr, w) * game.field(ahead, game.draw() if fresh else batch), None

    return step


def optimistic(lr: Rate) -> Rule:
    """The last pull, twice, less the one before: extragradient at the price of one gradient a step."""
    lr = checked(lr)

    def step(game, w, memory):
        v = game.field(w, game.draw())
        before = v if memory is None else memory
        return w + rates(game, lr, w) * (2 * v - before), v

    return step


def consensus(lr: Rate, gamma: float = 1.0) -> Rule:
    """Both also go down gamma |v|^2 / 2: to where nobody is pulled."""
    lr, gamma = checked(lr), positive("gamma", gamma)

    def step(game, w, memory):
        batch = game.draw()
        v = game.field(w, batch)
        return w + rates(game, lr, w) * (v - gamma * game.vjp(w, v, batch)), None

    return step


def proximal(lr: Rate) -> Rule:
    """Move as one is pulled where one arrives (implicit Euler), by Newton's method.

    Raises:
        ValueError: while running, Newton's method does not settle.
    """
    lr = checked(lr)
    return lambda game, w, memory: (_implicit(game, w, rates(game, lr, w), game.draw()), None)


def midpoint(lr: Rate) -> Rule:
    """Move as one is pulled half of the way there: neither damps nor feeds a rotation."""
    lr = checked(lr)
    return lambda game, w, memory: (2 * _implicit(game, w, rates(game, lr, w) / 2, game.draw()) - w, None)


def competitive(lr: Rate) -> Rule:
    """Each answers the other's move as the game's bilinear part foretells it: the Nash point of a local game."""
    lr = checked(lr)

    def step(game, w, memory):
        batch, rate = game.draw(), rates(game, lr, w)
        return w + game.implicit(w, rate, rate * game.field(w, batch), batch, across=True), None

    return step


def lookahead(rule: Rule, k: int = 5, alpha: float = 0.5) -> Rule:
    """k fast steps of `rule`, then the share alpha in (0, 1] of the way they went; one step of this rule."""
    integer("k", k)
    if positive("alpha", alpha, 0.5) > 1:
        raise bad("alpha in (0, 1]", alpha, "alpha=0.5")

    def step(game, w, memory):
        fast = w
        for _ in range(k):
            fast, memory = rule(game, fast, memory)
        return w + alpha * (fast - w), memory

    return step


def heun(lr: Rate) -> Rule:
    """The mean of the pulls here and a step ahead."""
    lr = checked(lr)

    def step(game, w, memory):
        batch, rate = game.draw(), rates(game, lr, w)
        v = game.field(w, batch)
        return w + rate / 2 * (v + game.field(w + rate * v, batch)), None

    return step


def runge_kutta(lr: Rate) -> Rule:
    """The classic integrator of order 4 (Kutta, 1901); four looks at one batch."""
    lr = checked(lr)

    def step(game, w, memory):
        batch, rate = game.draw(), rates(game, lr, w)
        a = game.field(w, batch)
        b = game.field(w + rate / 2 * a, batch)
        c = game.field(w + rate / 2 * b, batch)
        d = game.field(w + rate * c, batch)
        return w + rate / 6 * (a + 2 * b + 2 * c + d), None

    return step


def clipped(rule: Rule, most: float) -> Rule:
    """`rule`, after which the second player's numbers are cut to [-most, most] (Arjovsky, Chintala & Bottou, 2017)."""
    most = positive("most", most)

    def step(game, w, memory):
        w, memory = rule(game, w, memory)
        second = rates(game, (0.0, 1.0), w) > 0
        return torch.where(second, w.clamp(-most, most), w), memory

    return step


RULES: dict[str, Callable[[float], Rule]] = {  # each with the settings that the course shows
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "optimistic": optimistic,
    "consensus": consensus,
    "proximal": proximal,
    "competitive": competitive,
    "momentum": lambda lr: alternating(lr, momentum=0.5),
    "negative momentum": lambda lr: alternating(lr, momentum=-0.5),
    "lookahead": lambda lr: lookahead(simultaneous(lr)),
    "Heun": heun,
    "Runge-Kutta": runge_kutta,
    "midpoint": midpoint,
}


def _implicit(game, w: Tensor, rate: Tensor, batch) -> Tensor:
    """w' = w + rate v(w')."""
    new, eps = w, torch.finfo(w.dtype).eps
    for _ in range(30):
        missing = w + rate * game.field(new, batch) - new
        if missing.norm() <= 100 * eps * (1 + new.norm()) or not torch.isfinite(missing).all():
            return new + missing
        new = new + game.implicit(new, rate, missing, batch)
    raise bad("a step that Newton's method finds", f"{missing.norm():.2g} left after 30 tries", "a smaller lr")


def _beta(momentum: float) -> float:
    if not isinstance(momentum, int | float) or not math.isfinite(momentum) or abs(momentum) >= 1:
        raise bad("momentum in (-1, 1)", momentum, "momentum=-0.5")
    return float(momentum)
