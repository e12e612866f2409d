"""Two players, each moving its own numbers: games, the rules by which they move, and what the eigenvalues foretell.

game = games.zero_sum(lambda x, y: x * y, x, y)                 # or two modules, or games.of(model, draw)
for w in games.play(game, games.extragradient(0.3), steps=100): ...
games.radius(games.extragradient(0.3), games.linearize(game))   # growth a step near the equilibrium
"""

from gdm_core.games.classic import KINDS, bilinear, dirac, r1
from gdm_core.games.dynamics import (
    RULES,
    alternating,
    clipped,
    competitive,
    consensus,
    extragradient,
    heun,
    lookahead,
    midpoint,
    optimistic,
    proximal,
    runge_kutta,
    simultaneous,
)
from gdm_core.games.game import Game, of, two_losses, zero_sum
from gdm_core.games.linear import Linear, eigenvalues, linearize, orbit, radius, step_matrix
from gdm_core.games.play import Diverged, Path, path, play

__all__ = [
    "KINDS",
    "RULES",
    "Diverged",
    "Game",
    "Linear",
    "Path",
    "alternating",
    "bilinear",
    "clipped",
    "competitive",
    "consensus",
    "dirac",
    "eigenvalues",
    "extragradient",
    "heun",
    "linearize",
    "lookahead",
    "midpoint",
    "of",
    "optimistic",
    "orbit",
    "path",
    "play",
    "proximal",
    "r1",
    "radius",
    "runge_kutta",
    "simultaneous",
    "step_matrix",
    "two_losses",
    "zero_sum",
]
