"""Six latents, four factors.

Does a latent move one factor of a room, several, or none?

Six latents of a room on six sliders, beside the true factors that they move.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from gdm_core import colors, devices, kept
from gdm_core.data import four_factors
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Learned
from gdm_core.explorers.read_outs import place
from gdm_core.explorers.room_vaes import LATENTS, SIDE, Trip, apart, effects, one_each, room_meter, room_vae, rooms
from gdm_core.widgets import (
    Button,
    Choice,
    Frame,
    Slider,
    Stage,
    Text,
    View,
    atypical,
    tile,
)

WORDS = ("floor", "wall", "scale", "turn")  # the factors, short
RULERS = (*WORDS, "–")  # number -1 is none
LIMIT = 3.0
KNOWN = "Learned: what is decoded and measured. Exact: what is rendered."
NAMES = [f"z{j + 1}" for j in range(LATENTS)]
BETAS = {"β = 1": 1.0, "β = 6": 6.0, "β = 20": 20.0}
SMALL, LIVE, _ = BETAS
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # values of a latent along its row of the board
STEP = 0.05  # of a slider
IDLE = 0.05  # nats: a latent that tells less than this about a room is called idle
MARGIN, FOOT = 0.6, 0.4  # room for the names beside and below a board, in cells
BROAD = 1.5  # width of a cell of the table, in its heights


def traversal(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of VAEs of rooms with four known factors, the price of z from low to high.

    Args:
        seed: of the training.
        device: where the models are trained, decoded and rendered; see `devices.pick`.
    """
    device = devices.pick(device)
    options = {"seed": seed, "device": device, "steps": 900}
    meter = kept.trained(room_meter, **options)
    fresh, factors = rooms(True, device)  # none that was learned from
    error = (meter(fresh) - factors).square().mean(0).sqrt().max().item() / four_factors.STD
    look = functools.partial(Trip.of, meter=meter, fresh=fresh[:200])
    finished = {name: look(kept.trained(room_vae, beta=b, **options)) for name, b in BETAS.items() if name != LIVE}
    learned = Learned(room_vae, look, beta=BETAS[LIVE], **options)
    trainer, steps = learned.trainer, torch.tensor(STEPS, device=device)

    def trip_of(beta: str, index: int) -> tuple[Trip, str]:
        return learned.at(index) if beta == LIVE else (finished[beta], f"trained {trainer.total:,} steps")

    shown_training = False

    def beta_of(controls) -> str:
        """Who presses Train wants to see it, once; then the choice is free, though training goes on."""
        nonlocal shown_training
        begins, shown_training = trainer.running and not shown_training, trainer.running
        return LIVE if begins else controls["beta"]

    @functools.lru_cache(maxsize=2)
    def along(now: Trip, at: tuple[float, ...]) -> tuple[Tensor, View]:
        """What each latent does around z: measured there, and along its row of the boards."""
        z = steps.new_tensor(at)
        rows = z.expand(LATENTS, len(STEPS), -1).clone()  # one latent a row
        rows.diagonal(dim1=0, dim2=2).copy_(steps[:, None])
        board, u = now.model.decode(rows.flatten(0, 1)).mean, meter(now.model.decode(z[None]).mean)
        alone, main = one_each(u[0], meter(board).unflatten(0, (LATENTS, -1)))
        boards = _boards(board, four_factors.draw(alone.flatten(0, 1)), [RULERS[k] for k in main])
        return effects(now.model, meter, z), boards

    @torch.no_grad()
    def draw(controls) -> Frame:
        beta = beta_of(controls)
        now, when = trip_of(beta, controls["checkpoint"])
        z = steps.new_tensor([controls[name] for name in NAMES])
        model = learned.model(controls["checkpoint"]) if beta == LIVE else now.model  # newer than boards and table
        x = model.decode(z[None]).mean
        u, given = meter(x), controls["another"] % len(fresh)
        moved, boards = along(now, tuple(z.tolist()))
        difference, idle = apart(x, u).item(), [name for name, told in zip(NAMES, now.told) if told < IDLE]
        strange, warning = difference > now.usual, atypical(z)
        if strange and not warning:
            warning = "like no room: 99 of 100 new rooms come back closer to a rendered one"
        views = {
            "pictures": _pictures(fresh[given, None], x, four_factors.draw(u.clamp(0, 1)), warning),
            "boards": boards,
            "effects": _table(moved, strange),
        }
        text = (
            f"decoded and rendered differ by {difference:.2f} rms, 99 % of new rooms by at most {now.usual:.2f} · "
            f"idle latents: {', '.join(idle) or 'none'} · error of the measurement on new rooms: {error:.2f} std"
            f"{warning and ' · ' + place(z, warning)} · idle: KL below {IDLE} nats · {when}"
        )
        return Frame(views, text, {"beta": beta})

    def code(controls) -> dict:
        now, _ = trip_of(controls["beta"], controls["checkpoint"])
        with torch.no_grad():
            z = now.model.encode(fresh[controls["another"] % len(fresh), None]).mean[0]
        return {name: round(v / STEP) / round(1 / STEP) + 0.0 for name, v in zip(NAMES, z.tolist())}

    start = code({"beta": SMALL, "another": 0, "checkpoint": -1})
    return Stage(
        draw,
        [
            *(Slider(name, -LIMIT, LIMIT, start[name], step=STEP) for name in NAMES),
            Choice("beta", list(BETAS), label="model with σ = 0.3"),
            Button("again", code, label="z to the code of the room"),
            Button("another", code, label="another room"),
            learned.timeline(f"training of {LIVE}"),
        ],
        title=headers.title(__doc__),
        caption=f"Move one z at a time: does it change one factor, several, or none? Then choose a larger β. {KNOWN}",
        exported=f"Move z1: does it change one factor, several, or none? Then choose a larger β. {KNOWN}",
        trainer=trainer,
        source=f"from gdm_core import explorers\n\nexplorers.traversal(seed={seed})",
        sampled={"beta": 3, "z1": 7},
        name="traversal",
    )


def _pictures(given: Tensor, decoded: Tensor, twin: Tensor, warning: str) -> View:
    """Four rooms in a row, the last of them what no room explains.  (1, 3, H, W) each."""
    rest = 2 * (decoded - twin).abs().mean(1, keepdim=True).expand_as(twin)  # dark where none is: white would glare
    image = tile(torch.cat([given, decoded, twin, rest]), 4, ground=0.5)  # between them too
    label = "given · decoded from z · rendered as measured · difference (black: none)"
    return View(image, label=label, warning=warning, size=5.5)  # a row of its own


def _boards(decoded: Tensor, true: Tensor, rulers: list[str]) -> View:
    """One latent a row: pictures decoded along it, and rooms rendered with its main factor alone."""
    pictures = [tile(x, len(STEPS)) for x in (decoded, true)]  # (rows (SIDE + 1), columns (SIDE + 1), 3)
    cell, wide = SIDE + 1, len(STEPS)
    blank = lambda cells: np.full((len(pictures[0]), round(cells * cell), 3), 255, np.uint8)
    image = np.concatenate([blank(MARGIN), pictures[0], blank(2 * MARGIN), pictures[1]], 1)
    start = 3 * MARGIN + wide  # of the second board, in cells
    steps = [_signed(v, 0) for v in STEPS]
    column = lambda at, words: Text([[at, i + 0.5] for i in range(LATENTS)], words, size=13)
    names = [column(MARGIN / 2, NAMES), column(start - MARGIN, rulers)]
    below = [[at + j + 0.5, LATENTS + FOOT / 2] for at in (MARGIN, start) for j in range(wide)]
    label = "each latent from −2 to 2: decoded · its main factor, rendered"
    return _footed(image, LATENTS, [*names, Text(below, steps * 2, size=13)], label)


def _table(moved: Tensor, strange: bool) -> View:
    """Latents in rows, factors in columns, how much one moves the other in the cells; gray where nobody can tell."""
    n, k = moved.shape
    shade = (0.0 if strange else 1.0) * moved  # the meter never saw such pictures
    wide = round(20 * BROAD)
    image = np.pad(
        shade.repeat_interleave(20, 0).repeat_interleave(wide, 1).cpu().numpy(), [(0, 0), (round(20 * MARGIN), 0)]
    )
    column = lambda j: MARGIN + BROAD * (j + 0.5)
    cells = [[column(j), i + 0.5] for i in range(n) for j in range(k)]
    marks = [
        Text(cells, [_signed(v) for v in moved.flatten().tolist()], "noise" if strange else "data"),
        Text([[MARGIN / 2, i + 0.5] for i in range(n)], NAMES),
        Text([[column(j), n + FOOT / 2] for j in range(k)], WORDS),
    ]
    label = "not to be trusted here" if strange else "at z: one unit of a latent moves a factor by … std"
    return _footed(image, n, marks, label, colormap=colors.DIVERGING, limits=(-1.5, 1.5))


def _footed(image: np.ndarray, rows: int, marks: list, label: str, **look) -> View:
    """A board with room for names below it, in coordinates of its square cells."""
    cell = len(image) // rows
    empty = 0.0 if "colormap" in look else 255
    image = np.pad(image, [(0, round(FOOT * cell))] + [(0, 0)] * (image.ndim - 1), constant_values=empty)
    high, wide = (side / cell for side in image.shape[:2])
    return View(image, marks, (0, wide, high, 0), label, size=wide / high, **look)


def _signed(value: float, digits: int = 1) -> str:
    rounded = f"{value:+.{digits}f}".replace("-", "−")
    return rounded if float(f"{value:.{digits}f}") else "0"
