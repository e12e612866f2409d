"""Guess or search.

What does the encoder's guess lose against a search?

The exact posterior of one picture, its own q on the way there, the encoder's guess, the gap in nats.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices, kept, train
from gdm_core.data import digits
from gdm_core.explorers import headers
from gdm_core.explorers.own_q import STARTS, STEPS, Case, Searches, Trail
from gdm_core.explorers.read_outs import parted, said
from gdm_core.models.vae import VAE
from gdm_core.widgets import (
    Bars,
    Choice,
    Ellipses,
    Frame,
    Lines,
    Noise,
    Points,
    Stage,
    Text,
    Tiles,
    Timeline,
    Toggle,
    View,
    tile,
)

SHOWN = (2, 8)  # rows and columns of the gallery
STUCK = 0.1  # nats above the other search that are worth a word
(GREEN,) = colors.rgb(colors.EXACT)


def digits_vae(steps: int = 1500, device="cpu") -> tuple[VAE, Iterable]:
    """Recipe: two latents, 8x8 digits, the probability of 17 gray levels."""
    model = VAE((1, 8, 8), 2, hidden=(128,), likelihood="discretized", levels=17).to(device)
    return model, train.steps(model, digits.load(device=device).x, steps=steps, lr=3e-3, rate=train.falling)


def posterior(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of inference in a VAE with two latents on the 8x8 digits: exact, searched, guessed.

    Args:
        seed: of the training, of the choice of new pictures and of the searches' noise.
        device: where it is trained, searched and decoded; see `devices.pick`.
    """
    device = devices.pick(device)
    noise = Noise(seed, device)
    model = kept.trained(digits_vae, seed=seed, device=device, steps=1500)
    new = digits.load("test", device=device).x
    order = torch.randperm(len(new), generator=torch.Generator().manual_seed(seed))
    shown = new[order[: SHOWN[0] * SHOWN[1]].to(device)]
    gallery, searches = tile(1 - shown, SHOWN[1]), Searches(model, shown, noise)
    case_of = functools.lru_cache(maxsize=64)(lambda i: Case(searches, i))

    @torch.no_grad()
    def draw(controls) -> Frame:
        case, step, full = case_of(controls["digit"]), controls["step"], controls["full"]
        search, guess = case.search(STARTS[controls["start"]], full), case.guess
        now, encoder = search.gaps[step].item(), guess.gaps[0].item()
        best = case.least(full=False)  # whatever own q is: the encoder's family is the diagonal one
        decoded = model.decode(torch.stack([search.means[step], guess.means[0]])).mean
        views = {
            "posterior": _plane(*case.map(controls["whole"]), search, guess, step),
            "gap": _road(search.gaps.cpu().numpy(), encoder, best, step),
            "pictures": View(
                tile(1 - torch.cat([case.x[None], decoded]), 3),
                label="x · decoded at own q's mean · at the encoder's mean",
            ),
            "digits": View(gallery, label="choose a new digit", size=1.2),
        }
        gap, approximation, amortization = parted(encoder, best)
        text = f"encoder: gap {gap} = approximation {approximation} + amortization {amortization} nats"
        if full:
            text += f" · full covariance would leave {case.least(full):.2f}"
        text += f" · own q after {step} steps: gap {now:.2f} · log p(x) = {said(case.log_px)}, exact"
        if (lost := search.gaps[-1].item() - case.least(full)) >= STUCK:
            other = next(name for name in STARTS if name != controls["start"])
            text += f" · this search ends {lost:.2f} nats above the one from {other}"
        return Frame(views, text)

    return Stage(
        draw,
        [
            Tiles("digit", on="digits", rows=SHOWN[0], columns=SHOWN[1]),
            Timeline("step", STEPS + 1, value=20, label="steps of the search"),
            Choice("start", list(STARTS), label="the search starts at"),
            Toggle("full", False, label="own q with full covariance"),
            Toggle("whole", False, label="the whole plane"),
        ],
        title=headers.title(__doc__),
        caption="Choose a digit and walk along its search: after how many steps is own q nearer than the encoder's?",
        source=f"from gdm_core import explorers\n\nexplorers.posterior(seed={seed})",
        sampled={"digit": 16, "step": 9},
        name="posterior",
    )


def _plane(extent: tuple, share: Tensor, search: Trail, guess: Trail, step: int) -> View:
    """The posterior from white to green; over it own q, the way it came, and the encoder's q."""
    marks = [
        Lines(search.means[: step + 1], "family", width=1.5, alpha=0.7),
        _ellipse(guess, 0, "model", "encoder's q, 2 std"),
        _ellipse(search, step, "family", "own q, 2 std"),
    ]
    image = 1 - share[..., None] * (1 - share.new_tensor(GREEN))
    label = "exact posterior (green, square root of the density)"
    return View(image, marks, extent, label, axes=("z1", "z2"), aspect=1.0)


def _ellipse(trail: Trail, t: int, color: str, label: str) -> Ellipses:
    return Ellipses(trail.means[t, None], trail.covariances[t, None], radii=(2.0,), color=color, width=3, label=label)


def _road(gaps: np.ndarray, encoder: float, best: float, step: int) -> View:
    """The gap of own q along the search, and the encoder's, split into what the family loses and the rest."""
    best, last = max(best, 0.0), len(gaps) - 1
    top = max(1.6 * encoder, 6 * best, 1.2 * float(gaps[-1]), 0.5)
    line = lambda level: np.array([[0, level], [last + 32, level]])
    marks = [
        Lines(np.stack([np.arange(len(gaps)), np.clip(gaps, None, 1.5 * top)], 1), "family", label="own q"),
        Lines(line(encoder), "model", width=1.5, dash=True, label="encoder"),
        Bars([last + 18], [best], width=22, color="exact", label="approximation"),
        Bars([last + 18], [max(encoder - best, 0.0)], base=best, width=22, color="model", label="amortization"),
        Points([[step, min(max(float(gaps[step]), 0.0), 0.97 * top)]], "family", size=12),
    ]
    if gaps[step] > top:
        marks.append(Text([[step, 0.93 * top]], [f"▲ now {gaps[step]:.1f}"], "family", anchor="left"))
    return View(
        None, marks, (0, last + 34, 0, top), "gap to log p(x)", axes=("step of the search", "nats"), aspect=1.15
    )
