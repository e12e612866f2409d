"""Flow film.

How does a flow carry a round cloud of noise to the data, and what does each layer pay?

Grid, samples and density after each coupling; the way of one point and its log p, term by term; a target of your own.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from gdm_core import bijections as bi
from gdm_core import devices, kept, train
from gdm_core.data.targets import Mixture
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Checkpoint, Ration
from gdm_core.models.flow import Flow, spline
from gdm_core.widgets import (
    Bars,
    Ellipses,
    Frame,
    Handles,
    Lines,
    Noise,
    Points,
    Stage,
    Timeline,
    Trainer,
    View,
    plane,
)

LAYERS, STEPS, REACH, DOTS = 5, 400, 4.0, 500
STD = 0.35  # of the target's bumps
START = ((-2.4, -1.4), (-2.2, 1.2), (-0.6, 2.4), (1.4, 2.0), (2.4, 0.2), (1.2, -2.0))


def film_flow(points: Sequence[Sequence[float]], steps: int = STEPS, device="cpu") -> tuple[Flow, Iterable]:
    """Recipe: spline couplings in the plane, on bumps around some points."""
    target = Mixture(points, STD).to(device)
    model = spline(2, LAYERS, hidden=(32, 32)).to(device)
    return model, train.steps(model, target.sample, steps=steps, batch_size=256, lr=1e-2, rate=train.falling, clip=5.0)


class Film:
    """A flow as it is shown: the noise's grid and a cloud of samples on their way, a state for each layer undone."""

    def __init__(self, flow: Flow, z: Tensor):
        self.flow = flow
        self.cloud = self.states(z)
        turns = torch.linspace(-2.4, 2.4, 13).to(z)
        along = torch.linspace(-2.4, 2.4, 49).to(z)
        across = torch.stack([turns[:, None].expand(-1, 49), along.expand(13, -1)], -1)  # (13, 49, 2)
        self.grid = self.states(torch.cat([across, across.flip(-1)]).reshape(-1, 2))

    @torch.no_grad()
    def states(self, z: Tensor) -> list[Tensor]:
        """(N, 2) as noise, after one layer is undone, ... as data."""
        return [z, *self.flow.film(z)]

    @torch.no_grad()
    def density(self, k: int, at: Tensor) -> Tensor:
        """Density of what k layers undone have made of the noise, (N,)."""
        rest = bi.Chain(self.flow.bijection.layers[LAYERS - k :])
        return Flow(2, rest).to(at).log_prob(at).exp()


def flow_film(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of five spline couplings that learn bumps around points that one drags.

    Args:
        seed: of the training and of the samples.
        device: where it is trained; see `devices.pick`.
    """
    device = devices.pick(device)
    z = Noise(seed, device)(0, DOTS, 2)
    look = lambda model: Film(model, z)
    finished = look(kept.trained(film_flow, seed=seed, device=device, points=START, steps=STEPS))
    places = torch.as_tensor(plane((-REACH, REACH) * 2, 100), dtype=z.dtype, device=device).reshape(-1, 2)
    now: dict = {}

    def make():  # on the bumps as they lie when the training starts
        now["model"], steps = film_flow(stage.state["target"], STEPS, device)
        return steps

    trainer = Trainer(
        lambda: kept.apart(make, seed, device),
        lambda _: Checkpoint(kept.frozen(now["model"]), look),
        total=STEPS,
    )
    ground, price = Ration(trainer), Ration(trainer)

    @torch.no_grad()
    def draw(controls) -> Frame:
        points = controls["target"]
        film, told = finished, f"trained {STEPS} steps, on the bumps at the start"
        if trainer.steps or trainer.running:
            snapshot = trainer.at(controls["checkpoint"])
            film, told = snapshot.state.shown, f"step {snapshot.step} of {STEPS}"
        k = controls["layer"]
        dot = torch.as_tensor(controls["point"], dtype=torch.float32, device=device)
        states = list(film.flow.states(dot))
        way = torch.cat([dot, *(x for x, _ in states)]).flip(0)  # (LAYERS + 1, 2), from noise to the point
        terms = _terms(film.flow, dot, [log_det.item() for _, log_det in states])
        target = Mixture(points.tolist(), STD).to(device)
        fresh = target.means.repeat(100, 1) + STD * Noise(seed + 1, device)(0, 100 * len(points), 2)
        index = controls["checkpoint"]
        lost = price(index, lambda: (target.log_prob(fresh) - film.flow.log_prob(fresh)).mean().item(), points.tolist())
        image = ground(index, lambda: film.density(k, places).reshape(100, 100).sqrt(), k)
        views = {
            "film": _plane(image, film, k, way[: k + 1], target.means),
            "terms": _bars(terms),
        }
        text = f"log p0(z) {terms[0]:.2f}, log|det| {sum(terms[1:-1]):.2f}: together log p(x) = {terms[-1]:.2f} nats · "
        return Frame(views, text + f"lost against these bumps: {lost:.2f} nats · {told}")

    stage = Stage(
        draw,
        [
            Handles("point", [[1.2, 0.9]], on="film", labels=["x"], color="accent"),
            Timeline("layer", LAYERS + 1, value=LAYERS, label="layers undone", fps=2),
            Handles("target", START, on="film", labels=[str(i + 1) for i in range(len(START))], color="exact"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label="training"),
        ],
        title=headers.title(__doc__),
        caption="Play the layers and drag x. Then drag the bumps and press Train: where do bridges stay? "
        "Learned: the flow. Exact: the bumps, and log p of the flow.",
        exported="Play the layers: which one parts the cloud, and where do bridges stay? "
        "Learned: the flow. Exact: the bumps, and log p of the flow.",
        source=f"from gdm_core import explorers\n\nexplorers.flow_film(seed={seed})",
        trainer=trainer,
        sampled={"layer": LAYERS + 1},
        name="flow_film",
    )
    return stage


def _terms(flow: Flow, x: Tensor, log_dets: list[float]) -> list[float]:
    """log p0 at the noise of x, the log|det| of each layer from the noise's side, and their sum."""
    base = flow.log_prob(x).item() - sum(log_dets)
    return [base, *log_dets[::-1], base + sum(log_dets)]


def _named(k: int) -> str:
    return {0: "noise", LAYERS: "data"}.get(k, f"{k} of {LAYERS} undone")


def _plane(image, film: Film, k: int, way: Tensor, bumps: Tensor) -> View:
    """The grid and the cloud after k layers, the way of the point so far, and the bumps that are to be learned."""
    marks = [Lines(line, "data", width=1, alpha=0.35) for line in film.grid[k].reshape(26, 49, 2)]
    marks.append(Points(film.cloud[k], "noise" if k == 0 else "model", size=3, alpha=0.55, label="samples"))
    spread = torch.eye(2) * STD**2
    marks.append(Ellipses(bumps, spread.expand(len(bumps), 2, 2), radii=(2.0,), color="exact", label="bumps"))
    marks.append(Lines(way, "accent", width=2.5, label="path of x"))
    marks.append(Points(way[-1:], "accent", size=10))
    look = {"colormap": "Greys", "smooth": True, "limits": (0.0, 1.0)}
    return View(image, marks, (-REACH, REACH, -REACH, REACH), _named(k), axes=True, aspect=1.0, size=1.8, **look)


def _bars(terms: list[float]) -> View:
    """Each term as a bar from where the last one ended, and the sum from zero."""
    ends = np.cumsum(terms[:-1])
    marks = [Bars([0], [terms[0]], width=0.7, color="noise", label="log p0(z)")]
    for i, term in enumerate(terms[1:-1]):
        marks.append(Bars([i + 1], [term], base=float(ends[i]), width=0.7, color="model", label="log|det|" * (i == 0)))
    marks.append(Bars([LAYERS + 1], [terms[-1]], width=0.7, color="accent", label="log p(x)"))
    low, high = min(0.0, *ends, terms[-1]), max(0.0, *ends, terms[-1])
    room = 0.12 * (high - low) + 0.1
    extent = (-0.6, LAYERS + 1.6, min(low - room, -6.0), max(high + room, 2.0))
    return View(None, marks, extent, "log p of the point", axes=("layer", "nats"), aspect=1.7, size=0.9)
