"""Straight paths, curved flow.

Every path from noise to data is a straight line: why does the flow bend, and which pairs make it straight?

Pairs of numbers, the lines through one point and their mean, and the loss beside the floor under it.
"""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices, kept, schedules, train
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Checkpoint
from gdm_core.explorers.paired import Pairs, interpolate
from gdm_core.explorers.read_outs import said
from gdm_core.models.diffusion import Diffusion
from gdm_core.widgets import Choice, Frame, Handles, Lines, Noise, Points, Stage, Timeline, Toggle, Trainer, View

LIMIT, TIMES, PLACES = 4.5, 25, 91  # half of the picture's height; its columns and rows, where all is exact
STD, BUMPS, HIGHEST = 0.3, (-2.0, 0.4, 2.6), 3.5  # of the data; how far a hand may move them
STEPS, SIZE = 600, 256  # of the training and its batches
SHOWN, FAN, CURVES, MARGIN = 64, 25, 13, 2  # pairs, lines of the fan and of the flow; empty columns


class Joined(Diffusion):
    """A velocity on the line, learned from pairs of equal rank in batches; 0 joins equal shares, as after a reflow."""

    def __init__(self, means: Tensor, batch: int):
        super().__init__(1, schedule=schedules.line, predicts="velocity", hidden=(64, 64), spread=2.0)
        self.batch, self.pairs = batch, None if batch else Pairs(means, STD, 0)

    def loss(self, x: Tensor, y: None = None) -> Tensor:
        """E |velocity - (noise - x)|^2; no likelihood.  x: (B, 1)."""
        noise = torch.randn_like(x)
        if self.batch:
            x, noise = (s[:, None] for s in joined(self.batch, x, noise))
        else:
            x = self.pairs.data(noise)
        t = (torch.randperm(len(x), device=x.device) + torch.rand(len(x), device=x.device)) / len(x)
        return self.regression(x, noise, t)


def paths_velocity(points=BUMPS, batch: int = 1, steps: int = STEPS, device="cpu") -> tuple[Joined, Iterable]:
    """Recipe: the velocity of pairs that are optimal in batches."""
    means = torch.tensor(points, dtype=torch.float32, device=device)
    model = Joined(means, batch).to(device)
    bump = lambda n: means[torch.randint(len(means), (n,), device=device)]
    draw = lambda n: (bump(n) + STD * torch.randn(n, device=device))[:, None]
    return model, train.steps(model, draw, steps=steps, batch_size=SIZE, lr=1e-2, rate=train.falling)


class Truth:
    """All that is exact of pairs, on a grid of times and places."""

    def __init__(self, points: tuple, batch: int, device):
        self.pairs = Pairs(torch.tensor(points, dtype=torch.float32, device=device), STD, batch)
        middles = lambda n: (torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n
        self.times, self.places = middles(TIMES).flip(0), LIMIT * (2 * middles(PLACES) - 1)
        self.step = 2 * LIMIT / PLACES
        self.moments = self.pairs.moments(self.times, self.places)
        p = self.moments.density
        self.share = (p.cumsum(1) - 0.5 * p) / p.sum(1, keepdim=True)  # of x_t below a place, (TIMES, PLACES)

    def over(self, square: Tensor) -> np.ndarray:
        """E square(x_t, t) at each time: (TIMES, PLACES) -> (TIMES,)."""
        return (self.step * (self.moments.density * square).sum(1)).cpu().numpy()

    @functools.cached_property
    def floor(self) -> np.ndarray:
        """Of the loss at each time, (TIMES,)."""
        return self.over(self.moments.variance)

    @functools.cached_property
    def cost(self) -> float:
        """E (noise - data)^2 of the pairs; each time has its own quadrature of it."""
        return float(self.over(self.moments.velocity**2 + self.moments.variance).mean())

    @functools.cached_property
    def least(self) -> float:
        """The same where equal shares are joined."""
        e = torch.special.ndtri((torch.arange(2000, device=self.times.device) + 0.5) / 2000)
        return (e - self.pairs.data(e)).square().mean().item()

    def flow(self, score: Tensor) -> Tensor:
        """Where the flow takes noise (M,): (TIMES + 2, M), at t = 1, the times and 0."""
        u = torch.special.ndtr(score)
        between = [interpolate(u, share, self.places) for share in self.share]
        return torch.stack([score, *between, self.pairs.data(score)])

    def fan(self, k: int, x: float) -> np.ndarray:
        """Slopes of straight paths through place x at time k, (FAN,), each as likely as the others."""
        if not self.pairs.batch:
            return np.repeat(self.velocity(k, x), FAN)
        slope, weight = (a[0] for a in self.pairs.chances(self.times[k].item(), self.times.new_tensor([x])))
        level = (torch.arange(FAN, device=slope.device) + 0.5) / FAN
        return interpolate(level, (weight.cumsum(0) - 0.5 * weight) / weight.sum(), slope).cpu().numpy()

    def velocity(self, k: int, x: float) -> float:
        """The exact one at place x and time k."""
        return interpolate(self.times.new_tensor([x]), self.places, self.moments.velocity[k]).item()


def joined(batch: int, *numbers: Tensor) -> list[Tensor]:
    """Noise and data, (N,) or (N, 1), in the order of their pairs, (N,); 0 joins equal ranks of all."""
    return [s.reshape(-1, batch or len(s)).sort(1).values.flatten() for s in numbers]


def paths(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of flow matching on a line: data on three bumps that one drags, noise N(0, 1), and how they are paired.

    Args:
        seed: of the training and of the pairs that are shown.
        device: where it is trained; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise = Noise(seed, device)
    scores = noise(0, 2, SHOWN)
    finished = lambda batch: kept.trained(
        paths_velocity, seed=seed, device=device, points=BUMPS, batch=batch, steps=STEPS
    )
    finished(1)
    truth = functools.lru_cache(maxsize=8)(lambda points, batch: Truth(points, batch, device))
    now: dict = {}

    @functools.lru_cache(maxsize=4)  # a hand moves through one network's velocities
    @torch.no_grad()
    def velocities(model) -> Tensor:
        """Learned, at the times and places of the truth: (TIMES, PLACES)."""
        grid = truth(BUMPS, 1)
        return torch.stack([model.velocity(grid.places[:, None], time)[:, 0] for time in grid.times])

    def make():  # on the data and the pairs as they are when the training starts
        told = stage.values()
        now["points"], now["batch"] = _heights(told["data"]), 0 if told["reflow"] else told["batch"]
        now["model"], steps = paths_velocity(now["points"], now["batch"], STEPS, device)
        return steps

    trainer = Trainer(
        lambda: kept.apart(make, seed, device),
        lambda _: Checkpoint(kept.frozen(now["model"]), lambda model: (model, now["points"], now["batch"])),
        total=STEPS,
    )

    @torch.no_grad()
    def draw(controls) -> Frame:
        points, batch = _heights(controls["data"]), 0 if controls["reflow"] else controls["batch"]
        model, seen, how = None, BUMPS, f"trained {STEPS:,} steps"
        if trainer.steps or trainer.running:
            snapshot = trainer.at(controls["checkpoint"])
            if snapshot.state.shown[2] == batch:
                (model, seen, _), how = snapshot.state.shown, f"step {snapshot.step:,} of {STEPS:,}"
        model = model or finished(batch)
        exact, k = truth(points, batch), controls["t"]
        start = float(np.clip(controls["start"][0][1], -2.5, 2.5))
        way = exact.flow(torch.tensor([start], device=device))[:, 0].cpu().numpy()
        x, t = float(way[k + 1]), exact.times[k].item()
        told = velocities(model)
        loss = exact.floor + exact.over((told - exact.moments.velocity) ** 2)
        off = exact.velocity(k, x), interpolate(torch.tensor([x], device=device), exact.places, told[k]).item()
        pairs = joined(batch, scores[0], exact.pairs.data(scores[1]))
        lines = torch.stack([pairs[0], pairs[1]], 1).cpu().numpy()
        views = {
            "paths": _plane(exact, lines, way, _followed(exact, told, start), k, exact.fan(k, x)),
            "slopes": _slopes(exact, k, x, off),
            "loss": _losses(exact, loss, k),
        }
        views["paths"].label = "pairs are straight, the flow " + ("is too" if batch == 0 else "bends")
        moved = not np.allclose(points, seen)
        if moved:
            views["paths"].warning = "The network was trained on other data: press Train"
        chord = start + (way[-1] - start) * (1 - exact.times.cpu().numpy())
        bend = float(np.abs(way[1:-1] - chord).max())
        text = f"loss {said(float(loss.mean()), 3)}, its floor {said(float(exact.floor.mean()), 3)} · "
        text += f"cost of the pairs {said(exact.cost)} · least cost {said(exact.least)} · "
        text += f"the flow of ε bends by {said(bend)} · t = {t:.2f} · {how}"
        snapped = {"data": [[0.0, y] for y in points], "start": [[1.0, start]]}
        snapped = {name: rows for name, rows in snapped.items() if not np.allclose(controls[name], rows)}
        return Frame(views, text, controls=snapped)

    stage = Stage(
        draw,
        [
            Handles("start", [[1.0, 0.9]], on="paths", labels=["ε"], color="accent"),
            Handles("data", [[0.0, y] for y in BUMPS], on="paths", color="data"),
            Timeline("t", TIMES, value=10, label="noise to data", fps=10),
            Choice("batch", [1, 4, 16, 64], label="pairs: optimal in batches of"),
            Toggle("reflow", False, label="reflow: pairs made by the flow"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label="training"),
        ],
        title=headers.title(__doc__),
        caption="Drag ε: the flow takes the mean of all paths through its point. Pair in larger batches: "
        "when is it straight? Exact: green and orange. Learned: vermilion.",
        exported="Play: the flow takes the mean of all paths through its point. Pair in larger batches: "
        "when is it straight? Exact: green and orange. Learned: vermilion.",
        source=f"from gdm_core import explorers\n\nexplorers.paths(seed={seed})",
        trainer=trainer,
        sampled={"t": 9, "batch": 4},
        name="paths",
    )
    return stage


def _heights(data) -> tuple[float, ...]:
    """Where the bumps are; a hand may have moved them sideways as well."""
    return tuple(float(y) for y in np.clip(np.asarray(data)[:, 1], -HIGHEST, HIGHEST))


def _followed(exact: Truth, told: Tensor, start: float) -> np.ndarray:
    """Where the learned velocity takes the noise, by Heun's method through the times: (TIMES + 2,)."""
    t = torch.cat([exact.times.new_ones(1), exact.times, exact.times.new_zeros(1)]).cpu().numpy()
    rows = told.cpu().numpy()[[0, *range(TIMES), -1]]  # the ends, half a cell away, take the nearest row
    places, x = exact.places.cpu().numpy(), [start]
    for i, step in enumerate(np.diff(t)):
        here = np.interp(x[-1], places, rows[i])
        there = np.interp(x[-1] + step * here, places, rows[i + 1])
        x.append(x[-1] + step * (here + there) / 2)
    return np.array(x)


def _plane(exact: Truth, lines: np.ndarray, way: np.ndarray, followed: np.ndarray, k: int, slopes: np.ndarray) -> View:
    """Density of x_t over t, pairs as straight lines, the flow, and every straight path through one of its points."""
    image = torch.nn.functional.pad(exact.moments.density.T.flip(0).sqrt(), (MARGIN, MARGIN))
    now = exact.times[k].item()
    t = torch.cat([exact.times.new_ones(1), exact.times, exact.times.new_zeros(1)])
    flow = exact.flow(torch.linspace(-2, 2, CURVES, device=t.device))
    curves = torch.stack([t[:, None].expand_as(flow), flow], 2).transpose(0, 1)  # (CURVES, TIMES + 2, 2)
    t, x = t.cpu().numpy(), float(way[k + 1])
    ends = lambda noise, data: np.stack([np.stack([1 + 0 * noise, noise], 1), np.stack([0 * data, data], 1)], 1)
    marks = [
        Lines(ends(lines[::2, 0], lines[::2, 1]), "noise", width=1, alpha=0.55, label="pairs"),
        Lines(curves.cpu(), "exact", width=1.6, label="flow"),
        Lines(ends(x + (1 - now) * slopes, x - now * slopes), "accent", width=1.1, alpha=0.8, label="paths through x"),
        Lines(np.stack([t, way], 1), "exact", width=4),
        Lines(np.stack([t, followed], 1), "model", width=2.2, label="learned flow"),
        Points([[now, x]], "accent", size=12),
    ]
    look = {"colormap": "Greys", "smooth": True, "limits": (0.0, 2 * image.max().item())}
    axes = ("t", "x")
    room = MARGIN / TIMES  # for the handles
    return View(image, marks, (1 + room, -room, -LIMIT, LIMIT), axes=axes, aspect=1.2, warning="", size=2.0, **look)


def _slopes(exact: Truth, k: int, x: float, off: tuple[float, float]) -> View:
    """How likely each slope is among the straight paths through x, their mean, and what the network says."""
    marks, top = [], 1.0
    if exact.pairs.batch:
        slope, weight = (a[0] for a in exact.pairs.chances(exact.times[k].item(), exact.times.new_tensor([x])))
        p = (weight / (weight.sum() * (slope[1] - slope[0]).abs())).cpu().numpy()
        top = 1.15 * float(p.max())
        marks.append(Lines(np.stack([slope.cpu().numpy(), p], 1), "accent", fill=True, label="paths through x"))
    for value, color, width, name in ((off[0], "exact", 6, "mean: velocity"), (off[1], "model", 2.5, "learned")):
        marks.append(Lines([[value, 0.0], [value, top]], color, width=width, label=name))
    return View(
        None, marks, (-6, 6, 0, top), "slopes of the paths through x", axes=("noise − data", "density"), aspect=1.6
    )


def _losses(exact: Truth, loss: np.ndarray, k: int) -> View:
    """The loss of the network at each time, and the floor."""
    t, top = exact.times.cpu().numpy(), max(1.0, 1.1 * float(max(loss.max(), exact.floor.max())))
    marks = [
        Lines(np.stack([t, exact.floor], 1), "exact", width=5, alpha=0.6, label="floor"),
        Lines(np.stack([t, loss], 1), "model", label="loss"),
        Points([[t[k], loss[k]]], "accent", size=11),
    ]
    return View(None, marks, (1, 0, 0, top), "loss at each t", axes=("t", "squared error"), aspect=1.6)
