"""Chapter 5: ten classes at one z, beside the truth: does a code mean the same style in every class?"""

import numpy as np
import torch
from torch import Tensor

from gdm_core.explorers.codes import DATASETS, STYLES, Crowd, class_vae, pen, pictures
from gdm_core.explorers.pad import CLASSES
from gdm_core.explorers.trained import learner, trained, watched
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
    shell,
    tile,
    where_is,
)

LIMIT = 3.2
ROWS = (-1.6, -0.8, 0.0, 0.8, 1.6)  # of the board, in units of z
EVERY = torch.arange(10)
PEN, CODES = "the pen, in the style of the nearest code", "in each class the picture with the nearest code"


def style_board(dataset: str = "strokes", seed: int = 0) -> Stage:
    """Explorer of a conditional VAE: rows hold z and vary the class, columns hold the class and vary z.

    Args:
        dataset: "strokes" (drawn digits, three styles), "digits", "mnist", "fashion".
        seed: of the training.
    """
    choice("dataset", dataset, DATASETS)
    d, drawn = pictures(dataset, fresh=True), dataset == "strokes"
    options = {"dataset": dataset, "steps": 2000}
    finished = Crowd.of(trained(class_vae, seed=integer("seed", seed, low=0), **options), d)
    trainer = learner(class_vae, lambda model: Crowd.of(model, d), seed=seed, **options)
    given = torch.stack([(d.labels == k).nonzero()[i, 0] for i in range(2) for k in EVERY])
    gallery = tile(1 - d.x[given], 10)
    average = torch.stack([pictures(dataset)[pictures(dataset).labels == k].x.mean(0) for k in EVERY])

    def crowd_of(index: int) -> tuple[Crowd, str]:
        return watched(trainer, finished, index)

    def truth_of(crowd: Crowd, i: int) -> Tensor:
        """Ten pictures in the style of picture i: drawn, or the nearest codes class by class."""
        if drawn:
            return pen(EVERY, torch.stack([d.factors[name][i] for name in STYLES]).expand(10, 3))
        away = (crowd.mean - crowd.mean[i]).norm(dim=1)
        return d.x[torch.stack([torch.where(d.labels == k, away, torch.inf).argmin() for k in EVERY])]

    @torch.no_grad()
    def draw(controls) -> Frame:
        crowd, when = crowd_of(controls["checkpoint"])
        z = torch.tensor([*controls["z"], controls["z3"]])
        moved = int(controls["rows"][1]) - 1
        places = z.repeat(len(ROWS), 1)
        places[:, moved] += torch.tensor(ROWS)
        made = crowd.model.decode(places.repeat_interleave(10, 0), EVERY.repeat(len(ROWS))).mean
        row = made[20:30]  # the middle one, at z itself
        i, away = crowd.nearest(z)
        truth = truth_of(crowd, i)
        views = {
            "codes": _codes(crowd),
            "board": _board(made, truth, f"a class a column, down it z{moved + 1}", PEN if drawn else CODES),
            "gallery": View(gallery, label="given: choose one and take its code", size=1.2),
        }
        views["board"].warning = crowd.lost(z)
        text = f"{where_is(z)} · nearest code of {len(d)} new pictures: {crowd.named(i)}, {away:.2f} away"
        if drawn:
            wrong = lambda p: (p - truth).square().sum((1, 2, 3)).mean().item()
            text += f" · squared error against the pen {wrong(row):.1f}, of the classes' averages {wrong(average):.1f}"
        return Frame(views, f"{text} · {when}")

    def take(controls) -> dict:
        crowd, _ = crowd_of(controls["checkpoint"])
        *place, third = crowd.mean[given[controls["given"]]].clamp(-LIMIT, LIMIT).tolist()
        return {"z": place, "z3": third}

    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=(0.4, -0.5), labels=("z1", "z2"), on="codes"),
            Slider("z3", -LIMIT, LIMIT, 0.3),
            Choice("rows", ["z1", "z2", "z3"], label="down a column"),
            Tiles("given", on="gallery", rows=2, columns=10),
            Button("take", take, label="take the code of the given"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label="training"),
        ],
        title="Class by style",
        caption="Drag z: ten classes in one hand. Which keep to the common style, and which go their own way?",
        trainer=trainer,
        source=f"from gdm_core import explorers\n\nexplorers.style_board({dataset!r}, seed={seed})",
        sampled={"z": 7, "rows": 3},
        name="style_board",
    )


def _board(made: Tensor, truth: Tensor, label: str, words: str) -> View:
    """Five rows of decoded pictures, the one at z framed; below them what they are compared with."""
    board, below = (tile(1 - x, 10) for x in (made, truth))
    wide, high, apart = board.shape[1], below.shape[0], below.shape[0] // 5
    image = np.concatenate([board, np.full((apart, wide), 255, np.uint8), below])
    start, rim = len(board) + apart, high / 30
    corners = np.array([[rim, rim], [wide - rim, rim], [wide - rim, high - rim], [rim, high - rim], [rim, rim]])
    marks = [
        Lines(corners + [0, 2 * high], "accent", width=4, label="at z"),
        Lines(corners + [0, start], "exact", width=4, label=words),
    ]
    return View(image, marks, label=label, size=2.2)


def _codes(crowd: Crowd) -> View:
    """Where the pictures lie, by class: a space of styles, in which classes overlap."""
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = shell(3)[2] * np.stack([np.cos(turn), np.sin(turn)], 1)
    inside = (crowd.mean[:, :2].abs() < LIMIT).all(1)
    shade = CLASSES[crowd.pictures.labels[inside].numpy() % 10]
    marks = [
        Lines(circle, "noise", width=2, dash=True, label="radius that holds 95 % of the prior"),
        Points(crowd.mean[inside, :2].numpy(), shade, size=6, alpha=0.8),
    ]
    return View(None, marks, (-LIMIT, LIMIT, -LIMIT, LIMIT), "codes, a color a class", axes=("z1", "z2"), aspect=1.0)
