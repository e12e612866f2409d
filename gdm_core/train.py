"""One training loop for every model that learns by gradient.

`steps` is the loop as a generator: a figure, an explorer or an annealing schedule acts between two steps.  `fit` runs
it to the end with a progress bar.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdm_core import checkpoint as checkpoints
from gdm_core.validate import bad, integer, positive


@dataclass
class History:
    """What happened: one training loss a step, and (step, validation loss) pairs; nats per example."""

    loss: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loss)


class Diverged(FloatingPointError):
    """The loss or its gradient is no longer finite; the model is the one before the step."""


def cosine(progress: float) -> float:
    """Learning-rate factor that falls from 1 to 0 along half a cosine; `progress` in [0, 1].

    >>> cosine(0.0), cosine(1.0)
    (1.0, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def steps(
    model: nn.Module,
    data: Tensor | tuple[Tensor, ...],
    *,
    steps: int = 1000,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Callable[[float], float] | None = None,
    clip: float | None = None,
    validation: Tensor | tuple[Tensor, ...] | None = None,
    validate_every: int = 100,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 500,
    seed: int = 0,
) -> Iterator[History]:
    """Minimize `model.loss`; the generator yields the history after every step.

    Args:
        model: anything with `loss(*batch) -> ()`; left in training mode.
        data: `(N, *event)`, or a tuple of tensors of the same length that are indexed together (x, labels).
        steps: total number of steps, those of a resumed checkpoint included.
        batch_size: examples a step; epochs are shuffled by a private generator with `seed`.
        lr: learning rate of Adam; ignored when `optimizer` is given.
        optimizer: any torch optimizer over the model's parameters.
        schedule: factor on the learning rate as a function of progress in [0, 1], such as `cosine`.
        clip: largest norm of the gradient.
        validation: held-out data; its loss is measured every `validate_every` steps, and at the end, in evaluation
            mode, without disturbing the random numbers of training.
        checkpoint: a safetensors file.  If it exists, training resumes from it and continues as if never stopped, with
            the optimizer's settings in it.
        checkpoint_every: steps between two saves; one more is made at the end and on Ctrl-C, which waits for the end of
            the step that it finds.
        seed: of the order of the batches.  Noise inside the model follows `torch.manual_seed`.

    Raises:
        ValueError: empty or mismatched data, another device than the model's, non-positive sizes, a checkpoint of
            another model.
        Diverged: while running, a loss or gradient that is not finite; names step, loss and learning rate.
    """
    data, validation = _tensors(data, "data"), None if validation is None else _tensors(validation, "validation")
    integer("steps", steps)
    integer("seed", seed, 0)
    integer("validate_every", validate_every)
    integer("checkpoint_every", checkpoint_every)
    clip = math.inf if clip is None else positive("clip", clip)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise bad("a model with trainable parameters", type(model).__name__, "requires_grad_() on what shall learn")
    device = parameters[0].device
    for tensor in (*data, *(validation or ())):
        if tensor.device != device:
            raise bad(f"data on the model's device {device}", tensor.device, f"data.to('{device}')")
    if optimizer is None:
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
        optimizer = torch.optim.Adam(parameters, lr=positive("lr", lr, 1e-3), fused=fused)
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    if not {id(p) for p in learning} & {id(p) for p in parameters}:
        raise bad("an optimizer of this model's parameters", "one of others", "making it after the model")
    order = checkpoints.Batches(len(data[0]), min(integer("batch_size", batch_size), len(data[0])), seed)
    history, draws, path = History(), None, None
    if checkpoint is not None:
        path = Path(checkpoint)
        if path.exists():
            state, draws = checkpoints.load(path, model, optimizer, order)
            history = _history(state)

    def run() -> Iterator[History]:  # what is above happens at the call, what is below at each `next`
        rates = [group["lr"] for group in optimizer.param_groups]
        saved, undo = len(history), checkpoints.Undo(model, order, device)

        def validate() -> None:
            step, last = len(history), history.validation[-1][0] if history.validation else 0
            if validation is not None and step > last and (step % validate_every == 0 or step == steps):
                held_out = evaluate(model, validation)
                _finite("validation loss", held_out, history.loss[-1], step - 1, optimizer, rates)
                history.validation.append((step, held_out))

        if draws is not None:
            checkpoints.set_rng_state(draws, device)
        try:
            validate()  # a run can have been stopped between a step and its validation
            while len(history) < steps:
                step = len(history)
                model.train()  # whoever looked at the model since the last step may have changed that
                if schedule is not None:
                    _set_rates(optimizer, rates, schedule(step / max(steps - 1, 1)))
                with checkpoints.Uninterrupted(), undo:
                    index = order.next().to(device)
                    loss = model.loss(*(d[index] for d in data))
                    if getattr(loss, "shape", None) != ():
                        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                        raise bad("model.loss to return a scalar tensor ()", got, "the mean over the batch")
                    value = loss.item()
                    _finite("loss", value, value, step, optimizer, rates)
                    optimizer.zero_grad()
                    model.zero_grad()  # of what the optimizer leaves alone too, or it would add up
                    loss.backward()
                    norm = nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])
                    _finite("gradient norm", norm.item(), value, step, optimizer, rates)
                    if clip < math.inf:
                        nn.utils.clip_grads_with_norm_(learning, clip, norm)
                    undo.moving = True
                    optimizer.step()
                    history.loss.append(value)
                    undo.moving = False
                validate()
                if path is not None and len(history) % checkpoint_every == 0 and len(history) < steps:
                    _set_rates(optimizer, rates, 1.0 if schedule else None)
                    checkpoints.save(path, model, optimizer, order, device, vars(history))
                    saved = len(history)
                yield history
        finally:
            _set_rates(optimizer, rates, 1.0 if schedule else None)
            if path is not None and len(history) > saved and not undo.moving:
                checkpoints.save(path, model, optimizer, order, device, vars(history))

    return run()


def fit(model: nn.Module, data: Tensor | tuple[Tensor, ...], *, progress: bool | None = None, **options) -> History:
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
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4g}", refresh=False)
    finally:
        run.close()
        model.eval()
    if history is None:  # the checkpoint was complete already
        history = _history(checkpoints.read(Path(options["checkpoint"]))[1]["history"])
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


def _history(saved: dict) -> History:
    return History(saved["loss"], [tuple(pair) for pair in saved["validation"]])


def _tensors(data, name: str) -> tuple[Tensor, ...]:
    data = data if isinstance(data, tuple) else (data,)
    for d in data:
        if not isinstance(d, Tensor):
            raise bad(f"{name} as a tensor or a tuple of tensors", type(d).__name__, "dataset.x")
    if not data or len({len(d) for d in data}) > 1:
        raise bad(f"{name} of one length", [len(d) for d in data], "the same examples in each tensor")
    if len(data[0]) == 0:
        raise bad(f"{name} with at least 1 example", 0, "a larger set")
    for d in data:
        if d.is_floating_point() and not torch.isfinite(d.sum()) and not torch.isfinite(d).all():
            raise bad(f"finite {name}", "NaN or infinite entries", "dropping those examples")
    return data


def _finite(what: str, number: float, loss: float, step: int, optimizer, rates: list[float]) -> None:
    if not math.isfinite(number):
        rate = optimizer.param_groups[0]["lr"]
        raise Diverged(
            f"needed a finite {what}, got {number} at step {step} (loss {loss:.6g}, learning rate {rate:.3g}); "
            f"try lr={rates[0] / 10:.1g}, clip=1.0, or look for log(0) and division by 0 in the loss"
        )
