"""Pictures of a class and a style, and the VAEs that learn them: told the class, or not."""

import functools
from collections.abc import Iterable

import torch

from gdm_core import likelihoods, train
from gdm_core.data import Dataset, digits, idx, three_styles
from gdm_core.explorers.ink import InkDecoder
from gdm_core.models.vae import VAE

REAL = {"digits": digits.load, "mnist": idx.mnist, "fashion": idx.fashion}
DATASETS = ("strokes", *REAL)


@functools.lru_cache(maxsize=8)
def pictures(dataset: str, fresh: bool = False, device: str | torch.device = "cpu") -> Dataset:
    """What is learned, or pictures that were not: drawn digits in three styles, or the first ones of a real set."""
    if dataset == "strokes":
        return three_styles.sample(600 if fresh else 3000, seed=int(fresh), device=device)
    n = None if dataset == "digits" else 600 if fresh else 5000
    return REAL[dataset]("test" if fresh else "train", n=n, device=device)


def class_vae(dataset: str, steps: int = 2000, device="cpu") -> tuple[VAE, Iterable]:
    """Recipe: three latents for the style, the class is told."""
    d = pictures(dataset, device=device)
    noise = likelihoods.Gaussian(0.2 if d.x[0].numel() < 100 else 0.6, learn=None)  # wide and narrow: classes share
    decoder = InkDecoder(3, d.event_shape, hidden=(128, 128), labels=10)
    model = VAE(d.event_shape, 3, hidden=(128, 128), likelihood=noise, labels=10, decoder=decoder).to(device)
    return model, train.steps(model, (d.x, d.labels), steps=steps, batch_size=64, lr=3e-3, rate=train.falling)


def plain_vae(dataset: str, steps: int = 1200, device="cpu") -> tuple[VAE, Iterable]:
    """Recipe: eight latents for class and style together."""
    d = pictures(dataset, device=device)
    noise = likelihoods.Gaussian(0.2 if d.x[0].numel() < 100 else 0.3, learn=None)
    decoder = InkDecoder(8, d.event_shape, hidden=(128, 256))
    model = VAE(d.event_shape, 8, hidden=(256, 128), likelihood=noise, decoder=decoder).to(device)
    return model, train.steps(model, d.x, steps=steps, batch_size=64, lr=3e-3, rate=train.falling)
