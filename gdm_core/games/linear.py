r"""Linear games v(w) = J w, in closed form: what every game is near an equilibrium, where v = 0.

There a step of a rule is a matrix M, and the distance to the equilibrium grows by the spectral radius of M a step, in
the long run.  M is what the rule itself does to unit vectors: no rule is written down twice.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gdm_core import yours
from gdm_core.games.game import Batch, Game, nothing
from gdm_core.validate import bad, integer


class Linear:
    """The game v(w) = J w, with the methods of `Game`.

    States are (..., n): many trajectories move at once.  A batch is nothing, or (xi,), a factor on J: (...), one a
    trajectory, or a number.

    Args:
        J: (n, n), the first player's rows and columns first.
        sizes: how many of the n each player has.
        start: the state to start at, (..., n); ones unless given.
        draw: a new batch.
    """

    def __init__(
        self, J: Tensor, sizes: tuple[int, int], start: Tensor | None = None, draw: Callable[[], Batch] = nothing
    ):
        self.J, self.sizes, self.draw = J, tuple(integer("size", n) for n in sizes), draw
        n = sum(self.sizes)
        if J.shape != (n, n) or not torch.isfinite(J).all():
            raise bad(
                f"a finite J ({n}, {n}) for players of sizes {self.sizes}", tuple(J.shape), "games.linearize(game)"
            )
        self.start = J.new_ones(n) if start is None else torch.as_tensor(start).to(J)
        if self.start.shape[-1:] != (n,) or not torch.isfinite(self.start).all():
            raise bad(f"a finite start (..., {n})", start, f"start=torch.ones({n})")
        place = torch.arange(n, device=J.device) < self.sizes[0]
        self._own = torch.stack([place, ~place])
        self._across = J * (place[:, None] != place[None, :])

    def state(self) -> Tensor:
        """The current state, (..., n)."""
        return self.start

    def put(self, w: Tensor) -> None:
        """Let the state be w."""
        self.start = w

    def field(self, w: Tensor, batch: Batch = (), player: int | None = None) -> Tensor:
        """J w, (..., n)."""
        v = self._times(w, self.J, batch)
        return v if player is None else v * self._own[player]

    def jvp(self, w: Tensor, u: Tensor, batch: Batch = (), across: bool = False) -> Tensor:
        """J u, wherever w is."""
        return self._times(u, self._across if across else self.J, batch)

    def vjp(self, w: Tensor, u: Tensor, batch: Batch = ()) -> Tensor:
        """J^T u."""
        return self._times(u, self.J.mT, batch)

    def implicit(self, w: Tensor, rate: Tensor, b: Tensor, batch: Batch = (), across: bool = False) -> Tensor:
        """d with (I - rate J) d = b, (..., n)."""
        J = self._across if across else self.J
        for xi in batch:
            J = torch.as_tensor(xi).to(J)[..., None, None] * J
        return torch.linalg.solve(torch.eye(len(rate)).to(J) - rate[:, None] * J, b[..., None])[..., 0]

    @staticmethod
    def _times(u: Tensor, J: Tensor, batch: Batch) -> Tensor:
        v = (u[..., None, :] @ J.mT)[..., 0, :]
        for xi in batch:
            v = torch.as_tensor(xi).to(v)[..., None] * v
        return v


def linearize(game: Game, w: Tensor | None = None) -> Linear:
    """The game as a step away from w sees it, with the Jacobian of v there: n products, so for small n.

    It foretells the rules near w if w is an equilibrium.

    Args:
        game: without noise, or with one batch for all of J.
        w: (n,); the current state unless given.
    """
    now = game.state()
    w, batch = now if w is None else w, game.draw()
    try:
        columns = [game.jvp(w, u, batch) for u in torch.eye(len(w)).to(w)]
    finally:
        game.put(now)
    return Linear(torch.stack(columns, 1), game.sizes)


def step_matrix(rule, game: Linear, memory: bool | None = None) -> Tensor:
    """M of one step, (n, n), or (2 n, 2 n) on (w, memory) where the rule has a memory; w is in the first n rows.

    Args:
        rule, game: what moves where; noise is left out.
        memory: whether the rule has one; None tries.
    """
    still, n = _still(game), len(game.J)
    unit, none = torch.eye(n).to(game.J), game.J.new_zeros(n, n)
    if memory is None:
        memory = rule(still, none, None)[1] is not None
    if not memory:
        return rule(still, unit, None)[0].mT
    w, kept = rule(still, torch.cat([unit, none]), torch.cat([none, unit]))
    return torch.cat([w, kept], 1).mT


def _still(game: Linear) -> Linear:
    return game if game.draw is nothing else Linear(game.J, game.sizes, game.start)


def eigenvalues(rule, game: Linear) -> Tensor:
    """Of a step's matrix: complex (n,) or (2 n,)."""
    return torch.linalg.eigvals(step_matrix(rule, game))


def _radius_by(growth, ours, rule, game):
    """Theirs is of a step of two numbers."""
    M = step_matrix(rule, game)
    return float(growth(lambda w: M @ torch.as_tensor(w).to(M))) if len(M) == 2 else ours(rule, game)


@yours.replaceable("lab07.growth", _radius_by)
def radius(rule, game: Linear) -> float:
    """The largest |eigenvalue|: the factor a step, in the long run, on the distance to the equilibrium.

    >>> from gdm_core import games
    >>> round(games.radius(games.simultaneous(0.5), games.bilinear()), 6)  # sqrt(1 + 0.25)
    1.118034
    """
    return eigenvalues(rule, game).abs().max().item()


def orbit(rule, game: Linear, steps: int) -> Tensor:
    """All states of `steps` steps from the game's start without noise, (steps + 1, n): the same as `play`, by powers.

    A block of states times M^(its length) is the next block: log2(steps) products in place of `steps`.  A start (n,)
    in float64 keeps about 11 digits over 100,000 neutral steps.
    """
    n, most = len(game.J), integer("steps", steps) + 1
    if game.state().ndim > 1:
        raise bad("one start (n,)", tuple(game.state().shape), "games.path for several")
    together = torch.cat([game.state()[None], torch.eye(n).to(game.J)])
    w, memory = rule(_still(game), together, None)  # the first step is apart: it makes the memory
    first = w[0] if memory is None else torch.cat([w[0], memory[0]])
    M = w[1:].mT if memory is None else step_matrix(rule, game, True)
    M, states = M.double().cpu().numpy(), np.empty((len(first), most))
    states[:n, 0], states[:, 1] = game.state().cpu(), first.cpu()
    known = 2  # the start is in no block: it has no memory yet
    while known < most:
        new = min(known - 1, most - known)
        np.matmul(M, states[:, 1 : 1 + new], out=states[:, known : known + new])
        known, M = known + new, M @ M
    return torch.from_numpy(states[:n].T).to(game.J)
