"""Whether the library with a student's answer says what it says without: one trial for each exercise that has a place.

    python -m gdm_core.course.labs.trials TOLD FILE ...

tries answers that `gdm labs use` cut out, and writes into the file TOLD why each cannot stand in for ours, or "".
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from gdm_core import games, inference, latent, metrics, two_sample, yours
from gdm_core.checks.exercise import one_line
from gdm_core.disentanglement import active_units
from gdm_core.models.gmm import GMM
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import paid

SAME = {torch.float32: 1e-3, torch.float64: 1e-6}  # of 1 + |value|


def difference(path: Path) -> str:
    """Why ours stays; "" where values, kinds and gradients agree, in single and in double precision."""
    for dtype, tolerance in SAME.items():
        said = []
        for home in (os.devnull, path.parent):
            os.environ["GDM_YOURS"] = str(home)
            yours.forget()
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    said.append(TRIALS[path.stem](dtype))
            except Exception as error:
                return f"in place of ours it raised {one_line(error)}"
        for ours, theirs in zip(*said):
            form = lambda t: f"{t.dtype} {tuple(t.shape)}" if isinstance(t, Tensor) else type(t).__name__
            if form(ours) != form(theirs):
                return f"needed {form(ours)} for inputs in {dtype}, got {form(theirs)}"
            if ours.requires_grad and not theirs.requires_grad:
                return "no gradients flow through it, which training needs"
            away = (ours.double() - theirs.double()).abs()
            if not (away <= tolerance * (1 + ours.double().abs())).all():
                return f"in {dtype} it says something else than ours"
    return ""


def _mixture(dtype) -> list[Tensor]:
    model, x = GMM(3, 2).to(dtype), torch.randn(7, 2, dtype=dtype)
    return [model.log_prob(x), model.responsibilities(x)]


def _em(dtype) -> list[Tensor]:
    x = torch.randn(60, 2, dtype=dtype) + 3 * torch.randint(2, (60, 1)).to(dtype)
    model = GMM(2, 2).to(dtype).start(x)
    history = torch.tensor(list(model.em(x, 3)))
    return [history, model.weights, model.means, model.covariances]


def _posterior(dtype) -> list[Tensor]:
    q = PPCA(5, 2).to(dtype).encode(torch.randn(4, 5, dtype=dtype))
    return [q.mean, q.covariance_matrix]


def _maximum(dtype) -> list[Tensor]:
    model = PPCA(5, 2).to(dtype).solve(torch.randn(40, 5, dtype=dtype) * torch.tensor([3.0, 2, 1, 0.6, 0.3]).to(dtype))
    return [model.W, model.b, model.var]


def _draw(dtype) -> list[Tensor]:
    nu = inference.PerDatapoint(3, 2).to(dtype)
    with torch.no_grad():
        nu.mean.normal_(), nu.log_std.normal_()
    z = (nu.draw(4000) - nu.mean) / nu.log_std.exp()
    return [(z.mean(0) / 0.4).round(), ((z.std(0) - 1) / 0.4).round()]  # 0, to 12 standard errors


def _kl(dtype) -> list[Tensor]:
    mean, std = torch.randn(4, 3, dtype=dtype).requires_grad_(), torch.rand(4, 3, dtype=dtype) + 0.1
    prior = Independent(Normal(torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype)), 1)
    return [inference.kl(Independent(Normal(mean, std), 1), prior)]


def _walk(dtype) -> list[Tensor]:
    a, b = torch.randn(2, 3, 5, dtype=dtype)
    return [latent.interpolate(a, b, 4, spherical=True), latent.interpolate(a[0], b[0], spherical=True)]


def _penalty(dtype) -> list[Tensor]:
    a = torch.randn(3, dtype=dtype).requires_grad_()
    paid = games.r1(lambda x: (x * a).sum(1).sin(), torch.randn(6, 3, dtype=dtype), 1.5)
    return [paid, torch.autograd.grad(paid, a, retain_graph=True)[0]]


def _growth(dtype) -> list[Tensor]:
    rules = games.simultaneous, games.alternating, games.optimistic
    return [torch.tensor([games.radius(rule(0.3), games.bilinear()) for rule in rules], dtype=dtype)]


def _witness(dtype) -> list[Tensor]:
    x, y, t = torch.randn(3, 8, 2, dtype=dtype)
    return [two_sample.witness(x, y)(t), two_sample.witness(x, y[:5], 0.7)(t)]


def _reached(dtype) -> list[Tensor]:
    means = 4 * torch.eye(3, dtype=dtype)
    return [torch.tensor(metrics.modes(means[:2].repeat(9, 1) + 0.4 * torch.randn(18, 3, dtype=dtype), means, 0.3))]


TRIALS: dict[str, Callable[[torch.dtype], list[Tensor]]] = {
    "lab01.e_step": _mixture,
    "lab01.m_step": _em,
    "lab02.posterior": _posterior,
    "lab02.maximum": _maximum,
    "lab03.draw": _draw,
    "lab04.kl": _kl,
    "lab04.free_bits": lambda dtype: [paid(torch.rand(6, 4, dtype=dtype).requires_grad_(), 0.5)],
    "lab04.active_units": lambda dtype: [active_units(torch.randn(9, 3, dtype=dtype) * torch.tensor([1.0, 0.01, 2]))],
    "lab05.slerp": _walk,
    "lab05.without": lambda dtype: [latent.remove(*torch.randn(3, 5, dtype=dtype))],
    "lab06.witness": _witness,
    "lab07.growth": _growth,
    "lab07.penalty": _penalty,
    "lab08.covered": _reached,
}

if __name__ == "__main__":
    told = {path.stem: difference(path) for path in map(Path, sys.argv[2:])}
    Path(sys.argv[1]).write_text(json.dumps(told), encoding="utf-8")
