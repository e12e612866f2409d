"""Game bench.

Which rule brings two players to the equilibrium of f(x, y) = xy, and do the eigenvalues predict it?

The path in the plane, the eigenvalues of a step in the unit circle, growth as predicted and as measured.
"""

import math

import numpy as np
import torch

from gdm_core import devices, games
from gdm_core.explorers import headers
from gdm_core.widgets import Button, Choice, Frame, Handles, Lines, Noise, Points, Slider, Stage, Text, Timeline, View

STEPS, REACH, TOSSES = 100, 3.0, 16  # steps shown, half of the plane's side, batches that a step may draw
DEEP = 4.0  # powers of ten that the chart of distances reaches up and down
QUESTION = "where must the eigenvalues lie for the players to converge? All is exact."
TURN = np.linspace(0, 2 * math.pi, 121)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], 1)


def game_bench(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of min over x, max over y of xi x y - gamma y^2 / 2: rules, step size, noise, penalty.

    Args:
        seed: of the noise.
        device: where it is played; see `devices.pick`.
    """
    device = devices.pick(device, double=True, small=True)
    noise = Noise(seed, device)

    def played(rule, controls) -> np.ndarray:
        """States (T, 2) of as many steps as stay within float64's reach."""
        start = torch.as_tensor(controls["start"][0], dtype=torch.float64, device=device)
        spread, gamma = controls["noise"], controls["gamma"]
        if not spread:
            return games.orbit(rule, games.bilinear(start, gamma), STEPS).cpu().numpy()
        factors = 1 + spread * noise(controls["new noise"], STEPS * TOSSES).sign().double()
        tosses = iter(factors)
        return games.path(games.bilinear(start, gamma, lambda: (next(tosses),)), rule, STEPS).states.cpu().numpy()

    def draw(controls) -> Frame:
        rule = games.RULES[controls["rule"]](controls["lr"])
        still = games.bilinear(torch.zeros(2, device=device), controls["gamma"])
        values = games.eigenvalues(rule, still).cpu().numpy()
        foretold = float(np.abs(values).max())
        states = played(rule, controls)
        step = min(controls["step"], len(states) - 1)
        far = np.linalg.norm(states, axis=1)
        measured = (far[step] / far[0]) ** (1 / step) if step and far[0] > 1e-9 else math.nan
        views = {"plane": _plane(states, step), "eigenvalues": _circle(values), "distance": _road(far, foretold, step)}
        ends = "keep their distance" if abs(foretold - 1) < 1e-9 else "converge" if foretold < 1 else "diverge"
        told = f"{measured:.4f} over {step} steps" if math.isfinite(measured) else "after the first step"
        alone = "without noise " if controls["noise"] else ""
        return Frame(
            views, f"growth per step: predicted {alone}{foretold:.4f}, so the players {ends} · measured {told}"
        )

    return Stage(
        draw,
        [
            Handles("start", [[1.0, 0.6]], on="plane", labels=["w"], color="accent"),
            Choice("rule", list(games.RULES), value="simultaneous"),
            Slider("lr", 0.02, 1.5, 0.3, label="step size η"),
            Slider("noise", 0.0, 1.0, 0.0, label="noise: ξ = 1 ± this"),
            Slider("gamma", 0.0, 2.0, 0.0, label="penalty γ (R1)"),
            Timeline("step", STEPS + 1, value=22, label="steps", fps=12),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption=f"Drag the start and change the rule: {QUESTION}",
        exported=f"Change the rule and the step size: {QUESTION}",
        source=f"from gdm_core import explorers\n\nexplorers.game_bench(seed={seed})",
        sampled={"rule": len(games.RULES), "lr": 7},
        name="game_bench",
    )


def _plane(states: np.ndarray, step: int) -> View:
    """The path so far, and where both are now."""
    way, out = states[: step + 1], np.abs(states[: step + 1]).max(1) > REACH
    shown = np.clip(way, -50 * REACH, 50 * REACH)  # farther is farther than any screen
    marks = [
        Lines(shown, "model", width=1.5, alpha=0.6),
        Points(shown[~out], "model", size=5, label="states"),
        Points([[0.0, 0.0]], "exact", size=9, label="equilibrium"),
    ]
    if not out[-1]:
        marks.append(Points(way[-1:], "model", size=13))
    gone = f"The players left the picture at step {int(out.argmax())}" if out.any() else ""
    extent = (-REACH, REACH, -REACH, REACH)
    return View(None, marks, extent, "path of both players", axes=("x", "y"), aspect=1.0, size=1.8, warning=gone)


def _circle(values: np.ndarray) -> View:
    """Eigenvalues of a step: those that do not arrive in another color."""
    reach = max(1.6, 1.15 * float(np.abs(values).max()))
    marks, xy = [Lines(CIRCLE, "noise", width=1.5, label="|λ| = 1")], np.stack([values.real, values.imag], 1)
    inside = np.abs(values) < 1 - 1e-9
    marks.append(Points(xy[inside], "latent", size=11, label="|λ| < 1"))
    marks.append(Points(xy[~inside], "model", size=11, label="|λ| ≥ 1"))
    extent = (-reach, reach, -reach, reach)
    return View(None, marks, extent, "eigenvalues λ", axes=("real", "imaginary"), aspect=1.0, size=0.9)


def _road(far: np.ndarray, foretold: float, step: int) -> View:
    """log10 of the distance over the steps, and the straight line that the radius foretells."""
    t = np.arange(len(far))
    tiny = 10.0 ** (-2 * DEEP)
    seen = np.clip(np.log10(np.maximum(far, tiny)), -DEEP, DEEP)
    start = math.log10(max(far[0], tiny))
    line = np.clip(start + np.arange(STEPS + 1) * math.log10(max(foretold, tiny)), -DEEP, DEEP)
    marks = [
        Lines(np.stack([np.arange(STEPS + 1), line], 1), "exact", width=6, alpha=0.5, label="predicted"),
        Lines(np.stack([t, seen], 1), "model", label="measured"),
        Points([[step, seen[step]]], "model", size=11),
    ]
    if len(far) <= STEPS:
        marks.append(Text([[len(far) - 1, DEEP - 0.5]], ["gone"], "model", anchor="right"))
    axes = ("step", "log₁₀ |w|")
    return View(None, marks, (0, STEPS, -DEEP, DEEP), "distance |w|", axes=axes, aspect=1.7, size=0.9)
