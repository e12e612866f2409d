"""What chapter 10 learns: a chain of pixels, one network for any order, and codes of larger pictures."""

from collections.abc import Iterable, Iterator

from gdm_core import data, likelihoods, train
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.models.masked import Masked
from gdm_core.models.vqvae import VQVAE


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


def picture_codes(dataset="strokes", pictures: int = 2000, steps: int = 350, device="cpu") -> tuple[VQVAE, Iterable]:
    """Recipe: a VQ-VAE, 32 codes at 7 x 7 places; now and then in the first 200 steps codes in no use begin anew."""
    x = data.load(dataset, n=pictures, device=device).x
    model = VQVAE(x.shape[1:], codes=32, width=8, likelihood=likelihoods.Gaussian(0.3, learn=None)).to(device)

    def learn() -> Iterator:
        for history in train.steps(model, x, steps=steps, batch_size=32, lr=1e-2, rate=gently, clip=100.0):
            if len(history) % 40 == 0 and len(history) <= 200:
                model.revive(x[:500])
            yield history

    return model, learn()


def gently(progress: float) -> float:
    """Learning rate: up for a twentieth of the way, or some starts end with one code; then down half a cosine."""
    return min(1.0, 20 * progress) * train.falling(progress)
