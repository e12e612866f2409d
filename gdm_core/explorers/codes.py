"""Chapter 5: pictures whose style is known, the models that learn them, and how near a code is to the other codes."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import data, likelihoods, networks, train
from gdm_core.data import Dataset, strokes
from gdm_core.models.vae import VAE
from gdm_core.widgets import atypical

DATASETS = ("strokes", "digits", "mnist", "fashion")
STYLES = ("slant", "thickness", "width")
STILL = {"variant": 0, "rotation": 0.0, "curl": 0.0, "size": 1.0, "jitter": 0.0}  # of strokes: all else is held


@functools.lru_cache(maxsize=8)
def pictures(dataset: str, fresh: bool = False) -> Dataset:
    """What is learned, or pictures that were not: drawn digits in three styles, or the first ones of a real set."""
    if dataset == "strokes":
        return strokes.sample(600 if fresh else 3000, seed=int(fresh), **STILL)
    return data.load(dataset, "test" if fresh else "train", n=None if dataset == "digits" else 600 if fresh else 5000)


def pen(y: Tensor, style: Tensor) -> Tensor:
    """The truth: digits y (N,) drawn in the styles (N, 3)."""
    return strokes.draw(y, **dict(zip(STYLES, style.T)), **STILL)


class Ink(networks.MLPDecoder):
    """Means between white and black."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(z, y).sigmoid()


def class_vae(dataset: str, steps: int = 2000) -> tuple[VAE, Iterable]:
    """Recipe: three latents for the style, the class is told."""
    d = pictures(dataset)
    noise = likelihoods.Gaussian(0.2 if d.x[0].numel() < 100 else 0.6, learn=None)  # wide and narrow: classes share
    decoder = Ink(3, d.event_shape, hidden=(128, 128), labels=10)
    model = VAE(d.event_shape, 3, hidden=(128, 128), likelihood=noise, labels=10, decoder=decoder)
    return model, train.steps(model, (d.x, d.labels), steps=steps, batch_size=64, lr=3e-3, schedule=train.cosine)


def plain_vae(dataset: str, steps: int = 1200) -> tuple[VAE, Iterable]:
    """Recipe: eight latents for class and style together."""
    d = pictures(dataset)
    noise = likelihoods.Gaussian(0.2 if d.x[0].numel() < 100 else 0.3, learn=None)
    decoder = Ink(8, d.event_shape, hidden=(128, 256))
    model = VAE(d.event_shape, 8, hidden=(256, 128), likelihood=noise, decoder=decoder)
    return model, train.steps(model, d.x, steps=steps, batch_size=64, lr=3e-3, schedule=train.cosine)


@dataclass(frozen=True, eq=False)
class Crowd:
    """A model, pictures, and their codes in it.

    Attributes:
        mean: (N, latents), means of q(z | x), of q(z | x, y) where the model is told the class.
    """

    model: VAE
    pictures: Dataset
    mean: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: VAE, pictures: Dataset) -> "Crowd":
        return cls(model, pictures, model.encode(pictures.x, pictures.labels if model.labels else None).mean)

    def only(self, label: int) -> "Crowd":
        """The pictures of one class."""
        keep = self.pictures.labels == label
        return Crowd(self.model, self.pictures[keep], self.mean[keep])

    @functools.cached_property
    def usual(self) -> tuple[float, float]:
        """How far a code is from its nearest neighbor: half of them at most this far, 99 in 100 at most that far."""
        away = torch.cdist(self.mean, self.mean).fill_diagonal_(torch.inf).amin(1)
        return away.median().item(), away.quantile(0.99).item()

    def nearest(self, z: Tensor) -> tuple[int, float]:
        """The picture whose code is nearest to z (latents,), and how far it is."""
        away, i = (self.mean - z).norm(dim=1).min(0)
        return int(i), float(away)

    def lost(self, z: Tensor) -> str:
        """A warning when z is further from all codes than codes are from one another, or where the prior hardly is."""
        return atypical(z) if self.near(z) else "off the crowd, no code near"

    def near(self, z: Tensor) -> bool:
        """Whether some code is no further from z than 99 of 100 codes are from their nearest neighbor."""
        return self.nearest(z)[1] <= self.usual[1]

    def named(self, i: int) -> str:
        """Picture i in words."""
        return f"{'class' if self.pictures.name == 'fashion' else 'a'} {int(self.pictures.labels[i])}"


def ink(x: Tensor) -> np.ndarray:
    """One picture (1, H, W), dark on light."""
    return (1 - x.clamp(0, 1))[0].numpy()
