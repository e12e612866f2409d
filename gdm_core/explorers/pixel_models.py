"""Two models of the small digits: a chain of pixels, and one network for any order."""

from collections.abc import Iterable

from gdm_core import data, likelihoods, train
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.models.masked import Masked


def pixel_chain(steps: int = 200, device="cpu") -> tuple[Autoregressive, Iterable]:
    """Recipe: a PixelCNN, three logistics a pixel."""
    digits = data.load("digits", device=device)
    family = likelihoods.Discretized(digits.levels, components=3)
    model = Autoregressive(digits.event_shape, likelihood=family, width=16, layers=3, dropout=0.1).to(device)
    return model, train.steps(model, digits.x, steps=steps, batch_size=32, lr=5e-3, rate=train.falling)


def any_order(steps: int = 400, device="cpu") -> tuple[Masked, Iterable]:
    """Recipe: convolutions that tell each pixel from any others."""
    digits = data.load("digits", device=device)
    model = Masked(digits.event_shape, digits.levels, network="conv", width=24, blocks=2, dropout=0.1).to(device)
    return model, train.steps(model, digits.x, steps=steps, batch_size=32, lr=4e-3, rate=train.falling)
