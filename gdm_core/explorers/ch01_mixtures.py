"""EM by hand.

Which starts lead EM to a good optimum, and which to a bad one?

Drag a start, scrub EM from it, and see the bound part from the likelihood and touch it again.
"""

from collections import OrderedDict

import numpy as np
import sklearn.cluster  # noqa: F401 - or the first press of k-means++ would wait a second for it
import torch

from gdm_core import colors, devices
from gdm_core.explorers import headers
from gdm_core.explorers.em_run import ITERATIONS, Run, features, lower, natural
from gdm_core.explorers.read_outs import said
from gdm_core.kept import own_draws
from gdm_core.models.gmm import GMM
from gdm_core.validate import integer
from gdm_core.widgets import Button, Ellipses, Frame, Gaussians, Lines, Points, Stage, Text, Timeline, Toggle, View

EXTENT = (-4.0, 4.0, -3.6, 3.6)
ROUND = 8.0 / 7.2  # aspect at which a circle is one
DEEPEST = 3.0  # nats below the truth, the deepest that the road shows: a far start would flatten all
COLORS = colors.rgb(*colors.COMPONENTS[:3])
BAD = [[-1.6, 1.6], [-1.2, 1.2], [1.2, -0.4]]
COPIES = [[0.2, 0.3]] * 3
LESSON = "each E step lifts the bound to the likelihood; each M step raises both and opens a gap. All is exact."


def world() -> GMM:
    """Three tilted blobs: the truth of lecture 1, with separations at which EM has to work."""
    truth = GMM(3, 2).double()
    return truth.set(
        torch.tensor([0.5, 0.3, 0.2]),
        torch.tensor([[-1.0, 0.6], [1.4, 1.2], [0.8, -1.6]]),
        torch.tensor([[[0.7, 0.45], [0.45, 0.5]], [[0.5, -0.35], [-0.35, 0.4]], [[0.9, 0.1], [0.1, 0.12]]]),
    )


def mixtures(points: int = 300, seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of EM on three Gaussians.

    Args:
        points: number of examples, drawn from known blobs.
        seed: of the examples.
        device: where EM runs; see `devices.pick`.
    """
    device, truth = devices.pick(device, double=True, small=True), world()
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
        m, e = run.at(half)
        likelihood, bound = run.likelihood[m].item(), run.bound[m + e].item()
        shade = run.q[e].T @ palette if controls["responsibilities"] else "data"
        marks = [Points(dots, shade, size=6, alpha=0.8), *_present(run.means[m], run.covs[m])]
        if controls["truth"]:
            marks.append(_truth(truth))
        warning = run.error if m == run.last else ""
        views = {
            "data": View(None, marks, EXTENT, f"{len(dots)} examples", warning=warning, aspect=ROUND, size=3.0),
            "road": _road(run, half, ceiling),
            "slice": _slice(x, run, half),
        }
        low = likelihood < ceiling
        text = (
            f"log-likelihood {said(likelihood, 3)} nats per example, {said(abs(ceiling - likelihood), 3)} "
            f"{'below' if low else 'above'} the truth · bound {said(bound, 3)} · "
            f"gap = KL(q ‖ posterior) {said(likelihood - bound, 4)} · {_done(m, e)} · truth {said(ceiling, 3)}"
        )
        return Frame(views, text)

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
            Timeline("step", 2 * ITERATIONS + 2, label="half-steps of EM", fps=4),
            Button("k-means++", kmeans, label="k-means++ start"),
            Button("bad", placed(BAD), label="bad start"),
            Button("copies", placed(COPIES), label="three copies"),
            Toggle("responsibilities", True, label="color by responsibility"),
            Toggle("truth", False, label="show the truth"),
        ],
        title=headers.title(__doc__),
        caption=f"Drag the three starting ellipses, then play EM: {LESSON}",
        exported=f"Play EM: {LESSON}",
        source=f"from gdm_core import explorers\n\nexplorers.mixtures(points={points}, seed={seed})",
        sampled={"step": 2 * ITERATIONS + 2, "k-means++": 2},
        name="mixtures",
    )


def _done(m: int, e: int) -> str:
    """Where EM is, in words."""
    if not e:
        return "before the first E step, q = 1/3 for all"
    return f"after {e} E step{'s' * (e != 1)} and {m} M step{'s' * (m != 1)}"


def _present(means: torch.Tensor, covs: torch.Tensor) -> list:
    """The components as they are now; of those that coincide all are seen, one within the other."""
    same = (means[:, None] - means).abs().amax(-1) + (covs[:, None] - covs).abs().amax((-1, -2)) < 0.02  # (K, K)
    under = same.triu(1).sum(1).tolist()  # how many will lie over each
    marks = [
        Ellipses(means[k, None], covs[k, None], radii=(2.0,), color=COLORS[k, None], width=3.5 + 5 * under[k])
        for k in range(len(means))
    ]
    for k, together in enumerate(same.tolist()):
        if sum(together) > 1 and together.index(True) == k:
            names = " = ".join(str(j + 1) for j, one in enumerate(together) if one)
            marks.append(Text(means[k, None] - means.new_tensor([0.0, 0.35]), [names], size=16))  # below the knobs
    key = lambda label, **look: Lines(np.zeros((0, 2)), label=label, **look)
    return [*marks, key("start", color="data", width=2, dash=True), key("now", color="data", width=3.5)]


def _truth(truth: GMM) -> Lines:
    """Two standard deviations of the blobs, as of the components."""
    turn = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
    circle = 2.0 * torch.stack([turn.cos(), turn.sin()], 1)
    rings = truth.means[:, None] + circle @ torch.linalg.cholesky(truth.covariances).mT
    return Lines(rings.detach().numpy(), "exact", width=2.5, label="truth")


def _road(run: Run, half: int, ceiling: float) -> View:
    """Log-likelihood and bound, half-step by half-step, on an axis that holds the start and the truth."""
    likelihood, bound = run.likelihood.repeat_interleave(2).cpu().numpy(), run.bound.cpu().numpy()
    t, half = np.arange(len(bound)), sum(run.at(half))
    low, high = max(likelihood.min(), ceiling - DEEPEST), max(likelihood.max(), ceiling)
    room = 0.08 * (high - low)
    floor = low - room
    curve = lambda values: np.stack([t, np.maximum(values, floor)], 1)
    marks = [
        Lines([[0, ceiling], [t[-1], ceiling]], "exact", width=2, dash=True, label="truth"),
        Lines(curve(likelihood), "model", label="log-likelihood"),
        Lines(curve(bound), "latent", width=2, label="bound"),
        *_gap(half, *(max(v[half], floor) for v in (likelihood, bound))),
    ]
    if bound[0] < floor:
        marks.append(Text([[2.0, floor + room]], [f"bound {said(bound[0])}"], "latent", anchor="left"))
    extent = (-1, 2 * ITERATIONS + 2, floor, high + room)
    return View(None, marks, extent, "likelihood and bound", axes=("half-step", "nats"), size=0.8)


def _gap(x: float, likelihood: float, bound: float, label: str = "") -> list:
    """Where one is on both curves, and what lies between."""
    return [
        Lines([[x, bound], [x, likelihood]], "accent", width=5, label=label),
        Points([[x, likelihood]], "model", size=11),
        Points([[x, bound]], "latent", size=8),
    ]


def _slice(x: torch.Tensor, run: Run, half: int) -> View:
    """Log-likelihood and bound along the straight way that an M step takes: the one just done, or the one to come.

    The height is that of the climb, or of a few gaps: seen from farther away bound and likelihood are one curve.
    """
    m, e = run.at(half)
    start = min(m if e > m or not e else m - 1, max(run.last - 1, 0))
    target, here = min(start + 1, run.last), float(m > start)
    t = torch.linspace(-0.5, 2.0, 81, dtype=x.dtype, device=x.device)
    mix = lambda p: p[start] + t.reshape(-1, *[1] * (p.ndim - 1)) * (p[target] - p[start])
    weights, means, covs = mix(run.weights), mix(run.means), mix(run.covs)
    valid = (weights > 0).all(1) & (torch.linalg.eigvalsh(covs)[..., 0] > 1e-6).all(1)
    joint = natural(weights[valid], means[valid], covs[valid]) @ features(x)  # (V, K, N)
    likelihood, bound = joint.logsumexp(1).mean(1).cpu().numpy(), lower(joint, run.q[e]).cpu().numpy()
    t = t[valid].cpu().numpy()
    now, climb = np.abs(t - here).argmin(), (t > -0.01) & (t < 1.01)
    high, gap = likelihood[climb].max(), likelihood[now] - bound[now]
    span = high - min(likelihood[climb].min(), bound[climb].min())
    if m == e and gap > 1e-6:
        span = min(span, 6 * gap)
    span = max(span, 1e-6)
    floor, top = high - 1.35 * span, high + 0.25 * span
    curve = lambda values: np.stack([t, values], 1)
    marks = [
        Lines(curve(likelihood), "model"),
        Lines(curve(bound), "latent", width=2),
        *_gap(t[now], likelihood[now], bound[now], "gap = KL(q ‖ posterior)"),
    ]
    label = "close-up of the M step, q held fixed" if e else "before the first E step"
    return View(None, marks, (-0.5, 2.0, floor, top), label, axes=("0: before the M step, 1: after it", "nats"))
