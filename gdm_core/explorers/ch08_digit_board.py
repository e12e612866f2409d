"""Conditional digit board.

Does one z draw the same hand in every class, and does the generator draw the class that we ask for?

A GAN that is told the class: choose a digit, drag z over all that it draws of it, and compare ten classes at that z.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices, kept
from gdm_core.explorers import headers
from gdm_core.explorers.digit_gans import Reader, class_gan, class_reader, pen
from gdm_core.explorers.learning import Learned
from gdm_core.explorers.read_outs import place
from gdm_core.models.gan import GAN
from gdm_core.widgets import Choice, Frame, Lines, Pad, Stage, View, atypical, plane, shell, tile

LIMIT, CELLS = 3.0, 9
COLUMNS = 5  # of the board of ten classes
JUDGED = 100  # samples of each class that the classifier judges
START = [0.5, -0.5]


@dataclass(frozen=True, eq=False)
class Judged:
    """A generator, and how often what it draws of each class, (10,), is read as that class."""

    model: GAN
    share: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: GAN, reader: Reader, z: Tensor) -> "Judged":
        every = torch.arange(10, device=z.device)
        read = reader(model.generate(z[:, None].expand(-1, 10, -1), every).flatten(0, 1)).argmax(1)
        return cls(model, (read.reshape(-1, 10) == every).double().mean(0))


def digit_board(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of a conditional GAN with two latents, judged by a classifier of real pictures.

    Args:
        seed: of the training.
        device: where it is trained and drawn; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    reader = kept.trained(class_reader, seed=seed, device=device, steps=400)
    new, labels = pen(600, 1, device)
    with torch.no_grad():
        right = (reader(new).argmax(1) == labels).double().mean().item()
    draws = torch.randn(JUDGED, 2, generator=torch.Generator().manual_seed(seed)).to(device)
    learned = Learned(
        class_gan, functools.partial(Judged.of, reader=reader, z=draws), seed=seed, device=device, steps=1500
    )
    every = torch.arange(10, device=device)
    cells = torch.as_tensor(plane((-LIMIT, LIMIT) * 2, CELLS), dtype=draws.dtype, device=device).reshape(-1, 2)

    @functools.lru_cache(maxsize=2)
    def drawn(judged: Judged, k: int) -> View:
        return _plane(judged.model.generate(cells, k), k)

    @torch.no_grad()
    def draw(controls) -> Frame:
        judged, when = learned.at(controls["checkpoint"])
        z, k = draws.new_tensor(controls["z"]), int(controls["digit"])
        ten = learned.model(controls["checkpoint"]).generate(z.expand(10, 2), every)
        told = reader(ten)
        sure, read = told.max(1)
        warning = atypical(z)
        views = {
            "plane": drawn(judged, k),
            "board": _board(ten, k, read == every),
        }
        views["board"].warning = warning
        obeyed = int((read == every).sum())
        text = (
            f"the {k} at z is read as {'a' if read[k] != 8 else 'an'} {int(read[k])} "
            f"with probability {sure[k].item():.2f} · "
            f"{obeyed} of 10 classes at z read as asked · "
            f"of {JUDGED} draws of a {k}: {judged.share[k].item():.2f} read so · "
            f"the classifier is right on {right:.3f} of the pen's new pictures · "
            f"{place(controls['z'], warning)} · {when}"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=START, labels=("z1", "z2"), on="plane"),
            Choice("digit", [str(i) for i in range(10)], "3", label="class told"),
            learned.timeline(),
        ],
        title=headers.title(__doc__),
        caption="Drag z: do the ten classes look written by one hand? Which is read as another? "
        "Learned: the generator and the classifier that reads. Exact: the prior.",
        trainer=learned.trainer,
        source=f"from gdm_core import explorers\n\nexplorers.digit_board(seed={seed})",
        sampled={"z": 5, "digit": 10},
        name="digit_board",
    )


def _plane(x: Tensor, k: int) -> View:
    """What is drawn of class k over the plane of z, and where 95 % of the prior lie."""
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = shell(2)[2] * np.stack([np.cos(turn), np.sin(turn)], 1)
    marks = [Lines(circle, "noise", width=2, dash=True, label="95 % of the prior")]
    return View(tile(1 - x, CELLS), marks, (-LIMIT, LIMIT) * 2, f"class {k} at each z", axes=("z1", "z2"), size=1.3)


def _board(x: Tensor, k: int, right: Tensor) -> View:
    """Ten classes at one z; the chosen one framed, those that are read as another class marked."""
    image = tile(1 - x, COLUMNS)
    cell = image.shape[1] / COLUMNS

    def frame(i: int, rim: float) -> np.ndarray:
        left, top = i % COLUMNS * cell, i // COLUMNS * cell
        corners = [[rim, rim], [cell - rim, rim], [cell - rim, cell - rim], [rim, cell - rim], [rim, rim]]
        return np.array(corners) + [left, top]

    marks = [Lines(frame(k, 0.3), "accent", width=4, label="class told")]
    wrong = (~right).nonzero()[:, 0].tolist()
    for i in wrong:
        marks.append(Lines(frame(i, 1.2), "noise", width=2, dash=True, label="read as another" * (i == wrong[0])))
    return View(image, marks, label="ten classes at this z", size=1.6)
