"""Pixel by pixel.

How many nats does it cost to draw several pixels at once?  Hide a part of a digit and complete it in any order.

A digit, what a pixel of the chain sees, six answers as they fill in, and the nats that the true rest costs.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import causal, colors, data, decoding, devices, kept
from gdm_core.explorers import headers
from gdm_core.explorers.pixel_models import any_order, pixel_chain
from gdm_core.validate import integer
from gdm_core.widgets import Button, Choice, Frame, Lines, Noise, Points, Slider, Stage, Tiles, Timeline, View, tile

SIDE, ANSWERS = 8, 6  # of a digit; answers shown
CHAIN = "the chain's"
ORDERS = (CHAIN, "row by row", "random", "spread", "surest first")
STEPS = (1, 2, 4, 8, 16, 32)
SPREAD = torch.tensor([[0, 2], [3, 1]])  # far apart first (Bayer, 1973), doubled up to the side of a digit
TURNS = 33  # states of the timeline: at the last one all is there, however many turns it took
HIDE = ("lower half", "right half", "middle", "all")


def pixels(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of two models of 8 x 8 digits: a PixelCNN, and a masked model for any order and number of turns.

    Args:
        seed: of training, of the random order and of the answers.
        device: where they are trained and asked; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    chain = kept.trained(pixel_chain, seed=integer("seed", seed, 0), device=device)
    masked = kept.trained(any_order, seed=seed, device=device)
    digits, noise = data.load("digits", "test", n=20, device=device), Noise(seed, device)
    orders = _orders(seed)
    chain_sees = functools.cache(functools.partial(_seen, chain))

    @functools.lru_cache(maxsize=64)
    def filled(digit: int, hide: str, order: str, steps: int, press: int) -> list[Tensor]:
        """The answers, (ANSWERS, 1, 8, 8), and what is known of them, after each turn."""
        x, known = digits.x[digit].expand(ANSWERS, -1, -1, -1), _known(hide).to(device)
        u = torch.special.ndtr(noise(press, ANSWERS, 1, SIDE, SIDE)).clamp(1e-6, 1 - 1e-6)
        if order == CHAIN:
            whole = chain.complete(x, known, noise=u)
            hidden = (~known).flatten().cumsum(0).reshape(known.shape)
            return [(whole, known | (hidden <= n)) for n in range(1, int((~known).sum()) + 1)]
        plan = _plan(orders, order, steps, known)
        return list(decoding.decode(masked.conditionals, x, known.expand_as(x), plan, masked.values, u))

    @functools.lru_cache(maxsize=64)
    @torch.no_grad()
    def paid(digit: int, hide: str, order: str, steps: int) -> np.ndarray:
        """Nats for the true rest, turn by turn."""
        x, known = digits.x[digit, None], _known(hide).to(device)
        if order == CHAIN:
            return -chain.elementwise(x)[0][~known].cpu().double().numpy()
        plan = _plan(orders, order, steps, known)
        return -decoding.log_prob(masked.conditionals, x, plan, masked.values, known)[:, 0].cpu().double().numpy()

    def draw(controls) -> Frame:
        digit, hide, order = controls["digit"], controls["hide"], controls["order"]
        known, pixel = _known(hide), controls["pixel"]
        count = int((~known).sum())
        steps = count if order == CHAIN else min(controls["steps"], count)
        turns = filled(digit, hide, order, steps, controls["new answers"])
        turn = max(1, round(len(turns) * controls["turn"] / (TURNS - 1)))
        answers, there = turns[turn - 1]
        bill = paid(digit, hide, order, steps)
        together, alone = bill.sum(), paid(digit, hide, order, count).sum()
        shown = torch.where(there, 1 - answers, _hidden(answers)).cpu()
        views = {
            "digit": _digit(digits.x[digit].cpu(), known, pixel),
            "sees": _field(chain_sees(pixel), pixel),
            "nats": _bill(bill, turn),
            "answers": View(tile(shown, ANSWERS), label=f"answers after turn {turn} of {len(turns)}"),
        }
        views["answers"].warning = (
            "The chain cannot use the known pixels below and to the right"
            if order == CHAIN and hide != "lower half" and hide != "all"
            else ""
        )
        heard = int((chain_sees(pixel) > 0).sum())
        plural = "turn" if len(bill) == 1 else "turns"
        text = (
            f"nats for the true rest: {together:.1f} in {len(bill)} {plural}, {alone:.1f} one by one · "
            f"the marked pixel sees {heard} of the {pixel} before it"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Slider("digit", 0, len(digits) - 1, 2, step=1),
            Choice("hide", list(HIDE)),
            Choice("order", list(ORDERS), value="random"),
            Choice("steps", list(STEPS), value=4, label="in how many turns"),
            Timeline("turn", TURNS, value=TURNS - 1, label="turns", fps=8),
            Button("new answers"),
            Tiles("pixel", on="digit", rows=SIDE, columns=SIDE, value=3 * SIDE + 4),
        ],
        title=headers.title(__doc__),
        caption="Click a pixel: what does it see? Then fill in the digit in fewer turns: what does that cost? "
        "Learned: both models. Exact: their nats.",
        exported="Fill in the digit in fewer turns, and in another order: what does that cost? "
        "Learned: both models. Exact: their nats.",
        source=f"from gdm_core import explorers\n\nexplorers.pixels(seed={seed})",
        sampled={"order": len(ORDERS), "steps": 3},
        name="pixels",
    )


def _orders(seed: int) -> dict[str, Tensor]:
    """Ranks (1, 8, 8) by name."""
    spread = SPREAD
    while len(spread) < SIDE:
        n = len(spread)
        spread = 4 * spread.repeat(2, 2) + SPREAD.repeat_interleave(n, 0).repeat_interleave(n, 1)
    event, generator = (1, SIDE, SIDE), torch.Generator().manual_seed(seed)
    random = decoding.random(1, event, generator)[0]
    return {"row by row": decoding.raster(event), "random": random, "spread": spread[None]}


def _plan(orders: dict[str, Tensor], order: str, steps: int, known: Tensor):
    """What is hidden, in about equal turns."""
    if order == "surest first":
        return decoding.Confident(steps)
    rank = orders[order].to(known.device)
    among = torch.where(known, SIDE**2, rank).flatten().argsort().argsort().reshape(rank.shape)  # hidden ones first
    turn = among * steps // int((~known).sum())
    return decoding.InTurns(torch.where(known, 0, turn))


def _known(hide: str) -> Tensor:
    """(1, 8, 8), bool."""
    known = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    part = {
        "lower half": np.s_[:, SIDE // 2 :],
        "right half": np.s_[:, :, SIDE // 2 :],
        "middle": np.s_[:, 2:6, 2:6],
        "all": np.s_[:],
    }[hide]
    known[part] = False
    return known


def _seen(chain, i: int) -> Tensor:
    """How strongly pixel i of the chain hears each pixel, (8, 8)."""
    with kept.own_draws(0), torch.enable_grad():
        return causal.sees(chain.network, (1, SIDE, SIDE), i)[0].detach().cpu()


def _hidden(x: Tensor) -> Tensor:
    return torch.full_like(x, 0.72)


def _frame(pixel: int) -> list:
    row, column = divmod(pixel, SIDE)
    corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1], [column, row]]
    return [Lines(np.array(corners, float), "accent", width=4)]


def _digit(x: Tensor, known: Tensor, pixel: int) -> View:
    """The digit in ink, what is hidden of it tinted; the clicked pixel framed."""
    gray = 1 - x[0]
    tint = torch.tensor(colors.rgb(colors.ACCENT), dtype=gray.dtype)
    picture = gray[..., None].expand(-1, -1, 3)
    picture = torch.where(known[0][..., None], picture, 0.72 * picture + 0.28 * tint)
    return View(picture, _frame(pixel), label="a digit, part of it hidden", size=0.9)


def _field(field: Tensor, pixel: int) -> View:
    """What the pixel hears in the chain: the stronger, the darker."""
    strength = (field / field.max().clamp_min(1e-12)).sqrt()[..., None]
    ground = torch.ones(SIDE, SIDE, 3)
    ground.view(-1, 3)[pixel:] = 0.9  # not there yet
    shade = torch.tensor(colors.rgb(colors.MODEL), dtype=torch.float32)
    return View(
        ground * (1 - strength) + shade * strength, _frame(pixel), label="what that pixel sees in the chain", size=0.9
    )


def _bill(bill: np.ndarray, turn: int) -> View:
    """Nats so far over the share of turns, and where one is."""
    total = np.concatenate([[0.0], bill.cumsum()])
    at = np.arange(len(total))
    top = max(1.15 * float(total[-1]), 1.0)
    marks = [
        Lines(np.stack([at, total], 1), "model", label="nats so far"),
        Points([[turn, total[min(turn, len(bill))]]], "model", size=11),
    ]
    extent = (0, len(bill), 0, top)
    return View(None, marks, extent, "nats for the true rest", axes=("turn", "nats"), aspect=1.0, size=0.5)
