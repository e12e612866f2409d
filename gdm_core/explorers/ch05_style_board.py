"""Class by style.

Does one code mean the same style in every class?  Ten classes at one z, beside the truth.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices
from gdm_core.data import three_styles
from gdm_core.explorers import headers
from gdm_core.explorers.crowd import Crowd
from gdm_core.explorers.learning import Learned
from gdm_core.explorers.read_outs import place, said
from gdm_core.explorers.style_vaes import DATASETS, class_vae, pictures
from gdm_core.validate import choice
from gdm_core.widgets import (
    Choice,
    Frame,
    Lines,
    Pad,
    Points,
    Slider,
    Stage,
    Tiles,
    View,
    shell,
    tile,
)

LIMIT = 3.2
ROWS = (-1.6, -0.8, 0.0, 0.8, 1.6)  # of the board, in units of z
OPENING = 13  # the picture at whose code one begins: the second 3
PALE = "#c4c8ce"  # codes of other classes than the chosen one
REACH = 0.3  # std of the weights of the codes that have a say in the style at z: on the codes themselves it errs least
KNOWN = "Learned: the board and the codes."
PEN_KNOWN = f"{KNOWN} Exact: what the pen draws."
PEN, CODES = "the pen, in the mean style of the codes around z", "in each class the picture with the nearest code"


def style_board(dataset: str = "strokes", seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of a conditional VAE: rows hold z and vary the class, columns hold the class and vary z.

    Args:
        dataset: "strokes" (drawn digits, three styles), "digits", "mnist", "fashion".
        seed: of the training.
        device: where it is trained, decoded and drawn; see `devices.pick`.
    """
    choice("dataset", dataset, DATASETS)
    device = devices.pick(device, small=True)
    known, d, drawn = pictures(dataset, device=device), pictures(dataset, True, device), dataset == "strokes"
    look = functools.partial(Crowd.of, pictures=d)
    learned = Learned(class_vae, look, seed=seed, device=device, dataset=dataset, steps=2000)
    every = torch.arange(10, device=device)
    given = torch.stack([(d.labels == k).nonzero()[i, 0] for i in range(2) for k in every])
    gallery = tile(1 - d.x[given], 10)
    average = torch.stack([known.x[known.labels == k].mean(0) for k in every])

    codes = functools.lru_cache(maxsize=2)(_codes)

    @functools.lru_cache(maxsize=2)
    def truth_of(crowd: Crowd, z: tuple[float, ...], i: int) -> Tensor:
        """Ten pictures in the style at z: drawn, or class by class the nearest to code i, the one nearest to z."""
        if drawn:
            return three_styles.draw(every, style_at(crowd, crowd.mean.new_tensor(z)).expand(10, 3))
        away = (crowd.mean - crowd.mean[i]).norm(dim=1)
        return d.x[torch.stack([torch.where(d.labels == k, away, torch.inf).argmin() for k in every])]

    @torch.no_grad()
    def draw(controls) -> Frame:
        crowd, when = learned.at(controls["checkpoint"])
        z = crowd.mean.new_tensor([*controls["z"], controls["z3"]])
        moved = int(controls["rows"][1]) - 1
        places = z.repeat(len(ROWS), 1)
        places[:, moved] += z.new_tensor(ROWS)
        model = learned.model(controls["checkpoint"])  # newer than the codes while it trains
        made = model.decode(places.repeat_interleave(10, 0), every.repeat(len(ROWS))).mean
        row = made[20:30]  # the middle one, at z itself
        i, away = crowd.nearest(z)
        truth, warning = truth_of(crowd, tuple(z.tolist()), i), crowd.lost(z)
        low, high = (said(z[moved].item() + end, 1) for end in (ROWS[0], ROWS[-1]))
        label = f"rows: z{moved + 1} from {low} (top) to {high}"
        views = {
            "codes": codes(crowd, controls["z3"], given[controls["given"]].item()),
            "board": _board(made, truth, label, PEN if drawn else CODES),
            "gallery": View(gallery, label="pictures", asks="choose a picture: z goes to its code", size=1.2),
        }
        views["board"].warning = warning
        text = f"nearest of {len(d)} new pictures: {crowd.named(i)}, {away:.2f} away · {place(z, warning)} · {when}"
        if drawn and crowd.near(z):  # elsewhere nobody knows the style
            wrong = lambda p: (p - truth).square().sum((1, 2, 3)).mean().item()
            told = f"at z {wrong(row):.1f} · averages of the classes {wrong(average):.1f}"
            text = f"squared error against the pen, summed over pixels: {told} · {text}"
        return Frame(views, text)

    def take(controls) -> dict:
        crowd, _ = learned.at(controls["checkpoint"])
        *z, z3 = crowd.mean[given[controls["given"]]].clamp(-LIMIT, LIMIT).tolist()
        return {"z": [round(v, 2) for v in z], "z3": round(20 * z3) / 20}

    start = take({"given": OPENING, "checkpoint": -1})
    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=start["z"], labels=("z1", "z2"), on="codes"),
            Slider("z3", -LIMIT, LIMIT, start["z3"], step=0.05),
            Choice("rows", ["z1", "z2", "z3"], label="varied down a column"),
            Tiles("given", on="gallery", rows=2, columns=10, value=OPENING, press=take),
            learned.timeline(),
        ],
        title=headers.title(__doc__),
        caption="Drag z: each row draws ten classes from one z. Which classes share a style? "
        f"{PEN_KNOWN if drawn else KNOWN}",
        trainer=learned.trainer,
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


def style_at(crowd: Crowd, z: Tensor) -> Tensor:
    """Mean style of the pictures whose codes lie around z, (3,): the nearest code alone would jump as one drags."""
    return (-(crowd.mean - z).square().sum(1) / (2 * REACH**2)).softmax(0) @ three_styles.styles(crowd.pictures)


def _codes(crowd: Crowd, z3: float, chosen: int) -> View:
    """Where the pictures lie, those of the chosen one's class in ink: they are everywhere; what is far in z3 fades."""
    turn = np.linspace(0, 2 * np.pi, 90)
    near = (-(crowd.mean[:, 2] - z3).square()).exp()
    order = near.argsort()  # the strongest on top
    order = order[((crowd.mean[:, :2].abs() < LIMIT).all(1) & (near > 0.02))[order]]
    kind = int(crowd.pictures.labels[chosen])
    own, marks = crowd.pictures.labels[order] == kind, []
    for rows, color, label in ((order[~own], PALE, "other classes"), (order[own], colors.DATA, f"class {kind}")):
        shade = near.new_tensor(colors.rgb(color))
        marks.append(Points(crowd.mean[rows, :2], 1 - near[rows, None] * (1 - shade), size=6))
        marks.append(Points(np.zeros((0, 2)), color, label=label))
    marks.append(Points(crowd.mean[chosen, None, :2], "accent", size=12, label="chosen"))
    if (radius := shell(3)[2] ** 2 - z3**2) > 0:
        circle = radius**0.5 * np.stack([np.cos(turn), np.sin(turn)], 1)
        marks.append(Lines(circle, "noise", width=2, dash=True, label="95 % of the prior, at this z3"))
    label, white = "codes; those far in z3 fade", np.ones((2, 2))
    return View(white, marks, (-LIMIT, LIMIT, -LIMIT, LIMIT), label, axes=("z1", "z2"), aspect=1.0)
