"""Guess or search.

What does the encoder's guess lose against a search?

The exact posterior of one picture, its own q on the way there, the encoder's guess, the gap in nats.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from gdm_core import colors, data, inference, train
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.explorers.trained import own_draws, trained
from gdm_core.models.vae import VAE
from gdm_core.validate import integer
from gdm_core.widgets import (
    Bars,
    Choice,
    Ellipses,
    Frame,
    Lines,
    Points,
    Stage,
    Text,
    Tiles,
    Timeline,
    Toggle,
    View,
    plane,
    tile,
)

SHOWN = (2, 8)  # rows and columns of the gallery
STEPS = 200  # of a search
NODES = 14  # of the quadrature a latent
STUCK = 0.1  # nats above the other search that are worth a word
LIMIT, SIDE = 6.0, 161  # the grid on which log p(x) is exact
STARTS = {"the prior": False, "the encoder's answer": True}
(GREEN,) = colors.rgb(colors.EXACT)


def digits_vae(steps: int = 1500) -> tuple[VAE, object]:
    """Recipe: two latents, 8x8 digits, the probability of 17 gray levels."""
    model = VAE((1, 8, 8), 2, hidden=(128,), likelihood="discretized", levels=17)
    return model, train.steps(model, data.load("digits").x, steps=steps, lr=3e-3, schedule=train.cosine)


@dataclass(frozen=True, eq=False)
class Truth:
    """What the grid knows of one picture: log p(x), and the moments of the posterior."""

    log_px: float
    mean: Tensor  # (2,)
    covariance: Tensor  # (2, 2)


@dataclass(frozen=True, eq=False)
class Trail:
    """Some q(z) = N(mean, covariance) of one picture and how far each is from the posterior, KL in nats."""

    means: Tensor  # (T, 2)
    covariances: Tensor  # (T, 2, 2)
    gaps: Tensor  # (T,)


def log_joint(model, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) of one picture.  x: (1, H, W), z: (..., 2) -> (...)."""
    return model.decode(z).log_prob(x) + model.prior().log_prob(z)


def measured(model, x: Tensor, means: Tensor, factors: Tensor, log_px: float, nodes: int = NODES) -> Trail:
    """KL(q || posterior) = log p(x) - E_q[log p(x, z)] - H(q), the expectation by Gauss-Hermite quadrature.

    Args:
        means: (T, 2).
        factors: (T, 2, 2), Cholesky factors of the covariances.
    """
    places, weights = (torch.from_numpy(a).to(means) for a in hermegauss(nodes))
    weights = torch.outer(weights, weights).flatten() / (2 * math.pi)
    u = torch.cartesian_prod(places, places)  # (Q, 2)
    z = means[:, None] + u @ factors.mT  # (T, Q, 2)
    energy = torch.cat([log_joint(model, x, part) for part in z.split(32)]) @ weights
    entropy = math.log(2 * math.pi * math.e) + factors.diagonal(dim1=1, dim2=2).log().sum(1)
    return Trail(means, factors @ factors.mT, log_px - energy - entropy)


def posterior(seed: int = 0) -> Stage:
    """Explorer of inference in a VAE with two latents on the 8x8 digits: exact, searched, guessed.

    Args:
        seed: of the training, of the choice of new pictures and of the searches' noise.
    """
    model = trained(digits_vae, seed=integer("seed", seed, low=0), steps=1500)
    digits = data.load("digits", "test")
    pick = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    shown = digits[pick[: SHOWN[0] * SHOWN[1]]]
    gallery = tile(1 - shown.x, SHOWN[1])

    @functools.lru_cache(maxsize=64)
    def truth_of(i: int) -> Truth:
        grid = inference.grid_posterior(model, shown.x[i, None], LIMIT, SIDE)
        return Truth(grid.log_px.item(), grid.mean[0], grid.covariance[0])

    @functools.lru_cache(maxsize=64)
    def guess_of(i: int) -> Trail:
        q = model.encode(shown.x[i, None])
        return measured(model, shown.x[i], q.mean, torch.diag_embed(q.stddev), truth_of(i).log_px)

    @functools.cache
    def searches(warm: bool, full: bool) -> list[torch.distributions.Distribution]:
        """All pictures of the gallery at once: it takes hardly longer than one, and the next choice need not wait."""
        q = model.encode(shown.x)
        nu = inference.PerDatapoint.at(q, full) if warm else inference.PerDatapoint(len(shown), 2, full)
        with own_draws(seed), torch.enable_grad():
            lr = 0.03 if warm else 0.12
            return [s.q for s in inference.fit_per_datapoint(model, shown.x, STEPS, nu=nu, lr=lr, samples=16)]

    def parts(i: int, warm: bool, full: bool, since: int = 0) -> tuple[Tensor, Tensor]:
        """Means and Cholesky factors of picture i's q from a step on."""
        found = searches(warm, full)[since:]
        return torch.stack([q.mean[i] for q in found]), torch.stack(
            [q.scale_tril[i] if full else torch.diag(q.stddev[i]) for q in found]
        )

    @functools.lru_cache(maxsize=256)
    def end_of(i: int, warm: bool, full: bool) -> float:
        """The gap that a search leaves, nats."""
        return measured(model, shown.x[i], *parts(i, warm, full, STEPS), truth_of(i).log_px).gaps.item()

    @functools.lru_cache(maxsize=64)
    def search_of(i: int, warm: bool, full: bool) -> Trail:
        """The way of one picture; its end is measured as finely as the encoder's q, the rest as a curve needs it."""
        trail = measured(model, shown.x[i], *parts(i, warm, full), truth_of(i).log_px, nodes=8)
        trail.gaps[-1] = end_of(i, warm, full)
        return trail

    def least(i: int, full: bool) -> float:
        """What the best q of the family leaves, nats: of two searches, since one may get stuck."""
        return min(end_of(i, warm, full) for warm in STARTS.values())

    @functools.lru_cache(maxsize=64)
    def map_of(i: int, whole: bool) -> tuple[tuple, np.ndarray]:
        """Where to look, and the density there as a picture from white to green."""
        truth, guess = truth_of(i), guess_of(i)
        reach = 3.2 * torch.stack([c.diagonal().sqrt() for c in (truth.covariance, guess.covariances[0])])
        places = torch.stack([truth.mean, guess.means[0]])
        low, high = (places - reach).amin(0), (places + reach).amax(0)
        middle, half = (low + high) / 2, 0.55 * (high - low).max()
        left, bottom = (middle - half).tolist()
        extent = (-4.0, 4.0, -4.0, 4.0) if whole else (left, left + 2 * half.item(), bottom, bottom + 2 * half.item())
        z = torch.from_numpy(plane(extent, 120)).float()
        density = torch.stack([log_joint(model, shown.x[i], row) for row in z]) - truth.log_px
        share = (density - density.max()).exp().sqrt().numpy()[..., None]  # the root: tails can be seen
        return extent, 1 - share * (1 - GREEN)

    @torch.no_grad()
    def draw(controls) -> Frame:
        i, step, full = controls["digit"], controls["step"], controls["full"]
        truth, guess, search = truth_of(i), guess_of(i), search_of(i, STARTS[controls["start"]], full)
        extent, density = map_of(i, controls["whole"])
        now, encoder = search.gaps[step].item(), guess.gaps[0].item()
        best = least(i, full=False)  # whatever own q is: the encoder's family is the diagonal one
        ellipse = lambda trail, t, **look: Ellipses(
            trail.means[t, None].numpy(), trail.covariances[t, None].numpy(), radii=(2.0,), width=3, **look
        )
        marks = [
            Lines(search.means[: step + 1].numpy(), "parameters", width=1.5, alpha=0.7),
            ellipse(guess, 0, color="model", label="encoder's q, 2 std"),
            ellipse(search, step, color="parameters", label="own q, 2 std"),
        ]
        z = torch.stack([search.means[step], guess.means[0]])
        decoded = model.decode(z).mean
        views = {
            "posterior": View(
                density,
                marks,
                extent,
                "exact posterior (green, square root of the density)",
                axes=("z1", "z2"),
                aspect=1.0,
            ),
            "gap": _road(search.gaps.numpy(), encoder, best, step),
            "pictures": View(
                tile(1 - torch.cat([shown.x[i, None], decoded]), 3),
                label="x · decoded at own q's mean · at the encoder's mean",
            ),
            "digits": View(gallery, label="choose a new digit", size=1.2),
        }
        text = f"encoder: gap {encoder:.2f} = approximation {best:.2f} + amortization {encoder - best:.2f} nats"
        if full:
            text += f" · full covariance would leave {least(i, full):.2f}"
        text += f" · own q after {step} steps: gap {now:.2f} · log p(x) = {said(truth.log_px)}, exact"
        if (lost := search.gaps[-1].item() - least(i, full)) >= STUCK:
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


def _road(gaps: np.ndarray, encoder: float, best: float, step: int) -> View:
    """The gap of own q along the search, and the encoder's, split into what the family loses and the rest."""
    best, last = max(best, 0.0), len(gaps) - 1
    top = max(1.6 * encoder, 6 * best, 1.2 * float(gaps[-1]), 0.5)
    line = lambda level: np.array([[0, level], [last + 32, level]])
    marks = [
        Lines(np.stack([np.arange(len(gaps)), np.clip(gaps, None, 1.5 * top)], 1), "parameters", label="own q"),
        Lines(line(encoder), "model", width=1.5, dash=True, label="encoder"),
        Bars([last + 18], [best], width=22, color="exact", label="approximation"),
        Bars([last + 18], [max(encoder - best, 0.0)], base=best, width=22, color="model", label="amortization"),
        Points([[step, min(max(float(gaps[step]), 0.0), 0.97 * top)]], "parameters", size=12),
    ]
    if gaps[step] > top:
        marks.append(Text([[step, 0.93 * top]], [f"▲ now {gaps[step]:.1f}"], "parameters", anchor="left"))
    return View(
        None, marks, (0, last + 34, 0, top), "gap to log p(x)", axes=("step of the search", "nats"), aspect=1.15
    )
