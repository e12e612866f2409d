"""One training loop for every model that learns by gradient, alone or as the players of a game.

`steps` is the loop as a generator: a figure, an explorer or an annealing schedule acts between two steps.  `fit` runs
it to the end with a progress bar.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdm_core import checkpoint as checkpoints
from gdm_core.average import Average
from gdm_core.denormals import flushed
from gdm_core.movers import ByRule, Several
from gdm_core.turns import Diverged, Player, adam, finite, in_turn, look, players
from gdm_core.undo import Whole
from gdm_core.validate import bad, integer, positive

__all__ = ["Diverged", "History", "evaluate", "falling", "fit", "steps"]


@dataclass
class History:
    """What happened: loss and gradient norm of each player's last move in a step, and (step, validation loss) pairs.

    Losses are in nats per example, gradient norms those before clipping.
    """

    losses: dict[str, list[float]] = field(default_factory=lambda: {"loss": []})
    norms: dict[str, list[float]] = field(default_factory=lambda: {"loss": []})
    validation: list[tuple[int, float]] = field(default_factory=list)

    @property
    def loss(self) -> list[float]:
        """The losses of a model that learns alone.  ValueError: the players of a game have one list each."""
        if len(self.losses) > 1:
            raise bad("the name of a player", "a game's history.loss", f"history.losses[{next(iter(self.losses))!r}]")
        return next(iter(self.losses.values()))

    def add(self, losses: dict[str, float], norms: dict[str, float]) -> None:
        """One more step."""
        for name, value in losses.items():
            self.losses[name].append(value)
            self.norms[name].append(norms[name])

    def __len__(self) -> int:
        return len(next(iter(self.losses.values())))


def falling(progress: float) -> float:
    """Learning-rate factor that falls from 1 to 0 along half a cosine; `progress` in [0, 1].

    >>> falling(0.0), falling(1.0)
    (1.0, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def steps(
    model: nn.Module,
    data: checkpoints.Data | Tensor,
    *,
    steps: int = 1000,
    batch_size: int = 128,
    lr: float | dict[str, float] = 1e-3,
    optimizer: torch.optim.Optimizer | dict[str, torch.optim.Optimizer] | None = None,
    rule: Callable | None = None,
    rate: Callable[[float], float] | None = None,
    clip: float | None = None,
    moves: dict[str, int | Callable[[], int]] | None = None,
    average: float | None = None,
    bf16: bool = False,
    validation: Tensor | tuple[Tensor, ...] | None = None,
    validate_every: int = 100,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 500,
    seed: int = 0,
) -> Iterator[History]:
    """Minimize `model.loss`, or play the game of `protocols.HasPlayers`; yields the history after every step.

    In one step each player moves, in the order of `model.players()`: its parameters go down its loss.  A step happens
    whole or not at all, for all players.

    Args:
        model: anything with `loss(*batch) -> ()`, or with players; left in training mode.
        data: `(N, *event)`, or a tuple of tensors of the same length that are indexed together (x, labels); or a
            function that draws new ones, `data(batch_size)`, such as the `sample` of a target.
        steps: total number of steps, those of a resumed checkpoint included.
        batch_size: examples a move; epochs are shuffled by a private generator with `seed`.
        lr: learning rate of Adam, or one for each player; ignored when `optimizer` is given.
        optimizer: any torch optimizer over the model's parameters, those of all players, or one for each player.
        rule: in place of an optimizer, one of `games` for a step size, such as `games.extragradient`: it moves both
            players, on as many batches as it asks for, with `lr` as its step sizes.
        rate: factor on the learning rate as a function of progress in [0, 1], such as `falling`.
        clip: largest norm of a move's gradient.
        moves: how often each player moves in a step, each time on a new batch: `{"critic": 3}`; once if not told.  A
            function is asked in each step.
        average: decay of the weights' average (`average.Average`), which the model wears whenever it is looked at: in
            validation, between two steps and at the end.  None leaves the last weights.
        bf16: compute losses in bfloat16 where torch deems it safe; weights, averages and validation keep their type.
        validation: held-out data; its `model.loss` is measured every `validate_every` steps, and at the end, in
            evaluation mode, without disturbing the random numbers of training.
        checkpoint: a safetensors file.  If it exists, training resumes from it and continues as if never stopped, with
            the optimizer's settings in it.
        checkpoint_every: steps between two saves; one more is made at the end and on Ctrl-C, which waits for the end of
            the step that it finds.
        seed: of the order of the batches.  Noise inside the model and of drawn data follows `torch.manual_seed`.

    Raises:
        ValueError: empty or mismatched data, another device than the model's, non-positive sizes, an unknown player, a
            checkpoint of another model, a rule beside an option that it would not heed.
        Diverged: while running, a loss or gradient that is not finite; names player, step, loss and learning rate.
    """
    integer("steps", steps)
    integer("seed", seed, 0)
    integer("validate_every", validate_every)
    integer("checkpoint_every", checkpoint_every)
    for name, given in (("optimizer", optimizer), ("clip", clip), ("moves", moves)):
        if rule is not None and given is not None:
            raise bad(f"no {name} beside a rule", name, "rule=lambda lr: games.alternating(lr, moves=(3, 1))")
    clip = math.inf if clip is None else positive("clip", clip)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise bad("a model with trainable parameters", type(model).__name__, "requires_grad_() on what shall learn")
    device = parameters[0].device
    data = data if callable(data) else _tensors(data, "data", device)
    if validation is not None:
        validation = _tensors(validation, "validation", device)
        if not hasattr(model, "loss"):
            raise bad("a model with a loss to validate", type(model).__name__, "validation=None")
    game = players(model, moves or {})
    turns = in_turn(game)  # what cannot be is refused at the call
    order = checkpoints.Batches(data, integer("batch_size", batch_size), seed, device)
    if rule is not None:
        optimizer, turns = ByRule(rule, model, order.next, lr), []
    elif optimizer is None:
        optimizer = adam(game, parameters, lr)
    elif isinstance(optimizer, dict):
        optimizer = Several(optimizer, game)
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    for player in game:
        if not {id(p) for p in learning} & {id(p) for p in player.parameters or parameters}:
            whose = "this model's" if player.parameters is None else f"the {player.name}'s"
            raise bad(f"an optimizer of {whose} parameters", "one of others", "making it after the model")
    mean, history = Average(model, average), History(*({player.name: [] for player in game} for _ in range(2)))
    state, draws = checkpoints.Run(model, optimizer, order, mean, history, device), None
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        draws = checkpoints.load(path, state)
    cast = torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()

    def run() -> Iterator[History]:  # what is above happens at the call, what is below at each `next`
        rates = [group["lr"] for group in optimizer.param_groups]
        saved, several = len(history), len(turns) != 1 or any(callable(player.moves) for player in game)
        whole = Whole(state, several=several)
        parts, every = list(model.modules()), list({*learning, *model.parameters()})
        told: list[tuple[Player, Tensor, Tensor]] = []  # loss and gradient norm of each move of a step

        def gradient(player: Player) -> tuple[Tensor, Tensor]:
            """Loss and gradient norm, both still on the device."""
            try:
                with cast:
                    loss = player.loss(*order.next())
            except Exception:
                look(told, len(history), optimizer, rates)  # an earlier move that broke the weights is the cause
                raise
            if getattr(loss, "shape", None) != ():
                got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise bad(f"model.{player.loss.__name__} to return a scalar tensor ()", got, "the mean over the batch")
            for p in every:  # what the optimizer leaves alone too, or its gradient would add up
                p.grad = None
            loss.backward(inputs=player.parameters)
            return loss.detach(), nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])

        def validate() -> None:
            step, last = len(history), history.validation[-1][0] if history.validation else 0
            if validation is not None and step > last and (step % validate_every == 0 or step == steps):
                held_out = evaluate(model, validation)
                finite("validation loss", held_out, held_out, step - 1, optimizer, rates)
                history.validation.append((step, held_out))

        if draws is not None:
            checkpoints.set_rng_state(draws, device)
        try:
            validate()  # a run can have been stopped between a step and its validation
            while len(history) < steps:
                step = len(history)
                if not all(part.training for part in parts):  # whoever looked at the model since the last step
                    model.train()
                if rate is not None:
                    _set_rates(optimizer, rates, rate(step / max(steps - 1, 1)))
                mean.show(False)
                with whole:
                    told.clear()
                    if rule is not None:
                        with cast:
                            told += [(player, *pair) for player, pair in zip(game, optimizer.step())]
                        seen = look(told, step, optimizer, rates)
                    now = turns and in_turn(game)
                    for player in now:
                        loss, norm = gradient(player)
                        told.append((player, loss, norm))
                        last = len(told) == len(now)
                        if last:  # the one time that a step waits for the device
                            seen = look(told, step, optimizer, rates)
                        if clip < math.inf:
                            nn.utils.clip_grads_with_norm_(learning, clip, norm)
                        whole.moving = last
                        with flushed():
                            optimizer.step()
                    mean.take(step + 1)
                    history.add(*seen)
                mean.show(True)
                validate()
                if path is not None and len(history) % checkpoint_every == 0 and len(history) < steps:
                    _set_rates(optimizer, rates, 1.0 if rate else None)
                    checkpoints.save(path, state)
                    saved = len(history)
                yield history
        finally:
            mean.show(True)
            _set_rates(optimizer, rates, 1.0 if rate else None)
            if path is not None and len(history) > saved and not whole.torn:
                checkpoints.save(path, state)

    return run()


def fit(model: nn.Module, data: checkpoints.Data | Tensor, *, progress: bool | None = None, **options) -> History:
    """Train `model` on `data` to the end and leave it in evaluation mode.

    Args:
        model, data, options: as for `steps`.
        progress: show a bar; None shows one unless the environment says `GDM_QUIET`.

    Returns:
        The history.  On Ctrl-C the checkpoint, if there is one, is saved before KeyboardInterrupt goes on.
    """
    if progress is None:
        progress = not os.environ.get("GDM_QUIET")
    run, history = steps(model, data, **options), None
    try:
        with tqdm(total=options.get("steps", 1000), disable=not progress, unit="step", mininterval=0.3) as bar:
            for history in run:
                bar.update(len(history) - bar.n)
                if progress and len(history) % 20 == 0:
                    told = ", ".join(f"{name} {values[-1]:.4g}" for name, values in history.losses.items())
                    bar.set_postfix_str(told, refresh=False)
    finally:
        run.close()
        model.eval()
    if history is None:  # the checkpoint was complete already
        history = History(**checkpoints.past(checkpoints.read(Path(options["checkpoint"]))[1]))
    return history


def evaluate(model: nn.Module, data: Tensor | tuple[Tensor, ...], batch_size: int = 1000) -> float:
    """Mean loss over `data` in evaluation mode, in nats per example, always with the same noise.

    The random numbers and the modes of all parts of the model are left as they were.
    """
    data = _tensors(data, "data")
    device, total = data[0].device, 0.0
    modes, draws = [(m, m.training) for m in model.modules()], checkpoints.rng_state(device)
    model.eval()
    try:
        checkpoints.set_seed(0, device)
        with torch.no_grad():
            for part in zip(*(d.split(integer("batch_size", batch_size)) for d in data)):
                total += model.loss(*part).item() * len(part[0])
    finally:
        checkpoints.set_rng_state(draws, device)
        for module, training in modes:
            module.training = training
    return total / len(data[0])


def _set_rates(optimizer: torch.optim.Optimizer, rates: list[float], factor: float | None) -> None:
    for group, rate in zip(optimizer.param_groups, rates if factor is not None else []):
        group["lr"] = rate * factor


def _tensors(data, name: str, device: torch.device | None = None) -> tuple[Tensor, ...]:
    data = checkpoints.tensors(data, name, device)
    for d in data:
        if d.is_floating_point() and not torch.isfinite(d.sum()) and not torch.isfinite(d).all():
            raise bad(f"finite {name}", "NaN or infinite entries", "dropping those examples")
    return data
