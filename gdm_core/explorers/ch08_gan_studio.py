"""GAN studio.

Which loss keeps all modes, and where does a generator go if the critic stands still?

Critic, samples and their pull in the plane, the generator's warped grid; while it trains, drag the data, or draw them.
"""

import copy
import functools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from gdm_core import devices, kept, metrics, networks, train
from gdm_core.adversarial import LOSSES
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Checkpoint, Learned, Ration, learner
from gdm_core.models.gan import GAN, UnitNorm
from gdm_core.validate import bad
from gdm_core.widgets import (
    Arrows,
    Brush,
    Button,
    Choice,
    Frame,
    Handles,
    Lines,
    Noise,
    Points,
    Slider,
    Stage,
    View,
    plane,
)

LIMIT, CELLS, STD = 4.5, 48, 0.3  # half of the plane's side, its resolution, of each mode
LR, STEPS, LONG, BATCH = 3e-3, 800, 6000, 128  # steps of the opening's training, of one that is watched
SAMPLES, PULLED, ALONE = 800, 70, 60  # dots, those with an arrow, most moves that one player makes alone
CURES = {
    "nothing added": {},
    "minimax": {"loss": "minimax"},
    "least squares": {"loss": "least squares"},
    "WGAN-GP": {"loss": "Wasserstein", "gp": 1.0},
    "spectral norm": {"spectral": True},
    "R1 + R2": {"r1": 1.0, "r2": 1.0},
    "R3GAN": {"loss": "relativistic", "r1": 1.0, "r2": 1.0},
}
TURN = np.arange(8) * np.pi / 4
TARGETS = {
    "ring": 3 * np.stack([np.cos(TURN), np.sin(TURN)], 1),
    "two groups": np.stack([np.sign(np.arange(8) - 3.5) * 2.6, np.tile([-1.8, -0.6, 0.6, 1.8], 2)], 1),
    "line": np.stack([np.linspace(-3.5, 3.5, 8), np.zeros(8)], 1),
}
MODES, DRAWN, SHEET = "modes", "drawing", 24  # pixels along each side of a drawing
OPENS = {"data": MODES, "target": TARGETS["ring"], "drawing": np.zeros((SHEET, SHEET)), "cure": "R3GAN"}
OPENS |= {"momentum": 0.5, "k": 1}
Ask = Callable[[], dict]  # what the controls say now


def data(target, n: int, device) -> Tensor:
    """(n, 2): equal Gaussians around the modes (K, 2)."""
    centers = torch.as_tensor(np.asarray(target), dtype=torch.float32, device=device)
    return centers[torch.randint(len(centers), (n,), device=device)] + STD * torch.randn(n, 2, device=device)


def inked(drawing: np.ndarray, u: Tensor, within: Tensor) -> Tensor:
    """(n, 2): a pixel of the drawing (rows, columns), by how much ink it has, and anywhere in it.

    Args:
        u, within: uniform noise, (n,) and (n, 2).
    """
    ink = torch.as_tensor(drawing).flatten()
    places = ink.nonzero()[:, 0]
    share = ink[places].cumsum(0).to(u.device) / ink.sum()
    pixel = places.to(u.device)[torch.searchsorted(share, u.double()).clamp(max=len(places) - 1)]
    row, column = pixel // SHEET, pixel % SHEET
    side = 2 * LIMIT / SHEET
    return torch.stack([(column + within[:, 0]) * side - LIMIT, LIMIT - (row + within[:, 1]) * side], 1)


def examples(told: dict, n: int, device) -> Tensor:
    """(n, 2) of the data that the controls say.  ValueError: a drawing of nothing."""
    if told["data"] == MODES:
        return data(told["target"], n, device)
    if not told["drawing"].any():
        raise bad("ink on the drawing", "an empty sheet", f"paint on it, or take the {MODES}")
    return inked(told["drawing"], torch.rand(n, device=device), torch.rand(n, 2, device=device))


def overlap(drawing: np.ndarray, x: Tensor) -> tuple[float, float]:
    """Share of samples x (N, 2) on ink, and share of the ink in pixels with a sample."""
    x = x.cpu().numpy()
    count, *_ = np.histogram2d(-x[:, 1], x[:, 0], SHEET, [(-LIMIT, LIMIT)] * 2)  # rows go down
    return count[drawing > 0].sum() / len(x), drawing[count > 0].sum() / drawing.sum()


class Switched(UnitNorm):
    """Spectral normalization that can be turned on and off."""

    on = False

    def forward(self, weight: Tensor) -> Tensor:
        return super().forward(weight) if self.on else weight


def settle(gan: GAN, cure: str) -> None:
    """Let the players pay as the cure says, from here on."""
    options = CURES[cure]
    for module in gan.critic.modules():
        if isinstance(module, Switched):
            module.on = "spectral" in options
    gan.cost = LOSSES[options.get("loss", "non-saturating")]
    gan.r1, gan.r2, gan.gp = (options.get(name, 0.0) for name in ("r1", "r2", "gp"))


def learn(gan: GAN, ask: Ask, steps: int, rate=None) -> Iterable:
    """Training that hears at each move what the controls say."""
    adam, last = torch.optim.Adam(gan.parameters(), LR), {}

    def draw(n: int) -> Tensor:
        told = ask()
        if told["data"] == MODES or told["drawing"].any():  # who wipes a sheet begins another drawing
            last.update((name, told[name]) for name in ("data", "target", "drawing"))
        told = told | last
        settle(gan, told["cure"])
        for group in adam.param_groups:
            group["betas"] = (told["momentum"], 0.99)
        return examples(told, n, gan._zero.device)

    options = {"moves": {"critic": lambda: ask()["k"]}, "optimizer": adam, "average": 0.97, "rate": rate}
    return train.steps(gan, draw, steps=steps, batch_size=BATCH, **options)


def studio_gan(steps: int = STEPS, device="cpu", ask: Ask | None = None) -> tuple[GAN, Iterable]:
    """Recipe: two small networks; told the opening's controls unless somebody can be asked."""
    players = networks.MLPDecoder(2, (2,), 1, (64, 64)), networks.MLPEncoder((2,), 1, (64, 64))
    for layer in players[1].modules():
        if isinstance(layer, nn.Linear):
            register_parametrization(layer, "weight", Switched())
    gan = GAN(2, 2, generator=players[0], critic=players[1]).to(device)
    settle(gan, OPENS["cure"])
    return gan, learn(gan, ask or (lambda: OPENS), steps, train.falling if ask is None else None)


def alone(gan: GAN, told: dict, seed: int, device) -> GAN:
    """A copy whose critic, then whose generator, went on alone for as many steps as the controls say."""
    twin = copy.deepcopy(gan).requires_grad_(True)
    settle(twin, told["cure"])
    with kept.own_draws(seed, device), torch.enable_grad():
        for name, own in twin.players().items():
            adam = torch.optim.Adam(own, LR, betas=(told["momentum"], 0.99))
            for _ in range(told[f"{name}_alone"]):
                loss = getattr(twin, f"{name}_loss")(examples(told, BATCH, device))
                for p, grad in zip(own, torch.autograd.grad(loss, own)):
                    p.grad = grad
                adam.step()
    return twin.requires_grad_(False)


def pulls(gan: GAN, real: Tensor, fake: Tensor) -> Tensor:
    """Which way each sample (B, 2) would lower the generator's loss beside as many of the data, (B, 2)."""
    with torch.enable_grad():
        at = fake.detach().requires_grad_()
        (slope,) = torch.autograd.grad(gan.cost.generator(gan.logits(real), gan.logits(at)).sum(), at)
    return -slope


def gan_studio(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of a GAN in the plane that trains while one changes its data (or draws them), its loss, its momentum.

    Args:
        seed: of weights, training and samples.
        device: where it is trained; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise = Noise(seed, device)
    grid = torch.as_tensor(plane(LIMIT, CELLS), dtype=torch.float32, device=device).reshape(-1, 2)
    page: list[Stage] = []  # known once it is built, before anybody trains
    itself = lambda gan: gan
    live = functools.partial(studio_gan, ask=lambda: page[0].values())
    trainer = learner(live, lambda gan: Checkpoint(gan, itself), seed=seed, device=device, steps=LONG)
    learned = Learned(studio_gan, itself, trainer=trainer, seed=seed, device=device, steps=STEPS)
    field, lines = Ration(trainer), Ration(trainer)
    last: list = [None, None, None]  # a GAN, how it went on alone, the copy that did

    def shown(gan: GAN, told: dict) -> GAN:
        """The GAN of a checkpoint, paying as the controls say; a copy where the finished one must stay as it is."""
        still = not (told["critic_alone"] or told["generator_alone"])
        if still and gan is not learned.kept:
            settle(gan, told["cure"])
            return gan
        matters = ["cure"]
        if not still:
            matters += ["critic_alone", "generator_alone", "momentum", "data", "target", "drawing"]
        how = [np.asarray(told[name]).tolist() for name in matters]
        if last[0] is not gan or last[1] != how:
            last[:] = gan, how, alone(gan, told, seed, device)
        return last[2]

    @torch.no_grad()
    def draw(told) -> Frame:
        gan, how = learned.at(told["checkpoint"])
        how = f"trained {STEPS:,} steps on the ring" if gan is learned.finished else how
        blank = told["data"] == DRAWN and not told["drawing"].any()
        if blank:  # nobody can go on
            told = told | {"critic_alone": 0, "generator_alone": 0}
        gan, by = shown(gan, told), [told[name] for name in ("cure", "critic_alone", "generator_alone")]
        fake = gan.generate(noise(0, SAMPLES, 2))
        if told["data"] == MODES:
            centers = torch.as_tensor(told["target"], dtype=torch.float32, device=device)
            real = centers[torch.arange(SAMPLES, device=device) % len(centers)] + STD * noise(1, SAMPLES, 2)
            found = metrics.modes(fake, centers, STD)
            text = f"{found.covered} of 8 modes covered · {100 * found.near:.0f} % of the samples near one"
        elif blank:
            real = centers = fake[:0]
            text = "nothing is drawn"
        else:
            u, within = (noise(1, SAMPLES, *size, uniform=True) for size in ((), (2,)))
            real = centers = inked(told["drawing"], u, within)
            on, met = overlap(told["drawing"], fake)
            text = f"{100 * on:.0f} % of the samples on ink · {100 * met:.0f} % of the ink met · "
            text += "no modes are known, none counted"
        ground = field(told["checkpoint"], lambda: _critic(gan, grid), *by)
        laid = lines(told["checkpoint"], lambda: _laid(gan), *by)
        views = {
            "plane": _plane(ground, gan, real, fake, told["k"]),
            "map": _map(laid, centers, "modes" if told["data"] == MODES else "data"),
        }
        if told["data"] == DRAWN:
            views["drawing"] = View(None, [], (-LIMIT, LIMIT) * 2, "draw the data here", aspect=1.0)
            still = "; until then the last data are learned" if learned.trainer.running else ""
            views["drawing"].warning = f"Nothing is drawn: paint here{still}" if blank else ""
        went = {name: told[f"{name}_alone"] for name in gan.players() if told[f"{name}_alone"]}
        moved = [f"{name} {n} step{'s' * (n > 1)} alone" for name, n in went.items()]
        return Frame(views, " · ".join([text, how, told["cure"], *moved]))

    place = lambda name: lambda controls: {"target": TARGETS[name], "data": MODES}
    stage = Stage(
        draw,
        [
            Handles(
                "target", OPENS["target"], on="plane", color="data", label="modes of the data", when=("data", MODES)
            ),
            Brush("drawing", SHEET, SHEET, on="drawing", label="drawing of the data", when=("data", DRAWN)),
            Choice("data", [MODES, DRAWN]),
            Choice("cure", list(CURES), OPENS["cure"], label="loss"),
            Slider("momentum", 0.0, 0.95, OPENS["momentum"], 0.05),
            Slider("k", 1, 5, OPENS["k"], 1, label="k, steps of D"),
            Slider("critic_alone", 0, ALONE, 0, 1, label="step D: alone", unit="steps"),
            Slider("generator_alone", 0, ALONE, 0, 1, label="step G: alone", unit="steps"),
            learned.timeline(),
            *(Button(name, place(name), label=name.split()[-1]) for name in TARGETS),
        ],
        title=headers.title(__doc__),
        caption="Press Train, drag or draw the data: which loss keeps all modes? Learned: G and D. Exact: the modes.",
        exported="Let G step alone: do its samples spread or contract? Learned: G and D. Exact: the modes.",
        trainer=learned.trainer,
        source=f"from gdm_core import explorers\n\nexplorers.gan_studio(seed={seed})",
        sampled={"generator_alone": 7, "critic_alone": 3},
        name="gan_studio",
    )
    page.append(stage)
    return stage


def _critic(gan: GAN, grid: Tensor) -> Tensor:
    """The critic over the plane, (CELLS, CELLS); without its mean, since a constant changes no pull."""
    D = gan.logits(grid).reshape(CELLS, CELLS)
    return D - D.mean()


def _plane(D: Tensor, gan: GAN, real: Tensor, fake: Tensor, k: int) -> View:
    """The critic as a field, data and samples on it, and where some of the samples are pulled."""
    size = D.abs().max().clamp_min(1e-6).item()
    marks = [
        Points(real[:300], "data", size=3.5, alpha=0.6, label="data"),
        Points(fake, "model", size=4, alpha=0.7, label="samples"),
    ]
    if len(real):  # losses of pairs have no other pull
        way = pulls(gan, real[:PULLED], fake[:PULLED])
        way = 0.7 * way / way.norm(dim=1).max().clamp_min(1e-9)
        marks.append(Arrows(fake[:PULLED], way, "accent", width=1.8, label="pull on a sample"))
    title = f"critic{f', k = {k}' if k > 1 else ''}: purple bets on data"
    return View(D, marks, (-LIMIT, LIMIT) * 2, title, "PuOr", (-size, size), smooth=True, size=1.3)


def _laid(gan: GAN, lines: int = 15, most: float = 2.2) -> np.ndarray:
    """Straight lines of the latent plane, both ways, where G lays them: (2 lines, 100, 2)."""
    device = gan._zero.device
    t = torch.linspace(-most, most, 100, device=device)
    rows = torch.cartesian_prod(torch.linspace(-most, most, lines, device=device), t)
    both = gan.generate(torch.stack([rows, rows.flip(1)]).flatten(0, 1))
    return both.reshape(2 * lines, 100, 2).clamp(-9, 9).cpu().numpy()


def _map(laid: np.ndarray, centers: Tensor, of: str) -> View:
    """Straight lines of the latent plane, and where G lays them."""
    marks = [
        Points(centers, "data", size=11 if of == "modes" else 3.5, alpha=0.5, label=of),
        Lines(laid, "latent", width=1.0, alpha=0.8, label="lines of z under G"),
    ]
    return View(None, marks, (-LIMIT, LIMIT) * 2, "the generator's map", aspect=1.0)
