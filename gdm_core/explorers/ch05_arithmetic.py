"""a − b + c.

When do codes add up, and when do they leave the crowd?

Sums of codes and sums of pixels, beside the truth where there is one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices, kept, latent
from gdm_core.data import three_styles
from gdm_core.explorers import headers, ink
from gdm_core.explorers.crowd import Crowd
from gdm_core.explorers.read_outs import place
from gdm_core.explorers.style_vaes import DATASETS, class_vae, pictures, plain_vae
from gdm_core.validate import choice
from gdm_core.widgets import Choice, Frame, Slider, Stage, Tiles, View, tile

SHOWN = (2, 3, 4, 5, 7)  # classes to choose from
WRITERS = ((0.0, 1.5, 1.0), (0.5, 1.5, 1.0), (0.0, 3.0, 1.0), (0.5, 3.0, 1.0))  # styles, one a row
SPACES = {"told the class": (class_vae, 2000), "not told": (plain_vae, 1200)}
TOLD, UNTOLD = SPACES
SMALL = 0.6  # size of a result: four of them fit beside each other on a small laptop
KNOWN = "Learned: the codes. Exact: the pixels and the truth."
THINNEST = 0.5  # pixels: the pen draws no thinner


@dataclass(frozen=True, eq=False)
class Offer:
    """The pictures one may choose from, and what is known of them.

    Attributes:
        x: (20, 1, H, W), four rows of five classes.
        labels: (20,).
        style: (20, 3), where it is known.
    """

    x: Tensor
    labels: Tensor
    style: Tensor | None

    def answer(self, a: int, b: int, c: int, amount: float) -> tuple[int, Tensor | None, str]:
        """What c + amount (a - b) should be: its class, the picture if the pen can draw it, else the reason."""
        la, lb, lc = (int(self.labels[i]) for i in (a, b, c))
        swaps = la != lb == lc  # the step leads from the class of c to another
        label = la if swaps else lc
        if self.style is None:
            return label, None, ""
        if swaps and amount != 1:
            return label, None, f"no right answer: there is no part of the way from a {lb} to a {la}"
        if la != lb and not swaps:
            return label, None, f"no right answer: what turns a {lb} into a {la} means nothing to a {lc}"
        style = self.style[c] + amount * (self.style[a] - self.style[b])
        if style[three_styles.STYLES.index("thickness")] < THINNEST:
            return label, None, "no right answer: no line is as thin as this"
        return label, three_styles.draw(self.labels.new_tensor([label]), style[None])[0], ""


def offer(dataset: str, device: str | torch.device = "cpu") -> Offer:
    """Four rows of five classes: of strokes each row is one style, so that differences mean something."""
    labels = torch.tensor(SHOWN, device=device).repeat(len(WRITERS))
    if dataset == "strokes":
        style = torch.tensor(WRITERS, device=device).repeat_interleave(len(SHOWN), 0)
        return Offer(three_styles.draw(labels, style), labels, style)
    d = pictures(dataset, True, device)
    rows = torch.stack([(d.labels == k).nonzero()[i, 0] for i in range(len(WRITERS)) for k in SHOWN])
    return Offer(d.x[rows], labels, None)


def nothing(side: int) -> np.ndarray:
    """A hatched square in the place of a picture that does not exist."""
    down, across = np.indices((4 * side, 4 * side))
    return np.where((down + across) % 16 < 2, 0.75, 0.96)


def arithmetic(dataset: str = "strokes", seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of c + amount (a - b) on codes and on pixels, beside the truth where there is one.

    Args:
        dataset: "strokes" (drawn digits, four styles to choose from), "digits", "mnist", "fashion".
        seed: of the training.
        device: where the models are trained and decoded; see `devices.pick`.
    """
    choice("dataset", dataset, DATASETS)
    device = devices.pick(device, small=True)
    d, offered, options = pictures(dataset, device=device), offer(dataset, device), {"seed": seed, "device": device}
    crowds = {
        name: Crowd.of(kept.trained(recipe, dataset=dataset, steps=steps, **options), d)
        for name, (recipe, steps) in SPACES.items()
    }
    gallery = tile(1 - offered.x, len(SHOWN))

    @torch.no_grad()
    def draw(controls) -> Frame:
        crowd, amount, told = crowds[controls["model"]], controls["amount"], controls["model"] == TOLD
        picks = [controls[name] for name in "abc"]
        label, truth, reason = offered.answer(*picks, amount)
        x, y = offered.x[picks], offered.labels[picks] if told else None
        za, zb, zc = crowd.model.encode(x, y).mean
        z = latent.arithmetic(amount * za, amount * zb, zc)
        made = crowd.model.decode(z[None], y.new_tensor([label]) if told else None).mean[0]
        pixels = (amount * (x[0] - x[1]) + x[2]).clamp(0, 1)
        near = crowd.only(label) if told else crowd  # where the class is told, each class has codes everywhere
        i, away = near.nearest(z)
        words = ("a", "− b", "+ c") if amount == 1 else (f"{amount:.2g} (a", "− b)", "+ c")
        views = {f"gallery {name}": View(gallery, label=word, size=0.9) for name, word in zip("abc", words)}
        warning, told_as = near.lost(z), f" as {near.named(i)}" if told else ""
        views["codes"] = View(ink.shown(made), label=f"= codes{told_as}", warning=warning, size=SMALL)
        views["pixels"] = View(ink.shown(pixels), label="= pixels", size=SMALL)
        if truth is not None:
            views["truth"] = View(ink.shown(truth), label="truth, by the pen", size=SMALL)
            wrong = lambda p: (p - truth).square().sum().item()
            told = f"codes {wrong(made):.1f} · pixels {wrong(pixels):.1f} · c alone {wrong(x[2]):.1f}"
            reason = f"squared error, summed over pixels: {told}"
        elif reason:
            views["truth"] = View(nothing(x.shape[-1]), label="no right answer", size=SMALL)
        views["nearest"] = View(ink.shown(near.pictures.x[i]), label=f"nearest: {near.named(i)}", size=SMALL)
        among = f"{len(near.mean):,} codes" + (f" of {near.named(i)}" if told else "")
        text = (
            f"nearest of {among}: {away:.2f} away; 99 % of them have a neighbor within {near.usual[1]:.2f} · "
            f"{place(z, warning)}"
        )
        return Frame(views, f"{reason} · {text}" if reason else text)

    choose = lambda name, value: Tiles(name, on=f"gallery {name}", rows=len(WRITERS), columns=len(SHOWN), value=value)
    return Stage(
        draw,
        [
            choose("a", 7),  # a slanted 4
            choose("b", 2),  # the same upright
            choose("c", 4),  # an upright 7
            Slider("amount", 0.0, 2.0, 1.0, step=0.1, label="how much of a − b"),
            Choice("model", list(SPACES), label="encoder and decoder"),
        ],
        title=headers.title(__doc__),
        caption=f"Choose a, b and c. When is the sum of codes what you meant, and when far from all codes? {KNOWN}",
        exported=f"Choose a and c. When is the sum of codes what you meant, and when far from all codes? {KNOWN}",
        source=f"from gdm_core import explorers\n\nexplorers.arithmetic({dataset!r}, seed={seed})",
        sampled={"a": 20, "c": 20, "model": 2},
        name="arithmetic",
    )
