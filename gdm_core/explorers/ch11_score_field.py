"""Score field.

Where does the score point at each noise level, and where has the network learned it?

Arrows of the exact score of three bumps with noise, the learned ones beside them, and the error at every level.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices, kept, train
from gdm_core.data.targets import Mixture
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.models.score import NoisyScore
from gdm_core.quantiles import component
from gdm_core.widgets import Arrows, Choice, Frame, Handles, Lines, Noise, Points, Slider, Stage, View, plane

LIMIT, CELLS, ARROWS = 4.5, 72, 15
LOW, HIGH, LEVELS, DRAWS = 0.05, 3.0, 25, 2000
SHOWN = ("both", "exact", "learned")


def three_bumps() -> Mixture:
    """Three round Gaussians with unequal shares."""
    return Mixture([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], std=0.5, weights=[0.5, 0.3, 0.2])


def bumps_score(steps: int = 1500, device="cpu") -> tuple[NoisyScore, Iterable]:
    """Recipe: the score of three bumps at all levels up to sigma = 3, by denoising."""
    model, target = NoisyScore(2, largest=HIGH).to(device), three_bumps().to(device)
    return model, train.steps(model, target.sample, steps=steps, batch_size=256, lr=5e-3, rate=train.falling)


def score_field(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of grad log p of data + sigma noise: exact for a mixture, learned by denoising.

    Args:
        seed: of the training and of the draws on which the error is measured.
        device: where it is trained and drawn; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    model, target = kept.trained(bumps_score, seed=seed, device=device, steps=1500), three_bumps().to(device)
    noise = Noise(seed, device)
    flat = lambda points: torch.as_tensor(points, dtype=torch.float32, device=device).reshape(-1, 2)
    pixels = flat(plane(LIMIT, CELLS))
    at = flat(plane(LIMIT, ARROWS))
    normal, uniform = noise(0, DRAWS, 2), noise(0, DRAWS, uniform=True)

    def missed(sigma: float) -> float:
        """Root mean square error where data + noise lie, as a share of the exact score's root mean square."""
        noisy = target.noisy(sigma)
        k = component(noisy.weights, uniform)
        x = noisy.means[k] + noisy.std[k, None] * normal
        exact = noisy.score(x)
        off = model.score_at(x, sigma) - exact
        return (off.square().sum() / exact.square().sum()).sqrt().item()

    sigmas = np.geomspace(LOW, HIGH, LEVELS)
    with torch.no_grad():
        errors = np.array([missed(s) for s in sigmas])

    @torch.no_grad()
    def draw(controls) -> Frame:
        sigma, shown = controls["sigma"], controls["show"]
        noisy, off = target.noisy(sigma), missed(sigma)
        density = noisy.log_prob(pixels).exp().reshape(CELLS, CELLS)
        marks = []
        for name, color, width, score in (
            ("exact", "exact", 3.5, noisy.score),
            ("learned", "model", 1.8, lambda x: model.score_at(x, sigma)),
        ):
            if shown in ("both", name):
                marks.append(Arrows(at.cpu(), _short(score(at), sigma), color, width=width, label=name))
        point = flat(controls["x"])
        mean = point + sigma**2 * noisy.score(point)
        guess = point + sigma**2 * model.score_at(point, sigma)
        marks += [
            Points(mean.cpu(), "exact", size=12, label="E[x | noisy x]"),
            Points(guess.cpu(), "model", size=8, label="learned"),
        ]
        views = {
            "field": View(
                density, marks, (-LIMIT, LIMIT) * 2, "density and score of x + σ noise", "Greys", smooth=True, size=1.5
            ),
            "error": _levels(sigmas, errors, sigma, off),
        }
        away = (mean - guess).norm().item()
        return Frame(
            views,
            f"the learned score misses the exact one by {100 * off:.1f} % where noisy data lie · "
            f"σ = {said(sigma)} · learned denoised x {said(away)} from the exact E[x | noisy x]",
        )

    return Stage(
        draw,
        [
            Handles("x", [[0.4, 0.2]], on="field", labels=["x"], color="accent"),
            Slider("sigma", LOW, HIGH, 0.5, log=True, label="noise level σ"),
            Choice("show", list(SHOWN)),
        ],
        title=headers.title(__doc__),
        caption="Raise σ until every arrow feels all three bumps. Drag x: x + σ² score is its denoised mean. "
        "Exact: green. Learned: vermilion.",
        exported="Raise σ until every arrow feels all three bumps: x + σ² score is the denoised mean of x. "
        "Exact: green. Learned: vermilion.",
        source=f"from gdm_core import explorers\n\nexplorers.score_field(seed={seed})",
        sampled={"sigma": 13, "show": len(SHOWN)},
        name="score_field",
    )


def _short(score: Tensor, sigma: float) -> np.ndarray:
    """Arrows along sigma score, minus the noise that it foretells, of at most a cell."""
    way = (sigma * score).cpu().numpy()
    length = np.linalg.norm(way, axis=1, keepdims=True)
    return way / np.maximum(length, 1e-9) * 0.85 * (2 * LIMIT / ARROWS) * np.tanh(length)


def _levels(sigmas: np.ndarray, errors: np.ndarray, sigma: float, now: float) -> View:
    """Error in percent over log10 of the level, and where one is."""
    top = max(10.0, 110 * float(errors.max()))
    x = np.log10(sigmas)
    marks = [
        Lines(np.stack([x, 100 * errors], 1), "model"),
        Points([[np.log10(sigma), min(100 * now, top)]], "accent", size=12),
    ]
    extent = (float(x[0]) - 0.05, float(x[-1]) + 0.05, 0.0, top)
    return View(None, marks, extent, "error of the learned score", axes=("log₁₀ σ", "%"), aspect=1.3)
