"""Diffusion film.

Which way does each point of noise go to become data, and what is lost by few steps and by what the network missed?

Particles that a solver moves through the exact or the learned field; both fields, their error and the distance to p_t.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import denoising, devices, ideal, kept, samplers, schedules, train
from gdm_core.data.targets import Mixture
from gdm_core.denoising import Denoise
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Checkpoint
from gdm_core.explorers.read_outs import said
from gdm_core.explorers.rulers import Ruler
from gdm_core.models.diffusion import Diffusion
from gdm_core.widgets import (
    Arrows,
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
    Trainer,
    View,
    plane,
)

LIMIT, CELLS, ARROWS = 4.0, 72, 11  # half of the plane's side; pixels and arrows along it
DOTS, TICKS, STD = 400, 64, 0.3  # particles, most steps of a solver, spread of each bump
STEPS, CLEAN, LATE = 1500, 0.02, 0.97  # of training; the least t with a field; where an SDE begins that has none at 1
LEVELS, DRAWS, BANDS, CLOUDS = 25, 160, 5, 19  # of the charts: levels, draws at each; levels and clouds of chance
SCHEDULES = {
    "line (flow matching)": schedules.line,
    "cosine": schedules.cosine,
    "variance preserving": schedules.preserving(),
}
SOLVERS = {
    "DDIM (η = 1: DDPM)": samplers.ddim,
    "Heun": samplers.heun,
    "multistep": samplers.multistep,
    "SDE (Euler, Maruyama)": samplers.sde,
}
FIELDS = {"velocity": denoising.velocity, "score": denoising.score}
BUMPS = ((-2.4, -1.4), (-2.2, 1.2), (-0.6, 2.4), (1.4, 2.0), (2.4, 0.2), (1.2, -2.0))


def film_diffusion(points, steps: int = STEPS, device="cpu") -> tuple[Diffusion, Iterable]:
    """Recipe: the way from bumps around some points to noise, on the line."""
    target = Mixture(points, STD).to(device)
    model = Diffusion(2, schedule=schedules.line, predicts="edm", hidden=(64, 64, 64), spread=2.0).to(device)
    return model, train.steps(model, target.sample, steps=steps, batch_size=512, lr=8e-3, rate=train.falling)


def learned(model: Diffusion, schedule: denoising.Schedule) -> Denoise:
    """The model's E[x | x_t] on another schedule than its own.

    x_t / (alpha + sigma) is (1 - s) x + s noise with s = sigma / (alpha + sigma): a point of the line.
    """

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule(t)
        whole = alpha + sigma
        at = (sigma / whole).clamp(max=1)  # cos(pi/2) < 0 in float32
        return model.denoise(x_t / denoising.beside(whole, x_t), at)

    return denoise


class Law:
    """Bumps on their way into noise on a schedule: everything about them is exact."""

    def __init__(self, points: Tensor, schedule: denoising.Schedule):
        self.points, self.schedule = points, schedule
        self.std, self.weights = torch.full_like(points[:, 0], STD), torch.full_like(points[:, 0], 1 / len(points))
        self.denoise = ideal.mixture(points, self.std, self.weights, schedule)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Means (T, K, 2) and standard deviations (T, K) of p_t at times t (T,)."""
        alpha, sigma = (a[:, None] for a in self.schedule(t))
        return alpha[..., None] * self.points, ((alpha * self.std) ** 2 + sigma**2).sqrt()

    def density(self, x: Tensor, t: float) -> Tensor:
        """p_t(x): (B, 2) -> (B,)."""
        means, std = self.at(torch.tensor([t], device=x.device))
        return Mixture(means[0], std[0]).to(x.device).log_prob(x).exp()

    @torch.no_grad()
    def missed(self, told: Denoise, field: str, t: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        """Root mean square error of a learned field where p_t lies, as a share of the exact field's: (T,).

        Args:
            told: E[x | x_t] as it was learned.
            t: (T,), above 0.
            uniform, normal: (M,) and (M, 2) numbers, of which the same draws are made at each t.
        """
        means, std = self.at(t)
        k = (uniform * len(self.points)).long().clamp(max=len(self.points) - 1)
        x = (means[:, k] + std[:, k, None] * normal).reshape(-1, 2)
        each = t.repeat_interleave(len(normal))
        exact, other = (FIELDS[field](mean(x, each), x, each, self.schedule) for mean in (self.denoise, told))
        mean_square = lambda v: v.square().reshape(len(t), -1).mean(1)
        return (mean_square(other - exact) / mean_square(exact)).sqrt()


def solve(denoise: Denoise, schedule: str, solver: str, steps: int, eta: float, e: Tensor, noise: Tensor) -> tuple:
    """Times (steps + 1,) and states (steps + 1, N, 2) from start noise e (N, 2); step i draws noise (TICKS, N, 2)."""
    law, options = SCHEDULES[schedule], {}
    times = schedules.times(law, steps)
    move = SOLVERS[solver]
    if move in (samplers.ddim, samplers.sde):
        options["noise"] = lambda i: noise[i * TICKS // steps]
    if move is samplers.ddim:
        options["eta"] = eta
    if move is samplers.sde and law(times[0])[0] < 1e-3:
        times = times * LATE  # from there on its drift is finite
    start = law(times[0])[1].item() * e
    return times, torch.stack(list(move(denoise, law, start, times, **options)))


def diffusion_film(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of sampling by diffusion: particles, fields and densities from noise to bumps that one drags.

    Args:
        seed: of the training and of all noise.
        device: where it is trained and solved; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise = Noise(seed, device)
    finished = kept.trained(film_diffusion, seed=seed, device=device, points=BUMPS, steps=STEPS)
    flat = lambda points: torch.as_tensor(np.asarray(points), dtype=torch.float32, device=device).reshape(-1, 2)
    pixels, places = flat(plane(LIMIT, CELLS)), flat(plane(LIMIT, ARROWS))
    levels = torch.linspace(CLEAN, 1, LEVELS, device=device)
    steady = torch.linspace(0, 1, BANDS, device=device)
    drawn = noise(2, DRAWS, uniform=True), noise(2, DRAWS, 2)
    clouds = noise(3, CLOUDS, DOTS, uniform=True), noise(3, CLOUDS, DOTS, 2)
    now: dict = {}

    def make():  # on the bumps as they lie when the training starts
        now["points"] = stage.state["bumps"]
        now["model"], steps = film_diffusion(now["points"], STEPS, device)
        return steps

    trainer = Trainer(
        lambda: kept.apart(make, seed, device),
        lambda _: Checkpoint(kept.frozen(now["model"]), lambda model: (model, now["points"])),
        total=STEPS,
    )

    @functools.lru_cache(maxsize=16)  # the timeline goes through one solution
    def solved(model, bumps, start: tuple, *settings) -> tuple[Tensor, Tensor]:
        law = SCHEDULES[settings[0]]
        told = Law(flat(bumps), law).denoise if model is None else learned(model, law)
        e = torch.cat([noise(0, DOTS, 2), flat(start)])
        return solve(told, *settings, e, noise(1, TICKS, DOTS + 1, 2))

    @functools.lru_cache(maxsize=4)  # both charts stand still while time goes on
    def errors(model, bumps, schedule: str, field: str) -> np.ndarray:
        law = Law(flat(bumps), SCHEDULES[schedule])
        return law.missed(learned(model, law.schedule), field, levels, *drawn).cpu().numpy()

    @functools.lru_cache(maxsize=4)
    def chances(bumps, schedule: str) -> np.ndarray:
        law = Law(flat(bumps), SCHEDULES[schedule])
        return Ruler(*law.at(steady), law.weights, DOTS).chance(*clouds).cpu().numpy()

    @torch.no_grad()
    def draw(controls) -> Frame:
        points, field = controls["bumps"], "score" if controls["score"] else "velocity"
        model, seen, how = finished, BUMPS, f"trained {STEPS:,} steps"
        if trainer.steps or trainer.running:
            snapshot = trainer.at(controls["checkpoint"])
            (model, seen), how = snapshot.state.shown, f"step {snapshot.step:,} of {STEPS:,}"
        bumps, schedule = tuple(map(tuple, points.tolist())), controls["schedule"]
        law = Law(flat(points), SCHEDULES[schedule])
        told = learned(model, law.schedule)
        by_network = not controls["exact"]
        which = (model, None) if by_network else (None, bumps)
        settings = (controls[name] for name in ("schedule", "solver", "steps", "eta"))
        times, states = solved(*which, tuple(controls["start"][0]), *settings)
        k = round(controls["t"] * (len(times) - 1) / TICKS)
        t = times[k].item()
        at = max(t, CLEAN)
        here = law.missed(told, field, torch.tensor([at], device=device), *drawn).item()
        picked = sorted({*(round(i * (len(times) - 1) / 16) for i in range(17)), k})  # whose distance is measured
        far = Ruler(*law.at(times[picked].to(levels)), law.weights, DOTS).distance(states[picked, :DOTS]).cpu().numpy()
        chance = chances(bumps, schedule)
        most = float(np.interp(t, steady.cpu(), chance.max(1)))
        views = {
            "film": _plane(law, told, field, pixels, places, states[: k + 1], at, by_network),
            "distance": _distances(
                times[picked].numpy(), far, steady.cpu().numpy(), chance, picked.index(k), by_network
            ),
            "error": _errors(levels.cpu().numpy(), errors(model, bumps, schedule, field), field, at, here),
        }
        views["film"].label = f"t = {t:.2f}: step {k} of {len(times) - 1}"
        moved = not np.allclose(points, seen)
        if moved and by_network:
            views["film"].warning = "The network was trained on other bumps: press Train"
        calls = (2 * k - (t == 0)) if controls["solver"] == "Heun" else k
        text = f"dots {said(float(far[picked.index(k)]))} from the truth, true draws up to {said(most)} · "
        text += f"the learned {field} misses the exact one by {100 * here:.1f} % · {calls} evaluations of the field · "
        return Frame(views, text + how + (", on other bumps" if moved else ", on these bumps"))

    stage = Stage(
        draw,
        [
            Handles("start", [[0.7, 0.5]], on="film", labels=["ε"], color="accent"),
            Handles("bumps", BUMPS, on="film", color="data"),
            Timeline("t", TICKS + 1, value=40, label="noise to data", fps=16),
            Toggle("score", False, label="arrows show the score"),
            Toggle("exact", False, label="dots follow the exact field"),
            Choice("schedule", list(SCHEDULES)),
            Choice("solver", list(SOLVERS)),
            Choice("steps", [2, 4, 8, 16, 64], value=16),
            Slider("eta", 0.0, 1.0, 0.0, label="η of DDIM"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label="training"),
        ],
        title=headers.title(__doc__),
        caption="Play from noise to data. Then take fewer steps, or drag the bumps and press Train: "
        "where do the dots end? Exact: green, and the gray density. Learned: vermilion.",
        exported="Play from noise to data with few steps and with many: where do the dots end? "
        "Exact: green, and the gray density. Learned: vermilion.",
        source=f"from gdm_core import explorers\n\nexplorers.diffusion_film(seed={seed})",
        trainer=trainer,
        sampled={"t": 11, "steps": 5},
        name="diffusion_film",
    )
    return stage


def _plane(law: Law, told: Denoise, field: str, pixels, places, states: Tensor, t: float, by_network: bool) -> View:
    """p_t as ground, both fields on it, the dots where the solver has them, and the way of the followed one."""
    time = torch.tensor(t, device=pixels.device)
    image = law.density(pixels, t).reshape(CELLS, CELLS).sqrt()
    alpha, sigma = law.schedule(time)
    color = "model" if by_network else "exact"
    marks = [Lines(states[:, i].cpu(), color, width=1, alpha=0.5) for i in range(12)]
    marks.append(
        Points(states[-1, :DOTS].cpu(), color if len(states) > 1 else "noise", size=3.5, alpha=0.6, label="dots")
    )
    for name, tint, width, denoise in (("exact", "exact", 3.5, law.denoise), ("learned", "model", 1.8, told)):
        way = FIELDS[field](denoise(places, time), places, time, law.schedule)
        way = sigma * way if field == "score" else -way
        marks.append(Arrows(places.cpu(), _short(way), tint, width=width, label=f"{name} {field}"))
    marks.append(Lines(states[:, -1].cpu(), "accent", width=2.5))
    marks.append(Points(states[-1:, -1].cpu(), "accent", size=10))
    look = {"colormap": "Greys", "smooth": True, "limits": (0.0, 1.4 * image.max().item())}
    return View(image, marks, (-LIMIT, LIMIT) * 2, axes=False, warning="", size=2.0, **look)


def _short(way: Tensor) -> np.ndarray:
    """Arrows of at most a cell."""
    way = way.cpu().numpy()
    length = np.linalg.norm(way, axis=1, keepdims=True)
    return way / np.maximum(length, 1e-9) * 0.85 * (2 * LIMIT / ARROWS) * np.tanh(length / 2)


def _distances(t: np.ndarray, far: np.ndarray, steady, chance: np.ndarray, now: int, by_network: bool) -> View:
    """How far the dots are from p_t at each state, and 19 clouds of true draws."""
    top, color = max(0.4, 1.1 * float(far.max())), "model" if by_network else "exact"
    marks = [
        Lines([np.stack([steady, cloud], 1) for cloud in chance.T], "noise", width=2, alpha=0.45, label="true draws")
    ]
    marks += [
        Lines(np.stack([t, far], 1), color, label="dots"),
        Points(np.stack([t, far], 1), color, size=5),
        Points([[t[now], far[now]]], "accent", size=12),
    ]
    return View(None, marks, (1, 0, 0, top), "dots to the truth", axes=("t", "W₂, sliced"), aspect=1.6)


def _errors(t: np.ndarray, missed: np.ndarray, field: str, at: float, now: float) -> View:
    """Error of the learned field in percent over t, and where one is."""
    top = min(max(20.0, 110 * float(missed.max())), 100.0)
    marks = [
        Lines(np.stack([t, np.minimum(100 * missed, top)], 1), "model"),
        Points([[at, min(100 * now, top)]], "accent", size=12),
    ]
    return View(None, marks, (1, 0, 0, top), f"error of the learned {field}", axes=("t", "%"), aspect=1.6)
