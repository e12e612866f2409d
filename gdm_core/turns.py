"""Who moves in a training step, and what is said when a move goes wrong."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdm_core.protocols import HasPlayers
from gdm_core.validate import Diverged, bad, choice, integer, positive


class Player(NamedTuple):
    """Who moves in a step: which parameters (None: all that the loss reaches), down which loss, how often.

    `moves` is asked anew in each step where it is a function.
    """

    name: str
    loss: Callable[..., Tensor]
    parameters: list[nn.Parameter] | None
    moves: int | Callable[[], int]


def players(model: nn.Module, moves: dict[str, int | Callable[[], int]]) -> list[Player]:
    """The players of a game, but those that are frozen, with how often each moves; or the one that moves alone."""
    if not isinstance(model, HasPlayers):
        if moves:
            raise bad("a model with players() for moves", type(model).__name__, "moves=None")
        return [Player("loss", model.loss, None, 1)]
    theirs = {name: [p for p in own if p.requires_grad] for name, own in model.players().items()}
    theirs = {name: own for name, own in theirs.items() if own}
    for name in moves:
        choice("player", name, theirs)
    return [Player(name, getattr(model, f"{name}_loss"), own, moves.get(name, 1)) for name, own in theirs.items()]


def in_turn(game: list[Player]) -> list[Player]:
    """Who moves in this step, one after the other."""
    times = [player.moves() if callable(player.moves) else player.moves for player in game]
    return [p for p, many in zip(game, times) for _ in range(integer(f"moves of the {p.name}", many))]


def adam(game: list[Player], parameters: list[nn.Parameter], lr: float | dict[str, float]) -> torch.optim.Adam:
    """One optimizer with a group for each player."""
    rates = lr if isinstance(lr, dict) else {player.name: lr for player in game}
    if rates.keys() != {player.name for player in game}:
        raise bad("one lr for each player", list(rates), f"{{{', '.join(f'{p.name!r}: 1e-3' for p in game)}}}")
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    groups = [{"params": p.parameters or parameters, "lr": positive("lr", rates[p.name], 1e-3)} for p in game]
    return torch.optim.Adam(groups, fused=fused)


def look(
    told: list[tuple[Player, Tensor, Tensor]], step: int, optimizer, rates: list[float]
) -> tuple[dict[str, float], dict[str, float]]:
    """The last loss and gradient norm of each player, once all are known to be finite: one transfer for all."""
    like = told[0][1] if told else None
    numbers = iter(torch.stack([n.to(like) for _, *pair in told for n in pair]).tolist() if told else [])
    losses, norms = {}, {}
    for player, value, norm in zip([player for player, *_ in told], numbers, numbers):
        name = "" if player.parameters is None else f"{player.name} "
        for what, number in (("loss", value), ("gradient norm", norm)):
            finite(f"{name}{what}", number, value, step, optimizer, rates, player.parameters)
        losses[player.name], norms[player.name] = value, norm
    return losses, norms


def finite(what: str, number: float, loss: float, step: int, optimizer, rates: list[float], whose=None) -> None:
    """Diverged, unless `number` is finite; the rate told is that of the group that moves `whose` parameters."""
    if not math.isfinite(number):
        mine = {id(p) for p in whose or ()}
        groups = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
        i = next((i for i, group in enumerate(groups) if group & mine), 0)
        raise Diverged(
            f"needed a finite {what}, got {number} at step {step} "
            f"(loss {loss:.6g}, learning rate {optimizer.param_groups[i]['lr']:.3g}); "
            f"try lr={rates[i] / 10:.1g}, clip=1.0, or look for log(0) and division by 0 in the loss"
        )
