"""EM by hand.

Which starts lead EM to a good optimum, and which to a bad one?

Drag a start, scrub EM from it, and see the bound touch the likelihood.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from gdm_core import colors, devices
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.kept import own_draws
from gdm_core.models.gmm import GMM
from gdm_core.validate import integer
from gdm_core.widgets import Button, Ellipses, Frame, Gaussians, Lines, Points, Stage, Text, Timeline, Toggle, View

EXTENT = (-4.0, 4.5, -3.4, 3.4)
ITERATIONS = 30
COLORS = colors.rgb(*colors.CYCLE[:3])  # one a component, as the ellipses
BAD = [[-1.6, 1.6], [-1.2, 1.2], [1.2, -0.4]]
COPIES = [[0.2, 0.3]] * 3


def world() -> GMM:
    """Three tilted blobs: the truth of lecture 1, with separations at which EM has to work."""
    truth = GMM(3, 2).double()
    return truth.set(
        torch.tensor([0.5, 0.3, 0.2]),
        torch.tensor([[-1.0, 0.6], [1.4, 1.2], [0.8, -1.6]]),
        torch.tensor([[[0.7, 0.45], [0.45, 0.5]], [[0.5, -0.35], [-0.35, 0.4]], [[0.9, 0.1], [0.1, 0.12]]]),
    )


class Run:
    """EM from one start: parameters after each iteration, and the error that ended it early, if one did."""

    def __init__(self, x: torch.Tensor, means: np.ndarray, covs: np.ndarray):
        model, k = GMM(len(means), 2).to(x), len(means)
        model.set(torch.full((k,), 1 / k), torch.from_numpy(means), torch.from_numpy(covs))
        self.error, states = "", [_parameters(model)]
        try:
            for _ in model.em(x, ITERATIONS):
                states.append(_parameters(model))
        except ValueError as error:
            self.error = str(error)
        self.weights, self.means, self.covs = (torch.stack(p) for p in zip(*states))  # (T, K ...)
        joint = _log_joint(x, self.weights, self.means, self.covs)  # (N, T, K)
        self.likelihood = joint.logsumexp(-1).mean(0)  # (T,) nats per example
        self.q = joint.softmax(-1)  # (N, T, K): the E step at each state
        after = joint[:, 1:] - self.q[:, :-1].log().nan_to_num(neginf=0.0)
        self.bound = (self.q[:, :-1] * after).sum(-1).mean(0)  # (T - 1,): q of a state, parameters of the next

    @property
    def last(self) -> int:
        """Number of the last state."""
        return len(self.means) - 1

    def at(self, half: int) -> tuple[int, int]:
        """After so many half-steps: how many M steps are done, and at which state q was last computed."""
        return min((half + 1) // 2, self.last), min(half // 2, self.last)


def mixtures(points: int = 300, seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of EM on three Gaussians.

    Args:
        points: number of examples, drawn from known blobs.
        seed: of the examples.
        device: where EM runs; see `devices.pick`.
    """
    device, truth = devices.pick(device, double=True), world()
    with own_draws(integer("seed", seed, low=0)):
        x = truth.sample(integer("points", points, low=10, high=2000))
    dots, ceiling = x.numpy(), truth.log_prob(x).mean().item()
    x, palette = x.to(device), torch.from_numpy(COLORS).to(device)
    runs: OrderedDict[bytes, Run] = OrderedDict()

    def run_of(start) -> Run:
        key = start.means.tobytes() + start.covs.tobytes()
        if key not in runs:
            runs[key] = Run(x, start.means, start.covs)
            if len(runs) > 64:
                runs.popitem(last=False)
        return runs[key]

    def draw(controls) -> Frame:
        run, half = run_of(controls["start"]), controls["step"]
        at, before = run.at(half)
        likelihood = run.likelihood[at].item()
        bound = run.bound[before].item() if at != before else likelihood
        shade = run.q[:, before] @ palette if controls["responsibilities"] else "data"
        marks = [Points(dots, shade, size=6, alpha=0.8)]
        marks.append(Ellipses(run.means[at], run.covs[at], radii=(2.0,), width=3.5))
        if controls["truth"]:
            marks.append(_truth(truth))
        warning = run.error if run.error and half >= 2 * run.last else ""
        data = View(None, marks, EXTENT, "data, start, present state", warning=warning, size=3.0)
        steps = f"{at} M step{'s' * (at != 1)}, {before + 1} E step{'s' * (before != 0)}"
        text = (
            f"log-likelihood {said(likelihood, 3)}, truth {said(ceiling, 3)} nats per example · "
            f"bound {said(bound, 3)}, gap = KL(q ‖ posterior) {said(likelihood - bound, 4)} · {steps}"
        )
        return Frame({"data": data, "road": _road(run, half), "slice": _slice(x, run, half)}, text)

    def kmeans(controls) -> dict:
        with own_draws(seed + controls["k-means++"], device):
            model = GMM(3, 2).to(x).start(x)
        return {"start": tuple(p.detach().cpu().numpy() for p in (model.means, model.covariances)), "step": 0}

    def placed(means):
        return lambda controls: {"start": (np.array(means, float), np.stack([0.5 * np.eye(2)] * 3)), "step": 0}

    start = Gaussians("start", BAD, [0.5 * np.eye(2)] * 3, on="data", smallest=0.08)
    return Stage(
        draw,
        [
            start,
            Timeline("step", 2 * ITERATIONS + 1, label="half-steps of EM", fps=4),
            Button("k-means++", kmeans, label="k-means++ start"),
            Button("bad", placed(BAD), label="bad start"),
            Button("copies", placed(COPIES), label="three copies"),
            Toggle("responsibilities", True, label="color by responsibility"),
            Toggle("truth", False, label="show the truth"),
        ],
        title=headers.title(__doc__),
        caption="Drag the start, then scrub through EM. The bound touches after each E step and rises in each M step.",
        exported="Scrub through EM. The bound touches after each E step and rises in each M step.",
        source=f"from gdm_core import explorers\n\nexplorers.mixtures(points={points}, seed={seed})",
        sampled={"step": 2 * ITERATIONS + 1, "k-means++": 2},
        name="mixtures",
    )


def _truth(truth: GMM) -> Lines:
    """Two standard deviations of the blobs, as of the components."""
    turn = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
    circle = 2.0 * torch.stack([turn.cos(), turn.sin()], 1)
    rings = truth.means[:, None] + circle @ torch.linalg.cholesky(truth.covariances).mT
    return Lines(rings.detach().numpy(), "data", width=2.5, dash=True, label="truth")


def _road(run: Run, half: int) -> View:
    """Log-likelihood and bound, half-step by half-step."""
    likelihood = np.repeat(run.likelihood.cpu().numpy(), 2)[1:]  # 0 | M1 E1 | M2 E2 ...: changes at M
    bound = likelihood.copy()
    bound[1::2] = run.bound.cpu().numpy()
    end = 2 * run.last
    t, half = np.arange(end + 1), min(half, end)
    low, high = bound[min(3, end)], likelihood.max()  # from the second M step on: a far start would flatten all
    room = max(0.12 * (high - low), 0.01)
    floor = low - room
    curve = lambda values: np.stack([t, np.maximum(values, floor)], 1)
    marks = [
        Lines(curve(likelihood), "exact", label="log-likelihood"),
        Lines(curve(bound), "noise", width=2, label="bound"),
        Points([curve(likelihood)[half]], "exact", size=10),
        Points([curve(bound)[half]], "noise", size=10),
    ]
    if likelihood[0] < floor:
        marks.append(Text([[4.0, low - 0.45 * room]], [f"start {said(likelihood[0])}"], "exact", anchor="left"))
    extent = (-1, 2 * ITERATIONS + 1, floor, high + room)
    return View(None, marks, extent, "the road", axes=("half-step", "nats"), size=0.8)


def _slice(x: torch.Tensor, run: Run, half: int) -> View:
    """Log-likelihood and bound along the straight way from the parameters of the last E step to its M step.

    Once EM has ended there is no such way: along the last one, then, with the q of the E step at its end.
    """
    at, before = run.at(half)
    ended = before == run.last
    start = max(before - 1, 0) if ended else before
    target, here = min(start + 1, run.last), 1.0 if ended or at != before else 0.0
    t = torch.linspace(-0.5, 2.0, 41, dtype=x.dtype, device=x.device)
    mix = lambda p: p[start] + t.reshape(-1, *[1] * (p.ndim - 1)) * (p[target] - p[start])
    weights, means, covs = mix(run.weights), mix(run.means), mix(run.covs)
    valid = (weights > 0).all(1) & (torch.linalg.eigvalsh(covs)[..., 0] > 1e-6).all(1)
    joint = _log_joint(x, weights[valid], means[valid], covs[valid])  # (N, T, K)
    q = run.q[:, before, None]
    likelihood = joint.logsumexp(-1).mean(0).cpu().numpy()
    bound = (q * (joint - q.log().nan_to_num(neginf=0.0))).sum(-1).mean(0).cpu().numpy()
    t = t[valid].cpu().numpy()
    now = np.abs(t - here).argmin()
    low = min(likelihood[now], bound[now], likelihood[0], likelihood[-1])
    span = max(likelihood.max() - low, 1e-3)
    letters = ["E"] if ended else ["E", "M"]
    places = [[float(v), low - 0.22 * span] for v in ((1,) if ended else (0, 1))]
    marks = [
        Lines(np.stack([t, likelihood], 1), "exact", label="log-likelihood"),
        Lines(np.stack([t, bound], 1), "noise", width=2, label="bound with q held"),
        Points([[t[now], likelihood[now]]], "exact", size=10),
        Points([[t[now], bound[now]]], "noise", size=10),
        Text(places, letters, size=16),
    ]
    extent = (-0.5, 2.0, low - 0.35 * span, likelihood.max() + 0.15 * span)
    ends = "0: before it, 1: now, after E" if ended else "0: after E, 1: after M"
    label = "along the last step, nats" if ended else "along this step, nats"
    return View(None, marks, extent, label, axes=(ends, ""))


def _parameters(model: GMM) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(p.detach().clone() for p in (model.weights, model.means, model.covariances))


def _log_joint(x, weights, means, covs) -> torch.Tensor:
    """log p(x, z = k) for many mixtures at once.  x: (N, 2), weights: (T, K) -> (N, T, K)."""
    return weights.log() + MultivariateNormal(means, covs).log_prob(x[:, None, None])
