"""Hole in the picture.

Which ways to fill a hole draw what the posterior holds, and which only look as if they did?

A digit to paint a hole on, completions by the method in the hand, and the exact posterior beside them.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gdm_core import data, devices, ideal, inverse, samplers, schedules
from gdm_core import observations as ob
from gdm_core.explorers import headers
from gdm_core.models.ppca import PPCA
from gdm_core.quantiles import component
from gdm_core.widgets import Bars, Brush, Button, Choice, Frame, Lines, Noise, Slider, Stage, Timeline, View, tile

SIDE, LATENTS = 8, 12  # of a digit; of each class's PPCA
DRAWS, SHOWN = 64, 16  # completions; those one sees
MOST, REPEATS = 24, 3  # steps of a sampler; how often RePaint does each
SMALL = 0.85  # size of a view: three in a row
FAR = 30.0  # no picture has an entry so large: a method has run away
SCHEDULE = schedules.preserving()
METHODS = (
    "replacement",
    "RePaint (3 times)",
    "pseudo-inverse",
    "twisted particles",
    "posterior's denoiser",
    "DPS",
)


class Law(NamedTuple):
    """A PPCA for each class of digits; gray levels in units in which a pixel has variance 1."""

    means: Tensor  # (K, d), float64
    covariances: Tensor  # (K, d, d)
    weights: Tensor  # (K,)
    middle: float  # the gray level, 0 to 16, that is 0
    unit: float  # how many gray levels are 1

    @classmethod
    def of(cls, digits: data.Dataset) -> "Law":
        levels = 16 * digits.flat().double()
        middle, unit = levels.mean().item(), levels.std().item()
        x, found = (levels - middle) / unit, []
        for k in range(10):
            own = x[digits.labels == k]
            model = PPCA(SIDE**2, LATENTS).double().solve(own)
            spread = model.W @ model.W.T + model.var * torch.eye(SIDE**2, dtype=x.dtype)
            found.append((model.b.detach(), spread.detach(), torch.tensor(len(own) / len(x), dtype=x.dtype)))
        return cls(*map(torch.stack, zip(*found)), middle, unit)

    def given(self, seen: ob.Observation | None) -> "Law":
        """p(x | y)."""
        return self if seen is None else self._replace(**dict(zip(self._fields, ob.mixture(*self[:3], seen))))

    def denoiser(self):
        return ideal.gaussians(*self[:3], SCHEDULE)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each pixel, (d,)."""
        mean = self.weights @ self.means
        spread = self.covariances.diagonal(dim1=1, dim2=2) + (self.means - mean).square()
        return mean, self.weights @ spread

    def draw(self, u: Tensor, e: Tensor) -> Tensor:
        """A picture for each uniform number u (N,) and noise e (N, d)."""
        k = component(self.weights, u)
        roots = torch.linalg.cholesky(self.covariances)
        return self.means[k] + (roots[k] @ e.double()[..., None])[..., 0]

    def classes(self, x: Tensor) -> Tensor:
        """p(k | x), (N, K): of whole pictures."""
        each = MultivariateNormal(self.means, self.covariances).log_prob(x.double()[:, None])
        return (each + self.weights.log()).softmax(1)

    def ink(self, x: Tensor) -> Tensor:
        """Pictures dark on light, (N, 8, 8)."""
        return 1 - (x.detach().cpu() * self.unit + self.middle).reshape(-1, SIDE, SIDE) / 16


def fill(
    method: str,
    law: Law,
    posterior: Law,
    seen: ob.Observation | None,
    times: Tensor,
    pull: float,
    noise: Tensor,
    toss: Tensor,
) -> Iterator[tuple[Tensor, Tensor]]:
    """States (DRAWS, d) from noise to completions, and their weights, (DRAWS,).  Nothing seen: of the prior.

    Args:
        posterior: of `law`, given what is seen.
        pull: scale of DPS.
        noise: (3 MOST REPEATS + 1, DRAWS, d); toss: (MOST,), uniform.
    """
    denoise, start, own = law.denoiser(), noise[-1], lambda i: noise[i]
    even = start.new_full((DRAWS,), 1 / DRAWS)
    plain = lambda denoise: ((x, even) for x in samplers.ddim(denoise, SCHEDULE, start, times, eta=1.0, noise=own))
    if seen is None:
        return plain(denoise)
    match method:
        case "replacement" | "RePaint (3 times)":
            repeats = 1 if method == "replacement" else REPEATS
            run = inverse.resampled(denoise, seen, SCHEDULE, start, times, repeats=repeats, noise=own)
            return ((x, even) for x in run)
        case "twisted particles":
            run = inverse.twisted(denoise, seen, SCHEDULE, start, times, noise=own, uniform=lambda i: toss[i])
            return ((x, log_w.exp()) for x, log_w in run)
        case "pseudo-inverse":
            return plain(inverse.pseudo_inverse(denoise, seen, SCHEDULE))
        case "posterior's denoiser":
            return plain(posterior.denoiser())
        case "DPS":
            return plain(inverse.dps(denoise, seen, SCHEDULE, pull))


def hole_in_the_picture(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of inpainting with an exact prior, a mixture of ten PPCAs of digits, and so an exact posterior.

    Args:
        seed: of all noise.
        device: where the samplers run; see `devices.pick`.
    """
    device = devices.pick(device, small=True)
    noise, law = Noise(seed, device), Law.of(data.load("digits"))
    fixed = Noise(seed)  # of what is exact, in float64 on the CPU
    test = data.load("digits", "test")
    chosen = [int((test.labels == k).nonzero()[0]) for k in range(10)]
    digits = (16 * test.flat()[chosen].double() - law.middle) / law.unit

    def observed(digit: int, hole: Tensor, std: float) -> ob.Observation | None:
        """None where nothing is seen."""
        y = digits[digit] + std * fixed(0, SIDE**2).double()
        return None if hole.all() else ob.Observation(ob.mask(~hole), y[~hole], std)

    @functools.lru_cache(maxsize=32)
    def answered(digit: int, painted: bytes, std: float) -> tuple[Law, Tensor]:
        """The posterior, and draws of it."""
        posterior = law.given(observed(digit, _mask(painted), std))
        return posterior, posterior.draw(fixed(1, SHOWN, uniform=True), fixed(1, SHOWN, SIDE**2))

    @functools.lru_cache(maxsize=8)  # the timeline goes through one run
    def filled(digit: int, painted: bytes, std: float, method: str, steps: int, pull: float, press: int):
        """States and weights, and how many of the completions ran away."""
        seen, (posterior, _) = observed(digit, _mask(painted), std), answered(digit, painted, std)
        if seen is not None:
            seen = ob.Observation(seen.sight, seen.y.to(device, torch.float32), std)
        times = schedules.times(SCHEDULE, steps, by="angle")
        e, toss = noise(press, 3 * MOST * REPEATS + 1, DRAWS, SIDE**2), noise(press, MOST, uniform=True)
        states = []
        for x, w in fill(method, law, posterior, seen, times, pull, e, toss):
            lost = int((~(x.abs() < FAR).all(1)).sum())
            states.append((x.cpu(), w.cpu().double()))
            if lost:
                break
        return states, lost

    def draw(controls) -> Frame:
        hole = torch.as_tensor(controls["hole"]).flatten() >= 0.5
        digit, std, method, steps = (controls[name] for name in ("digit", "std", "method", "steps"))
        shown = digits[digit] + std * fixed(0, SIDE**2).double() * ~hole
        picture = View(law.ink(shown)[0], label=f"{'an' if digit == 8 else 'a'} {digit} and its hole", size=SMALL)
        if not hole.any():
            same = lambda label: _tiles(law, shown.expand(SHOWN, -1), hole, label)
            views = {"picture": picture, "completions": same("drawn"), "posterior": same("exact posterior")}
            views["completions"].warning = "Nothing is hidden: paint a hole"
            still = shown, torch.zeros_like(shown)
            views |= {"moments": _moments(law, still, still), "classes": _classes()}
            return Frame(views, "nothing is hidden")
        key = digit, hole.numpy().tobytes(), std
        posterior, exact = answered(*key)
        states, lost = filled(*key, method, steps, controls["pull"], controls["new noise"])
        at = min(round(controls["step"] * steps / MOST), len(states) - 1)
        x, w = states[at]
        some = component(w, (torch.arange(SHOWN).double() + 0.5) / SHOWN)
        views = {"picture": picture, "completions": _tiles(law, x[some], hole, f"drawn, step {at} of {steps}")}
        views["posterior"] = _tiles(law, exact, hole, "exact posterior")
        views["completions"].warning = f"It ran away at step {len(states) - 1}: pull less" if lost else ""
        x, w = states[-1]
        found, truth = (w @ x.double(), w @ (x - w @ x.double()).square()), posterior.moments()
        views["moments"] = _moments(law, found, truth)
        share = w @ law.classes(x)
        views["classes"] = _classes(share, posterior.weights)
        if lost:
            text = f"{lost} of {DRAWS} completions ran away at step {len(states) - 1} of {steps}"
            return Frame(views, text)
        off = law.unit * (found[0] - truth[0])[hole].square().mean().sqrt().item()
        chance = law.unit * (truth[1][hole].mean() / DRAWS).sqrt().item()
        spread = (found[1][hole].sum() / truth[1][hole].sum()).sqrt().item()
        wrong = (share - posterior.weights).abs().sum().item() / 2
        text = f"mean off by {off:.2f} gray levels, by chance {chance:.2f} · spread {spread:.2f} of the exact · "
        text += f"classes off by {100 * wrong:.0f} %"
        if not hole.all():
            missed = (w @ (x - shown)[:, ~hole].square()).mean().sqrt().item() / std
            due = _expected(posterior, shown, hole) / std
            text += f" · seen pixels off by {missed:.2f} std of their noise, {due:.2f} expected"
        return Frame(views, text)

    lower = np.zeros((SIDE, SIDE))
    lower[SIDE // 2 :] = 1
    return Stage(
        draw,
        [
            Brush("hole", SIDE, SIDE, lower, on="picture", radius=0.75, hard=True),
            Choice("method", list(METHODS), METHODS[-1]),
            Slider("digit", 0, 9, 3, step=1),
            Slider("std", 0.1, 1.0, 0.3, log=True, label="noise of what is seen"),
            Slider("pull", 0.03, 1.0, 0.15, log=True, label="pull of DPS"),
            Choice("steps", [6, 12, MOST], MOST),
            Timeline("step", MOST + 1, value=MOST, label="noise to picture", fps=12),
            Button("new noise"),
        ],
        title=headers.title(__doc__),
        caption="Paint a hole, choose a method: does it agree with the exact posterior (green)? Learned: the prior.",
        exported="Which method agrees with the exact posterior (green)? Learned: the prior, a mixture of ten PPCAs.",
        source=f"from gdm_core import explorers\n\nexplorers.hole_in_the_picture(seed={seed})",
        sampled={"method": len(METHODS), "digit": 5},
        name="hole_in_the_picture",
    )


def _mask(painted: bytes) -> Tensor:
    return torch.frombuffer(bytearray(painted), dtype=torch.bool)


def _expected(posterior: Law, seen: Tensor, hole: Tensor) -> float:
    """Root mean square of seen pixels' way to what was seen, under the posterior."""
    mean, var = posterior.moments()
    return ((mean - seen).square() + var)[~hole].mean().sqrt().item()


def _tiles(law: Law, x: Tensor, hole: Tensor, label: str) -> View:
    """SHOWN pictures, the rim of the hole drawn in each."""
    rims = [_rim(hole) + [(SIDE + 1) * column, (SIDE + 1) * row] for row in range(4) for column in range(4)]
    rim = Lines(np.concatenate(rims), "accent", width=1, alpha=0.7)
    return View(tile(law.ink(x), 4), [rim], label=label, size=SMALL)


def _rim(hole: Tensor) -> np.ndarray:
    """Sides between hidden and seen pixels, (3 M, 2), a gap after each."""
    inside, gap = hole.reshape(SIDE, SIDE).numpy(), [np.nan, np.nan]
    rows, columns = np.nonzero(inside[1:] != inside[:-1])
    across = [np.stack([columns + k, rows + 1], 1) for k in (0, 1)]
    other = np.nonzero(inside[:, 1:] != inside[:, :-1])
    down = [np.stack([other[1] + 1, other[0] + k], 1) for k in (0, 1)]
    ends = np.concatenate([np.stack(across, 1), np.stack(down, 1)]).astype(float)  # (M, 2, 2)
    return np.concatenate([ends, np.broadcast_to(gap, (len(ends), 1, 2))], 1).reshape(-1, 2)


def _moments(law: Law, found: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]) -> View:
    """Means, and the std of each pixel, the larger, the darker."""
    means = law.ink(torch.stack([found[0], truth[0]]))
    stds = torch.stack([found[1], truth[1]]).sqrt().reshape(-1, SIDE, SIDE)
    return View(tile(torch.cat([means, 1 - stds]), 4), label="means, stds: drawn · exact")


def _classes(share: Tensor | None = None, exact: Tensor | None = None) -> View:
    """Class probabilities of the posterior, and of the completions."""
    k, none = np.arange(10), np.zeros(10)
    marks = [
        Bars(k - 0.2, none if exact is None else exact, width=0.4, color="exact", label="exact"),
        Bars(k + 0.2, none if share is None else share, width=0.4, color="model", label="completions"),
    ]
    return View(None, marks, (-0.6, 9.6, 0, 1), "classes", axes=("digit", "share"), aspect=2.0, size=SMALL)
