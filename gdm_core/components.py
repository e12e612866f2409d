"""Principal components as the latents of another model: linear, both ways, and fast (Pearson, 1901)."""

import torch
from torch import Tensor, nn

from gdm_core.validate import bad, batch, integer


class Components(nn.Module):
    """The directions in which examples differ most; `encode` and `decode` lose what lies outside.

    Codes have mean 0 and mean square 1 together.  Their standard deviations are the square roots of those of the data:
    a component that varies a hundred times as much as another has a code ten times as large, so that a model of the
    codes cares for both.

    Args:
        event_shape: of one example.
        count: of components.
    """

    def __init__(self, event_shape, count: int):
        super().__init__()
        self.event_shape = torch.Size(event_shape)
        features = self.event_shape.numel()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("basis", torch.eye(integer("count", count, 1, features), features))  # orthonormal rows
        self.register_buffer("size", torch.ones(count))

    @torch.no_grad()
    def fit(self, x: Tensor) -> "Components":
        """Find the components of x, (N, *event), N above their number; by subspace iteration."""
        count = len(self.size)
        batch(x, self.event_shape, like=self.mean, minimum=count + 1)
        self.mean.copy_(x.flatten(1).mean(0))
        away = x.flatten(1) - self.mean
        U, size, V = torch.pca_lowrank(away, q=min(count + 20, *away.shape), center=False, niter=4)
        std = size[:count] / len(x) ** 0.5
        self.basis.copy_(V.mT[:count])
        self.size.copy_((std * std.mean()).sqrt())  # the codes' variances, std / mean of std, have mean 1
        return self

    def encode(self, x: Tensor) -> Tensor:
        """(B, *event) -> (B, count)."""
        batch(x, self.event_shape, like=self.mean)
        return (x.flatten(1) - self.mean) @ self.basis.mT / self.size

    def decode(self, z: Tensor) -> Tensor:
        """(..., count) -> (..., *event)."""
        if z.shape[-1:] != self.size.shape:
            raise bad(f"codes (..., {len(self.size)})", tuple(z.shape), "components.encode(x)")
        return ((z * self.size) @ self.basis + self.mean).unflatten(-1, self.event_shape)
