"""A model that paints rooms from captions: diffusion in the principal components of their pictures."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from gdm_core import guidance, samplers, schedules, train
from gdm_core.components import Components
from gdm_core.data import scenes
from gdm_core.data.scenes import captions
from gdm_core.models.diffusion import Diffusion
from gdm_core.words import Told

SIZE, LATENTS = 32, 72  # pixels on a side, components
ROOMS, STEPS = 8000, 1200  # of the training
WORDS = len(captions.VOCABULARY)


def never(factors: Tensor) -> Tensor:
    """Scenes that training leaves out, (N,): one color of each shape, red cubes among them."""
    return (factors[:, 2] + 3 * factors[:, 4]) % 10 == 0


class Painter(nn.Module):
    """p(picture | caption): components of pictures, and a diffusion of their codes that a caption is told."""

    def __init__(self, size: int = SIZE, latents: int = LATENTS, width: int = 256):
        super().__init__()
        self.components = Components((3, size, size), latents)
        network = Told((latents,), WORDS, width=width)
        self.diffusion = Diffusion(latents, schedule=schedules.line, network=network, words=WORDS, drop=0.1, repeat=4)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Of pictures (B, 3, S, S) and captions (B, L)."""
        return self.diffusion.loss(self.components.encode(x), y)

    @torch.no_grad()
    def paint(
        self, y: Tensor, noise: Tensor, *, weight: float = 2.0, until: float = 1.0, steps: int = 20
    ) -> Iterator[Tensor]:
        """States of the codes from noise on, (B, latents); y: (B, L) captions.

        Args:
            weight: of guidance; 1 for none.
            until: largest t with guidance.
            steps: of Heun's method.
        """
        read = self.diffusion.network.read  # once, not at each step
        telling = lambda said: lambda x, t: self.diffusion.denoise(x, t, said)
        told = telling(read(y))
        if weight != 1:
            told = guidance.guided(told, telling(read(torch.zeros_like(y))), weight, between=(0.0, until))
        return samplers.heun(told, schedules.line, noise, schedules.times(schedules.line, steps).to(noise))

    def pictures(self, sentences: Sequence[str], *, seed: int = 0, **options) -> Tensor:
        """A picture for each sentence, (N, 3, S, S) in [0, 1]; `options` as of `paint`."""
        like = self.components.mean
        y = captions.tokens(sentences).to(like.device)
        noise = torch.randn(len(y), len(self.components.size), generator=torch.Generator().manual_seed(seed)).to(like)
        return self.components.decode(samplers.last(self.paint(y, noise, **options))).clamp(0, 1)


def rooms(count: int, *, seed: int = 0, leave: float = 0.1, deny: float = 0.1) -> tuple[Tensor, list[str]]:
    """Scenes that training may see, (count, 6), and a sentence for each.

    Args:
        leave, deny: shares of factors that a sentence leaves open, and of colors that it tells by what they are not.
    """
    numbers = torch.Generator().manual_seed(seed)
    table = scenes.factors(torch.randint(scenes.COUNT, (2 * count,), generator=numbers))
    table = table[~never(table)][:count]
    return table, captions.said(table, generator=numbers, leave=leave, deny=deny)


def room_painter(steps: int = STEPS, pictures: int = ROOMS, size: int = SIZE, device="cpu") -> tuple[Painter, Iterable]:
    """Recipe: a caption is read by attention; no scene of `never` is in the training set."""
    model = Painter(size).to(device)

    def learn() -> Iterator:
        table, sentences = rooms(pictures)
        x, y = scenes.render(table, size=size).to(device), captions.tokens(sentences).to(device)
        model.components.fit(x[:3000])
        yield from train.steps(model, (x, y), steps=steps, batch_size=64, average=0.99, **pace(model, 5e-3))

    return model, learn()


def pace(model: Painter, lr: float) -> dict:
    """Optimizer, its rate and its bound, as `train.steps` takes them."""
    fused = model.components.mean.device.type in ("cpu", "cuda")
    adam = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.01, fused=fused)
    return {"optimizer": adam, "rate": warm, "clip": 1.0}


def warm(progress: float) -> float:
    """Learning rate: up for a thirtieth of the way, then down half a cosine."""
    return min(1.0, 30 * progress) * train.falling(progress)
