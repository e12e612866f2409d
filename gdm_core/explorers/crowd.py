"""A crowd of codes: where the pictures lie in a model's latent space, and how near a code is to the others."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from gdm_core.data import Dataset
from gdm_core.models.vae import VAE
from gdm_core.widgets import atypical


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
        return i.item(), away.item()

    def lost(self, z: Tensor) -> str:
        """A warning when z is further from all codes than codes are from one another, or where the prior hardly is."""
        return atypical(z) if self.near(z) else "off the crowd, no code near"

    def near(self, z: Tensor) -> bool:
        """Whether some code is no further from z than 99 of 100 codes are from their nearest neighbor."""
        return self.nearest(z)[1] <= self.usual[1]

    def named(self, i: int) -> str:
        """Picture i in words."""
        return f"{'class' if self.pictures.name == 'fashion' else 'a'} {int(self.pictures.labels[i])}"
