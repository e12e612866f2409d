"""What the next training step depends on: weights, optimizer, order of the data, random numbers.

A step happens whole or not at all (`Undo`, `Uninterrupted`), and so does the file (`save`, `load`).
"""

import json
import signal
import threading
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gdm_core.files import atomic_write
from gdm_core.validate import bad


class Batches:
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

    def state(self) -> dict[str, Tensor]:
        return {"left": self.left, "rng": self.generator.get_state()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.left = state["left"]
        self.generator.set_state(state["rng"])


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


class Undo:
    """Takes back what a step has changed when it fails before the optimizer moves: order, random numbers, buffers."""

    def __init__(self, model: nn.Module, order: Batches, device: torch.device):
        self.model, self.order, self.device, self.moving = model, order, device, False

    def __enter__(self) -> None:
        self.kept = self.order.state(), rng_state(self.device)
        self.buffers = [(b, b.clone()) for b in self.model.buffers()]

    def __exit__(self, kind, *_) -> None:
        if kind is not None and not self.moving:
            self.order.load(self.kept[0])
            set_rng_state(self.kept[1], self.device)
            for buffer, value in self.buffers:
                buffer.copy_(value)


class Uninterrupted:
    """Ctrl-C waits for the end of the block, so that no step is left half done; a second one does not wait."""

    def __enter__(self) -> None:
        self.count, self.handler = 0, signal.getsignal(signal.SIGINT)
        self.holds = threading.current_thread() is threading.main_thread() and callable(self.handler)
        if self.holds:
            signal.signal(signal.SIGINT, self._wait)

    def _wait(self, *event) -> None:
        self.count += 1
        if self.count > 1:
            self.handler(*event)

    def __exit__(self, *_) -> None:
        if self.holds:
            signal.signal(signal.SIGINT, self.handler)
            if self.count == 1:
                self.handler(signal.SIGINT, None)


def save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, order: Batches, device: torch.device, history: dict
) -> None:
    """Write the state between two steps; whoever reads sees the old file or the new one."""
    state, scalars = optimizer.state_dict(), {}
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"order.{name}": value for name, value in order.state().items()}
    tensors |= {f"rng.{name}": value for name, value in rng_state(device).items()}
    for i, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{i}.{name}"] = value
            else:
                scalars[f"{i}.{name}"] = value
    meta = {
        "model": type(model).__name__,
        "optimizer": type(optimizer).__name__,
        "examples": order.n,
        "groups": state["param_groups"],
        "scalars": scalars,
        "history": history,
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
        meta["history"], meta["optimizer"], tensors["order.left"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise bad("a checkpoint written by train.fit", f"{path} ({error})", "deleting the file to start anew") from None
    return tensors, meta


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, order: Batches) -> tuple[dict, dict]:
    """Put a saved state back; nothing is changed unless all of it fits.

    Returns:
        The history, and the random numbers for `set_rng_state`.

    Raises:
        ValueError: a broken file, or one of another model, optimizer or data set.
    """
    tensors, meta = read(path)
    parts: dict[str, dict] = {"model": {}, "optimizer": {}, "order": {}, "rng": {}}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = value

    have = {name: (tuple(v.shape), v.dtype) for name, v in model.state_dict().items()}
    came = {name: (tuple(v.shape), v.dtype) for name, v in parts["model"].items()}
    if have != came:
        name = sorted(have.items() ^ came.items(), key=str)[0][0]
        told = (
            f"{path} of {meta['model']}, where {name} is {_spelled(came.get(name))} and not {_spelled(have.get(name))}"
        )
        raise bad(f"a checkpoint of this {type(model).__name__}", told, "another file name, or deleting it")
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    if (type(optimizer).__name__, sizes) != (meta["optimizer"], [len(g["params"]) for g in meta["groups"]]):
        told = f"{path} of {meta['optimizer']} over {sum(len(g['params']) for g in meta['groups'])} tensors"
        raise bad(
            f"a checkpoint of {type(optimizer).__name__} over {sum(sizes)} tensors",
            told,
            "the optimizer that wrote it, or deleting it",
        )
    if order.n != meta["examples"]:
        raise bad(
            f"a checkpoint of {order.n} examples", f"{path} of {meta['examples']}", "the same data, or deleting it"
        )

    state: dict[int, dict] = {}
    for key, value in (parts["optimizer"] | meta["scalars"]).items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    model.load_state_dict(parts["model"])
    optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})
    order.load(parts["order"])
    return meta["history"], parts["rng"]


def _spelled(kind: tuple | None) -> str:
    return "absent" if kind is None else f"{kind[0]} {str(kind[1]).removeprefix('torch.')}"
