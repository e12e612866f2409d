"""Two more ways to move the players of a game than one optimizer: an optimizer each, or a rule of `games`.

Both look to a checkpoint and to an undo as a torch optimizer does.
"""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import nn

from gdm_core import games
from gdm_core.protocols import HasPlayers
from gdm_core.turns import Player
from gdm_core.validate import bad

SMALLEST = 1e-30  # step size where a schedule has come to zero: rules want a positive one


class Several:
    """Optimizers as one: a parameter that has no gradient stays where it is, so each moves in its player's turn.

    Args:
        optimizers: of each player.
        game: who plays.

    Raises:
        ValueError: a player without an optimizer, a parameter of two.
    """

    def __init__(self, optimizers: dict[str, torch.optim.Optimizer], game: list[Player]):
        names = [player.name for player in game]
        if set(optimizers) != set(names):
            raise bad(
                "an optimizer for each player", list(optimizers), f"one for each of {', '.join(map(repr, names))}"
            )
        self.optimizers = [optimizers[name] for name in names]
        moved = [id(p) for group in self.param_groups for p in group["params"]]
        if len(set(moved)) < len(moved):
            raise bad(
                "parameters that one optimizer moves", "some of two", "model.players()['critic'] for the critic's"
            )
        self.kind = " and ".join(type(optimizer).__name__ for optimizer in self.optimizers)
        self._share()

    @property
    def param_groups(self) -> list[dict]:
        """Of all, in the order of the players."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def _share(self) -> None:
        self.state = defaultdict(dict)
        for optimizer in self.optimizers:
            self.state.update(optimizer.state)
            optimizer.state = self.state

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict:
        """As torch writes that of one optimizer: parameters are numbers, counted through all groups."""
        number = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[id(p)]: own for p, own in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, saved: dict) -> None:
        groups = iter(saved["param_groups"])
        for optimizer in self.optimizers:
            theirs = [next(groups) for _ in optimizer.param_groups]
            numbers = [i for group in theirs for i in group["params"] if i in saved["state"]]
            optimizer.load_state_dict({"state": {i: saved["state"][i] for i in numbers}, "param_groups": theirs})
        self._share()


class ByRule(torch.optim.Optimizer):
    """A rule of `games` in the place of an optimizer: one step moves both players, on batches that the rule asks for.

    Args:
        rule: `rule(lr) -> step`, such as `games.extragradient`; lr are the step sizes of the two.
        model: whose game it is.
        draw: a new batch for `model.{name}_loss(*batch)`.
        lr: step size, or one for each player.
    """

    def __init__(self, rule: Callable, model: HasPlayers, draw: Callable[[], tuple], lr: float | dict[str, float]):
        self.rule, self.game = rule, games.of(model, draw)
        names = list(model.players())
        sizes = lr if isinstance(lr, dict) else dict.fromkeys(names, lr)
        if sizes.keys() != set(names):
            raise bad("one lr for each player", list(sizes), f"{{{', '.join(f'{name!r}: 0.1' for name in names)}}}")
        try:
            rule(tuple(sizes[name] for name in names))  # says what is wrong with a step size
        except TypeError:
            got = "one that has its own" if callable(rule) else type(rule).__name__
            raise bad("a rule for a step size, such as games.extragradient", got, "leaving out its (lr)") from None
        groups = [{"params": own, "lr": sizes[name]} for name, own in zip(names, self.game.players)]
        super().__init__(groups, {})
        self.kind = f"the rule {getattr(rule, '__name__', type(rule).__name__)}"

    @torch.no_grad()
    def step(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """One step of the rule, which keeps in `state` what it remembers; the last loss and gradient norm of each."""
        game, lr = self.game, tuple(max(group["lr"], SMALLEST) for group in self.param_groups)
        kept = [self.state[p].get("memory") for p in game.parameters]
        memory = None if kept[0] is None else torch.cat([part.flatten() for part in kept])
        with torch.enable_grad():
            w, memory = self.rule(lr)(game, game.state(), memory)
        game.put(w)
        if memory is not None:
            for p, part in zip(game.parameters, memory.split([p.numel() for p in game.parameters])):
                self.state[p]["memory"] = part.view_as(p).clone()
        return [(loss, nn.utils.get_total_norm(grads)) for loss, grads in game.seen]
