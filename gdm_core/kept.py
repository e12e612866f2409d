"""Models that are trained once and kept: from zero at their first use, from a file afterwards.

A recipe is a function of plain options, and of the device, that returns an untrained model there and the iterator that
trains it:

    def recipe(dataset="digits", steps=1000, device="cpu"):
        model = VAE((1, 8, 8), 2).to(device)
        return model, train.steps(model, data.load(dataset, device=device).x, steps=steps)

`trained(recipe, seed=0)` is the model after the last step.
"""

import contextlib
import copy
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn
from tqdm.auto import tqdm

from gdm_core import yours
from gdm_core.checkpoint import rng_state, set_rng_state, set_seed
from gdm_core.files import atomic_write, model_home
from gdm_core.reachable import reachable
from gdm_core.validate import integer

Recipe = Callable[..., tuple[nn.Module, Iterable]]

_kept: dict[tuple[Path, torch.device], nn.Module] = {}
_one_at_a_time = threading.Lock()  # training draws from torch's own stream of random numbers


def trained(recipe: Recipe, *, seed: int = 0, device: str | torch.device = "cpu", **options) -> nn.Module:
    """The model of a recipe, trained to the end: from memory, from a file, or from zero with a progress bar.

    The file lies in `model_home()`; its name holds a hash of the options and one of all the code that the recipe can
    reach by name, so that a change of either trains anew.  The device is no part of it: a model serves everywhere,
    wherever it was trained.  A file that cannot be read is replaced; a folder that cannot be written is done without.

    Args:
        recipe: `recipe(device=device, **options) -> (model, iterator of training steps)`, defined in a file.
        seed: of weights and training noise; torch's random numbers are left as they were.
        device: where the model is trained, unless it was before, and where it lives.
        options: numbers, strings and lists of them; `steps`, if there, is the number of training steps.

    Returns:
        The model in evaluation mode, without gradients; shared between callers, so not to be trained on.
    """
    device, path = torch.device(device), place(recipe, seed, options)
    if (path, device) in _kept:  # nobody waits for another's training
        return _kept[path, device]
    with own_draws(seed, device), torch.enable_grad():
        if (path, device) not in _kept:
            model, steps = recipe(**options, device=device)
            if not _load(model, path):
                told = f"{recipe.__name__}: trained once, then kept"
                bar = {"disable": bool(os.environ.get("GDM_QUIET")), "unit": "step", "mininterval": 0.3}
                for _ in tqdm(steps, told, options.get("steps"), **bar):
                    pass
                _save(model, path)
            _kept[path, device] = frozen(model)
        return _kept[path, device]


def frozen(model: nn.Module) -> nn.Module:
    """A copy of `model` in evaluation mode, without gradients, that never changes."""
    with torch.no_grad():
        twin = copy.deepcopy(model)
    return twin.eval().requires_grad_(False)


@contextlib.contextmanager
def own_draws(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """A block whose random numbers depend on `seed` alone, though a model may be training in another thread.

    Args:
        device: whose numbers are drawn, beside the CPU's; all are left as they were.
    """
    integer("seed", seed, low=0)
    with _borrowed(device):
        set_seed(seed, torch.device(device))
        yield


def apart(make: Callable[[], Iterable], seed: int, device: str | torch.device = "cpu") -> Iterator:
    """`make()`, step by step, as if nobody else drew random numbers: each goes on where the last one left them.

    All threads share torch's streams, so whoever draws in the middle of a step disturbs it: take `own_draws`.

    Args:
        make: returns the iterator; called before the first step.
        seed: from which `make` starts; that of `trained` repeats its training.
        device: whose numbers are carried along, beside the CPU's.
    """
    device, steps = torch.device(device), None
    with own_draws(seed, device):
        steps, ahead = iter(make()), rng_state(device)
    return _carried(steps, ahead, device)


def _carried(steps: Iterator, ahead: dict, device: torch.device) -> Iterator:
    try:
        while True:
            with _borrowed(device):
                set_rng_state(ahead, device)
                try:
                    value = next(steps)
                except StopIteration:
                    return
                ahead = rng_state(device)
            yield value
    finally:
        if hasattr(steps, "close"):
            steps.close()


@contextlib.contextmanager
def _borrowed(device: str | torch.device) -> Iterator[None]:
    """Torch's random numbers for one user at a time, put back afterwards."""
    device = torch.device(device)
    with _one_at_a_time:
        before = rng_state(device)
        try:
            yield
        finally:
            set_rng_state(before, device)


def place(recipe: Recipe, seed: int, options: dict) -> Path:
    """Where `trained` keeps the model of this recipe, seed, options and code."""
    reached = reachable(recipe)
    own = yours.in_code(reached)  # beside ours, not in their place: who takes the answers out has ours at once
    chosen = _hash(json.dumps([options, seed, own] if own else [options, seed], sort_keys=True))
    code = _hash(json.dumps(reached, sort_keys=True))
    return model_home() / f"{recipe.__name__}-{chosen}-{code}.safetensors"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _load(model: nn.Module, path: Path) -> bool:
    """Whether the file was there and fits; a model that it does not fit stays as it was."""
    try:
        state = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError):
        return False
    form = lambda tensors: {name: (value.shape, value.dtype) for name, value in tensors.items()}
    if form(state) != form(model.state_dict()):
        return False
    model.load_state_dict(state)
    return True


def _save(model: nn.Module, path: Path) -> None:
    """Write the file and take away those of older code."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    with contextlib.suppress(OSError):  # a folder that cannot be written costs the next start some seconds, no more
        atomic_write(path, safetensors.torch.save(state))
        for old in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.safetensors"):
            if old != path:
                old.unlink(missing_ok=True)
