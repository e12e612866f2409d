"""A measuring device: a network that reads known factors off a picture, so that what a model makes can be measured."""

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gdm_core import networks


class Meter(nn.Module):
    """Picture [and label] -> factors.

    Learned from pictures whose factors are known, drawn or rendered; it has seen no model.

    Args:
        event_shape: of a picture.
        center, scale: (factors,), about their mean and standard deviation: what is learned is of unit size.
        hidden: units of the hidden layers.
        labels: number of classes y that it is told; 0 for none.
    """

    def __init__(self, event_shape, center: Tensor, scale: Tensor, hidden=(256, 128), labels: int = 0):
        super().__init__()
        self.labels = labels
        self.net = networks.MLPEncoder(event_shape, len(center), hidden, labels)
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x: (B, *event), y: (B,) -> (B, factors)."""
        return self.net(x, None if y is None else one_hot(y, self.labels)) * self.scale + self.center

    def loss(self, x: Tensor, factors: Tensor, y: Tensor | None = None) -> Tensor:
        """Squared error in units of `scale`, summed over the factors (B, factors), batch mean; no likelihood."""
        return ((self(x, y) - factors) / self.scale).square().sum(1).mean()
