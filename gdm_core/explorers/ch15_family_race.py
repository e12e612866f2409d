"""Family race.

How much work does each family of models need for a point, and is what it delivers as good as true draws?

Eight families draw side by side on one clock of operations; each is scored beside what data say of data.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor, nn

from gdm_core import colors, devices, kept
from gdm_core.data.targets import Mixture
from gdm_core.explorers import headers
from gdm_core.explorers.racers import (
    DENSITIES,
    MAKE,
    MODES,
    WALK,
    counted,
    drawn,
    log_density,
    modes,
    race_model,
    target,
)
from gdm_core.explorers.read_outs import said
from gdm_core.explorers.rulers import Ruler
from gdm_core.widgets import Button, Choice, Frame, Lines, Noise, Points, Stage, Text, Timeline, View

LIMIT, CLOUDS = 4.4, 19  # half of a panel's side; clouds of true draws
GROUPS, DOTS, SHOWN = 4, 400, 250  # clouds of each family, points of one, those shown
TICKS, FIRST, DECADE = 49, 2, 10  # of the clock: 100 operations a point at tick 0, ten ticks for ten times as many
JUDGED, GUESSES = 1000, 100  # points that judge the densities; draws of z for each
# The pale one of the components could not be read; all eight are models, so one color for "learned" will not do
COLORS = (*colors.COMPONENTS[:4], "#3B5BDB", colors.COMPONENTS[5], colors.MODEL, colors.FAMILY)
FAMILIES = dict(zip(MAKE, COLORS))
CENTERS = LIMIT * np.array([[x, y] for y in (1, -1) for x in (-3, -1, 1, 3)])  # of the panels, one a family
SCORES = ("distance", "modes", "nats lost")


def clock(tick: float) -> float:
    """Operations a point at a tick."""
    return 10 ** (FIRST + tick / DECADE)


def filmed(family: str, model: nn.Module, *noise: Tensor) -> tuple[Tensor, np.ndarray, float]:
    """States that some tick shows, (T, N, 2), which of them each tick shows, (TICKS,), and the whole work a point."""
    shown, which, at, before = [], [], 0, None
    for work, state in counted(drawn(family, model, *noise)):
        first = at
        while at < TICKS and clock(at) < work:  # these ticks still see the state before
            at += 1
        if at > first:
            shown.append(before)
            which += [len(shown) - 1] * (at - first)
        before = state
    shown.append(before)
    which += [len(shown) - 1] * (TICKS - at)
    return torch.stack(shown), np.array(which), work


def family_race(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of eight families that draw from one target in the plane, on one clock of operations.

    Args:
        seed: of the trainings and of all noise.
        device: where they are trained and drawn from; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise, truth = Noise(seed, device), target().to(device)
    models = {
        name: kept.trained(race_model, seed=seed, device=device, family=name, steps=steps)
        for name, (_, steps, _) in MAKE.items()
    }
    ruler = Ruler(truth.means[None], truth.std[None], truth.weights, DOTS)
    chance = ruler.chance(noise(0, CLOUDS, DOTS, uniform=True), noise(0, CLOUDS, DOTS, 2))[0].cpu().numpy()

    k = (noise(1, JUDGED, uniform=True) * len(truth.means)).long()
    x = truth.means[k] + truth.std[k, None] * noise(1, JUDGED, 2)
    near = modes(x[None], truth)[1].item()  # of true draws: few lie far from all commas

    @functools.lru_cache(maxsize=4)  # a film each time that new noise is asked for
    @torch.no_grad()
    def films(press: int) -> dict[str, tuple]:
        """Of each family: states, which one a tick shows, the whole work, distances (T, GROUPS) and `modes`."""
        n, out = GROUPS * DOTS, {}
        for name, model in models.items():
            given = noise(press, n, 2), noise(press, n, 2, uniform=True), noise(press, WALK, n, 2)
            states, which, work = filmed(name, model, *given)
            groups = states.reshape(1, len(states), GROUPS, DOTS, 2)
            far, found = ruler.distance(groups)[0].cpu().numpy(), modes(states, truth).cpu().numpy()
            out[name] = states[:, :SHOWN].cpu().numpy(), which, work, far, found
        return out

    @functools.cache
    @torch.no_grad()
    def lost() -> dict[str, tuple[float, float]]:
        """Mean of log p / q over true draws and its standard error, nats, of the families that know their q."""
        away = lambda name: truth.log_prob(x) - log_density(name, models[name], x, noise(1, GUESSES, JUDGED, 2))
        each = {name: away(name).double() for name in DENSITIES}
        return {name: (a.mean().item(), (a.std() / JUDGED**0.5).item()) for name, a in each.items()}

    def draw(controls) -> Frame:
        score, tick = controls["score"], controls["work"]
        race = films(controls["new noise"])
        done = [name for name, run in race.items() if clock(tick) >= run[2]]
        now = {name: (far[which[tick]], found[:, which[tick]]) for name, (_, which, _, far, found) in race.items()}
        nats = lost() if score == "nats lost" else {}
        marks = [Lines([[[x, -2 * LIMIT], [x, 2 * LIMIT]] for x in (-2 * LIMIT, 0, 2 * LIMIT)], "noise", width=1)]
        marks.append(Lines([[-4 * LIMIT, 0], [4 * LIMIT, 0]], "noise", width=1))
        for center, (name, color) in zip(CENTERS, FAMILIES.items()):
            dots, which = race[name][:2]
            words = _words(score, *now[name], nats.get(name), name == "VAE")
            marks += _panel(center, dots[which[tick]], truth, color, name in done, (name, words))
        views = {
            "race": View(
                None, marks, (-4 * LIMIT, 4 * LIMIT, -2 * LIMIT, 2 * LIMIT), _work(tick), aspect=2.0, size=2.4
            ),
            "score": _losses(race, nats, tick) if nats else _course(race, score, tick, chance, near),
        }
        return Frame(views, f"{_best(score, now, done, nats, chance, near)} · {len(done)} of {len(race)} done")

    return Stage(
        draw,
        [
            Timeline("work", TICKS, value=24, fps=8, label="operations"),
            Choice("score", list(SCORES)),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Press play: samples stay gray until their family is done. Then change the score: who leads? "
        "Learned: the models. Exact: the target and the distance of each cloud from it.",
        source=f"from gdm_core import explorers\n\nexplorers.family_race(seed={seed})",
        sampled={"work": 13, "score": 3},
        name="family_race",
    )


def _work(tick: int) -> str:
    """The clock in words, to two digits."""
    work = clock(tick)
    digits = 10 ** (math.floor(math.log10(work)) - 1)
    return f"after {round(work / digits) * digits:,} operations a point"


def _words(score: str, far: np.ndarray, found: np.ndarray, lost: tuple | None, bound: bool) -> str:
    if score == "distance":
        return said(float(far.mean()))
    if score == "modes":
        return f"{found[0]:.0f}/{MODES}, {100 * found[1]:.0f} %"
    return f"{'≤ ' * bound}{said(lost[0])} nats" if lost else "no density"


def _panel(center: np.ndarray, x: np.ndarray, truth: Mixture, color: str, done: bool, words: tuple) -> list:
    """Samples around a center, the commas that they should fill, the name above and the score below."""
    inside = (np.abs(x) < LIMIT).all(1)
    curves = truth.means.reshape(MODES, -1, 2).cpu().numpy() + center
    return [
        Lines(curves, "exact", width=7, alpha=0.25),
        Points(x[inside] + center, color if done else "noise", size=3, alpha=0.7),
        Text([center + [0, LIMIT - 0.7]], words[:1], color, size=12 if len(words[0]) < 12 else 10.5),  # on a phone
        Text([center - [0, LIMIT - 0.7]], words[1:], color, size=12),
    ]


def _best(score: str, now: dict, done: list[str], nats: dict, chance: np.ndarray, near: float) -> str:
    """Who leads of those that are done, with its error, and what true draws would score."""
    if score == "nats lost":
        name = min(nats, key=lambda name: nats[name][0])
        value, error = nats[name]
        return f"least lost: {name} {said(value, 3)} ± {said(error, 3)} nats · the VAE's is a bound"
    if not done:
        return "nobody yet"
    if score == "modes":
        every = sum(now[name][1][0] == MODES for name in done)
        name = max(done, key=lambda name: now[name][1][1])
        share = now[name][1][1]
        error = (share * (1 - share) / (GROUPS * DOTS)) ** 0.5
        best = f"most points on a comma: {name} {said(100 * share, 1)} ± {said(100 * error, 1)} %"
        return f"{best} · true draws {said(100 * near, 1)} % · all {MODES} commas reached by {every}"
    spread = f"true draws {said(float(chance.min()))} to {said(float(chance.max()))}"
    far = {name: now[name][0] for name in done}
    name = min(far, key=lambda name: far[name].mean())
    value, error = far[name].mean(), far[name].std(ddof=1) / GROUPS**0.5
    return f"nearest: {name} {said(float(value), 3)} ± {said(float(error), 3)} · {spread}"


def _course(race: dict, score: str, tick: int, chance: np.ndarray, near: float) -> View:
    """Distance, or share near a comma, of each family as its work goes on, in the color of its panel."""
    x = FIRST + np.arange(TICKS) / DECADE
    ends, (low, high), band = [x[0], x[-1]], (0, 105), [100 * near]
    if score == "distance":
        low, high = -1.2, max(0.2, 0.1 + math.log10(max(far.mean(1).max() for *_, far, _ in race.values())))
        band = np.log10([chance.min(), chance.max()])
    marks = [Lines([[[e, y] for e in ends] for y in band], "noise", dash=True, label="true draws")]
    for name, color in FAMILIES.items():
        _, which, _, far, found = race[name]
        y = np.log10(far.mean(1)[which]) if score == "distance" else 100 * found[1, which]
        marks += [Lines(np.stack([x, y], 1), color), Points([[x[tick], y[tick]]], color, size=9)]
    marks.append(Lines([[x[tick], low], [x[tick], high]], "accent", width=1.5))
    axes = ("log₁₀ operations", "log₁₀ W₂, sliced" if score == "distance" else "% near a comma")
    return View(None, marks, (*ends, low, high), f"{score}, by work", axes=axes, aspect=1.1)


def _losses(race: dict, nats: dict, tick: int) -> View:
    """Nats lost over the whole work of a family, with two standard errors to each side."""
    marks, high = [], 1.1 * max(0.5, *(value + 2 * error for value, error in nats.values()))
    for name, (value, error) in nats.items():
        x, color = math.log10(race[name][2]), FAMILIES[name]
        marks.append(Lines([[x, value - 2 * error], [x, value + 2 * error]], color, width=3))
        marks.append(Points([[x, value]], color, size=10))
    at = FIRST + tick / DECADE
    ends = (min(0.5, *(math.log10(race[name][2]) for name in nats)), FIRST + (TICKS - 1) / DECADE)
    marks.append(Lines([[at, 0], [at, high]], "accent", width=1.5))
    look = {"axes": ("log₁₀ operations", "nats"), "aspect": 1.1}
    return View(None, marks, (*ends, -0.05 * high, high), "nats lost, by whole work", **look)
