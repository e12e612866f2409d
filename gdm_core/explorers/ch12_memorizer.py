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
from gdm_core.explorers.digit_denoisers import some_digits
from gdm_core.explorers.read_outs import said
from gdm_core.validate import integer
from gdm_core.widgets import Button, Frame, Lines, Noise, Points, Slider, Stage, Tiles, Timeline, View, tile

SIDE, MOST, STEPS = 8, 500, 8  # of a digit; training pictures; of the sampler
ROWS, COLUMNS = 2, 6  # of the digits that are drawn
FEW = 10  # sources of one digit that have a color of their own


def memorizer(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of denoisers in closed form: nothing in it is learned.

    Args:
        seed: of the noise.
        device: where it is computed; see `devices.pick`.
    """
    device = devices.pick(device)
    digits = some_digits(MOST, device)[0]  # those of few pictures come first
    noise, times = Noise(integer("seed", seed, 0), device), schedules.times(schedules.cosine, STEPS, by="angle")

    @functools.lru_cache(maxsize=128)
    def states(known: int, reach: int, press: int) -> list[Tensor]:
        """(ROWS COLUMNS, 1, 8, 8) after each step, the noise first."""
        start = noise(press, ROWS * COLUMNS, 1, SIDE, SIDE)
        if reach == SIDE - 1:
            denoise = ideal.training_set(digits[:known], schedules.cosine)
        else:
            denoise = ideal.patches(digits[:known], 2 * reach + 1, schedules.cosine)
        return list(samplers.ddim(denoise, schedules.cosine, start, times))

    def sources(x_t: Tensor, known: int, reach: int, step: int) -> Tensor:
        """The training picture that weighs most for each pixel of one x_t (1, 8, 8): (8, 8)."""
        alpha, sigma = schedules.cosine(times[step].to(x_t))
        return torch.stack(
            [
                ideal.shares(x_t[where].reshape(1, -1), digits[:known][:, *where].flatten(1), alpha, sigma).argmax()
                for where in _patches(reach)
            ]
        ).reshape(SIDE, SIDE)

    @torch.no_grad()
    def draw(controls) -> Frame:
        known, reach = round(controls["pictures"]), controls["reach"]
        step, chosen = controls["step"], controls["sample"]
        x = states(known, reach, controls["new noise"])[step]
        found = metrics.copies(x, digits[:known])
        near, distance = found.nearest[chosen], found.distance
        second = torch.cdist(x.flatten(1), digits[:known].flatten(1)).topk(2, largest=False).values[:, 1]
        whose = sources(x[chosen], known, reach, min(step, STEPS - 1))
        count = len(whose.unique())
        copied = int(found.copied.sum())
        views = {
            "drawn": View(
                tile(_ink(x), COLUMNS),
                _frames(found.copied, chosen),
                label=f"drawn after {step} of {STEPS} steps",
                size=1.35,
            ),
            "nearest": View(
                tile(_ink(digits[found.nearest]), COLUMNS),
                _frames(None, chosen),
                label="nearest training pictures",
                size=1.35,
            ),
            "sources": View(_whose(whose), label="whom its pixels follow", size=0.7),
            "distances": _distances(distance, second, chosen),
        }
        side = 2 * reach + 1
        sees = "the whole picture" if reach == SIDE - 1 else f"{side} × {side} pixels"
        text = (
            f"{copied} of {len(x)} are copies · a pixel sees {sees} and knows {known} digits · the marked one is "
            f"{said(distance[chosen].item())} from its nearest, {said(second[chosen].item())} from the next · "
            f"it follows {count} picture{'s' * (count != 1)} · the nearest is number {int(near)} · all of it is exact"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Slider("pictures", 2.0, float(MOST), 100.0, log=True, label="training pictures"),
            Slider("reach", 0, SIDE - 1, 2, step=1, label="pixels it sees each way"),
            Timeline("step", STEPS + 1, value=STEPS, label="steps", fps=6),
            Button("new noise"),
            Tiles("sample", on="nearest", rows=ROWS, columns=COLUMNS, value=0),
        ],
        title=headers.title(__doc__),
        caption="Widen what a pixel sees until the copies come; then know more. Exact: everything. Framed: copies.",
        exported="Widen what a pixel sees until the copies come. Everything is exact. Framed: copies.",
        source=f"from gdm_core import explorers\n\nexplorers.memorizer(seed={seed})",
        sampled={"pictures": 4, "reach": SIDE},
        name="memorizer",
    )


def _patches(reach: int) -> list[tuple[slice, slice, slice]]:
    """Where each pixel looks, as indices of (1, 8, 8), row by row."""
    span = lambda k: slice(max(k - reach, 0), k + reach + 1)
    return [(slice(None), span(i), span(j)) for i in range(SIDE) for j in range(SIDE)]


def _ink(x: Tensor) -> Tensor:
    """From -1, paper, and 1, ink, to dark on light."""
    return ((1 - x) / 2).clamp(0, 1)


def _frames(copied: Tensor | None, chosen: int) -> list:
    """A frame around each copy, and a wider one around the chosen digit."""

    def frame(k: int, rim: float) -> np.ndarray:
        left, top = k % COLUMNS * (SIDE + 1), k // COLUMNS * (SIDE + 1)
        a, b = rim, SIDE + 1 - rim
        return np.array([[a, a], [b, a], [b, b], [a, b], [a, a]], float) + [left, top]

    marks = (
        []
        if copied is None
        else [
            Lines(frame(k, 0.6), "model", width=2.5, label="a copy" * (n == 0))
            for n, k in enumerate(copied.nonzero()[:, 0].tolist())
        ]
    )
    return [*marks, Lines(frame(chosen, 0.15), "accent", width=3.5)]


def _whose(whose: Tensor) -> np.ndarray:
    """(8, 8) numbers of pictures -> colors: the most frequent first, all rare ones gray."""
    names, counts = whose.unique(return_counts=True)
    shades = np.full((len(names), 3), 0.85)
    order = counts.argsort(descending=True, stable=True)[:FEW].cpu().numpy()
    shades[order] = colors.CLASSES[: len(order)]
    return shades[torch.searchsorted(names, whose.contiguous()).cpu().numpy()]


def _distances(nearest: Tensor, second: Tensor, chosen: int) -> View:
    """Distance from the nearest training picture over that from the next; below a third is a copy."""
    xy = torch.stack([second, nearest], 1).cpu().numpy()
    top = 1.1 * max(float(xy.max()), 1.0)
    marks = [
        Lines([[0, 0], [top, top / 3]], "accent", dash=True, label="below: copies"),
        Points(xy, "exact", size=7),
        Points(xy[chosen : chosen + 1], "accent", size=12),
    ]
    axes = ("from the next picture", "from the nearest")
    return View(None, marks, (0, top, 0, top), "distances", axes=axes, aspect=1.0, size=0.8)
