"""Guess or search.

What does the encoder's guess lose against a search?

The exact posterior of one picture, a q that is searched for it step by step, the encoder's guess, the gap in nats.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices, kept, train
from gdm_core.data import digits
from gdm_core.explorers import class_names, headers
from gdm_core.explorers.own_q import HELD, STARTS, STEPS, WHOLE, Case, Searches, Trail
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
    shell,
    tile,
)

SHOWN = (2, 8)  # rows and columns of the gallery
STUCK = 0.1  # nats above the other search that are worth a word
(GREEN,) = colors.rgb(colors.EXACT)
REGIONS = f"posterior: {', '.join(f'{100 * share:.0f}' for share in HELD)} %"
KNOWN = "Exact: the posterior, log p(x), the gaps. Learned: decoder and encoder."


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
    device = devices.pick(device, small=True)
    noise = Noise(seed, device)
    model = kept.trained(digits_vae, seed=seed, device=device, steps=1500)
    new = digits.load("test", device=device)
    order = torch.randperm(len(new), generator=torch.Generator().manual_seed(seed))
    shown = new.x[order[: SHOWN[0] * SHOWN[1]].to(device)]
    gallery, searches = tile(1 - shown, SHOWN[1]), Searches(model, shown, noise)
    case_of = functools.lru_cache(maxsize=64)(lambda i: Case(searches, i))
    with torch.no_grad():
        codes = model.encode(new.x).mean
        missed = (model.decode(model.encode(shown).mean).mean - shown).square().flatten(1).sum(1)
        well = missed.argsort()[: len(missed) // 4].tolist()
        opening = max(well, key=lambda i: case_of(i).guess.gaps.item())  # explained, and with something to win
    context = _context(codes, new.labels)

    @torch.no_grad()
    def draw(controls) -> Frame:
        case, step, full = case_of(controls["digit"]), controls["step"], controls["full"]
        search, guess = case.search(STARTS[controls["start"]], full), case.guess
        now, encoder = search.gaps[step].item(), guess.gaps[0].item()
        best = case.least(full=False)  # whatever own q is: the encoder's family is the diagonal one
        decoded = model.decode(torch.stack([search.means[step], guess.means[0]])).mean
        views = {
            "posterior": _plane(
                *case.map(controls["whole"]), search, guess, step, context if controls["whole"] else ()
            ),
            "gap": _road(search.gaps.cpu().numpy(), encoder, best, step),
            "pictures": View(
                tile(1 - torch.cat([case.x[None], decoded]), 3),
                label="x · by search · by encoder",
            ),
            "digits": View(gallery, label="choose a new digit", size=1.2),
        }
        gap, approximation, amortization = parted(encoder, best)
        text = (
            f"the encoder's gap {gap} nats = approximation {approximation} + amortization {amortization} · "
            f"after {step} steps of the search: gap {now:.2f} · log p(x) = {said(case.log_px)} nats"
        )
        if full:
            text += f" · full covariance would leave {case.least(full):.2f}"
        if (lost := search.gaps[-1].item() - case.least(full)) >= STUCK:
            other = next(name for name in STARTS if name != controls["start"])
            text += f" · this search ends {lost:.2f} nats above the one from {other}"
        return Frame(views, text)

    return Stage(
        draw,
        [
            Tiles("digit", on="digits", rows=SHOWN[0], columns=SHOWN[1], value=opening),
            Timeline("step", STEPS + 1, value=20, label="steps of the search"),
            Choice("start", list(STARTS), label="the search starts at"),
            Toggle("full", False, label="search with full covariance"),
            Toggle("whole", False, label="the whole plane"),
        ],
        title=headers.title(__doc__),
        caption=f"Choose a digit and play its search: after how many steps is it better than the encoder? {KNOWN}",
        source=f"from gdm_core import explorers\n\nexplorers.posterior(seed={seed})",
        sampled={"digit": 16, "step": 9},
        name="posterior",
    )


def _context(codes: Tensor, labels: Tensor) -> list:
    """What the whole plane shows beside one posterior: the encoder's codes of new digits, their classes, the prior."""
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = shell(2)[2] * np.stack([np.cos(turn), np.sin(turn)], 1)
    return [
        Lines(circle, "noise", width=1.5, dash=True, label="prior, 95 %"),
        Points(codes[(codes.abs() < WHOLE).all(1)], "encoder", size=4, alpha=0.5, label="codes"),
        class_names.names(codes, labels, WHOLE),
    ]


def _plane(extent: tuple, inside: Tensor, search: Trail, guess: Trail, step: int, context=()) -> View:
    """Regions of the posterior in green; over them the searched q, the way it came, and the encoder's q."""
    held = f"{100 * HELD[1]:.0f} %"
    marks = [
        *context,
        Lines(np.zeros((0, 2)), "exact", width=6, label=REGIONS),
        Lines(search.means[: step + 1], "family", width=1.5, alpha=0.7),
        _ellipse(guess, 0, "encoder", f"encoder's q, {held}"),
        _ellipse(search, step, "family", f"searched q, {held}"),
    ]
    image = 1 - 0.85 * (inside / len(HELD))[..., None] * (1 - inside.new_tensor(GREEN, dtype=torch.float32))
    return View(image, marks, extent, "exact p(z | x), two answers", axes=("z1", "z2"), aspect=1.0, smooth=True)


def _ellipse(trail: Trail, t: int, color: str, label: str) -> Ellipses:
    return Ellipses(trail.means[t, None], trail.covariances[t, None], radii=(2.0,), color=color, width=3, label=label)


def _road(gaps: np.ndarray, encoder: float, best: float, step: int) -> View:
    """The gap of the searched q along its way, and the encoder's, split into what the family loses and the rest."""
    best, last = max(best, 0.0), len(gaps) - 1
    top = max(1.6 * encoder, 6 * best, 1.2 * float(gaps[-1]), 0.5)
    line = lambda level: np.array([[0, level], [last + 32, level]])
    marks = [
        Lines(np.stack([np.arange(len(gaps)), np.clip(gaps, None, 1.5 * top)], 1), "family", label="searched q"),
        Lines(line(encoder), "encoder", width=1.5, dash=True, label="encoder's q"),
        Bars([last + 18], [best], width=22, color="family", label="approximation"),
        Bars([last + 18], [max(encoder - best, 0.0)], base=best, width=22, color="encoder", label="amortization"),
        Points([[step, min(max(float(gaps[step]), 0.0), 0.97 * top)]], "family", size=12),
    ]
    if gaps[step] > top:
        marks.append(Text([[step, 0.93 * top]], [f"▲ now {gaps[step]:.1f}"], "family", anchor="left"))
    return View(
        None, marks, (0, last + 34, 0, top), "gap to log p(x)", axes=("step of the search", "nats"), aspect=1.15
    )
