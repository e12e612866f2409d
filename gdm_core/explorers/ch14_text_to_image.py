"""Text to image.

What does a sentence become, word by word, and who says that the picture is right?

A model that was trained from zero paints a room from noise; a judge that sees the picture alone reads it back.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices
from gdm_core.data import scenes
from gdm_core.data.scenes import captions, words
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Learned
from gdm_core.explorers.room_painter import LATENTS, STEPS, Painter, room_painter
from gdm_core.widgets import Button, Choice, Frame, Lines, Noise, Sentence, Slider, Stage, Text, Timeline, View, tile

OWN = "your own words"
READY = (
    "a large red cube on a blue floor, between yellow walls, seen from the right",
    "a large blue cube on a yellow floor, between red walls, seen from the right",
    "against a teal wall, a huge ball that is orange",
    "a tiny capsule on ground that is not red",
    "a yellow drum",
)
MOVES = 16  # of the solver, of which the timeline shows each
OTHERS = 6  # rooms beside the followed one
COLUMNS = 2  # of these
NAMES = ("floor", "wall", "object", "size", "shape", "view")
FACTORS = tuple(scenes.FACTORS.values())
WORDS = (scenes.COLORS, scenes.COLORS, scenes.COLORS, words.SIZES, scenes.SHAPES)  # of a place, view apart
DEGREES = scenes.values(scenes.sweep("orientation", [[0] * 6]))[:, 5].tolist()


def text_to_image(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of text to image: a sentence, guidance and noise, and what the judge reads beside what was said.

    Args:
        seed: of the training and of the noise.
        device: where it is trained and painted; see `devices.pick`.
    """
    device = devices.pick(device)
    noise = Noise(seed, device)
    learned = Learned(room_painter, lambda model: model, seed=seed, device=device, steps=STEPS)

    @functools.lru_cache(maxsize=16)  # the timeline goes through one way
    def painted(model: Painter, sentence: str, weight: float, pressed: int) -> Tensor:
        y = captions.tokens([sentence]).to(device).expand(1 + OTHERS, -1)
        return torch.stack(list(model.paint(y, noise(pressed, 1 + OTHERS, LATENTS), weight=weight, steps=MOVES)))

    @torch.no_grad()
    def draw(controls) -> Frame:
        sentence = controls["own"] if controls["sentence"] == OWN else controls["sentence"]
        allowed = captions.meaning([sentence])
        model, when = learned.at(controls["checkpoint"])
        states = painted(model, sentence, controls["guidance"], controls["new noise"])
        x = model.components.decode(states[controls["step"]]).clamp(0, 1)  # (1 + OTHERS, 3, S, S)
        found = scenes.read(x)
        read, right = found.factors.cpu(), captions.fits(found.factors.cpu(), allowed.expand(len(x), -1, -1))
        pictures = x.permute(0, 2, 3, 1).cpu().numpy()
        views = {
            "room": View(pictures[0], label="the room", smooth=True),
            "others": _others(pictures[1:], right[1:].all(1)),
            "judge": _judge(allowed[0], read[0], right[0]),
        }
        told = allowed[0].sum(1) < torch.tensor(FACTORS)
        text = f"read as said: {int(right[0][told].sum())} of {int(told.sum())} factors that the sentence names · "
        text += f"all of them in {int(right.all(1).sum())} of {len(x)} rooms · "
        text += f"distance to the nearest true room {found.distance[0].item():.3f} · {when}"
        return Frame(views, text)

    return Stage(
        draw,
        [
            Choice("sentence", [*READY, OWN]),
            Sentence("own", "a small red cube on a blue floor", label=OWN),
            Slider("guidance", 0.0, 6.0, 2.0, step=0.25, label="guidance w"),
            Timeline("step", MOVES + 1, value=MOVES, label="noise to room", fps=8),
            Button("new noise"),
            learned.timeline(),
        ],
        title=headers.title(__doc__),
        caption="Choose a sentence or write your own, then play from noise to room. "
        "Green: read as said; orange: otherwise. Learned: the painter. Exact: the judge.",
        exported="Choose a sentence, then play from noise to room. Green: read as said; orange: otherwise. "
        "Learned: the painter. Exact: the judge.",
        source=f"from gdm_core import explorers\n\nexplorers.text_to_image(seed={seed})",
        trainer=learned.trainer,
        sampled={"sentence": len(READY), "step": 9},
        name="text_to_image",
    )


def _said(factor: int, places: list[int]) -> str:
    """Words for the places that a sentence allows."""
    if len(places) == FACTORS[factor]:
        return "open"
    if factor == 5:
        degrees = [DEGREES[place] for place in places]
        one_side = all(d > 0 for d in degrees) or all(d < 0 for d in degrees)
        side = ("right" if degrees[0] > 0 else "left") if one_side else ""
        return _view(places[0]) if len(places) == 1 else side or f"{len(places)} views"
    names = WORDS[factor]
    if len(places) == FACTORS[factor] - 1:
        return f"not {names[next(iter(set(range(FACTORS[factor])) - set(places)))]}"
    return names[places[0]] if len(places) == 1 else f"{names[places[0]]} to {names[places[-1]]}"


def _view(place: int) -> str:
    degrees = round(DEGREES[place])
    return "head-on" if not degrees else f"{abs(degrees)}° {'right' if degrees > 0 else 'left'}"


def _judge(allowed: Tensor, read: Tensor, right: Tensor) -> View:
    """A row a factor: what was said, what is read."""
    heads = Text([[0.0, 6.7], [1.0, 6.7], [2.5, 6.7]], ["", "said", "read"], "noise", anchor="left")
    marks = [heads]
    for i, name in enumerate(NAMES):
        y = 5.7 - i
        places = allowed[i].nonzero()[:, 0].tolist()
        found = _view(int(read[i])) if i == 5 else WORDS[i][int(read[i])]
        color = "exact" if right[i] else "accent"
        marks.append(Lines([[-0.1, y - 0.5], [4.2, y - 0.5]], "noise", width=1, alpha=0.3))
        marks.append(Text([[0.0, y], [1.0, y]], [name, _said(i, places)], "data", anchor="left"))
        if len(places) == FACTORS[i]:
            color = "noise"  # nothing was said of it
        marks.append(Text([[2.5, y]], [found], color, anchor="left", size=16))
    return View(None, marks, (-0.2, 4.3, 0.0, 7.2), label="what the judge reads", aspect=1.5, size=1.5)


def _others(pictures: np.ndarray, right: Tensor) -> View:
    """Rooms of the same sentence from other noises, framed by whether all is as said."""
    image = tile(pictures, COLUMNS)
    height, width = image.shape[0] / -(-len(pictures) // COLUMNS), image.shape[1] / COLUMNS
    marks = []
    for i, ok in enumerate(right.tolist()):
        left, top = i % COLUMNS * width, i // COLUMNS * height
        corners = np.array([[1, 1], [width - 1, 1], [width - 1, height - 1], [1, height - 1], [1, 1]])
        marks.append(Lines(corners + [left, top], "exact" if ok else "accent", width=3))
    return View(image, marks, label="from other noise", smooth=True, size=0.66)
