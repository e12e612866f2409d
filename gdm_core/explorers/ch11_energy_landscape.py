"""Energy landscape.

How long must walkers walk, and how far at each step, before they stand where the energy says?

Walkers dropped on an energy whose truth is known: step size, temperature, corrected or not, their energy over time.
"""

import functools

import numpy as np
import torch

from gdm_core import devices, mcmc
from gdm_core.data import toy
from gdm_core.explorers import headers
from gdm_core.explorers.ch11_score_field import three_bumps
from gdm_core.explorers.read_outs import said
from gdm_core.widgets import (
    Button,
    Choice,
    Frame,
    Handles,
    Lines,
    Noise,
    Points,
    Slider,
    Stage,
    Timeline,
    Toggle,
    View,
    plane,
)

LIMIT, CELLS, WALKERS, STEPS = 4.5, 90, 300, 200
KINDS = {
    "three bumps": three_bumps,
    "moons": lambda: toy.target("moons"),
    "eight Gaussians": lambda: toy.target("eight_gaussians"),
    "funnel": lambda: toy.target("funnel"),
}


def energy_landscape(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of Langevin dynamics on -log p of known targets, cooled or heated.

    Args:
        seed: of the walkers' noise.
        device: where they walk; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise = Noise(seed, device)
    targets = {name: make().to(device) for name, make in KINDS.items()}
    spaces = {name: target.quadrature() for name, target in targets.items()}
    pixels = torch.as_tensor(plane(LIMIT, CELLS), dtype=torch.float32, device=device).reshape(-1, 2)
    fields = {name: -target.log_prob(pixels).reshape(CELLS, CELLS) for name, target in targets.items()}

    @functools.lru_cache(maxsize=64)
    def truth(name: str, heat: float) -> float:
        """Mean energy under p^(1/T), by quadrature."""
        points, weights = spaces[name]
        energy = -targets[name].log_prob(points.to(device)).cpu()
        return ((weights.log() - energy / heat).softmax(0) * energy).sum().item()

    @functools.lru_cache(maxsize=8)  # the timeline goes through one walk
    def walked(name: str, start: tuple, size: float, heat: float, corrected: bool, press: int) -> torch.Tensor:
        """States (T, WALKERS, 2) of as many steps as stay finite."""
        target = targets[name]
        normal, uniform = noise(press, STEPS + 1, WALKERS, 2), noise(press, STEPS, WALKERS, uniform=True)
        x = torch.as_tensor(start, dtype=torch.float32, device=device) + 0.15 * normal[-1]
        options = {"temperature": heat, "noise": lambda i: normal[i]}
        if corrected:
            energy, options["uniform"] = lambda x: -target.log_prob(x), lambda i: uniform[i]
            run = mcmc.corrected(energy, x, size, STEPS, score=target.score, **options)
        else:
            run = mcmc.langevin(target.score, x, size, STEPS, **options)
        states = []
        try:
            for x in run:
                if x.abs().max() > 1e4:
                    break
                states.append(x)
        except (FloatingPointError, ValueError):  # out of reach of the energy
            pass
        return torch.stack(states)

    @torch.no_grad()
    def draw(controls) -> Frame:
        name, heat = controls["energy"], controls["heat"]
        settings = (controls[one] for one in ("size", "heat", "corrected", "new noise"))
        states = walked(name, tuple(controls["start"][0]), *settings)
        step = min(controls["step"], len(states) - 1)
        energies = -targets[name].log_prob(states.reshape(-1, 2)).reshape(states.shape[:2]).mean(1).cpu().numpy()
        exact = truth(name, heat)
        out = (states[step].abs() > LIMIT).any(1)
        gone = f"{int(out.sum())} of {WALKERS} walkers left the picture" if out.any() else ""
        if len(states) <= STEPS:
            gone = f"Gone after {len(states) - 1} steps: such steps overshoot"
        trails = states[max(step - 12, 0) : step + 1, :12].cpu().numpy()
        field = fields[name]
        low = field.min().item()
        told = ["last 12 steps of 12 walkers"] + 11 * [""]
        marks = [Lines(trails[:, k], "accent", width=1.2, alpha=0.6, label=told[k]) for k in range(12)]
        marks.append(Points(states[step][~out].cpu(), "model", size=5, label=f"{WALKERS} walkers"))
        views = {
            "landscape": View(
                field.clamp(max=low + 12),
                marks,
                (-LIMIT, LIMIT) * 2,
                "energy: dark is low",
                "cividis",
                (low, low + 12),
                smooth=True,
                warning=gone,
                size=1.5,
            ),
            "energies": _road(energies, exact, step),
        }
        seen = said(float(energies[step])) if energies[step] < 1000 else "above 1,000"
        text = f"mean energy of the walkers {seen} · exact {said(exact)} nats"
        if controls["corrected"] and step:
            moved = (states[1 : step + 1] != states[:step]).any(2).float().mean().item()
            text += f" · {100 * moved:.0f} % of the moves accepted"
        return Frame(views, text)

    return Stage(
        draw,
        [
            Handles("start", [[-2.5, 2.0]], on="landscape", labels=["0"], color="accent"),
            Choice("energy", list(KINDS)),
            Slider("size", 1e-3, 1.0, 0.02, log=True, label="step size h"),
            Slider("heat", 0.1, 4.0, 1.0, log=True, label="temperature T"),
            Toggle("corrected", False, label="Metropolis correction"),
            Timeline("step", STEPS + 1, value=40, label="steps", fps=20),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Drag the start and press play: when have the walkers forgotten it? "
        "Exact: the energy and the green line. Sampled: the walkers. Nothing is learned.",
        exported="Raise the step size: when do the walkers miss the exact mean energy? "
        "Exact: the energy and the green line. Sampled: the walkers. Nothing is learned.",
        source=f"from gdm_core import explorers\n\nexplorers.energy_landscape(seed={seed})",
        sampled={"size": 7, "step": 9},
        name="energy_landscape",
    )


def _road(energies: np.ndarray, exact: float, step: int) -> View:
    """Mean energy of the walkers over the steps, and the exact mean."""
    top = max(2 * abs(exact) + 4, min(float(energies[0]) + 1, 40.0))
    low = min(0.0, exact - 1, float(energies.min()) - 1)
    clipped = np.clip(energies, low, top)
    marks = [
        Lines([[0, exact], [STEPS, exact]], "exact", width=6, alpha=0.5, label="exact mean energy"),
        Lines(np.stack([np.arange(len(clipped)), clipped], 1), "model", label="walkers"),
        Points([[step, clipped[step]]], "model", size=11),
    ]
    axes = ("step", "nats")
    return View(None, marks, (0, STEPS, low, top), "mean energy", axes=axes, aspect=1.4)
