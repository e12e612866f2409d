"""Pictures drawn in ink: a decoder whose means lie between paper and ink, and how one of them is shown."""

from torch import Tensor

from gdm_core import networks


class InkDecoder(networks.MLPDecoder):
    """Means between 0, paper, and 1, ink."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(z, y).sigmoid()


def shown(x: Tensor) -> Tensor:
    """One picture (1, H, W) dark on light, (H, W)."""
    return (1 - x.clamp(0, 1))[0]
