"""Two-sample bench.

Which differences does a statistic see, and with how many examples?

Two clouds to drag and to stretch, a statistic among its values under exchanged labels, and where it sees more of x.
"""

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gdm_core import data, devices, two_sample
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.widgets import (
    Bars,
    Button,
    Choice,
    Frame,
    Gaussians,
    Lines,
    Noise,
    Points,
    Slider,
    Stage,
    Text,
    View,
    plane,
)

LIMIT = 4.0
EXCHANGES = 199
CELLS, BINS = 64, 30
STARTS = [[0.0, 0.0], [0.0, 0.0]]
SHAPES = ("a ring", "one Gaussian")
STATISTICS = ("means", "energy", "MMD")


class Cloud:
    """A Gaussian, or a ring of eight with the same mean and covariance; x = mean + L u, u of unit covariance."""

    def __init__(self, mean, cov, ring: bool, device):
        self.mean = torch.as_tensor(mean, device=device)
        self.tril = torch.linalg.cholesky(torch.as_tensor(cov, device=device))
        self.ring = data.toy.target("eight_gaussians").double().to(device) if ring else None
        self.unit = (4.5 + 0.3**2) ** 0.5  # standard deviation of that ring, radius 3 and 0.3 wide, along each axis

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """(n, 2) from noise (n, 2) and (n,)."""
        if self.ring is not None:
            normal = (self.ring.means[(8 * uniform).long()] + self.ring.std[0] * normal) / self.unit
        return self.mean + normal @ self.tril.T

    def log_prob(self, t: Tensor) -> Tensor:
        """(B, 2) -> (B,) nats."""
        if self.ring is None:
            return MultivariateNormal(self.mean, scale_tril=self.tril, validate_args=False).log_prob(t)
        u = torch.linalg.solve_triangular(self.tril, (t - self.mean).T, upper=False).T * self.unit
        return self.ring.log_prob(u) + 2 * np.log(self.unit) - self.tril.diagonal().log().sum()


def bench(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of two samples in the plane: statistic, permutation distribution, p-value, witness.

    Args:
        seed: of the samples and of the exchanges.
        device: where they are drawn and tested; see `devices.pick`.
    """
    device = devices.pick(device, double=True)
    noise = Noise(seed, device)
    grid = torch.as_tensor(plane(LIMIT, CELLS), dtype=torch.float64, device=device).reshape(-1, 2)

    @torch.no_grad()
    def draw(controls) -> Frame:
        means, covs = controls["clouds"]
        shapes = controls["shape"] == SHAPES[0], False
        p, q = (Cloud(m, c, ring, device) for m, c, ring in zip(means, covs, shapes))
        n, press = controls["n"], controls["new samples"]

        def drawn(many: int):
            normal, uniform = noise(press, 2, many, 2), noise(press, 2, many, uniform=True)
            return [cloud.draw(normal[i].double(), uniform[i]) for i, cloud in enumerate((p, q))]

        x, y = (sample[:n] for sample in drawn(300))
        h = controls["width"]
        kinds = {"means": two_sample.means, "energy": two_sample.energy, "MMD": two_sample.mmd((h,), relative=False)}
        exchanges = torch.Generator().manual_seed(seed + press)
        test = two_sample.test(x, y, kinds[controls["statistic"]], permutations=EXCHANGES, generator=exchanges)
        sees = _witness(x, y, grid, controls["statistic"], h).reshape(CELLS, CELLS)
        size = max(sees.abs().max().item(), 1e-9)
        marks = [Points(y, "model", size=5, label="y, of q"), Points(x, "data", size=5, label="x, of p")]
        clouds = View(
            sees,
            marks,
            (-LIMIT, LIMIT) * 2,
            "witness: more x is purple, more y orange",
            "PuOr",
            (-size, size),
            smooth=True,
            size=1.4,
        )
        ratio = torch.cat([sign * (p.log_prob(t) - q.log_prob(t)) for sign, t in zip((1, -1), drawn(2000))])
        best = (1 + ratio.sign().mean().item()) / 2  # where both are equal D* guesses
        text = (
            f"p-value {test.p:.3f}: difference {'seen' if test.p <= 0.05 else 'not seen'} at 5 % · "
            f"T = {said(test.value, 4)} of {n} and {n} examples · "
            f"the exact D* is right for {best:.2f} of 4,000 new ones"
        )
        return Frame({"clouds": clouds, "null": _null(test)}, text)

    def placed(means, stds):
        return lambda controls: {"clouds": (np.array(means, float), np.stack([s**2 * np.eye(2) for s in stds]))}

    start = Gaussians(
        "clouds", STARTS, [2.0 * np.eye(2), 2.0 * np.eye(2)], on="clouds", labels=("p", "q"), smallest=0.2
    )
    return Stage(
        draw,
        [
            start,
            Choice("statistic", list(STATISTICS), "MMD"),
            Choice("shape", list(SHAPES), label="p is"),
            Slider("n", 10, 300, 100, 10, label="examples of each"),
            Slider("width", 0.1, 4.0, 0.5, log=True, label="width h of MMD's kernel"),
            Button("new samples"),
            Button("same", placed(STARTS, (2**0.5, 2**0.5)), label="equal moments"),
            Button("shift", placed([[-0.3, 0.0], [0.3, 0.0]], (2**0.5, 2**0.5)), label="a shift"),
        ],
        title=headers.title(__doc__),
        caption="Change the statistic: which ones see the difference? Then drag and stretch p and q. "
        "Exact: both densities and the best classifier D*. Sampled: the rest.",
        exported="Change the statistic and the number of examples: which tests see the difference? "
        "Exact: both densities and the best classifier D*. Sampled: the rest.",
        source=f"from gdm_core import explorers\n\nexplorers.bench(seed={seed})",
        sampled={"width": 5, "n": 4, "statistic": 3},
        name="bench",
    )


def _witness(x: Tensor, y: Tensor, t: Tensor, statistic: str, h: float) -> Tensor:
    """The function whose mean over x less that over y the statistic takes, at t (B, 2) -> (B,)."""
    if statistic == "MMD":
        return two_sample.witness(x, y, h)(t)
    if statistic == "energy":
        return torch.cdist(t, y).mean(1) - torch.cdist(t, x).mean(1)
    away = x.mean(0) - y.mean(0)
    return (t - (x.mean(0) + y.mean(0)) / 2) @ away / away.norm().clamp_min(1e-12)


def _null(test: two_sample.Outcome) -> View:
    """Histogram of the statistic under exchanged labels, what one in twenty passes, and what came."""
    null = test.null.numpy()
    low, high = min(null.min(), test.value), max(null.max(), test.value)
    room = 0.06 * max(high - low, 1e-9)
    edges = np.linspace(low - room, high + room, BINS + 1)
    count, top = np.histogram(null, edges)[0], 0.0
    top = 1.3 * count.max()
    limit = float(np.sort(null)[int(0.95 * len(null))])
    upright = lambda at, height: [[at, 0.0], [at, height * top]]
    side = "right" if test.value > (low + high) / 2 else "left"
    marks = [
        Bars((edges[1:] + edges[:-1]) / 2, count, edges[1] - edges[0], color="noise", label="labels exchanged"),
        Lines(upright(limit, 0.75), "noise", width=2, dash=True, label="1 in 20 is above"),
        Lines(upright(test.value, 0.85), "accent", width=4),
        Text([[test.value, 0.93 * top]], [f"T, p-value {test.p:.3f}"], "accent", anchor=side),
    ]
    extent = (edges[0], edges[-1], 0, top)
    return View(None, marks, extent, "T under exchanged labels", axes=("T", "exchanges"), aspect=1.2)
