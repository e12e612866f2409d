"""Models that explorers train: from zero at their first use, kept for the next one, trained anew while one watches.

A recipe is a function of plain options that returns an untrained model and the iterator that trains it:

    def recipe(dataset="digits", steps=1000):
        model = VAE((1, 8, 8), 2)
        return model, train.steps(model, data.load(dataset).x, steps=steps)

`trained(recipe, seed=0)` is the model after the last step; `learner(recipe, seed=0)` a `Trainer` that starts from the
first and ends at the same one.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn
from tqdm.auto import tqdm

from gdm_core.files import atomic_write, model_home
from gdm_core.widgets import Trainer, frozen

Recipe = Callable[..., tuple[nn.Module, Iterable]]
SHARED = ("train.py", "checkpoint.py", "networks.py", "likelihoods.py", "data")  # what any recipe may use

_kept: dict[Path, nn.Module] = {}
_one_at_a_time = threading.Lock()  # training draws from torch's own stream of random numbers


def trained(recipe: Recipe, *, seed: int = 0, **options) -> nn.Module:
    """The model of a recipe, trained to the end: from memory, from a file, or from zero with a progress bar.

    The file lies in `model_home()`; its name holds a hash of the options and one of the code that shapes the training
    (the recipe and what it calls in its own file, the model's classes, networks, likelihoods, training loop, data), so
    that a change of either trains anew.  A file that cannot be read is replaced; a folder that cannot be written is
    done without.

    Args:
        recipe: `recipe(**options) -> (model, iterator of training steps)`.
        seed: of weights and training noise; torch's random numbers are left as they were.
        options: numbers, strings and lists of them; `steps`, if there, is the number of training steps.

    Returns:
        The model in evaluation mode, without gradients; shared between callers, so not to be trained on.
    """
    with own_draws(seed), torch.enable_grad():
        model, steps = recipe(**options)
        path = place(recipe, model, seed, options)
        if path not in _kept:
            if not _load(model, path):
                told = f"{recipe.__name__}: trained once, then kept"
                bar = {"disable": bool(os.environ.get("GDM_QUIET")), "unit": "step", "mininterval": 0.3}
                for _ in tqdm(steps, told, options.get("steps"), **bar):
                    pass
                _save(model, path)
            _kept[path] = frozen(model)
        return _kept[path]


@contextlib.contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """A block whose random numbers depend on `seed` alone, though a model may be training in another thread."""
    with _one_at_a_time, torch.random.fork_rng(_cuda()):
        torch.manual_seed(seed)
        yield


def learner(
    recipe: Recipe, look: Callable[[nn.Module], object] = lambda model: model, *, seed: int = 0, **options
) -> Trainer:
    """The training of the same recipe in the background, for `Stage(trainer=...)`.

    With the seed of `trained` it ends at the same model, and each restart repeats the run: its random numbers are a
    stream of its own, put in torch's place for the length of a step.

    Args:
        seed: of weights and training noise; torch's random numbers are left as they were.
        look: what a checkpoint keeps, made from a frozen copy of the model in the trainer's thread: the model alone, or
            also the codes of a data set.
        options: of the recipe.
    """
    now: dict[str, nn.Module] = {}

    def make() -> Iterator:
        with own_draws(seed):
            now["model"], steps = recipe(**options)
            steps, ahead = iter(steps), torch.get_rng_state()
        return _apart(steps, ahead)

    return Trainer(make, lambda _: look(frozen(now["model"])), total=options.get("steps"))


def _apart(steps: Iterator, ahead: torch.Tensor) -> Iterator:
    """The same steps, each with torch's random numbers where the last one left them; `ahead`: where the first starts.

    All threads share torch's stream, so whoever draws in the middle of a step disturbs it: take `own_draws`.
    """
    try:
        while True:
            with _one_at_a_time, torch.random.fork_rng(_cuda()):
                torch.set_rng_state(ahead)
                try:
                    value = next(steps)
                except StopIteration:
                    return
                ahead = torch.get_rng_state()
            yield value
    finally:
        if hasattr(steps, "close"):
            steps.close()


def watched(trainer: Trainer, finished, index: int) -> tuple[object, str]:
    """What is drawn, and how far it is trained: `finished` until the training that one watches begins.

    Args:
        trainer: of `learner`, with `steps` among its options.
        finished: what `look` makes of the model that `trained` gives.
        index: of the checkpoint, -1 for the newest.
    """
    if trainer.steps == 0 and not trainer.running:
        return finished, f"trained {trainer.total:,} steps"
    snapshot = trainer.at(index)
    return snapshot.state, f"step {snapshot.step:,} of {trainer.total:,}"


def place(recipe: Recipe, model: nn.Module, seed: int, options: dict) -> Path:
    """Where `trained` keeps the model of this recipe, options and code."""
    chosen, code = hashlib.blake2b(digest_size=6), hashlib.blake2b(digest_size=6)
    chosen.update(json.dumps([options, seed], sort_keys=True).encode())
    code.update(f"{_told(recipe)}{model}".encode())
    for file in _sources(model):
        code.update(_text(file))
    return model_home() / f"{recipe.__name__}-{chosen.hexdigest()}-{code.hexdigest()}.safetensors"


def _told(function: Callable) -> str:
    """The source of a recipe and of the functions in its file that it calls, and these call."""
    found = {}

    def follow(function: Callable) -> None:
        function = inspect.unwrap(function)
        found[function.__name__] = inspect.getsource(function)
        for name in function.__code__.co_names:
            called = inspect.unwrap(function.__globals__.get(name, len))
            if inspect.isfunction(called) and called.__module__ == function.__module__ and name not in found:
                follow(called)

    follow(function)
    return "".join(found.values())


def _sources(model: nn.Module) -> list[Path]:
    """The course's files that shape the training of `model`: what is shared, and its own classes."""
    root = Path(__file__).parents[1]
    modules = {type(part).__module__ for part in model.modules()}
    files = {Path(sys.modules[m].__file__) for m in modules if m.startswith("gdm_core.")}
    for name in SHARED:
        files.update((root / name).rglob("*.py") if (root / name).is_dir() else [root / name])
    return sorted(files)


@functools.cache
def _text(file: Path) -> bytes:
    return file.read_bytes()


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


def _cuda() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
