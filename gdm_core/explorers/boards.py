"""Chapter 5: class by style, and sums of codes: what of a picture stays when one thing in it changes."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import data, latent, likelihoods, networks, train
from gdm_core.data import Dataset, strokes
from gdm_core.explorers.pad import CLASSES
from gdm_core.explorers.trained import learner, trained
from gdm_core.models.vae import VAE
from gdm_core.validate import choice, integer
from gdm_core.widgets import (
    Button,
    Choice,
    Frame,
    Lines,
    Pad,
    Points,
    Slider,
    Stage,
    Tiles,
    Timeline,
    View,
    atypical,
    shell,
    tile,
    where_is,
)

DATASETS = ("strokes", "digits", "mnist", "fashion")
STYLES = ("slant", "thickness", "width")
STILL = {"variant": 0, "rotation": 0.0, "curl": 0.0, "size": 1.0, "jitter": 0.0}  # of strokes: all else is held
LIMIT = 3.2
ROWS = (-1.6, -0.8, 0.0, 0.8, 1.6)  # of the class x style board, in units of z
SHOWN, COLUMNS = (2, 3, 4, 5, 7), 5  # classes to choose from in the arithmetic board
WRITERS = ((0.0, 1.5, 1.0), (0.5, 1.5, 1.0), (0.0, 3.0, 1.0), (0.5, 3.0, 1.0))  # slant, thickness, width: one a row
SPACES = {"told the class": True, "not told": False}


@functools.lru_cache(maxsize=8)
def pictures(dataset: str, fresh: bool = False) -> Dataset:
    """What is learned, or pictures that were not: drawn digits in three styles, or the first ones of a real set."""
    if dataset == "strokes":
        return strokes.sample(600 if fresh else 3000, seed=int(fresh), **STILL)
    return data.load(dataset, "test" if fresh else "train", n=None if dataset == "digits" else 600 if fresh else 5000)


def pen(y: Tensor, style: Tensor) -> Tensor:
    """The truth: digits y (N,) drawn in the styles (N, 3)."""
    return strokes.draw(y, **dict(zip(STYLES, style.T)), **STILL)


class Ink(networks.MLPDecoder):
    """Means between white and black."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(z, y).sigmoid()


def class_vae(dataset: str, steps: int = 1200) -> tuple[VAE, Iterable]:
    """Recipe: three latents for the style, the class is told."""
    d = pictures(dataset)
    noise = likelihoods.Gaussian(
        0.2 if d.x[0].numel() < 100 else 0.6, learn=None
    )  # less, and classes go their own ways
    decoder = Ink(3, d.event_shape, hidden=(256, 256), labels=10)
    model = VAE(d.event_shape, 3, hidden=(256, 256), likelihood=noise, labels=10, decoder=decoder)
    return model, train.steps(model, (d.x, d.labels), steps=steps, batch_size=64, lr=3e-3, schedule=train.cosine)


def plain_vae(dataset: str, steps: int = 1200) -> tuple[VAE, Iterable]:
    """Recipe: eight latents for class and style together."""
    d = pictures(dataset)
    noise = likelihoods.Gaussian(0.2 if d.x[0].numel() < 100 else 0.3, learn=None)
    decoder = Ink(8, d.event_shape, hidden=(128, 256))
    model = VAE(d.event_shape, 8, hidden=(256, 128), likelihood=noise, decoder=decoder)
    return model, train.steps(model, d.x, steps=steps, batch_size=64, lr=3e-3, schedule=train.cosine)


@dataclass(frozen=True, eq=False)
class Crowd:
    """A model and the codes of pictures in it.

    Attributes:
        mean: (N, latents) posterior means.
    """

    model: VAE
    mean: Tensor

    @functools.cached_property
    def usual(self) -> tuple[float, float]:
        """How far a code is from its nearest neighbor: half of them at most this far, 99 in 100 at most that far."""
        away = torch.cdist(self.mean, self.mean).fill_diagonal_(torch.inf).amin(1)
        return away.median().item(), away.quantile(0.99).item()

    def nearest(self, z: Tensor) -> tuple[int, float]:
        """The picture whose code is nearest to z (latents,), and how far it is."""
        away, i = (self.mean - z).norm(dim=1).min(0)
        return int(i), float(away)

    def lost(self, z: Tensor) -> str:
        """A warning when z is further from all codes than codes are from one another."""
        if self.nearest(z)[1] <= self.usual[1]:
            return atypical(z)
        return "off the crowd: only 1 in 100 pictures has its nearest neighbor as far away as this"


def crowd(model: VAE, d: Dataset) -> Crowd:
    with torch.no_grad():
        return Crowd(model, model.encode(d.x, d.labels if model.labels else None).mean)


def ink(x: Tensor) -> np.ndarray:
    """One picture (1, H, W), dark on light."""
    return (1 - x.clamp(0, 1))[0].numpy()


def named(i: int, d: Dataset) -> str:
    """A picture in words: its class, and its style where that is known."""
    word = "class" if d.name == "fashion" else "a"
    known = ", ".join(f"{name} {d.factors[name][i]:.2f}" for name in STYLES if name in d.factors)
    return f"{word} {int(d.labels[i])}" + (f" ({known})" if known else "")


def style_board(dataset: str = "strokes", seed: int = 0) -> Stage:
    """Explorer of a conditional VAE: rows hold z and vary the class, columns hold the class and vary z.

    Args:
        dataset: "strokes" (drawn digits, three styles), "digits", "mnist", "fashion".
        seed: of the training.
    """
    choice("dataset", dataset, DATASETS)
    d = pictures(dataset, fresh=True)
    options = {"dataset": dataset, "steps": 1200}
    finished = crowd(trained(class_vae, seed=integer("seed", seed, low=0), **options), d)
    trainer = learner(class_vae, lambda model: crowd(model, d), **options)
    given = torch.stack([(d.labels == k).nonzero()[i, 0] for i in range(2) for k in range(10)])
    gallery, every = tile(1 - d.x[given], 10), torch.arange(10)

    def crowd_of(index: int) -> tuple[Crowd, str]:
        if trainer.steps == 0 and not trainer.running:
            return finished, f"trained {options['steps']:,} steps"
        snapshot = trainer.at(index)
        return snapshot.state, f"step {snapshot.step:,} of {options['steps']:,}"

    def compared(codes: Crowd, i: int) -> tuple[Tensor, str]:
        """Ten pictures to compare with: the pen in the style of picture i, or the nearest codes class by class."""
        if dataset == "strokes":
            style = torch.stack([d.factors[name][i] for name in STYLES])
            return pen(every, style.expand(10, 3)), "the pen, in the style of the nearest code"
        away = (codes.mean - codes.mean[i]).norm(dim=1)
        rows = [torch.where(d.labels == k, away, torch.inf).argmin() for k in every]
        return d.x[torch.stack(rows)], "in each class the picture with the nearest code"

    @torch.no_grad()
    def draw(controls) -> Frame:
        codes, when = crowd_of(controls["checkpoint"])
        z = torch.tensor([*controls["z"], controls["z3"]])
        moved = int(controls["rows"][1]) - 1
        board = z.repeat(len(ROWS), 1)
        board[:, moved] += torch.tensor(ROWS)
        made = codes.model.decode(board.repeat_interleave(10, 0), every.repeat(len(ROWS))).mean
        row = made[20:30]
        i, away = codes.nearest(z)
        truth, words = compared(codes, i)
        image = tile(1 - made, 10)
        high = image.shape[0] / len(ROWS)
        frame = np.array([[0, 2 * high], [image.shape[1], 2 * high], [image.shape[1], 3 * high], [0, 3 * high]])
        views = {
            "codes": _codes(codes, d, z),
            "board": View(
                image,
                [Lines(np.concatenate([frame, frame[:1]]), "accent", width=3)],
                label=f"along a row the class, down a column z{moved + 1}",
                warning=codes.lost(z),
                size=1.5,
            ),
            "gallery": View(gallery, label="given: choose one"),
            "truth": View(tile(1 - torch.cat([row, truth]), 10), label=f"framed row; below it {words}", size=1.5),
        }
        text = f"{where_is(z)} · nearest code of {len(d)} new pictures: {named(i, d)}, {away:.2f} away"
        if dataset == "strokes":
            text += f" · framed row against the pen: {(row - truth).square().sum((1, 2, 3)).mean():.1f} squared pixels"
        return Frame(views, f"{text} · {when}")

    def take(controls) -> dict:
        codes, _ = crowd_of(controls["checkpoint"])
        *place, third = codes.mean[given[controls["given"]]].clamp(-LIMIT, LIMIT).tolist()
        return {"z": place, "z3": third}

    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=(0.4, -0.5), labels=("z1", "z2"), on="codes"),
            Slider("z3", -LIMIT, LIMIT, 0.3),
            Choice("rows", ["z1", "z2", "z3"], label="down a column varies"),
            Tiles("given", on="gallery", rows=2, columns=10),
            Button("take", take, label="z to the code of the given picture"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label="training"),
        ],
        title="Class by style",
        caption="Drag z: all ten classes change hands. Which follow, which go their own way? Train and watch.",
        trainer=trainer,
        source=f"from gdm_core import explorers\n\nexplorers.style_board({dataset!r}, seed={seed})",
        sampled={"z": 7, "rows": 3},
        name="style_board",
    )


def _codes(codes: Crowd, d: Dataset, z: Tensor) -> View:
    """Where the pictures lie, by class: a style space in which classes overlap."""
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = shell(3)[2] * np.stack([np.cos(turn), np.sin(turn)], 1)
    inside = (codes.mean[:, :2].abs() < LIMIT).all(1)
    shade = CLASSES[d.labels[inside].numpy() % 10]
    marks = [
        Lines(circle, "noise", width=2, dash=True, label="95 % of the prior"),
        Points(codes.mean[inside, :2].numpy(), shade, size=6, alpha=0.8, label="new pictures, a color a class"),
    ]
    return View(None, marks, (-LIMIT, LIMIT, -LIMIT, LIMIT), "codes", axes=("z1", "z2"), aspect=1.0)


@dataclass(frozen=True, eq=False)
class Terms:
    """The pictures one may choose from, and what is known of them."""

    x: Tensor
    labels: Tensor
    style: Tensor | None

    def answer(self, a: int, b: int, c: int, amount: float) -> tuple[int, Tensor | None]:
        """Class of c + amount (a - b), and the true picture where the pen can draw one."""
        la, lb, lc = (int(self.labels[i]) for i in (a, b, c))
        swaps = lb == lc != la  # the difference is one of class
        label = la if swaps else lc
        if self.style is None or (la != lb and not (swaps and amount == 1)):
            return label, None
        style = self.style[c] + amount * (self.style[a] - self.style[b])
        return label, pen(torch.tensor([label]), style[None])[0] if style[1] > 0.3 else None


def terms(dataset: str) -> Terms:
    """Four rows of five classes: of strokes each row is one style, so that differences mean something."""
    labels = torch.tensor(SHOWN).repeat(len(WRITERS))
    if dataset == "strokes":
        style = torch.tensor(WRITERS).repeat_interleave(len(SHOWN), 0)
        return Terms(pen(labels, style), labels, style)
    d = pictures(dataset, fresh=True)
    rows = torch.stack([(d.labels == k).nonzero()[i, 0] for i in range(len(WRITERS)) for k in SHOWN])
    return Terms(d.x[rows], labels, None)


def arithmetic(dataset: str = "strokes", seed: int = 0) -> Stage:
    """Explorer of c + amount (a - b) on codes and on pixels, beside the truth where there is one.

    Args:
        dataset: "strokes" (drawn digits, four styles to choose from), "digits", "mnist", "fashion".
        seed: of the training.
    """
    choice("dataset", dataset, DATASETS)
    integer("seed", seed, low=0)
    d, offered = pictures(dataset), terms(dataset)
    recipes = {True: class_vae, False: plain_vae}
    spaces = {
        told: crowd(trained(recipe, seed=seed, dataset=dataset, steps=1200), d) for told, recipe in recipes.items()
    }
    gallery = tile(1 - offered.x, COLUMNS)

    @torch.no_grad()
    def draw(controls) -> Frame:
        codes, amount = spaces[SPACES[controls["model"]]], controls["amount"]
        told = codes.model.labels > 0
        picks = [controls[name] for name in "abc"]
        label, truth = offered.answer(*picks, amount)
        x = offered.x[picks]
        za, zb, zc = codes.model.encode(x, offered.labels[picks] if told else None).mean
        z = latent.arithmetic(amount * za, amount * zb, zc)
        made = codes.model.decode(z[None], torch.tensor([label]) if told else None).mean[0]
        pixels = (amount * (x[0] - x[1]) + x[2]).clamp(0, 1)
        i, away = codes.nearest(z)
        half, most = codes.usual
        words = (
            {"a": "a", "b": "− b", "c": "+ c"} if amount == 1 else {"a": f"{amount:.2g} (a", "b": "− b)", "c": "+ c"}
        )
        views = {f"gallery {name}": View(gallery, label=words[name]) for name in "abc"}
        views["codes"] = View(ink(made), label="of codes, decoded", warning=codes.lost(z))
        views["pixels"] = View(ink(pixels), label="of pixels")
        if truth is None:
            views["nearest"] = View(ink(d.x[i]), label="the picture with the nearest code")
        else:
            views["nearest"] = View(ink(truth), label="the truth, by the pen")
        text = (
            f"{where_is(z)} · nearest of {len(d):,} codes: {named(i, d)}, {away:.2f} away; among the codes themselves "
            f"half are within {half:.2f} of another, 99 % within {most:.2f}"
        )
        if truth is not None:
            wrong = lambda p: (p - truth).square().sum().item()
            text += f" · squared error: codes {wrong(made):.1f}, pixels {wrong(pixels):.1f}, c alone {wrong(x[2]):.1f}"
        elif offered.style is not None:
            text += " · no right answer: classes that differ twice have no sum"
        return Frame(views, text)

    choose = lambda name, value: Tiles(name, on=f"gallery {name}", rows=len(WRITERS), columns=COLUMNS, value=value)
    return Stage(
        draw,
        [
            choose("a", 7),  # a slanted 4
            choose("b", 2),  # the same upright
            choose("c", 4),  # an upright 7
            Slider("amount", 0.0, 2.0, 1.0, step=0.1, label="how much of a − b"),
            Choice("model", list(SPACES), label="encoder and decoder are"),
        ],
        title="a − b + c",
        caption="Choose three pictures. When is the sum what you meant, and when does it leave the crowd?",
        source=f"from gdm_core import explorers\n\nexplorers.arithmetic({dataset!r}, seed={seed})",
        sampled={"a": 20, "amount": 5},
        name="arithmetic",
    )
