r"""The flow that moves noise to data, and the exact density that it gives every point.

In u = x_t / r_t and the angle phi (see `schedules`) the probability-flow equation (Song et al., 2021, eq. 13) reads

    du/dphi = cos(phi) E[noise | u] - sin(phi) E[x | u],     log p(x) = log N(u_1; 0, sin^2(phi_1) I) + int div du/dphi

by the instantaneous change of variables (Chen et al., 2018, theorem 1): what spreads out on its way to the noise was
dense.  It is solved in s, phi = phi_1 s^2, by Runge and Kutta's method of order four: there the field is 0 at the data,
whatever the denoiser says of them.  The divergence is the trace of the Jacobian, one backward pass an entry, or
Hutchinson's mean of v^T J v over random signs v, the same v in all of one solve (Grathwohl et al., 2019).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gdm_core.denoising import Denoise, Schedule
from gdm_core.nats import LOG_2PI
from gdm_core.schedules import angle, time_at
from gdm_core.validate import bad, integer


def log_prob(
    denoise: Denoise, schedule: Schedule, x: Tensor, *, steps: int = 32, probes: Tensor | None = None
) -> Tensor:
    """log p(x), nats, of what the flow makes of noise N(0, sigma_1^2 I).  (B, *event) -> (B,).

    Args:
        denoise: E[x | x_t], differentiable by x_t.
        schedule: of the denoiser.
        x: data, (B, *event).
        steps: of the solver, four calls of the denoiser each; the error falls as steps^-4.
        probes: (P, B, *event) of mean 0 and covariance I, random signs for one: Hutchinson's v.  None: the exact trace.
    """
    *_, (u, grown) = walk(denoise, schedule, x, steps=steps, probes=probes)
    alpha, sigma = schedule(torch.ones((), dtype=torch.float64, device="cpu"))
    s = (sigma / torch.hypot(alpha, sigma)).item()
    return grown - 0.5 * ((u / s).square() + LOG_2PI + 2 * math.log(s)).flatten(1).sum(1)


def walk(
    denoise: Denoise, schedule: Schedule, x: Tensor, *, steps: int = 32, probes: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """From data to noise: (u, the integral of the divergence so far), (B, *event) and (B,), at each step.

    Arguments as for `log_prob`.
    """
    if probes is not None and probes.shape[1:] != x.shape:
        raise bad(
            f"probes (P, {', '.join(map(str, x.shape))})", tuple(probes.shape), "torch.randn_like(x)[None].sign()"
        )
    last = angle(schedule, torch.ones((), dtype=torch.float64, device="cpu"))
    s = torch.linspace(0, 1, 2 * integer("steps", steps) + 1, dtype=torch.float64, device="cpu")
    phi = last * s**2
    t = time_at(schedule, phi)
    r = torch.hypot(*schedule(t)).tolist()
    pace, phi, told = (2 * last * s).tolist(), phi.tolist(), t.to(x)  # dphi/ds

    def field(k: int, u: Tensor) -> tuple[Tensor, Tensor]:
        if k == 0:
            return torch.zeros_like(u), u.new_zeros(len(u))
        u = u.detach().requires_grad_()
        with torch.enable_grad():
            moved = pace[k] * (math.cos(phi[k]) * u - denoise(r[k] * u, told[k])) / math.sin(phi[k])
            return moved.detach(), divergence(moved, u, probes)

    def run() -> Iterator[tuple[Tensor, Tensor]]:
        u, grown, h = x.detach(), x.new_zeros(len(x)), 1 / steps
        yield u, grown
        for k in range(0, 2 * steps, 2):
            a, da = field(k, u)
            b, db = field(k + 1, u + h / 2 * a)
            c, dc = field(k + 1, u + h / 2 * b)
            d, dd = field(k + 2, u + h * c)
            u = u + h / 6 * (a + 2 * b + 2 * c + d)
            grown = grown + h / 6 * (da + 2 * db + 2 * dc + dd)
            yield u, grown

    return run()


def divergence(moved: Tensor, u: Tensor, probes: Tensor | None = None) -> Tensor:
    """Trace of d moved / d u for each example, (B,); `moved` was computed from `u`, which wants gradients."""
    slope = lambda out: torch.autograd.grad(out, u, retain_graph=True)[0].flatten(1)
    if probes is None:
        flat = moved.flatten(1)
        return sum(slope(flat[:, i].sum())[:, i] for i in range(flat.shape[1])).detach()
    along = [(slope((moved * v).sum()) * v.flatten(1)).sum(1) for v in probes]
    return torch.stack(along).mean(0).detach()
