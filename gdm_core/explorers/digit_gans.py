"""A GAN of the pen's digits that is told the class, and a classifier that judges what it draws."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from gdm_core import networks, train
from gdm_core.data import Dataset, three_styles
from gdm_core.models.gan import GAN

SHAPE = (1, 14, 14)


def pen(n: int, seed: int, device="cpu") -> tuple[Tensor, Tensor]:
    """Digits in three styles at half their size, (n, 1, 14, 14), and their classes."""
    d: Dataset = three_styles.sample(n, seed, device)
    return avg_pool2d(d.x, 2), d.labels


def class_gan(steps: int = 1500, device="cpu") -> tuple[GAN, Iterable]:
    """Recipe: two latents for the style, both players are told the class; relativistic with two penalties."""
    model = GAN(SHAPE, 2, labels=10, loss="relativistic", r1=0.1, r2=0.1, unit=True).to(device)
    options = {"batch_size": 64, "lr": 3e-3, "rate": train.falling, "average": 0.99}
    return model, train.steps(model, pen(3000, 0, device), steps=steps, **options)


class Reader(nn.Module):
    """Class probabilities of a picture, learned from the pen's pictures alone."""

    def __init__(self):
        super().__init__()
        self.net = networks.MLPEncoder(SHAPE, 10, (64,))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 14, 14) -> (B, 10)."""
        return self.net(x).softmax(1)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(self.net(x), y)


def class_reader(steps: int = 400, device="cpu") -> tuple[Reader, Iterable]:
    """Recipe: one hidden layer."""
    model = Reader().to(device)
    return model, train.steps(model, pen(3000, 0, device), steps=steps, batch_size=64, lr=3e-3, rate=train.falling)
