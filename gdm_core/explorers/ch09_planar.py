"""Planar layer by hand.

What can a single planar layer do to the plane, and when does it fold?

Density, its integral and the loss while you turn the two vectors; the data as noise; the stretch across the crease.
"""

import torch
from torch import Tensor

from gdm_core import bijections as bi
from gdm_core import devices
from gdm_core.data.targets import Mixture
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.nats import LOG_2PI
from gdm_core.widgets import (
    Arrows,
    Button,
    Ellipses,
    Frame,
    Handles,
    Lines,
    Noise,
    Points,
    Slider,
    Stage,
    Toggle,
    View,
    plane,
)

REACH, FAR, DOTS = 4.0, 9.0, 300  # half of what is shown; half of what holds all of the density; data shown
STD = 0.7  # of the data's bumps
BUMPS = ((-1.4, -0.5), (1.4, 0.5))
VECTORS = ((1.0, -0.8), (0.6, 1.4))  # w and u as one finds them
STEPS, LR = 120, 0.1  # of a search


class Hand:
    """f(x) = x + u tanh(w'x + b), as the hand holds it.

    Args:
        w, u: (2,).
        b: a number.
        safe: whether u is moved along w as the library does, so that w'u > -1.
    """

    def __init__(self, w: Tensor, u: Tensor, b: Tensor, safe: bool):
        self.w, self.b, self.u = w, b, bi.unfolded(w, u) if safe else u

    def stretch(self, s: Tensor) -> Tensor:
        """Determinant of the Jacobian where w'x + b = s: negative where the plane is turned over."""
        return 1 + (1 - torch.tanh(s).square()) * (self.w @ self.u)

    def to_latent(self, x: Tensor) -> Tensor:
        """(N, 2) -> (N, 2)."""
        return x + torch.tanh(x @ self.w + self.b)[:, None] * self.u

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(f(x); 0, I) + log|det|, (N,), which is a density only while f does not fold."""
        round_ = -0.5 * self.to_latent(x).square().sum(1) - LOG_2PI
        return round_ + self.stretch(x @ self.w + self.b).abs().clamp_min(1e-30).log()


def lost(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p, q) in nats, by the sum over the points of a grid that holds p, (N,) each."""
    return (log_p.softmax(0) * (log_p - log_q)).sum()


def searched(w: Tensor, u: Tensor, b: Tensor, data: Mixture, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """w, u and b after some steps down the loss from where the hand left them, u as it is before it is moved."""
    found = [v.clone().requires_grad_() for v in (w, u, b)]
    adam, log_p = torch.optim.Adam(found, lr=LR), data.log_prob(at)
    for _ in range(STEPS):
        adam.zero_grad()
        lost(log_p, Hand(*found, safe=True).log_prob(at)).backward()
        adam.step()
    return tuple(v.detach() for v in found)


def planar(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of one planar layer, its two vectors in the hand (Rezende & Mohamed, 2015, eq. 10-12).

    Args:
        seed: of the data shown.
        device: where it is computed; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    grid = lambda reach, n: torch.as_tensor(plane((-reach, reach) * 2, n), dtype=torch.float32, device=device)
    shown, all_of_it = grid(REACH, 100).reshape(-1, 2), grid(FAR, 180).reshape(-1, 2)
    coarse = grid(REACH, 32).reshape(-1, 2)
    noise = Noise(seed, device)(0, DOTS // 2, 2, 2)
    turns, along = torch.linspace(-3, 3, 13, device=device), torch.linspace(-3, 3, 61, device=device)
    across = torch.stack([turns[:, None].expand(-1, 61), along.expand(13, -1)], -1)  # (13, 61, 2)
    lines = torch.cat([across, across.flip(-1)])  # (26, 61, 2)

    def held(controls) -> tuple[Tensor, Tensor, Tensor, Mixture]:
        w, u = torch.as_tensor(controls["vectors"], dtype=torch.float32, device=device)
        b = torch.tensor(controls["b"], dtype=torch.float32, device=device)
        return w, u, b, Mixture(controls["data"].tolist(), STD).to(device)

    def search(controls) -> dict:
        w, u, b = searched(*held(controls), coarse)
        reach = torch.stack([w, u]).clamp(-REACH, REACH)
        return {"vectors": reach.tolist(), "b": b.clamp(-3, 3).item(), "safe": True}

    def draw(controls) -> Frame:
        w, u, b, data = held(controls)
        hand = Hand(w, u, b, controls["safe"])
        wu = (w @ hand.u).item()
        log_q = hand.log_prob(all_of_it)
        whole = (log_q.exp().sum() * (2 * FAR / 180) ** 2).item()
        dots = (data.means[:, None] + STD * noise.transpose(0, 1)).reshape(-1, 2)
        views = {
            "data": _data(hand.log_prob(shown).exp().reshape(100, 100), hand, dots, data),
            "noise": _noise(hand, lines, dots),
            "stretch": _stretch(hand, wu),
        }
        price = f"lost against the bumps: {said(lost(data.log_prob(all_of_it), log_q).item())} nats"
        folds = f"it folds, and this is no density: its integral is {said(whole)}"
        return Frame(views, f"w'u = {said(wu)} · " + (folds if wu < -1 else f"integral {said(whole)} · {price}"))

    return Stage(
        draw,
        [
            Handles("vectors", VECTORS, on="data", labels=["w", "u"], color="accent"),
            Slider("b", -3.0, 3.0, 0.0, label="offset b"),
            Toggle("safe", True, label="move u so that w'u > −1"),
            Handles("data", BUMPS, on="data", labels=["1", "2"], color="exact", label="bumps"),
            Button("search", search, label="search from here"),
        ],
        title=headers.title(__doc__),
        caption="Drag w and u until the density covers both bumps, then search from there. "
        "Then stop moving u: what happens to the integral when the layer folds? All is exact, up to a grid.",
        exported="Move b: how do density, data and stretch change? All is exact, up to a grid.",
        source=f"from gdm_core import explorers\n\nexplorers.planar(seed={seed})",
        sampled={"b": 7, "safe": 2},
        name="planar",
    )


def _data(image: Tensor, hand: Hand, dots: Tensor, data: Mixture) -> View:
    """Density of the layer, the data, the crease and the two vectors as they are used."""
    w, size = hand.w, hand.w.square().sum().clamp_min(1e-6)
    foot, side = -hand.b * w / size, torch.stack([-w[1], w[0]]) / size.sqrt()
    spread = torch.eye(2) * STD**2
    marks = [
        Points(dots, "data", size=3, alpha=0.5, label="data"),
        Ellipses(data.means, spread.expand(2, 2, 2), radii=(2.0,), color="exact", label="bumps"),
        Lines(torch.stack([foot - 20 * side, foot + 20 * side]), "noise", width=2, label="crease"),
        Arrows(torch.zeros(2, 2), torch.stack([w, hand.u]), "accent", width=2.5),
    ]
    extent = (-REACH, REACH, -REACH, REACH)
    look = {"colormap": "Greys", "smooth": True, "limits": (0.0, 0.2)}
    return View(image, marks, extent, "x: density of the layer", axes=True, aspect=1.0, size=1.8, **look)


def _noise(hand: Hand, lines: Tensor, dots: Tensor) -> View:
    """Where grid and data go; what lies on the far side of a fold is orange."""
    flat = lines.reshape(-1, 2)
    over = (hand.stretch(flat @ hand.w + hand.b) < 0).reshape(26, 61)
    moved = hand.to_latent(flat).reshape(26, 61, 2)
    marks = [Lines(line, "data", width=1, alpha=0.4) for line in moved]
    marks.append(Points(moved[over], "accent", size=3, label="folded"))
    marks.append(Points(hand.to_latent(dots), "data", size=3, alpha=0.6, label="data"))
    round_ = torch.eye(2)[None]
    marks.append(Ellipses(torch.zeros(1, 2), round_, radii=(1.0, 2.0), color="noise", label="N(0, I)"))
    extent = (-REACH, REACH, -REACH, REACH)
    return View(None, marks, extent, "z = f(x)", axes=True, aspect=1.0, size=0.9)


def _stretch(hand: Hand, wu: float) -> View:
    """The determinant against w'x + b."""
    s = torch.linspace(-4, 4, 81).to(hand.w)
    det = torch.stack([s, hand.stretch(s)], 1)
    marks = [
        Lines([[-4, 0], [4, 0]], "noise", width=1.5),
        Lines([[-4, 1], [4, 1]], "noise", width=1, alpha=0.5),
        Lines(det, "model"),
        Lines(det[det[:, 1] < 0], "accent", width=4),
    ]
    extent = (-4, 4, min(-1.2, wu + 0.8), max(2.5, wu + 1.2))
    return View(None, marks, extent, "det = 1 + u'ψ(x)", axes=("w'x + b", "det"), aspect=1.9, size=0.9)
