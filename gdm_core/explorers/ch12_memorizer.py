"""Memorizer.

How little must a machine see, and how much must it know, to draw digits that are nobody's copy?

Digits of the best denoiser that knows some pictures and sees patches of them; what they copy, and whom.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices, ideal, metrics, samplers, schedules
from gdm_core.explorers import headers
from gdm_core.explorers.digit_denoisers import ink, some_digits
from gdm_core.explorers.read_outs import said
from gdm_core.validate import integer
from gdm_core.widgets import Bars, Button, Frame, Lines, Noise, Slider, Stage, Timeline, View, tile

SIDE, MOST, STEPS = 8, 500, 8  # of a digit; training pictures; of the sampler
DRAWN, RATIO = 10, 1 / 3  # digits; how much nearer than the next picture a copy's original is


def memorizer(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of denoisers in closed form: nothing in it is learned.

    Args:
        seed: of the noise.
        device: where it is computed; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    digits = some_digits(MOST, device)[0]  # those of few pictures come first
    noise, times = Noise(integer("seed", seed, 0), device), schedules.times(schedules.cosine, STEPS, by="angle")

    @functools.lru_cache(maxsize=128)
    def states(known: int, reach: int, press: int) -> list[Tensor]:
        """(DRAWN, 1, 8, 8) after each step, the noise first."""
        start = noise(press, DRAWN, 1, SIDE, SIDE)
        if reach == SIDE - 1:
            denoise = ideal.training_set(digits[:known], schedules.cosine)
        else:
            denoise = ideal.patches(digits[:known], 2 * reach + 1, schedules.cosine)
        return list(samplers.ddim(denoise, schedules.cosine, start, times))

    @functools.lru_cache(maxsize=128)
    def sources(known: int, reach: int, press: int, step: int) -> Tensor:
        """The training picture that weighs most for each pixel after a step: (DRAWN, 8, 8)."""
        x_t, (alpha, sigma) = states(known, reach, press)[step], schedules.cosine(times[step].to(digits))
        whose = [
            ideal.shares(x_t[:, *at].flatten(1), digits[:known][:, *at].flatten(1), alpha, sigma).argmax(1)
            for at in _patches(reach)
        ]
        return torch.stack(whose, 1).reshape(DRAWN, SIDE, SIDE)

    @torch.no_grad()
    def draw(controls) -> Frame:
        known, reach, step = controls["pictures"], controls["reach"], controls["step"]
        now = known, reach, controls["new noise"]
        x = states(*now)[step]
        found = metrics.copies(x, digits[:known], RATIO)
        whose = sources(*now, min(step, STEPS - 1))  # a finished digit is the answer to the last noisy one
        followed = sum(len(one.unique()) for one in whose) / DRAWN
        marks = [Lines(_frame(k), "data", width=2.5) for k in found.copied.nonzero()[:, 0].tolist()]
        views = {
            "drawn": View(tile(ink(x), DRAWN), marks, label=f"drawn, step {step} of {STEPS}; framed: copies", size=4.0),
            "nearest": View(tile(ink(digits[found.nearest]), DRAWN), label="nearest training picture", size=4.0),
            "sources": View(_colored(whose), label="which training picture each pixel follows, by color", size=4.0),
            "distances": _distances((found.distance / found.next).cpu().numpy()),
        }
        side = 2 * reach + 1
        sees = "the whole picture" if reach == SIDE - 1 else f"{side} × {side} pixels"
        text = (
            f"{int(found.copied.sum())} of {DRAWN} are copies · a digit follows {said(followed, 1)} pictures · a pixel "
            f"sees {sees} and knows {known} digits · "
            f"distance from the nearest {said(found.distance.mean().item())}, "
            f"from the next {said(found.next.mean().item())} on average"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Slider("pictures", 2, MOST, 100, step=0.05, log=True, label="training pictures"),
            Slider("reach", 0, SIDE - 1, 2, step=1, label="pixels seen each way"),
            Timeline("step", STEPS + 1, value=STEPS, label="steps", fps=6),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Widen what a pixel sees until copies appear; then add training pictures. "
        "All is exact, nothing is learned.",
        exported="Widen what a pixel sees until copies appear. All is exact, nothing is learned.",
        source=f"from gdm_core import explorers\n\nexplorers.memorizer(seed={seed})",
        sampled={"pictures": 4, "reach": SIDE},
        name="memorizer",
    )


def _patches(reach: int) -> list[tuple[slice, slice, slice]]:
    """Where each pixel looks, as indices of (1, 8, 8), row by row."""
    span = lambda k: slice(max(k - reach, 0), k + reach + 1)
    return [(slice(None), span(i), span(j)) for i in range(SIDE) for j in range(SIDE)]


def _frame(k: int) -> np.ndarray:
    """Around the k-th digit."""
    left, right, high = k * (SIDE + 1) + 0.15, (k + 1) * (SIDE + 1) - 0.15, SIDE + 1 - 0.15
    return np.array([[left, 0.15], [right, 0.15], [right, high], [left, high], [left, 0.15]])


def _colored(whose: Tensor) -> np.ndarray:
    """Numbers of pictures (DRAWN, 8, 8) -> colors: in each digit the most frequent first, all rare ones gray."""
    out = np.full((*whose.shape, 3), 0.85)
    for shade, one in zip(out, whose.cpu()):
        names, counts = one.unique(return_counts=True)
        for color, name in zip(colors.CLASSES, names[counts.argsort(descending=True, stable=True)]):
            shade[(one == name).numpy()] = color
    return tile(out, DRAWN)


def _distances(share: np.ndarray) -> View:
    """Distance from the nearest training picture as a share of that from the next, below each digit."""
    line = Lines([[0, RATIO], [DRAWN, RATIO]], "accent", width=3, dash=True)
    bars = Bars(np.arange(DRAWN) + SIDE / (SIDE + 1) / 2, share, color="exact")
    label = "distance from the nearest / from the next; below the line, 1/3: copies"
    return View(None, [bars, line], (0, DRAWN, 0, 1.05), label, aspect=12.0, size=4.0)
