"""Guidance bench.

A denoiser leans away from a weaker one: what is drawn, what was meant, and how far apart are the two?

Dots with their exact log-density over the density that was asked for or its powered version; distance, and branches.
"""

import functools
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gdm_core import devices, guidance, ideal, kept, schedules, train
from gdm_core.data import trees
from gdm_core.data.targets import Mixture
from gdm_core.denoising import Denoise
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.models.diffusion import Diffusion
from gdm_core.schedules import cosine
from gdm_core.widgets import (
    Bars,
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
)

EXTENT, ROWS, COLUMNS = (-1.7, 3.3, -1.9, 1.9), 64, 84  # of the plane that is shown, and its pixels
DOTS, STEPS = 256, 16
TRAINED, HIDDEN, BLUR = 500, (48, 48), 1.6  # steps and units of the network; how much thicker the exact bad copy is
AWAY = ("no label", "a worse copy")


def tree_denoiser(steps: int = TRAINED, device="cpu") -> tuple[Diffusion, Iterable]:
    """Recipe: a network for both trees, told which one or not."""
    both = trees.pair()[0].to(device)
    model = Diffusion(2, predicts="edm", hidden=HIDDEN, labels=2, drop=0.1, spread=1.3).to(device)
    return model, train.steps(model, both.draw, steps=steps, batch_size=512, lr=8e-3, rate=train.falling)


def powered_by(weight: float, log_p: Tensor, log_weaker: Tensor) -> Tensor:
    """log of p^w weaker^(1 - w)."""
    return weight * log_p + (1 - weight) * log_weaker


class Bench:
    """What leans, what it leans away from, and the densities of both."""

    def __init__(self, seed: int, device):
        self.both, self.tree, _ = (p.to(device) for p in trees.pair())
        self.thick = Mixture(self.tree.means.cpu(), BLUR * self.tree.std.cpu(), self.tree.weights.cpu()).to(device)
        of = lambda p: ideal.mixture(p.means, p.std, p.weights, cosine)
        self.exact = {"asked": of(self.tree), AWAY[0]: of(self.both), AWAY[1]: of(self.thick)}
        good, bad = (kept.trained(tree_denoiser, seed=seed, device=device, steps=n) for n in (TRAINED, TRAINED // 4))
        right = lambda x: torch.zeros(len(x), dtype=torch.long, device=x.device)
        self.learned = {
            "asked": lambda x, t: good.denoise(x, t, right(x)),
            AWAY[0]: lambda x, t: good.denoise(x, t),
            AWAY[1]: lambda x, t: bad.denoise(x, t, right(x)),
        }
        self.times = schedules.times(cosine, STEPS, by="angle")
        levels = list(zip(*(a.tolist() for a in cosine(self.times))))
        self.noisy = {p: [p.noisy(sigma, alpha) for alpha, sigma in levels] for p in (self.both, self.tree, self.thick)}

    def leaning(self, exact: bool, away: str, weight: float, between: tuple[float, float]) -> Denoise:
        """Guided where the interval is not empty."""
        fields = self.exact if exact else self.learned
        if between[0] >= between[1]:
            return fields["asked"]
        return guidance.guided(fields["asked"], fields[away], weight, between=between)

    def weaker(self, away: str) -> Mixture:
        """Whose denoiser is leaned away from."""
        return self.both if away == AWAY[0] else self.thick

    def log_powered(self, x: Tensor, away: str, weight: float, k: int) -> Tensor:
        """log of p_t(x | y)^w p_t(x)^(1 - w) up to a constant at the k-th time, thick in the place of p: (N,)."""
        return powered_by(weight, self.log_noisy(self.tree, x, k), self.log_noisy(self.weaker(away), x, k))

    def log_noisy(self, tree: Mixture, x: Tensor, k: int) -> Tensor:
        """At the k-th time, (N, 2) -> (N,)."""
        return self.noisy[tree][k].log_prob(x)


def guidance_bench(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of guidance in the plane: weight, interval and what it leans away from, all densities exact.

    Args:
        seed: of the training and of the noise.
        device: where it is trained and sampled; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise, bench = Noise(seed, device), Bench(seed, device)
    flat = lambda points: torch.as_tensor(np.asarray(points), dtype=torch.float32, device=device).reshape(-1, 2)
    left, right, low, high = EXTENT
    middles = lambda n: (torch.arange(n, device=device) + 0.5) / n
    pixels = torch.cartesian_prod(high - (high - low) * middles(ROWS), left + (right - left) * middles(COLUMNS)).flip(1)
    area = (right - left) * (high - low) / len(pixels)
    tree = trees.pair()[1]
    meant = trees.branches(tree.sample(50_000, torch.Generator().manual_seed(0)), tree).numpy()

    @functools.lru_cache(maxsize=3 * (STEPS + 1))  # a weight that moves leaves both densities as they are
    def log_ground(tree: Mixture, k: int) -> Tensor:
        return bench.log_noisy(tree, pixels, k)

    @functools.lru_cache(maxsize=16)  # the timeline goes through one run
    def run(presses: int, start: tuple, *settings) -> tuple[Tensor, Tensor, Tensor]:
        """States (STEPS + 1, DOTS + 1, 2), the dots' last log-density (DOTS,), log q_t / p_t (STEPS + 1, DOTS)."""
        e = torch.cat([noise(presses, DOTS, 2), flat(start)])
        states, log_q = zip(*guidance.traced(bench.leaning(*settings), cosine, e, bench.times))
        states, log_q = torch.stack(states), torch.stack(log_q)[:, :DOTS]
        log_p = torch.stack([bench.log_noisy(bench.tree, x, k) for k, x in enumerate(states[:, :DOTS])])
        return states, log_q[-1], log_q - log_p

    @torch.no_grad()
    def draw(controls) -> Frame:
        weight, away, k = controls["weight"], controls["away"], controls["t"]
        between = controls["low"], controls["high"]
        settings = controls["exact"], away, weight, between
        states, log_q, off = run(controls["new noise"], tuple(controls["start"][0]), *settings)
        dots = states[-1, :DOTS]
        kl, error = off.mean(1).cpu().numpy(), off.std(1).cpu().numpy() / math.sqrt(DOTS)
        power = lambda k: powered_by(weight, log_ground(bench.tree, k), log_ground(bench.weaker(away), k))
        log_z = power(STEPS).logsumexp(0).item() + math.log(area)
        powered = (log_q - bench.log_powered(dots, away, weight, STEPS)).mean().item() + log_z
        ground = power(k) if controls["powered"] else log_ground(bench.tree, k)
        share = trees.branches(dots, bench.tree).cpu().numpy()
        views = {
            "plane": _plane(ground, states[: k + 1], controls["powered"]),
            "distance": _distances(bench.times.numpy(), kl, error, k),
            "branches": _branches(meant, share),
        }
        shaded = "the powered density" if controls["powered"] else "what was meant"
        views["plane"].label = f"t = {bench.times[k].item():.2f}, shaded: {shaded}"
        entropy = lambda p: -float((p * np.log(np.maximum(p, 1e-12))).sum())
        text = f"KL(drawn ‖ meant) {said(float(kl[-1]))} ± {said(2 * float(error[-1]))} nats, "
        text += f"to the powered density {said(powered)} · "
        text += f"entropy of the branch {said(entropy(share))} nats, meant {said(entropy(meant))} · "
        return Frame(views, text + _how(weight, between))

    return Stage(
        draw,
        [
            Handles("start", [[0.6, 0.8]], on="plane", labels=["ε"], color="accent"),
            Slider("weight", 0.0, 5.0, 2.0, step=0.1, label="weight w"),
            Choice("away", list(AWAY), label="lean away from"),
            Slider("low", 0.0, 1.0, 0.0, step=0.05, label="guided from t ="),
            Slider("high", 0.0, 1.0, 1.0, step=0.05, label="to t ="),
            Toggle("exact", False, label="exact denoisers"),
            Toggle("powered", False, label="shade the powered density"),
            Timeline("t", STEPS + 1, value=STEPS, label="noise to data", fps=8),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Raise w: which branches empty first? Then narrow the interval, or lean away from a worse copy. "
        "Exact: the shaded density. Learned: the denoisers, unless you choose the exact ones.",
        exported="Raise w, and play from noise to data: which branches empty first? "
        "Exact: the shaded density. Learned: the denoisers.",
        source=f"from gdm_core import explorers\n\nexplorers.guidance_bench(seed={seed})",
        sampled={"weight": 6, "t": 9},
        name="guidance_bench",
    )


def _how(weight: float, between: tuple[float, float]) -> str:
    if between[0] >= between[1]:
        return "the interval is empty: no guidance"
    if weight == 1:
        return "w = 1: no guidance"
    return "guided at every t" if between == (0, 1) else f"guided for t from {between[0]:.2f} to {between[1]:.2f}"


def _plane(log_p: Tensor, states: Tensor, powered: bool) -> View:
    """A density as ground, dots, the ways of some and of the one that is followed."""
    image = (log_p - log_p.max()).exp().reshape(ROWS, COLUMNS).sqrt()
    x = states.cpu().numpy()
    marks = [Lines(x[:, i], "model", width=1, alpha=0.45) for i in range(12)]
    marks.append(Points(x[-1, :DOTS], "model" if len(x) > 1 else "noise", size=4, alpha=0.7, label="drawn"))
    marks += [Lines(x[:, -1], "accent", width=2.5), Points(x[-1:, -1], "accent", size=10)]
    look = {"colormap": "Purples" if powered else "Greens", "smooth": True, "limits": (0.0, 1.5)}
    return View(image, marks, EXTENT, axes=False, size=2.0, **look)


def _distances(t: np.ndarray, kl: np.ndarray, error: np.ndarray, k: int) -> View:
    """KL of the dots' density to the one that was meant, at each t, with two standard errors."""
    top = max(0.5, 1.15 * float((kl + 2 * error).max()))
    band = [np.stack([t, kl + sign * 2 * error], 1) for sign in (-1, 1)]
    marks = [Lines(band, "model", width=1, alpha=0.5, dash=True)]
    marks += [
        Lines(np.stack([t, kl], 1), "model", label="KL(drawn ‖ meant)"),
        Points([[t[k], kl[k]]], "accent", size=12),
    ]
    return View(None, marks, (1, 0, min(0.0, float(kl.min()) - 0.05), top), "KL at each t", axes=("t", "nats"))


def _branches(meant: np.ndarray, share: np.ndarray) -> View:
    """Share of each branch: trunk, two boughs, four twigs."""
    places = np.arange(len(meant), dtype=float)
    top = max(0.5, 1.1 * float(max(meant.max(), share.max())))
    marks = [
        Bars(places - 0.2, meant, 0.38, color="exact", label="meant"),
        Bars(places + 0.2, share, 0.38, color="model", label="drawn"),
    ]
    return View(None, marks, (-0.6, len(meant) - 0.4, 0, top), "trunk, boughs, twigs", axes=("branch", "share"))
