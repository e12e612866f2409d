"""Models off their start in the place of trained ones, and what they say without their own code.

A picture has to follow any model; so most tests of the explorers need none that was trained.  A test module says
`stand_in = stand_ins.stand_in`, and `explorer` likewise.
"""

import copy
import functools
import re
import zlib

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from gdm_core import kept
from gdm_core.explorers import EXPLORERS
from gdm_core.explorers.ch04_posterior import digits_vae
from gdm_core.kept import trained


@pytest.fixture(scope="module", autouse=True)
def hardly_trained():
    """What is drawn has to follow any model: those that students see are met by the contract and its neighbors."""
    train = kept.trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", lambda recipe, **options: train(recipe, **options | {"steps": 500}))
        yield


def numbers(text: str, after: str) -> list[float]:
    found = re.findall(r"[-−]?[\d,]*\.?\d+", text.split(after, 1)[1])
    return [float(n.replace(",", "").replace("−", "-")) for n in found]


@pytest.fixture(scope="module")
def stand_in():
    """Untrained models for the explorers, the same for the same recipe, seed and options."""
    models = {}

    def model_of(recipe, *, seed=0, device="cpu", **options):
        key = (recipe.__name__, seed, *sorted(options.items()))
        if key not in models:
            with torch.random.fork_rng([]), torch.no_grad():
                torch.manual_seed(zlib.crc32(repr(key).encode()))  # other options, other weights
                model, _ = recipe(**options)
                for p in model.parameters():
                    p.mul_(2.5)
            models[key] = kept.frozen(model)
        return copy.deepcopy(models[key]).to(device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", model_of)
        yield model_of


@pytest.fixture(scope="module")
def explorer(stand_in):
    """Explorers by name, around models that nobody trained, or hardly: a posterior on a grid has to be smooth."""

    def little(recipe, **options):
        return (trained if recipe is digits_vae else stand_in)(recipe, **options | {"steps": 100})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", little)
        yield functools.cache(lambda name: EXPLORERS[name].function())


def decoded(model, z, y=None) -> torch.Tensor:
    """The decoder's picture without the VAE's own code."""
    z = torch.as_tensor(z, dtype=torch.float32)
    given = z if y is None else torch.cat([z, one_hot(torch.as_tensor(y), 10).float()], 1)
    return torch.sigmoid(model.decoder.net(given)).unflatten(1, tuple(model.event_shape))


def encoded(model, x, y=None) -> torch.Tensor:
    given = x.flatten(1) if y is None else torch.cat([x.flatten(1), one_hot(y, 10).float()], 1)
    return model.encoder.net(given)[:, : model.latents]


def cell(image, row: int, column: int, side: int = 28, top: int = 0, left: int = 0) -> np.ndarray:
    """A tile of a board, in [0, 1]."""
    y, x = top + row * (side + 1), left + column * (side + 1)
    return np.asarray(image)[y : y + side, x : x + side].astype(float) / 255


def close(image, x) -> None:
    np.testing.assert_allclose(image, np.clip(np.asarray(x), 0, 1), atol=0.003)
