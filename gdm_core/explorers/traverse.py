"""Chapter 5: six latents of a room on six sliders, beside the true factors that they move."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdm_core import colors, disentanglement, latent, likelihoods, networks, train
from gdm_core.data import scenes
from gdm_core.explorers.boards import Ink
from gdm_core.explorers.trained import learner, trained
from gdm_core.models.vae import VAE
from gdm_core.validate import integer
from gdm_core.widgets import (
    Button,
    Choice,
    Frame,
    Slider,
    Stage,
    Text,
    Tiles,
    Timeline,
    View,
    atypical,
    tile,
    where_is,
)

FACTORS = ("floor", "wall", "scale", "orientation")
ARC, CIRCLE = (0.3, 0.7), (0.0, 1.0)
LATENTS, SIDE, LIMIT = 6, 24, 3.0
GALLERY = (3, 4)
BETAS = {"β = 1": 1.0, "β = 200": 200.0}
SMALL, LARGE = BETAS
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # of both boards: standard deviations of the prior, or of a factor


def rooms(n: int, seed: int, hues: tuple[float, float] = ARC, side: int = SIDE) -> tuple[Tensor, dict[str, Tensor]]:
    """Rooms with four free factors, each uniform and independent; a purple sphere stands in all of them.

    Args:
        hues: the part of the color circle that floor and wall run through.

    Returns:
        Pictures (n, 3, side, side) and the factors by name, (n,) each, in [0, 1].
    """
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed))
    u[:, 2], u[:, 3] = (u[:, 2] * 9).round() / 9, (u[:, 3] * 14).round() / 14  # few shapes: they are rendered once
    return rendered(u, hues, side), dict(zip(FACTORS, u.T))


def rendered(u: Tensor, hues: tuple[float, float] = ARC, side: int = SIDE) -> Tensor:
    """Rooms with these factors.  u: (N, 4) in [0, 1] -> (N, 3, side, side)."""
    table = torch.zeros(len(u), 6)
    table[:, :2] = hues[0] + (hues[1] - hues[0]) * u[:, :2]
    table[:, 1] = table[:, 1] + 0.7
    table[:, :2] = table[:, :2].clamp(0, 1.7) % 1.0
    table[:, 2], table[:, 4] = 0.8, 2
    table[:, 3] = 0.6 + (u[:, 2] * 9).round() / 9
    table[:, 5] = -30 + 60 * (u[:, 3] * 14).round() / 14
    return torch.cat([scenes.render(part, size=side) for part in table.split(1000)])


@functools.lru_cache(maxsize=2)
def known(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures to learn from, (N, 3, side, side), and their factors (N, 4)."""
    x, factors = rooms(2500, seed)
    return x, torch.stack(list(factors.values()), 1)


def room_vae(beta: float, steps: int = 900) -> tuple[VAE, Iterable]:
    """Recipe: six latents, Gaussian pixels of a fixed std of 0.1, the price of z times beta."""
    x, _ = known()
    noise = likelihoods.Gaussian(0.1, learn=None)
    model = VAE(x.shape[1:], LATENTS, hidden=(256,), likelihood=noise, decoder=Ink(LATENTS, x.shape[1:]), beta=beta)
    return model, train.steps(model, x, steps=steps, batch_size=64, lr=3e-3, schedule=train.cosine)


class Meter(nn.Module):
    """Picture -> (B, 4) factors: how far each latent moves them is measured, not guessed."""

    def __init__(self):
        super().__init__()
        self.net = networks.MLPEncoder((3, SIDE, SIDE), len(FACTORS), (128, 64))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def loss(self, x: Tensor, factors: Tensor) -> Tensor:
        """Mean squared error; no likelihood."""
        return (self(x) - factors).square().sum(1).mean()


def room_meter(steps: int = 900) -> tuple[Meter, Iterable]:
    """Recipe: the measuring device, from rendered rooms whose factors are known."""
    model = Meter()
    return model, train.steps(model, known(), steps=steps, batch_size=64, lr=2e-3, schedule=train.cosine)


@dataclass(frozen=True, eq=False)
class Trip:
    """A model, and which of its latents are in use.

    Attributes:
        active: (latents,) bool.
    """

    model: VAE
    active: Tensor


def effects(model: VAE, meter: nn.Module, z: Tensor, step: float = 0.5) -> Tensor:
    """What one unit of each latent does to the measured factors around z: (latents, 4), in standard deviations.

    Central differences of the measured factors of decoded pictures; a uniform factor has std 1 / sqrt(12).
    """
    moves = step * torch.eye(len(z))
    ahead, behind = (meter(model.decode(z + sign * moves).mean) for sign in (1, -1))
    return (ahead - behind) / (2 * step) * 12**0.5


def traversal(seed: int = 0) -> Stage:
    """Explorer of a VAE and a beta-VAE of rooms with four known factors.

    Args:
        seed: of the training.
    """
    integer("seed", seed, low=0)
    x, _ = known()
    meter = trained(room_meter, seed=seed, steps=900)

    @torch.no_grad()
    def trip(model: VAE) -> Trip:
        return Trip(model, disentanglement.active_units(model.encode(x[:1000]).mean))

    finished = {name: trip(trained(room_vae, seed=seed, beta=b, steps=900)) for name, b in BETAS.items()}
    trainer = learner(room_vae, trip, beta=BETAS[LARGE], steps=900)
    shown, _ = rooms(GALLERY[0] * GALLERY[1], seed=1)  # none that was learned from
    gallery = tile(shown, GALLERY[1])

    def trip_of(controls) -> tuple[Trip, str]:
        watched = controls["beta"] == LARGE and (trainer.steps or trainer.running)
        if not watched:
            return finished[controls["beta"]], "trained 900 steps"
        snapshot = trainer.at(controls["checkpoint"])
        return snapshot.state, f"step {snapshot.step:,} of 900"

    @torch.no_grad()
    def draw(controls) -> Frame:
        now, when = trip_of(controls)
        z = torch.tensor([controls[f"z{j + 1}"] for j in range(LATENTS)])
        down, across = int(controls["down"][1]) - 1, int(controls["across"][1]) - 1
        if down == across:
            across = (down + 1) % LATENTS
        made = now.model.decode(z[None]).mean
        found = meter(made)[0]
        moved = effects(now.model, meter, z)
        main = [int(moved[j].abs().argmax()) for j in (down, across)]
        board = now.model.decode(latent.traverse(z, down, across, torch.tensor(STEPS))).mean.flatten(0, 1)
        twin = rendered(found.clamp(0, 1)[None])
        apart = (made - twin).square().mean().sqrt().item()
        idle = [f"z{j + 1}" for j in range(LATENTS) if not now.active[j]]
        picture = lambda v: v[0].clamp(0, 1).permute(1, 2, 0)
        views = {
            "decoded": View(picture(made), label="decoded from z", warning=atypical(z)),
            "true": View(picture(twin), label="the room it is most like"),
            "effects": _table(moved),
            "board": View(tile(board, len(STEPS)), label=f"z{down + 1} down, z{across + 1} across"),
            "factors": View(
                tile(rendered(_sweep(found, *main, moved[down], moved[across])), len(STEPS)),
                label=f"{FACTORS[main[0]]} down, {FACTORS[main[1]]} across"
                if main[0] != main[1]
                else f"{FACTORS[main[0]]}",
            ),
            "rooms": View(gallery, label="rooms to start from"),
        }
        text = (
            f"z{down + 1} moves {_list(moved[down])}; z{across + 1} moves {_list(moved[across])} · {where_is(z)} · "
            f"decoded and rendered differ by {apart:.2f} (rms) · idle latents: {', '.join(idle) or 'none'} · {when}"
        )
        return Frame(views, text)

    names = [f"z{j + 1}" for j in range(LATENTS)]

    def take(controls) -> dict:
        now, _ = trip_of(controls)
        with torch.no_grad():
            return dict(zip(names, now.model.encode(shown[controls["room"], None]).mean[0].tolist()))

    start = take({"beta": SMALL, "room": 0})
    return Stage(
        draw,
        [
            *(Slider(name, -LIMIT, LIMIT, round(start[name], 2), step=0.05) for name in names),
            Choice("down", names, "z1", label="down the board"),
            Choice("across", names, "z2", label="across the board"),
            Choice("beta", list(BETAS), label="trained with"),
            Tiles("room", on="rooms", rows=GALLERY[0], columns=GALLERY[1]),
            Button("take", take, label="z to the code of the chosen room"),
            Timeline("checkpoint", trainer.count, value=-1, follow=True, label=f"training of {LARGE}"),
        ],
        title="Six latents, four factors",
        caption="Move one slider at a time. Does it move one factor, several, or none? Then raise β.",
        trainer=trainer,
        source=f"from gdm_core import explorers\n\nexplorers.traversal(seed={seed})",
        sampled={"z1": 7, "z2": 7},
        name="traversal",
    )


def _sweep(found: Tensor, first: int, second: int, down: Tensor, across: Tensor) -> Tensor:
    """Factors of the rendered board: the two that move most, by as much as the latents move them; others stay."""
    steps = torch.tensor(STEPS) / 12**0.5
    u = found.expand(len(STEPS), len(STEPS), -1).clone()
    u[..., first] += steps[:, None] * down[first]
    u[..., second] += steps[None, :] * across[second]
    return u.flatten(0, 1).clamp(0, 1)


def _list(moved: Tensor) -> str:
    """Factors that a latent moves, the most first, in standard deviations a unit of z."""
    order = moved.abs().argsort(descending=True)
    parts = [f"{FACTORS[i]} {moved[i]:+.1f}" for i in order.tolist() if moved[i].abs() >= 0.1]
    return ", ".join(parts) if parts else "nothing"


def _table(moved: Tensor) -> View:
    """Latents in rows, factors in columns."""
    n, k = moved.shape
    cells = [[j + 0.5, i + 0.5] for i in range(n) for j in range(k)]
    marks = [Text(cells, [f"{v:+.1f}" for v in moved.flatten().tolist()], size=13)]
    marks.append(Text([[-0.1, i + 0.5] for i in range(n)], [f"z{i + 1}" for i in range(n)], size=13, anchor="right"))
    marks.append(Text([[j + 0.5, n + 0.35] for j in range(k)], ["floor", "wall", "scale", "turn"], size=13))
    image = torch.full((n * 10 + 7, (k * 10) + 7), torch.nan)
    image[: n * 10, 7:] = moved.repeat_interleave(10, 0).repeat_interleave(10, 1)
    image = image.nan_to_num(0.0)
    return View(
        image,
        marks,
        (-0.7, k, n + 0.7, 0),
        "a unit of z moves, in std",
        colormap=colors.DIVERGING,
        limits=(-1.5, 1.5),
        aspect=1.0,
    )
