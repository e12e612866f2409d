"""One training loop for every model that learns by gradient.

`steps` is the loop as a generator: a figure, an explorer or an annealing schedule acts between two steps.  `fit` runs
it to the end with a progress bar.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdm_core.files import atomic_write
from gdm_core.validate import bad, integer, positive


@dataclass
class History:
    """What happened: one training loss a step, and (step, validation loss) pairs; nats per example."""

    loss: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loss)


class Diverged(FloatingPointError):
    """The loss or its gradient is no longer finite; the parameters are those before the step."""


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
    """Minimize `model.loss` and yield the history after every step.

    Args:
        model: anything with `loss(*batch) -> ()`; left in training mode.
        data: `(N, *event)`, or a tuple of tensors of the same length that are indexed together (x, labels).
        steps: total number of steps, those of a resumed checkpoint included.
        batch_size: examples a step; epochs are shuffled by a private generator with `seed`.
        lr: learning rate of Adam; ignored when `optimizer` is given.
        optimizer: any torch optimizer over the model's parameters.
        schedule: factor on the learning rate as a function of progress in [0, 1], such as `cosine`.
        clip: largest norm of the gradient.
        validation: held-out data; its loss is measured every `validate_every` steps in evaluation mode, without
            disturbing the random numbers of training.
        checkpoint: a safetensors file.  If it exists, training resumes from it and continues as if never stopped.
        checkpoint_every: steps between two saves; one more is made at the end and on Ctrl-C.
        seed: of the order of the batches.  Noise inside the model follows `torch.manual_seed`.

    Raises:
        ValueError: empty or mismatched data, non-positive sizes, a checkpoint of another model.
        Diverged: a loss or gradient that is not finite; names step, loss and learning rate.
    """
    data, validation = _tensors(data, "data"), None if validation is None else _tensors(validation, "validation")
    integer("steps", steps)
    batch_size = min(integer("batch_size", batch_size), len(data[0]))
    integer("validate_every", validate_every)
    integer("checkpoint_every", checkpoint_every)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise bad("a model with trainable parameters", type(model).__name__, "requires_grad_() on what shall learn")
    if optimizer is None:
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
        optimizer = torch.optim.Adam(parameters, lr=positive("lr", lr, 1e-3), fused=fused)
    rates = [group["lr"] for group in optimizer.param_groups]
    history, order = History(), _Batches(len(data[0]), batch_size, seed)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        history = _resume(path, model, optimizer, order)

    model.train()
    try:
        while len(history) < steps:
            step = len(history)
            if schedule is not None:
                for group, rate in zip(optimizer.param_groups, rates):
                    group["lr"] = rate * schedule(step / max(steps - 1, 1))
            index = order.next().to(data[0].device)
            loss = model.loss(*(d[index] for d in data))
            if loss.shape != ():
                raise bad("model.loss to return a scalar ()", tuple(loss.shape), "the mean over the batch")
            value = loss.item()
            _finite("loss", value, value, step, optimizer)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            _finite("gradient norm", norm.item(), value, step, optimizer)
            if clip is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, clip, norm)
            optimizer.step()
            history.loss.append(value)
            if validation is not None and (len(history) % validate_every == 0 or len(history) == steps):
                history.validation.append((len(history), evaluate(model, validation)))
            if path is not None and len(history) % checkpoint_every == 0 and len(history) < steps:
                _save(path, model, optimizer, order, history)
            yield history
    finally:
        if path is not None and len(history):
            _save(path, model, optimizer, order, history)


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
    run = steps(model, data, **options)
    history = History()
    total = options.get("steps", 1000)
    try:
        with tqdm(total=total, disable=not progress, unit="step", file=sys.stderr, mininterval=0.3) as bar:
            for history in run:
                bar.update(len(history) - bar.n)
                if progress and len(history) % 20 == 0:
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4g}", refresh=False)
    finally:
        run.close()
        model.eval()
    if len(history) == 0 and options.get("checkpoint") is not None:  # the checkpoint was already complete
        history = _read(Path(options["checkpoint"]))[1]
    return history


def evaluate(model: nn.Module, data: Tensor | tuple[Tensor, ...], batch_size: int = 1000) -> float:
    """Mean loss over `data` in evaluation mode, in nats per example; random numbers and mode are left as they were."""
    data = _tensors(data, "data")
    mode, total = model.training, 0.0
    model.eval()
    devices = [data[0].device] if data[0].device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(0)
            for i in range(0, len(data[0]), batch_size):
                part = tuple(d[i : i + batch_size] for d in data)
                total += model.loss(*part).item() * len(part[0])
    finally:
        model.train(mode)
    return total / len(data[0])


class _Batches:
    """Index tensors of shuffled epochs.  An incomplete last batch of an epoch is filled from the next one."""

    def __init__(self, n: int, size: int, seed: int):
        self.n, self.size = n, size
        self.generator = torch.Generator().manual_seed(seed)
        self.left = torch.empty(0, dtype=torch.long)

    def next(self) -> Tensor:
        if len(self.left) < self.size:
            self.left = torch.cat([self.left, torch.randperm(self.n, generator=self.generator)])
        index, self.left = self.left[: self.size], self.left[self.size :]
        return index


def _tensors(data, name: str) -> tuple[Tensor, ...]:
    data = data if isinstance(data, tuple) else (data,)
    for d in data:
        if not isinstance(d, Tensor):
            raise bad(f"{name} as a tensor or a tuple of tensors", type(d).__name__, "dataset.x")
    if len({len(d) for d in data}) > 1:
        raise bad(f"{name} of one length", [len(d) for d in data], "the same examples in each tensor")
    if len(data[0]) == 0:
        raise bad(f"{name} with at least 1 example", 0, "a larger set")
    for d in data:
        if d.is_floating_point() and not torch.isfinite(d).all():
            raise bad(f"finite {name}", "NaN or infinite entries", "dropping those examples")
    return data


def _finite(what: str, number: float, loss: float, step: int, optimizer) -> None:
    if not math.isfinite(number):
        rate = optimizer.param_groups[0]["lr"]
        raise Diverged(
            f"needed a finite {what}, got {number} at step {step} (loss {loss:.6g}, learning rate {rate:.3g}); "
            f"try lr={rate / 10:.1g}, clip=1.0, or look for log(0) and division by 0 in the loss"
        )


def _save(path: Path, model, optimizer, order: _Batches, history: History) -> None:
    """Everything that the next step depends on, in one file, by atomic rename."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    state, scalars = optimizer.state_dict(), {}
    for i, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{i}.{key}"] = value
            else:
                scalars[f"{i}.{key}"] = value
    tensors |= {"order.rng": order.generator.get_state(), "order.left": order.left, "rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    meta = {
        "history": vars(history),
        "groups": state["param_groups"],
        "scalars": scalars,
        "model": type(model).__name__,
    }
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    payload = safetensors.torch.save(tensors, {"gdm": json.dumps(meta)})
    atomic_write(path, payload)


def _read(path: Path) -> tuple[dict[str, Tensor], History, dict]:
    try:
        with safetensors.safe_open(path, "pt") as f:
            meta = json.loads(f.metadata()["gdm"])
            tensors = {k: f.get_tensor(k) for k in f.keys()}
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise bad("a checkpoint written by train.fit", f"{path} ({error})", "deleting the file to start anew") from None
    history = History(meta["history"]["loss"], [tuple(v) for v in meta["history"]["validation"]])
    return tensors, history, meta


def _resume(path: Path, model, optimizer, order: _Batches) -> History:
    tensors, history, meta = _read(path)
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise bad(f"a checkpoint of this {type(model).__name__}", f"{path} ({error})", "another file name") from None
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    for key, value in meta["scalars"].items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})
    order.generator.set_state(tensors["order.rng"])
    order.left = tensors["order.left"]
    torch.set_rng_state(tensors["rng"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return history
