r"""Any order, several elements at a time: examples filled from the conditionals p(x_i | what is known).

    q(x) = prod_s prod_{i in B_s} p(x_i | x_{B_1}, ..., x_{B_{s-1}})      those of one turn do not see each other
    KL(p || q) = sum_s [ sum_{i in B_s} H(x_i | before) - H(x_{B_s} | before) ]      the cost: total correlations

`conditionals(x, known)` are log-probabilities (B, K, *event) of the K values of each element, where unknown elements of
x have no say: those of a model (`models.masked`) or exact ones.  A plan says who is drawn when.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gdm_core.validate import bad, integer

Conditionals = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class InTurns:
    """Each element at a turn of its own choice.  turn: integers (*event) or (B, *event), from 0."""

    turn: Tensor

    @property
    def steps(self) -> int:
        return int(self.turn.max()) + 1

    def __call__(self, step: int, log_p: Tensor, known: Tensor) -> Tensor:
        """Who is drawn now, bool (B, *event)."""
        return (self.turn == step) & ~known


@dataclass(frozen=True)
class Confident:
    """At each of `steps` turns a share of what is unknown: where the most likely value is surest (Chang et al., 2022).

    It looks at the conditionals before anything is drawn, so q(x) stays a product that can be computed.
    """

    steps: int

    def __call__(self, step: int, log_p: Tensor, known: Tensor) -> Tensor:
        unknown = ~known.flatten(1)
        count = -(-unknown.sum(1) // (self.steps - step))  # (B,), rounded up
        sure = torch.where(unknown, log_p.amax(1).flatten(1), -torch.inf)
        rank = sure.argsort(dim=1, descending=True, stable=True).argsort(1)
        return ((rank < count[:, None]) & unknown).reshape(known.shape)


def in_turns(order: Tensor, steps: int | None = None) -> InTurns:
    """The plan that draws elements in an order, in `steps` turns of about equal size; None for one at a time.

    Args:
        order: (*event) or (B, *event), the rank of each element from 0, all different.
        steps: at most as many as there are elements.

    >>> in_turns(torch.arange(6).reshape(2, 3), 3).turn.tolist()
    [[0, 0, 1], [1, 2, 2]]
    """
    d = int(order.max()) + 1
    steps = d if steps is None else integer("steps", steps, 1, d)
    return InTurns(order * steps // d)


def raster(event_shape) -> Tensor:
    """Ranks from the top left to the bottom right, *event."""
    return torch.arange(torch.Size(event_shape).numel()).reshape(tuple(event_shape))


def random(n: int, event_shape, generator: torch.Generator | None = None, device=None) -> Tensor:
    """Ranks in an order of its own for each of n examples, (n, *event)."""
    u = torch.rand(n, torch.Size(event_shape).numel(), generator=generator, device=device)
    return u.argsort(1).argsort(1).reshape(n, *event_shape)


def checkerboard(event_shape) -> InTurns:
    """Two turns: all black fields of the board, then all white ones."""
    *colors, height, width = event_shape
    turn = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    return InTurns(turn.expand(*colors, height, width).contiguous())


@torch.no_grad()
def decode(
    conditionals: Conditionals, x: Tensor, known: Tensor, plan, values: Tensor, noise: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Fill x turn by turn; yields x and what is known of it after each.

    Args:
        x, known: (B, *event), what one starts from; unknown elements of x do not count.
        plan: `InTurns` or `Confident`, or one's own.
        values: (K,), what an element may be.
        noise: u in (0, 1), (B, *event): an element becomes the value at which its distribution passes u.
    """
    x, known = torch.where(known, x, values[0]), known.expand_as(x).clone()
    for step in range(plan.steps):
        log_p = conditionals(x, known)
        now = plan(step, log_p, known)
        below = (log_p.exp().cumsum(1) < noise[:, None]).sum(1).clamp_max(len(values) - 1)
        x, known = torch.where(now, values[below], x), known | now
        yield x, known


@torch.no_grad()
def log_prob(conditionals: Conditionals, x: Tensor, plan, values: Tensor, known: Tensor | None = None) -> Tensor:
    """log q(x) of what `decode` draws under the same plan, turn by turn: (steps, B) nats, to be summed.

    Args:
        known: what was there before, of x's shape; nothing if None.
    """
    known = torch.zeros_like(x, dtype=torch.bool) if known is None else known.expand_as(x).clone()
    index = (x[:, None] - values.reshape(-1, *[1] * (x.ndim - 1))).abs().argmin(1, keepdim=True)  # (B, 1, *event)
    paid = []
    for step in range(plan.steps):
        log_p = conditionals(torch.where(known, x, values[0]), known)
        now = plan(step, log_p, known)
        paid.append(torch.where(now, log_p.gather(1, index)[:, 0], 0).flatten(1).sum(1))
        known = known | now
    return torch.stack(paid)


def cost(entropy: Callable[[Tensor], float], turn: Tensor) -> list[float]:
    """KL(p || q), nats, turn by turn, of exact conditionals drawn as `turn` says.

    Args:
        entropy: of the elements marked in a bool (d,), under p, nats (`data.ising.Ising.entropy`, say).
        turn: (d,) or any shape of d elements, integers from 0.
    """
    turn, costs = turn.flatten(), []
    if turn.is_floating_point():
        raise bad("turns as integers", turn.dtype, "turn.long()")
    for step in range(int(turn.max()) + 1):
        before = turn < step
        start = entropy(before)
        alone = 0.0
        for i in (turn == step).nonzero()[:, 0].tolist():
            one = before.clone()
            one[i] = True
            alone += entropy(one) - start
        costs.append(alone - (entropy(turn <= step) - start))
    return costs
