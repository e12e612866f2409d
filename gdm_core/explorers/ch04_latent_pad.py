"""The latent pad.

What lies between the digits, and what outside of them?

A plane of latents, the decoder under the pointer, the codes of all pictures; trained while one drags.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gdm_core import colors, devices, likelihoods, networks, train
from gdm_core.data import Dataset, strokes
from gdm_core.explorers import class_names, headers
from gdm_core.explorers.learning import Learned
from gdm_core.explorers.read_outs import place, said
from gdm_core.explorers.style_vaes import DATASETS, REAL
from gdm_core.models.vae import VAE
from gdm_core.nats import LOG_2PI
from gdm_core.validate import choice
from gdm_core.widgets import (
    BrowserDecoder,
    Button,
    Choice,
    Frame,
    Lines,
    Noise,
    Pad,
    Points,
    Stage,
    View,
    atypical,
    plane,
    shell,
)

LIMIT = 4.0
BOARD = 15  # decoded pictures a side
CODES = 1000  # pictures whose codes are shown
GROUNDS = ("codes", "decoded pictures", "all codes against the prior")
DRAW, NEAREST = "a draw", "nearest picture"  # what can be shown beside the mean
SIGNS = "purple: more codes than the prior expects · brown: fewer; within the circles, holes"
KNOWN = "Learned: the picture and the codes. Exact: the prior and its circles."
STEADY = {"variant": 0, "slant": 0.15, "thickness": 3.2}  # two latents are few: these factors of strokes are held


@functools.lru_cache(maxsize=4)
def pictures(dataset: str, device: str | torch.device = "cpu") -> Dataset:
    """What is learned: drawn digits of one hand's slant and thickness, or the first training pictures of a real set."""
    if dataset == "strokes":
        return strokes.sample(2500, device=device, **STEADY)
    return REAL[dataset](n=None if dataset == "digits" else 5000, device=device)


def picture_vae(dataset: str, steps: int = 1500, device="cpu") -> tuple[VAE, Iterable]:
    """Recipe: two latents, smooth networks, Gaussian pixels around a mean in [0, 1]."""
    x = pictures(dataset, device).x
    pixels = x[0].numel()
    decoder = nn.Sequential(
        networks.mlp(2, (64, 128), pixels, nn.SiLU), nn.Sigmoid(), nn.Unflatten(1, (1, *x.shape[1:]))
    )
    encoder = networks.MLPEncoder(x.shape[1:], 4, (128, 64), activation=nn.SiLU)
    noise = likelihoods.Gaussian(0.2 if pixels < 100 else 0.4, learn=None)  # so that all codes fill about the prior
    model = VAE(x.shape[1:], 2, likelihood=noise, encoder=encoder, decoder=decoder).to(device)
    return model, train.steps(model, x, steps=steps, batch_size=64, lr=3e-3, rate=train.falling)


@dataclass(frozen=True, eq=False)
class Map:
    """A model and where it puts the pictures: means and standard deviations (N, 2) of q(z | x)."""

    model: VAE
    mean: Tensor
    std: Tensor

    def log_marginal(self, z: Tensor) -> Tensor:
        """log q(z), the average of all q(z | x_n).  (..., 2) -> (...) nats."""
        weight = self.std**-2
        slopes = torch.cat([self.mean * weight, -0.5 * weight], 1)  # (N, 4), of z and of its square
        level = -0.5 * (self.mean.square() * weight).sum(1) - self.std.log().sum(1)
        each = torch.cat([z, z.square()], -1) @ slopes.T + level  # (..., N)
        peak = each.amax(-1, keepdim=True)
        # A code too far away to matter would become a subnormal number, on which a processor spends ten times as long.
        share = each.sub_(peak).clamp_(min=-60).exp_().mean(-1)
        return share.log() + peak[..., 0] - LOG_2PI

    @functools.cached_property
    def thin(self) -> float:
        """log q(z) that only one code in a hundred falls below."""
        mean, std = self.mean[::3], self.std[::3]
        z = mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(mean)
        return self.log_marginal(z).quantile(0.01).item()

    @functools.cached_property
    def board(self) -> Tensor:
        """Decoded pictures on a grid of the plane, dark on light, one image."""
        z = self.mean.new_tensor(plane(LIMIT, BOARD))
        x = nn.functional.pad(self.model.decode(z).mean[:, :, 0], (0, 1, 0, 1))  # (rows, columns, H + 1, W + 1)
        return 1 - x.permute(0, 2, 1, 3).reshape(BOARD * x.shape[2], -1)

    @functools.cached_property
    def surplus(self) -> Tensor:
        """log q(z) - log p(z) over the plane: below zero the prior expects more codes than there are."""
        z = self.mean.new_tensor(plane(LIMIT, 80))
        prior = -0.5 * z.square().sum(-1) - LOG_2PI
        return torch.stack([self.log_marginal(row) for row in z]).sub(prior).clamp(-4, 4)


def latent_pad(dataset: str = "strokes", seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of a VAE with two latents.

    Args:
        dataset: "strokes" (drawn 28x28 digits, slant and thickness held), "digits" (real, 8x8), "mnist", "fashion".
        seed: of the training and of the noise of p(x | z).
        device: where it is trained and decoded; see `devices.pick`.
    """
    choice("dataset", dataset, DATASETS)
    device = devices.pick(device, small=True)
    shown, noise = pictures(dataset, device)[:CODES], Noise(seed, device)
    side, labels = shown.x.shape[-1], shown.labels.tolist()

    @torch.no_grad()
    def charted(model: VAE) -> Map:
        q = model.encode(shown.x)
        return Map(model, q.mean, q.stddev)

    @functools.lru_cache(maxsize=2)
    def codes(chart: Map, ground: str) -> View:
        return _codes(chart, shown.labels, ground)

    learned = Learned(picture_vae, charted, seed=seed, device=device, dataset=dataset, steps=1500)

    @torch.no_grad()
    def draw(controls) -> Frame:
        chart, when = learned.at(controls["checkpoint"])
        z = chart.mean.new_tensor(controls["z"])
        made = learned.model(controls["checkpoint"]).decode(z)  # of each step that is shown; the map is slower
        x, std = made.mean, made.base_dist.scale
        distance, nearest = (v.item() for v in (chart.mean - z).norm(dim=1).min(0))
        crowd = chart.log_marginal(z).item()
        warning = atypical(z)
        if not warning and crowd < chart.thin:
            warning = "a hole: 99 of 100 codes lie where codes are denser"
        ink = lambda v: (1 - v.clamp(0, 1)).reshape(side, side)
        name = f"of class {labels[nearest]}" if dataset == "fashion" else f"a {labels[nearest]}"
        views = {
            "codes": codes(chart, controls["ground"]),
            "picture": View(ink(x), label="mean of p(x | z)", warning=warning),
        }
        if controls["beside"] == DRAW:
            drawn = x + std * noise(controls["new noise"], *x.shape)
            label = f"a draw: mean + noise, std {std.mean().item():.2f}"
            views["draw"] = View(ink(drawn), label=label)
        if controls["beside"] == NEAREST:
            views["nearest"] = View(ink(shown.x[nearest]), label="data, nearest code")
        text = (
            f"nearest code: {name}, {distance:.2f} away · learned: log q(z) = {said(crowd)} nats, "
            "the aggregated posterior · "
            f"exact: {place(z, warning)} · {when}"
        )
        return Frame(views, text)

    def to_code(controls) -> dict:
        chart, _ = learned.at(controls["checkpoint"])
        return {"z": chart.mean[controls["real"] % len(shown)].tolist()}

    decoder = BrowserDecoder.of(learned.finished.model.decoder, ["z"], (side, side), view="picture", latent="z")
    weight, bias, _ = decoder.layers[-1]
    decoder.layers[-1] = (-weight, -bias, "sigmoid")  # 1 - sigmoid(a) = sigmoid(-a): ink is dark
    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=(0.6, -0.9), labels=("z1", "z2"), on="codes"),
            Choice("ground", GROUNDS, label="the plane shows"),
            Choice("beside", ("nothing", NEAREST, DRAW), label="beside the mean"),
            Button("new noise"),
            Button("real", to_code, label="z to the code of another picture"),
            learned.timeline(),
        ],
        title=headers.title(__doc__),
        caption=f"Drag z between the classes and outside the circles. Press Train, and keep dragging as it learns. "
        f"{KNOWN}",
        exported=f"Drag z between the classes and outside the circles: what does the decoder draw there? {KNOWN}",
        trainer=learned.trainer,
        source=f"from gdm_core import explorers\n\nexplorers.latent_pad({dataset!r}, seed={seed})",
        decoder=decoder,
        sampled={"z": 13},
        name="latent_pad",
    )


def _codes(chart: Map, labels: Tensor, ground: str) -> View:
    """The plane: codes by class, or decoded pictures, or how the codes differ from the prior."""
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    low, _, high = shell(2)
    color = "accent" if ground == GROUNDS[1] else "noise"
    words = "90 % of the prior lies between these two circles"
    marks = [Lines(np.stack([low * circle, high * circle]), color, width=2, dash=True, label=words)]
    image, look, label = np.ones((2, 2)), {}, ground  # white: words over points get a rim
    if ground == GROUNDS[1]:
        image, look = chart.board, {"smooth": False}
    elif ground == GROUNDS[2]:
        image, label = chart.surplus, SIGNS
        look = {"colormap": colors.DIVERGING, "limits": (-4, 4), "smooth": True, "scale": "nats, log q(z) − log p(z)"}
    else:
        inside = (chart.mean.abs() < LIMIT).all(1)
        marks.append(Points(chart.mean[inside], colors.CLASSES[labels[inside].cpu().numpy() % 10], size=5, alpha=0.8))
        marks.append(class_names.names(chart.mean, labels, LIMIT))
    return View(
        image,
        marks,
        (-LIMIT, LIMIT, -LIMIT, LIMIT),
        label,
        axes=("z1", "z2"),
        aspect=1.0,
        size=1.2,
        **look,
    )
