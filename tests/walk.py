"""The walk over all models: each file in `gdm_core/models` is found, its `demos()` built.

The stand-ins in `to_come/` are walked like the models whose place they hold.
"""

import functools
import importlib
import pkgutil

import pytest
import to_come
import torch
from oracles import box, event_space, off_init

import gdm_core.models
from gdm_core import protocols

# Whole names, so that `mutants.imports` sees that whoever walks needs every model.
FILES = {m.name: f"gdm_core.models.{m.name}" for m in pkgutil.iter_modules(gdm_core.models.__path__)}
FILES |= {m.name: f"to_come.{m.name}" for m in pkgutil.iter_modules(to_come.__path__)}


def demos(file):
    return importlib.import_module(FILES[file]).demos()


@functools.cache
def seen(file):
    """The demos as they are asked what they offer, which takes one of each; tests build their own."""
    return demos(file)


def cases(file):
    """ "file-variant" for each of its demos; the file alone if they cannot be built, and then every test says why."""
    try:
        return [f"{file}-{variant}" for variant in seen(file)]
    except Exception:
        return [file]


NAMES = [case for file in FILES for case in cases(file)]


def demo(name):
    file, _, variant = name.partition("-")
    return demos(file)[variant]


def build(name):
    """The demo in float64, off its initial parameters, in evaluation mode."""
    torch.manual_seed(0)
    return off_init(demo(name)).double().eval()


def classes(model):
    """The labels of a conditional model, one after the other; None for another."""
    return range(model.labels) if getattr(model, "labels", 0) else [None]


def labels(model, n, y=None):
    """What goes behind x: nothing, or labels (n,), all y or all in turn."""
    if not getattr(model, "labels", 0):
        return ()
    return (torch.arange(n) % model.labels if y is None else torch.full((n,), y),)


def examples(model, n, y=None):
    """Data that the model can take: its own, or noise for a model that cannot sample."""
    if isinstance(model, protocols.HasSamples):
        return model.sample(n, *labels(model, n, y))
    return torch.randn(n, *model.event_shape, dtype=next(model.parameters()).dtype)


def values(model):
    """What an entry of a discrete event may be, else None."""
    return getattr(model, "values", None)


def offering(*what):
    """The models that offer all of `what` (protocols or method names); one that cannot be built is asked everything."""

    def offers(name):
        file, _, variant = name.partition("-")
        try:
            model = seen(file)[variant]
        except Exception:
            return True
        return all(hasattr(model, w) if isinstance(w, str) else isinstance(model, w) for w in what)

    return pytest.mark.parametrize("name", [n for n in NAMES if offers(n)])


def whole_space(model, side=500):
    """All events, or a grid over three times the range of samples, and the volume of one; skips where they are many."""
    if values(model) is not None:
        if len(values(model)) ** model.event_shape.numel() > 10**5:
            pytest.skip(f"{len(values(model))} values in {tuple(model.event_shape)}: too many events")
        return event_space(values(model), model.event_shape), 1.0
    if len(model.event_shape) != 1 or model.event_shape[0] > 2:
        pytest.skip(f"lives in {tuple(model.event_shape)}: too large for a grid")
    return box(torch.cat([examples(model, 4000, y) for y in classes(model)]), side)
