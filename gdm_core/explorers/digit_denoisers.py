"""A network that denoises the small digits, and the training set that it learned them from."""

from collections.abc import Iterable

from torch import Tensor
from torch.nn.functional import one_hot

from gdm_core import data, train
from gdm_core.models.diffusion import Diffusion
from gdm_core.unet import UNet

CLASSES = 10


def some_digits(pictures: int, device="cpu") -> tuple[Tensor, Tensor]:
    """The first training digits, of each class about as many, from -1 (paper) to 1 (ink), and their classes.

    Returns:
        (pictures, 1, 8, 8) and (pictures,); the first ten are one of each class, and fewer are always among more.
    """
    digits = data.load("digits", device=device)
    nth = (one_hot(digits.labels, CLASSES).cumsum(0) * one_hot(digits.labels, CLASSES)).sum(1)  # of its class
    chosen = nth.argsort(stable=True)[:pictures]
    return 2 * digits.x[chosen] - 1, digits.labels[chosen]


def ink(x: Tensor) -> Tensor:
    """From -1, paper, and 1, ink, to dark on light; noise goes beyond both."""
    return ((1 - x) / 2).clamp(0, 1)


def digit_denoiser(pictures: int = 1000, steps: int = 600, device="cpu") -> tuple[Diffusion, Iterable]:
    """Recipe: a U-Net that is told time and class."""
    x, y = some_digits(pictures, device)
    often = -(-320 // len(x))  # a batch may hold a picture several times, with other noise
    network = UNet(x.shape[1:], widths=(16, 32), labels=CLASSES)
    model = Diffusion(x.shape[1:], network=network, labels=CLASSES).to(device)
    options = {"batch_size": 32, "lr": 4e-3, "rate": train.falling, "average": 0.99}
    return model, train.steps(model, (x.repeat(often, 1, 1, 1), y.repeat(often)), steps=steps, **options)
