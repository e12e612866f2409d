"""What every data set is made of."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Size, Tensor, nn

from gdm_core.protocols import HasDensity
from gdm_core.validate import integer


def stream(name: str, split: str, seed: int) -> torch.Generator:
    """Random numbers of their own for each made set, split and seed."""
    digest = hashlib.sha256(f"{name} {split} {integer('seed', seed, low=0)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and what is known of them.

    Attributes:
        name: as given to `data.load`.
        x: `(N, *event)`, float32; pictures are `(N, channels, height, width)` in [0, 1].
        labels: `(N,)` class numbers, or None.
        factors: the true factors of variation, each `(N,)`; empty where the world does not tell.
        density: the exact distribution behind `x` (`log_prob`, `sample`, where it exists `score`), or None.
        levels: how many gray levels a pixel can take (17 for the 8x8 digits, 256 for MNIST), None for continuous data.
    """

    name: str
    x: Tensor
    labels: Tensor | None = None
    factors: Mapping[str, Tensor] = field(default_factory=dict)
    density: HasDensity | None = None
    levels: int | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def event_shape(self) -> Size:
        return self.x.shape[1:]

    def __getitem__(self, index) -> "Dataset":
        """A part of the set: a slice, a mask or indices, such as `digits[digits.labels == 3]`."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, x=self.x[index], labels=labels, factors={k: v[index] for k, v in self.factors.items()})

    def flat(self) -> Tensor:
        """`x` as `(N, d)`."""
        return self.x.flatten(1)

    def to(self, device) -> "Dataset":
        labels = None if self.labels is None else self.labels.to(device)
        factors = {k: v.to(device) for k, v in self.factors.items()}
        density = self.density
        if isinstance(density, nn.Module):  # `nn.Module.to` works in place: this set keeps its own
            density = copy.deepcopy(density).to(device)
        return replace(self, x=self.x.to(device), labels=labels, factors=factors, density=density)
