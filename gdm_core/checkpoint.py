"""What the next training step depends on, written to a file and read back.

The file is whole or not there: weights, their average, optimizer, order of the data, random numbers, history.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gdm_core.average import Average
from gdm_core.files import atomic_write
from gdm_core.validate import bad

Data = tuple[Tensor, ...] | Callable[[int], Tensor | tuple[Tensor, ...]]


class Batches:
    """Tensors in shuffled epochs, an incomplete last batch filled from the next one; or what a function draws.

    The order is drawn on the CPU, the same for every device, and moved once an epoch.
    """

    def __init__(self, data: Data, size: int, seed: int, device: torch.device):
        self.data, self.device = data, device
        self.n = 0 if callable(data) else len(data[0])
        self.size = size if callable(data) else min(size, self.n)
        self.generator = torch.Generator().manual_seed(seed)
        self.left = torch.empty(0, dtype=torch.long, device=device)

    def next(self) -> tuple[Tensor, ...]:
        if callable(self.data):
            with torch.no_grad():
                return tensors(self.data(self.size), "what data(n) draws", self.device)
        if len(self.left) < self.size:
            epoch = torch.randperm(self.n, generator=self.generator).to(self.device)
            self.left = torch.cat([self.left, epoch])
        index, self.left = self.left[: self.size], self.left[self.size :]
        return tuple(d[index] for d in self.data)

    def state(self) -> dict[str, Tensor]:
        return {"left": self.left, "rng": self.generator.get_state()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.left = state["left"].to(self.device)
        self.generator.set_state(state["rng"])


def tensors(data, name: str, device: torch.device | None) -> tuple[Tensor, ...]:
    """Tensors of one length on the model's device (None: on any), as a tuple of them."""
    data = data if isinstance(data, tuple) else (data,)
    for d in data:
        if not isinstance(d, Tensor):
            raise bad(f"{name} as a tensor or a tuple of tensors", type(d).__name__, "dataset.x")
        if device is not None and d.device != device:
            raise bad(f"{name} on the model's device {device}", d.device, f"{name}.to('{device}')")
    if not data or len({len(d) for d in data}) > 1:
        raise bad(f"{name} of one length", [len(d) for d in data], "the same examples in each tensor")
    if len(data[0]) == 0:
        raise bad(f"{name} with at least 1 example", 0, "a larger set")
    return data


@dataclass
class Run:
    """What the next step depends on, beside torch's random numbers."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: Batches
    average: Average
    history: object  # `train.History`
    device: torch.device


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """The random numbers ahead, of the CPU and of the accelerator in use."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_seed(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, which would touch the other accelerators too."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def set_rng_state(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def save(path: Path, run: Run) -> None:
    """Write the state between two steps; whoever reads sees the old file or the new one."""
    state, scalars = run.optimizer.state_dict(), {}
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    tensors |= {f"learning.{i}": value for i, value in enumerate(run.average.learning)}
    tensors |= {f"order.{name}": value for name, value in run.order.state().items()}
    tensors |= {f"rng.{name}": value for name, value in rng_state(run.device).items()}
    for i, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{i}.{name}"] = value
            else:
                scalars[f"{i}.{name}"] = value
    meta = {
        "model": type(run.model).__name__,
        "optimizer": kind(run.optimizer),
        "examples": run.order.n,
        "groups": state["param_groups"],
        "scalars": scalars,
        "history": vars(run.history),
    }
    # Clones: safetensors refuses tensors that share memory, such as tied weights.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    atomic_write(path, safetensors.torch.save(tensors, {"gdm": json.dumps(meta, default=float)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and meta data (history included) of a checkpoint.  ValueError: no file that `save` wrote."""
    try:
        with safetensors.safe_open(path, "pt") as f:
            meta = json.loads(f.metadata()["gdm"])
            tensors = {name: f.get_tensor(name) for name in f.keys()}
        meta["history"]["losses"], meta["history"]["norms"], meta["optimizer"], tensors["order.left"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise bad("a checkpoint written by train.fit", f"{path} ({error})", "deleting the file to start anew") from None
    return tensors, meta


def load(path: Path, run: Run) -> dict[str, Tensor]:
    """Put a saved state back; nothing is changed unless all of it fits.

    Returns:
        The random numbers for `set_rng_state`.

    Raises:
        ValueError: a broken file, or one of another model, optimizer, kind of average or data set.
    """
    tensors, meta = read(path)
    parts: dict[str, dict] = {part: {} for part in ("model", "learning", "optimizer", "order", "rng")}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = value

    model, optimizer, order, average = run.model, run.optimizer, run.order, run.average
    have = {name: (tuple(v.shape), v.dtype) for name, v in model.state_dict().items()}
    came = {name: (tuple(v.shape), v.dtype) for name, v in parts["model"].items()}
    if have != came:
        name = sorted(have.items() ^ came.items(), key=str)[0][0]
        told = (
            f"{path} of {meta['model']}, where {name} is {_spelled(came.get(name))} and not {_spelled(have.get(name))}"
        )
        raise bad(f"a checkpoint of this {type(model).__name__}", told, "another file name, or deleting it")
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    if (kind(optimizer), sizes) != (meta["optimizer"], [len(g["params"]) for g in meta["groups"]]):
        told = f"{path} of {meta['optimizer']} over {sum(len(g['params']) for g in meta['groups'])} tensors"
        raise bad(
            f"a checkpoint of {kind(optimizer)} over {sum(sizes)} tensors",
            told,
            "the optimizer that wrote it, or deleting it",
        )
    players, came = list(run.history.losses), list(meta["history"]["losses"])
    if players != came:
        raise bad(f"a checkpoint of the players {players}", f"{path} of {came}", "another file name, or deleting it")
    if len(average.learning) != len(parts["learning"]):
        with_it, without = "a checkpoint with an average", "one without"
        needed, got = (with_it, without) if average.learning else (without, with_it)
        raise bad(needed, f"{path}, {got}", "the same average=, or deleting it")
    if order.n != meta["examples"]:
        spelled = lambda n: f"{n} examples" if n else "data drawn by a function"
        told = f"{path} of {spelled(meta['examples'])}"
        raise bad(f"a checkpoint of {spelled(order.n)}", told, "the same data, or deleting it")

    state: dict[int, dict] = {}
    for key, value in (parts["optimizer"] | meta["scalars"]).items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    model.load_state_dict(parts["model"])
    optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})
    order.load(parts["order"])
    for i, learning in enumerate(average.learning):
        learning.copy_(parts["learning"][str(i)])
    vars(run.history).update(past(meta))
    return parts["rng"]


def past(meta: dict) -> dict:
    """The fields of a saved history."""
    past = meta["history"]
    return {**past, "validation": [tuple(pair) for pair in past["validation"]]}


def kind(optimizer) -> str:
    """What an optimizer is called; another kind has another state."""
    return getattr(optimizer, "kind", type(optimizer).__name__)


def _spelled(kind: tuple | None) -> str:
    return "absent" if kind is None else f"{kind[0]} {str(kind[1]).removeprefix('torch.')}"
