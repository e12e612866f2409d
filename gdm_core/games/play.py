"""A game as it is played: a generator of states, or a whole path that says where it left."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gdm_core.validate import Diverged, bad, integer, positive


class Path(NamedTuple):
    """States (T + 1, ..., n) of T steps, the start first; `left` is the step that would have left, None if none did."""

    states: Tensor
    left: int | None


def play(game, rule, steps: int | None = None) -> Iterator[Tensor]:
    """The start, then the state after every step, without end unless `steps` says when.

    Args:
        game: `Game` or `Linear`; it is at the yielded state whenever one looks, also after an error or a Ctrl-C.
        rule: one of `dynamics`.
        steps: how many.

    Raises:
        ValueError: at the call, a rule that is none, or no steps.
        Diverged: while running, a state that is not finite.
    """
    if not callable(rule):
        raise bad("a rule such as games.extragradient(0.1)", type(rule).__name__, "calling it with a step size")
    if steps is not None:
        integer("steps", steps)

    def run() -> Iterator[Tensor]:
        w, memory = game.state(), None
        yield w
        for step in itertools.count() if steps is None else range(steps):
            try:
                new, memory = rule(game, w, memory)
                if not torch.isfinite(new).all():
                    size = w.norm().item()
                    raise Diverged(
                        f"needed a finite state, got |w| = {size:.3g} before step {step + 1}; try a smaller lr"
                    )
                w = new
            finally:
                game.put(w)
            yield w

    return run()


def path(game, rule, steps: int, limit: float = 1e9) -> Path:
    """All states of `steps` steps, or of those before the first with |w| above `limit`; small games alone fit memory.

    >>> from gdm_core import games
    >>> x, y = torch.tensor(1.0), torch.tensor(0.0)
    >>> games.path(games.zero_sum(lambda x, y: x * y, x, y), games.simultaneous(3.0), 100, limit=2e6).left
    13
    """
    positive("limit", limit, 1e9)
    states: list[Tensor] = []
    try:
        for w in play(game, rule, steps):
            size = w.norm(dim=-1).max().item()
            if not size <= limit:
                game.put(states[-1] if states else w)
                return Path(torch.stack(states or [w]), len(states))
            states.append(w)
    except Diverged:
        return Path(torch.stack(states), len(states))
    return Path(torch.stack(states), None)
