"""Ising board.

How likely is a board among all 65,536, and how soon do samples show it?

Pixels to flip, the exact chance of each given the others, and the energies of sampled boards beside the exact ones.
"""

import math

import numpy as np
import torch

from gdm_core import devices, mcmc
from gdm_core.data.ising import Ising
from gdm_core.explorers import headers
from gdm_core.explorers.read_outs import said
from gdm_core.widgets import Bars, Button, Frame, Lines, Noise, Points, Slider, Stage, Text, Tiles, Timeline, View

SIDE, CHAINS, SWEEPS = 4, 400, 20
START = 0b0011001111001100  # four blocks of two by two


def ising_board(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of Ising's model on 4 x 4 pixels: exact by a list of all boards, sampled by the heat bath.

    Args:
        seed: of the sampling.
        device: where it is sampled; see `devices.pick`.
    """
    device = devices.pick(device, double=True, small=True)
    noise, d = Noise(seed, device), SIDE**2
    unit = Ising(SIDE, 1.0)  # its energy counts pairs: those that differ less those that agree
    levels, counts = torch.unique(unit.energy(unit.states()), return_counts=True)
    places = torch.arange(d)
    near = (places[:, None] // SIDE - places // SIDE).abs() + (places[:, None] % SIDE - places % SIDE).abs() == 1
    near = near.double().to(device)

    def chance(x: torch.Tensor, coupling: float) -> torch.Tensor:
        """p(x_i = 1 | the others) for each pixel: (B, d) -> (B, d)."""
        return torch.sigmoid(2 * coupling * (2 * x - 1) @ near)

    def draw(controls) -> Frame:
        J, number, sweep = controls["coupling"], controls["number"], controls["sweep"]
        x = ((torch.tensor(number) >> places) & 1).double().to(device)
        log_p = (counts.log() - J * levels).log_softmax(0)  # of each level
        log_z = (counts.log() - J * levels).logsumexp(0).item()
        pairs = unit.energy(x.float().reshape(1, 1, SIDE, SIDE).cpu()).item()
        tosses = noise(controls["new noise"], SWEEPS, CHAINS, d, uniform=True).double()
        conditional = lambda x, i: chance(x, J)[:, i]
        chain = mcmc.gibbs(conditional, x.expand(CHAINS, d), SWEEPS, uniform=lambda t: tosses[t])
        boards = next(state for t, state in enumerate(chain) if t == sweep)
        found = unit.energy(boards.float().reshape(-1, 1, SIDE, SIDE).cpu())
        exact = (log_p.exp() * levels).sum().item()
        told = chance(x[None], J)[0].reshape(SIDE, SIDE).cpu()
        names = [f"{v:.2f}" for v in told.flatten().tolist()]
        at = np.stack([np.tile(np.arange(SIDE) + 0.5, SIDE), np.repeat(np.arange(SIDE) + 0.5, SIDE)], 1)
        ink = 1 - 0.92 * x.reshape(SIDE, SIDE).cpu().float()
        views = {
            "board": View(ink, label="a board", asks="press a pixel: it flips"),
            "chance": View(  # the darkest gray leaves the numbers readable
                told.float(), [Text(at, names)], label="exact p(black | rest)", colormap="Greys", limits=(0, 1.6)
            ),
            "energies": _levels(levels.numpy(), log_p.exp().numpy(), found.numpy(), pairs),
        }
        rarity = J * pairs + log_z  # -log p of this board
        odds = f"{math.exp(rarity):,.0f}" if rarity < math.log(1e7) else f"10^{rarity / math.log(10):.1f}"
        return Frame(
            views,
            f"mean energy / J of the samples {said(found.mean().item())}, exact {said(exact)}"
            f" · one of {odds} draws is this board",
        )

    def flip(controls) -> dict:
        return {"number": controls["number"] ^ (1 << controls["pixel"])}

    return Stage(
        draw,
        [
            Tiles("pixel", on="board", rows=SIDE, columns=SIDE, press=flip),
            Slider("coupling", 0.0, 1.2, 0.44, label="coupling J, nats"),
            Slider("number", 0, 2**d - 1, START, 1, label="board number"),
            Timeline("sweep", SWEEPS + 1, value=3, label="sweeps", fps=6),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Flip pixels until the board is a likely one. Then raise J: are three sweeps still enough? "
        "Exact: the probabilities, green line. Sampled: the bars. Nothing is learned.",
        exported="Raise J: from which coupling on is one color likely everywhere? "
        "Exact: the probabilities, green line. Sampled: the bars. Nothing is learned.",
        source=f"from gdm_core import explorers\n\nexplorers.ising_board(seed={seed})",
        sampled={"coupling": 7, "sweep": 7},
        name="ising_board",
    )


def _levels(levels: np.ndarray, p: np.ndarray, found: np.ndarray, pairs: float) -> View:
    """Shares of sampled boards at each energy, the exact shares, and where this board is."""
    share = np.array([(found == level).mean() for level in levels])
    top = 1.15 * max(float(p.max()), float(share.max()))
    marks = [
        Bars(levels, share, width=1.5, color="model", alpha=0.6, label=f"{CHAINS} samples"),
        Lines(np.stack([levels, p], 1), "exact", width=3, label="exact"),
        Points([[pairs, 0.0]], "accent", size=13, label="this board"),
    ]
    extent = (-26, 26, 0, top)
    return View(None, marks, extent, "energy of a board", axes=("energy / J", "share"), aspect=1.4, size=1.3)
