"""A linear latent space.

What do two latents say about a digit, and how surely?

A plane of latents of real digits, its decoder, and the exact posterior of a chosen digit.
"""

import functools

import numpy as np
import torch

from gdm_core import data, devices
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import place, said
from gdm_core.models.ppca import PPCA
from gdm_core.widgets import (
    Button,
    Ellipses,
    Frame,
    Lines,
    Noise,
    Pad,
    Points,
    Slider,
    Stage,
    Tiles,
    Toggle,
    View,
    atypical,
    shell,
    tile,
)

MOST = 40  # latents
SHOWN = (4, 4)  # rows and columns of the gallery
LIMIT = 3.6
KNOWN = "Learned: W, b and σ². Exact: the posterior and log p(x)."


def ppca(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of PPCA on the 8x8 digits, in gray levels 0 to 16 made continuous by uniform noise.

    Args:
        seed: of that noise, and of the digits in the gallery.
        device: where it is solved and decoded; see `devices.pick`.
    """
    device = devices.pick(device, double=True)
    noise = Noise(seed, device)
    digits = data.load("digits")
    levels = (digits.flat() * 16).double()
    private = torch.Generator().manual_seed(seed)
    x = (levels + torch.rand(levels.shape, generator=private, dtype=levels.dtype)).to(device)
    gallery = torch.randperm(len(x), generator=private)[: SHOWN[0] * SHOWN[1]].sort().values.tolist()
    picture = lambda v: (v / 16).clamp(0, 1).unflatten(-1, (8, 8)).neg().add(1)
    choices = tile(picture(x[gallery]), SHOWN[1])
    turn = np.linspace(0, 2 * np.pi, 90)
    circle = shell(2)[2] * np.stack([np.cos(turn), np.sin(turn)], 1)

    @functools.cache
    def solved(latents: int) -> PPCA:
        return PPCA(64, latents).to(x).solve(x)

    @functools.lru_cache(maxsize=256)
    def model_of(latents: int, scale: float, angle: float) -> tuple[PPCA, np.ndarray]:
        """The fit with its noise variance scaled and its first two latents turned, and where all digits lie in it."""
        best = solved(latents)
        turn = torch.eye(latents, dtype=x.dtype, device=device)
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        turn[:2, :2] = x.new_tensor([[c, -s], [s, c]])
        model = PPCA(64, latents).to(x).set(best.W @ turn, best.b, best.var * scale)
        return model, model.encode(x).mean[:, :2].detach().cpu().numpy()

    @torch.no_grad()
    def draw(controls) -> Frame:
        model, cloud = model_of(controls["latents"], controls["noise"], controls["turn"])
        chosen = x[gallery[controls["digit"]], None]
        posterior = model.encode(chosen)
        z = posterior.mean[0].clone()
        rebuilt = model.decode(z).mean
        z[:2] = z.new_tensor(controls["z"])
        decoded = model.decode(z).mean
        if controls["draw"]:
            decoded = decoded + model.var.sqrt() * noise(controls["new noise"], 64).to(x)
        missed = (rebuilt - chosen[0]).square().mean().sqrt().item()
        label = int(digits.labels[gallery[controls["digit"]]])
        same = (digits.labels == label).numpy()
        covariance = posterior.covariance_matrix[0, :2, :2]
        marks = [
            Lines(circle, "noise", width=1.2, dash=True, label="95 % of the prior"),
            Points(cloud[~same], "noise", size=4, alpha=0.35),
            Points(cloud[same], "data", size=5, alpha=0.8, label=f"all {label}s"),
            Ellipses(
                posterior.mean[0, None, :2],
                covariance[None],
                radii=(1, 2),
                color="exact",
                label="posterior, 1 and 2 std",
            ),
        ]
        views = {
            "latents": View(
                None,
                marks,
                (-LIMIT, LIMIT, -LIMIT, LIMIT),
                "the first two latents",
                axes=("z1", "z2"),
                aspect=1.0,
                size=2.0,
            ),
            "pictures": View(
                tile(picture(torch.stack([decoded, chosen[0], rebuilt])), 3),
                label=f"{'a draw' if controls['draw'] else 'decoded'} at z · digit · reconstruction",
            ),
            "digits": View(choices, label="digits", asks="choose a digit: z goes to its code"),
        }
        std = covariance.diagonal().sqrt().tolist()
        text = (
            f"posterior std {std[0]:.2f}, {std[1]:.2f} · "
            f"the reconstruction misses the digit by {missed:.2f} gray levels (rms) · "
            f"log p(x) = {said(model.log_prob(chosen).item(), 1)} nats · noise std {model.var.sqrt().item():.2f} "
            f"gray levels · {place(controls['z'], atypical(controls['z']))}"
        )
        return Frame(views, text)

    def to_posterior(controls) -> dict:
        model, cloud = model_of(controls["latents"], controls["noise"], controls["turn"])
        return {"z": cloud[gallery[controls["digit"]]].tolist()}

    return Stage(
        draw,
        [
            Pad("z", limit=LIMIT, value=(1.0, 0.5), labels=("z1", "z2"), on="latents"),
            Tiles("digit", on="digits", rows=SHOWN[0], columns=SHOWN[1], press=to_posterior),
            Slider("latents", 2, MOST, 10, step=1, label="number of latents"),
            Slider("noise", 0.1, 30.0, 1.0, log=True, label="noise variance / its ML estimate"),
            Slider("turn", -180, 180, 0, step=1, label="turn the latents", unit="°"),
            Toggle("draw", False, label="a draw from p(x | z)"),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption=f"Choose a digit and drag z. Then raise the noise: how does the posterior ellipse change? {KNOWN}",
        exported=f"Drag z: which strokes come and go along each axis? {KNOWN}",
        source=f"from gdm_core import explorers\n\nexplorers.ppca(seed={seed})",
        sampled={"z": 9},
        name="ppca",
    )
