"""Denoise by hand.

What was the digit behind this noise, and who knows it: a network, the training pictures, or their patches?

A noisy digit to paint on; three answers, the network's score and next step, and the errors at every level of noise.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, data, denoising, devices, ideal, kept, schedules
from gdm_core.explorers import headers
from gdm_core.explorers.digit_denoisers import CLASSES, digit_denoiser, ink, some_digits
from gdm_core.explorers.read_outs import said
from gdm_core.widgets import (
    Brush,
    Button,
    Choice,
    Frame,
    Lines,
    Noise,
    Points,
    Slider,
    Stage,
    Text,
    View,
    tile,
)
from gdm_core.widgets.view import palette

SIDE, PICTURES, STEPS = 8, 1000, 600  # of a digit; known to all; of training
LEVELS, STEP = np.linspace(0.04, 0.96, 24), 0.1  # of the chart; in t, of the next step
OWN = "its own"
NAMES = {"network": "model", "D": "exact", "patches": "exact", "digit": "data", "score": "model", "next": "model"}
KNOWN = (
    "Learned: the network. Exact: D and patches, the best denoisers that know only the training pictures of the "
    "class told."
)
HEAD, PULL = 2, 3.0  # pixels above a picture for its name; the strongest color of the score


def denoise_by_hand(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of E[x | x_t]: a U-Net beside two machines in closed form, on digits that none of them knows.

    Args:
        seed: of the training and of the noise.
        device: where they are computed; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    network = kept.trained(digit_denoiser, seed=seed, device=device, pictures=PICTURES, steps=STEPS)
    noise, (known, classes) = Noise(seed, device), some_digits(PICTURES, device)
    new = data.load("digits", "test", n=40, device=device)
    levels = torch.as_tensor(LEVELS, dtype=torch.float32, device=device)

    @functools.cache
    def machines(k: int, reach: int) -> list:
        """Those that know the pictures of class k: with the whole picture, and with patches, in sight."""
        of = known[classes == k]
        return [ideal.training_set(of, schedules.cosine), ideal.patches(of, 2 * reach + 1, schedules.cosine)]

    @torch.no_grad()
    def answers(x_t: Tensor, t: Tensor, k: int, reach: int) -> Tensor:
        """E[x | x_t] of network, whole and patches: (3, B, 1, 8, 8)."""
        told = network.denoise(x_t, t, torch.full((len(x_t),), k, device=device))
        return torch.stack([told, *(machine(x_t, t) for machine in machines(k, reach))])

    def draw(controls) -> Frame:
        digit, reach, t = controls["digit"], controls["reach"], controls["t"]
        paint = torch.as_tensor(controls["paint"], dtype=torch.float32, device=device)
        x = torch.maximum(2 * new.x[digit] - 1, 2 * paint - 1)[None]  # (1, 1, 8, 8)
        k = int(new.labels[digit]) if controls["told"] == OWN else int(controls["told"])
        e = noise(controls["new noise"], 1, 1, SIDE, SIDE)
        every = torch.cat([levels.new_tensor([t]), levels])
        x_t = denoising.noisy(x.expand(len(every), -1, -1, -1), every, schedules.cosine, e)
        told = answers(x_t, every, k, reach)
        off = (told - x).square().mean((2, 3, 4)).sqrt()  # (3, 1 + levels)
        apart = (told[1:, 0] - told[0, 0]).square().mean((1, 2, 3)).sqrt()
        mean, here, now = told[0, :1], x_t[:1], every[0]
        score = denoising.score(mean, here, now, schedules.cosine)
        alpha, sigma = schedules.cosine(now)
        later = (now - STEP).clamp(min=0)
        foretold = denoising.noise(mean, here, now, schedules.cosine)
        after = denoising.noisy(mean, later, schedules.cosine, foretold)
        pull = (sigma * score)[0, 0]
        views = {
            "answers": _answers(told[:, 0], x, pull, after),
            "noisy": View(ink(here)[0, 0], label="noisy", asks="noisy: paint on it"),
            "errors": _errors(off.cpu().numpy(), t),
        }
        side = 2 * reach + 1
        text = (
            f"distance from the digit: network {said(off[0, 0].item())}, D {said(off[1, 0].item())}, patches "
            f"{said(off[2, 0].item())} · network from D {said(apart[0].item())}, "
            f"from patches {said(apart[1].item())} · "
            f"α {said(alpha.item())}, σ {said(sigma.item())} · told class {k} · patches of {side} × {side} · "
            "score: purple toward ink, orange toward paper · distances: root mean square per pixel, paper −1, ink 1"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Slider("t", 0.02, 1.0, 0.5, label="noise t"),
            Slider("digit", 0, len(new) - 1, 3, step=1, label="new digit"),
            Slider("reach", 0, SIDE - 1, 1, step=1, label="pixels a patch sees each way"),
            Choice("told", [OWN, *map(str, range(CLASSES))], label="class told"),
            Brush("paint", SIDE, SIDE, on="noisy", radius=0.7),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption=f"Raise t, and paint on the noisy digit: which answer stays nearest? {KNOWN}",
        exported=f"Raise t, then change the digit: which answer stays nearest? {KNOWN}",
        source=f"from gdm_core import explorers\n\nexplorers.denoise_by_hand(seed={seed})",
        sampled={"t": 13, "digit": 5},
        name="denoise_by_hand",
    )


def _answers(told: Tensor, x: Tensor, pull: Tensor, after: Tensor) -> View:
    """Three answers (3, 1, 8, 8), the digit, the score (8, 8) in colors and the next step, each below its name."""
    gray = ink(torch.cat([told, x, after]))[:, 0, ..., None].expand(-1, -1, -1, 3).cpu().numpy()
    level = ((pull / PULL).clamp(-1, 1) + 1) / 2 * 255
    score = palette(colors.DIVERGING)[level.round().long().cpu().numpy()] / 255
    pictures = np.pad(np.insert(gray, len(gray) - 1, score, 0), ((0, 0), (HEAD, 0), (0, 0), (0, 0)), constant_values=1)
    names = [
        Text([[(SIDE + 1) * (i + 0.5), HEAD / 2]], [name], color, size=12.0)
        for i, (name, color) in enumerate(NAMES.items())
    ]
    return View(tile(pictures, len(names)), names, label="three answers, the digit, and the way there", size=4.0)


def _errors(off: np.ndarray, t: float) -> View:
    """Error of each at every level, (3, 1 + levels), and at this one, which comes first."""
    top = 1.1 * max(float(off.max()), 0.1)
    looks = (("network", "model", False), ("D", "exact", False), ("patches", "exact", True))
    marks = [
        Lines(np.stack([LEVELS, row[1:]], 1), color, dash=dash, label=name)
        for row, (name, color, dash) in zip(off, looks)
    ]
    marks.append(Points(np.stack([np.full(3, t), off[:, 0]], 1), "accent", size=9))
    return View(None, marks, (0, 1, 0, top), "error of each answer", axes=("noise t", "error"), aspect=1.6, size=1.6)
