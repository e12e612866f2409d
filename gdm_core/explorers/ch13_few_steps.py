"""Few steps.

How many steps from noise to data does each method need before its samples are as near the truth as true draws are?

The same noise through a solver of the flow, a flow made straight and a map that jumps: samples and distance of each.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices, kept, samplers, schedules, train
from gdm_core.data.targets import Mixture
from gdm_core.explorers import ch12_diffusion_film as film
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.explorers.rulers import Ruler
from gdm_core.models.diffusion import Diffusion
from gdm_core.models.flow_map import Average, FlowMap, jump
from gdm_core.widgets import Button, Choice, Ellipses, Frame, Handles, Lines, Noise, Points, Stage, Text, Toggle, View

LIMIT, DOTS, SHOWN, CLOUDS = 3.8, 1600, 400, 19  # half of a panel's side; samples, those shown; clouds of true draws
COUNTS = (1, 2, 4, 8, 16, 32, 64)
METHODS = dict(zip(("Euler", "Heun", "reflowed", "MeanFlow"), colors.COMPONENTS))
CENTERS = LIMIT * np.array([[-1, 1], [1, 1], [-1, -1], [1, -1]])  # of the panels, one a method
PAIRS, STEPS, JUMPS, SIZE = 8192, 800, 800, 256  # pairs of the flow; steps of both trainings, their batches


class Straight(Diffusion):
    """A velocity on the line, learned from pairs of noise and data (B, 2, d)."""

    def loss(self, x: Tensor, y: None = None) -> Tensor:
        """E |velocity - (noise - data)|^2; no likelihood."""
        noise, data = x.unbind(1)
        t = (torch.randperm(len(x), device=x.device) + torch.rand(len(x), device=x.device)) / len(x)
        return self.regression(data, noise, t)


def flown(n: int, device) -> Tensor:
    """n pairs of noise and where the exact flow takes it, (n, 2, 2)."""
    law, noise = film.Law(torch.tensor(film.BUMPS, device=device), schedules.line), torch.randn(n, 2, device=device)
    times = schedules.times(schedules.line, 32, by="angle")
    return torch.stack([noise, samplers.last(samplers.heun(law.denoise, schedules.line, noise, times))], 1)


def few_reflowed(steps: int = STEPS, device="cpu") -> tuple[Straight, Iterable]:
    """Recipe: rectified flow, one reflow after the exact flow of the film's bumps."""
    model = Straight(2, schedule=schedules.line, predicts="velocity", hidden=(64, 64, 64), spread=2.0).to(device)
    pairs = functools.cache(lambda: flown(PAIRS, device))  # nobody waits for them where the model was kept
    draw = lambda n: pairs()[torch.randint(PAIRS, (n,), device=device)]
    return model, train.steps(model, draw, steps=steps, batch_size=SIZE, lr=8e-3, rate=train.falling)


def few_jumps(steps: int = JUMPS, device="cpu") -> tuple[FlowMap, Iterable]:
    """Recipe: MeanFlow from scratch, no teacher."""
    model = FlowMap(2, learns="meanflow", hidden=(64, 64, 64)).to(device)
    target = Mixture(film.BUMPS, film.STD).to(device)
    return model, train.steps(model, target.sample, steps=steps, batch_size=SIZE, lr=5e-3, rate=train.falling)


def walked(average: Average, z: Tensor, times: Tensor) -> Iterable[Tensor]:
    """The states from time to time, along the average velocity(z, t, r)."""
    yield z
    times = times.to(z)
    for t, r in zip(times, times[1:]):
        z = jump(average, z, t, r)
        yield z


def evaluations(method: str, steps: int) -> int:
    """How often a network is asked: Heun asks twice a step, but at the data."""
    return 2 * steps - 1 if method == "Heun" else steps


def few_steps(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of samples in 1 to 64 steps, by four methods, of the diffusion film's bumps.

    Args:
        seed: of the trainings and of the noise.
        device: where it is trained and solved; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise, law = Noise(seed, device), film.Law(torch.tensor(film.BUMPS, device=device), schedules.line)
    learned = kept.trained(film.film_diffusion, seed=seed, device=device, points=film.BUMPS, steps=film.STEPS)
    straight = kept.trained(few_reflowed, seed=seed, device=device, steps=STEPS)
    jumps = kept.trained(few_jumps, seed=seed, device=device, steps=JUMPS)
    walks = {"reflowed": lambda z, t, r: straight.velocity(z, t), "MeanFlow": jumps.average}
    still = law.at(torch.zeros(1, device=device))
    ruler = Ruler(*still, law.weights, DOTS)
    chance = ruler.chance(noise(3, CLOUDS, DOTS, uniform=True), noise(3, CLOUDS, DOTS, 2))[0].cpu().numpy()

    def states(method: str, exact: bool, steps: int, z: Tensor) -> Tensor:
        """(steps + 1, N, 2), from noise z (N, 2)."""
        times = schedules.times(schedules.line, steps)
        if method in walks:
            return torch.stack(list(walked(walks[method], z, times)))
        denoise = law.denoise if exact else learned.denoise
        solver = samplers.heun if method == "Heun" else samplers.ddim  # on the line, DDIM is Euler's method
        return torch.stack(list(solver(denoise, schedules.line, z, times)))

    @functools.lru_cache(maxsize=64)
    @torch.no_grad()
    def ends(method: str, exact: bool, press: int) -> tuple[Tensor, np.ndarray]:
        """Samples in each number of steps, (len(COUNTS), DOTS, 2), and their distances."""
        z = noise(press, DOTS, 2)
        clouds = torch.stack([states(method, exact, steps, z)[-1] for steps in COUNTS])
        return clouds, ruler.distance(clouds[None])[0].cpu().numpy()

    @torch.no_grad()
    def draw(controls) -> Frame:
        steps, exact = controls["steps"], controls["exact"]
        e = np.clip(controls["start"] - CENTERS[0], -LIMIT, LIMIT)
        e = torch.as_tensor(e, dtype=torch.float32, device=device)
        i, marks, far = COUNTS.index(steps), [], {}
        for center, (method, color) in zip(CENTERS, METHODS.items()):
            field = exact and method in ("Euler", "Heun")  # the others have no exact one here
            clouds, far[method] = ends(method, field, controls["new noise"])
            way = states(method, field, steps, e)[:, 0]
            title = f"{method}{', exact field' if field else ''}: {said(float(far[method][i]))}"
            marks += _panel(center, clouds[i, :SHOWN], way, law.points, color, title)
        marks.append(Lines([[[-2 * LIMIT, 0], [2 * LIMIT, 0]], [[0, -2 * LIMIT], [0, 2 * LIMIT]]], "noise", width=1))
        extent = (-2 * LIMIT, 2 * LIMIT) * 2
        views = {
            "samples": View(None, marks, extent, f"after {steps} step{'s' * (steps > 1)}", aspect=1.0, size=2.2),
            "distance": _distances(far, chance, steps),
        }
        words = [f"{method} {said(float(far[method][i]))}" for method in METHODS]
        plural = "steps" if steps > 1 else "step"
        text = f"distance to the truth in {steps} {plural}: {words[0]}, {words[3]} · {words[1]} · {words[2]} · "
        text += f"true draws {said(float(chance.min()))} to {said(float(chance.max()))}"
        return Frame(views, text)

    return Stage(
        draw,
        [
            Handles("start", CENTERS[:1] + [0.7, 0.5], on="samples", labels=["ε"], color="accent"),
            Choice("steps", list(COUNTS), value=4),
            Toggle("exact", False, label="exact field for Euler and Heun"),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Take one step, then two: which methods are as near as true draws? Drag ε to follow one point. "
        "Exact: the green rings, true draws and the exact field. Learned: the rest.",
        exported="Take one step, then two: which methods are as near as true draws? "
        "Exact: the green rings, true draws and the exact field. Learned: the rest.",
        source=f"from gdm_core import explorers\n\nexplorers.few_steps(seed={seed})",
        sampled={"steps": len(COUNTS), "exact": 2},
        name="few_steps",
    )


def _panel(center: np.ndarray, x: Tensor, way: Tensor, bumps: Tensor, color: str, title: str) -> list:
    """Samples, the bumps that they should fill, and the way of the followed noise, around a center."""
    spread, put = (torch.eye(2) * film.STD**2).expand(len(bumps), 2, 2), lambda points: points.cpu().numpy() + center
    samples, way = put(x), put(way)
    inside = (np.abs(samples - center) < LIMIT).all(1)
    return [
        Ellipses(put(bumps), spread, radii=(2.0,), color="exact", width=2),
        Points(samples[inside], color, size=3.5, alpha=0.65),
        Lines(way, "accent", width=2),
        Points(way[1:], "accent", size=5),
        Points(way[-1:], "accent", size=10),
        Text([center + [0, LIMIT - 0.45]], [title], color),
    ]


def _distances(far: dict[str, np.ndarray], chance: np.ndarray, steps: int) -> View:
    """Distance over calls of the network, both in powers of two; true draws between the two gray lines."""
    top = max(1.0, float(np.ceil(np.log2(max(d.max() for d in far.values())))))
    marks = [
        Lines([[[0, y], [7, y]] for y in np.log2([chance.min(), chance.max()])], "noise", dash=True, label="true draws")
    ]
    for method, color in METHODS.items():
        x = np.log2([evaluations(method, n) for n in COUNTS])
        y = np.log2(far[method])
        i = COUNTS.index(steps)
        marks += [Lines(np.stack([x, y], 1), color, label=method), Points([[x[i], y[i]]], color, size=12)]
    low = float(np.floor(np.log2(min(chance.min(), *(d.min() for d in far.values())))))
    axes = ("log₂ calls of the network", "log₂ W₂, sliced")
    return View(None, marks, (0, 7, low, top), "distance to the truth", axes=axes, aspect=1.1)
