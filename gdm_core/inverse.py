r"""Pictures behind an observation y = A x + std noise, with a denoiser that knows nothing of y.

With D = denoise(x_t, t), J its Jacobian and s2 = sigma^2 / alpha, each way is a denoiser again:

    replacement      x_t with alpha y + sigma noise where it is seen, then D, and y where it is seen
                                                                                   Song et al. (2021, appendix I.2)
    dps              D + s2 grad log N(y; A D, std^2 I)                            Chung et al. (2023, eq. 16)
    pseudo_inverse   D + s2 J^T A^T (r^2 A A^T + std^2 I)^-1 (y - A D)             Song et al. (2023, eq. 7)
    projected        the same with Cov(x | x_t) = s2 J for r^2 I: exact where x is Gaussian      Boys et al. (2023)

or a sampler of its own, a generator of states as in `samplers`:

    resampled        replacement; each step is taken back and done again      RePaint: Lugmayr et al. (2022, alg. 1)
    twisted          particles that pseudo_inverse proposes, weighed and drawn anew: right in the limit of many
                                                                              Wu et al. (2023, alg. 1)
    edited           a picture drowned in noise half way, and saved           SDEdit: Meng et al. (2022, alg. 1)

Noises follow `torch.manual_seed` unless they are given.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gdm_core import samplers
from gdm_core.denoising import Denoise, Schedule, at, noisy
from gdm_core.mcmc import Draw
from gdm_core.observations import Observation
from gdm_core.validate import bad, batch, integer, positive

Spread = Callable[[Tensor], Tensor]


def replacement(
    denoise: Denoise, seen: Observation, schedule: Schedule, noise: Callable[[Tensor], Tensor] | None = None
) -> Denoise:
    """Paste what is seen, as noisy as the rest.  What the rest became before it cannot know what is pasted later.

    Args:
        denoise: E[x | x_t].
        seen: through a mask; its std is not used.
        schedule: of the denoiser.
        noise: noise(t) of what is pasted, of the shape of x_t; `lambda t: e` pastes the same at all times.

    Raises:
        ValueError: an observation that is not a mask's.
    """
    kept = _mask(seen)

    def pasting(x_t: Tensor, t: Tensor) -> Tensor:
        here, known = kept.to(x_t.device), _spread(seen, x_t)
        shaken = torch.randn_like(x_t) if noise is None else noise(t).to(x_t)
        mean = denoise(torch.where(here, noisy(known, t, schedule, shaken), x_t), t)
        return torch.where(here, known, mean)

    return pasting


def dps(denoise: Denoise, seen: Observation, schedule: Schedule, scale: float = 1.0) -> Denoise:
    """As if x were at its mean D: y is believed too much while there is noise.

    Args:
        denoise: E[x | x_t], differentiable by x_t.
        seen: with a std above 0.
        schedule: of the denoiser.
        scale: of the gradient; the paper tunes it, 1 is the formula above.

    Raises:
        ValueError: a std of 0, a scale that is not positive; while running, a denoiser without gradient.
    """
    positive("std", seen.std, 0.1)
    return _pulled(denoise, seen, schedule, torch.zeros_like, positive("scale", scale))


def pseudo_inverse(denoise: Denoise, seen: Observation, schedule: Schedule, spread: Spread | None = None) -> Denoise:
    """As if x were N(D, r^2 I) given x_t.

    Args:
        denoise: E[x | x_t], differentiable by x_t.
        seen: with any std; where it is 0, times end above 0 or at a step that ends at the data.
        schedule: of the denoiser.
        spread: t -> r^2; sigma^2 / (alpha^2 + sigma^2), right for data of variance 1, unless given.
    """
    return _pulled(denoise, seen, schedule, spread or unit(schedule))


def unit(schedule: Schedule) -> Spread:
    """Var(x | x_t) of x ~ N(0, 1)."""

    def spread(t: Tensor) -> Tensor:
        alpha, sigma = schedule(t)
        return sigma**2 / (alpha**2 + sigma**2)

    return spread


def projected(denoise: Denoise, seen: Observation, schedule: Schedule) -> Denoise:
    """As if x were N(D, s2 J) given x_t, its true covariance: one backward pass for each entry that is seen.

    Arguments as for `pseudo_inverse`.
    """

    def pulled(x_t: Tensor, t: Tensor) -> Tensor:
        x, mean = _open(denoise, x_t, t)
        alpha, sigma = at(schedule, t, x_t)
        with torch.enable_grad():
            missed = seen.missed(mean).flatten(1)  # (B, m)
            m = missed.shape[1]
            rows = [-_slope(missed[:, i].sum(), x, keep=i < m - 1) for i in range(m)]
        rows = torch.stack(rows, 1)  # A J: (B, m, *event)
        s2 = (sigma**2 / alpha).reshape(-1, 1, 1)
        there = s2 * torch.stack([seen.sight(row).flatten(1) for row in rows.unbind(1)], 1)  # A Cov A^T: (B, m, m)
        inner = (there + there.mT) / 2 + seen.std**2 * torch.eye(m).to(x_t)
        wanted = torch.linalg.solve(inner, missed.detach()[..., None])  # (B, m, 1)
        return mean.detach() + (s2 * rows.flatten(2).mT @ wanted).reshape(x_t.shape)

    return pulled


def resampled(
    denoise: Denoise,
    seen: Observation,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    *,
    repeats: int = 10,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """`replacement` by DDPM's steps; from each new level the noise of one step is put back `repeats - 1` times.

    What is pasted and what is not then have time to agree.

    Args:
        denoise, seen, schedule: as for `replacement`.
        x: the start, of the law of x at times[0], (B, *event).
        times: falling, in [0, 1].
        repeats: how often each step is done; 1 is `replacement`.
        noise: of all draws in their order, three each time: to paste, to step, to go back.
    """
    repeats = integer("repeats", repeats)
    _mask(seen)

    def run() -> Iterator[Tensor]:
        state = x.detach()
        yield state
        for i in range(len(times) - 1):
            (alpha, sigma), (less, left) = schedule(times[i].to(x)), schedule(times[i + 1].to(x))
            for k in range(repeats):
                first = 3 * (i * repeats + k)
                own = lambda j, first=first: torch.randn_like(x) if noise is None else noise(first + j)
                pasting = replacement(denoise, seen, schedule, lambda _, own=own: own(0))
                step = samplers.ddim(
                    pasting, schedule, state, times[i : i + 2], eta=1.0, noise=lambda _, own=own: own(1)
                )
                *_, state = step
                if k < repeats - 1:
                    rate = alpha / less
                    state = rate * state + (sigma**2 - (rate * left) ** 2).clamp(min=0).sqrt() * own(2)
            yield state

    return run()


def twisted(
    denoise: Denoise,
    seen: Observation,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    *,
    spread: Spread | None = None,
    least: float = 0.5,
    noise: Draw | None = None,
    uniform: Draw | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Particles for one y, and their log-weights: (P, *event) and (P,), which sum to 1.

    Each step is DDPM's with the pulled denoiser.  Its state is weighed by its density under DDPM's step without the
    pull, over that with it, times N(y; A D, r^2 A A^T + std^2 I) of the new state over that of the old.

    Args:
        denoise: E[x | x_t], differentiable by x_t.
        seen: one y (*seen), std above 0.
        schedule: of the denoiser.
        x: the start, (P, *event).
        times: falling, in [0, 1].
        spread: t -> r^2, as for `pseudo_inverse`; any is right in the limit of many particles if it is 0 at the data.
        least: particles are drawn anew when fewer than this share of them carry the weight; 0: never.
        noise, uniform: of step i: (P, *event), and () in [0, 1), which draws anew.

    Raises:
        ValueError: a std of 0, more than one y, `least` outside [0, 1].
    """
    positive("std", seen.std, 0.1)
    if seen.y.ndim != len(seen.sight.seen):
        raise bad(f"one y of shape {tuple(seen.sight.seen)}", tuple(seen.y.shape), "a run for each y")
    if not 0 <= least <= 1:
        raise bad("a share of particles in [0, 1]", least, "least=0.5")
    start, r2, told = batch(x, seen.sight.event_shape).detach(), spread or unit(schedule), times.to(x)
    alpha, sigma = schedule(told)

    def look(state: Tensor, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """D, log of the twist and its slope at the i-th time; at the data x is its own mean."""
        if not sigma[i] > 0:
            return state, seen.log_prob(state), torch.zeros_like(state)
        return _look(denoise, seen, state, told[i], r2)

    def run() -> Iterator[tuple[Tensor, Tensor]]:
        state, (mean, value, slope) = start, look(start, 0)
        log_w = value.log_softmax(0)
        yield state, log_w
        for i, (of_mean, of_state, std) in enumerate(zip(*samplers.parts(alpha, sigma, eta=1.0))):
            if _carriers(log_w) < least:
                toss = torch.rand((), device=x.device) if uniform is None else uniform(i)
                chosen = _systematic(log_w, toss)
                state, mean, value, slope = (a[chosen] for a in (state, mean, value, slope))
                log_w = torch.full_like(log_w, -math.log(len(log_w)))
            plain = of_state * state + of_mean * mean
            if std > 0:
                e = torch.randn_like(state) if noise is None else noise(i)
                state = plain + of_mean * sigma[i] ** 2 / alpha[i] * slope + std * e
                log_w = log_w + (e.square() - ((state - plain) / std).square()).flatten(1).sum(1) / 2
            else:
                state = plain
            before, (mean, value, slope) = value, look(state, i + 1)
            log_w = (log_w + value - before).log_softmax(0)
            yield state, log_w

    return run()


def edited(
    denoise: Denoise,
    schedule: Schedule,
    x: Tensor,
    times: Tensor,
    *,
    eta: float = 0.0,
    noise: Draw | None = None,
) -> Iterator[Tensor]:
    """From x with the noise of times[0] on: a small t keeps what was drawn, a large one makes it look like data.

    Args:
        denoise, schedule: as for `samplers.ddim`.
        x: a picture, a sketch, (B, *event).
        times: falling, from the time to begin at.
        eta: as for `samplers.ddim`.
        noise: noise(0) drowns x; the steps have 1 and up.
    """
    if not isinstance(times, Tensor) or times.ndim != 1 or len(times) < 2:
        raise bad("times that fall, two or more", times, "schedules.times(schedule, 50)[25:]")
    first = torch.randn_like(x) if noise is None else noise(0)
    further = None if noise is None else lambda i: noise(i + 1)
    return samplers.ddim(denoise, schedule, noisy(x, times[0].to(x), schedule, first), times, eta=eta, noise=further)


def _mask(seen: Observation) -> Tensor:
    if seen.sight.kept is None:
        raise bad("an observation through a mask", "another", "observations.mask(kept), or inverse.pseudo_inverse")
    return seen.sight.kept


def _spread(seen: Observation, x_t: Tensor) -> Tensor:
    """y at its places, (B, *event), zeros elsewhere."""
    flat = torch.zeros_like(x_t).flatten(1)
    flat[:, seen.sight.kept.flatten().to(x_t.device)] = seen.y.to(x_t)
    return flat.reshape(x_t.shape)


def _pulled(denoise: Denoise, seen: Observation, schedule: Schedule, spread: Spread, scale: float = 1.0) -> Denoise:
    """D + scale s2 grad log N(y; A D, r^2 A A^T + std^2 I)."""

    def pulled(x_t: Tensor, t: Tensor) -> Tensor:
        mean, _, slope = _look(denoise, seen, x_t, t, spread)
        alpha, sigma = at(schedule, t, x_t)
        return mean + scale * sigma**2 / alpha * slope

    return pulled


def _look(denoise: Denoise, seen: Observation, x_t: Tensor, t: Tensor, spread: Spread) -> tuple[Tensor, Tensor, Tensor]:
    """D, log N(y; A D, r^2 A A^T + std^2 I) and its slope by x_t, through D."""
    x, mean = _open(denoise, x_t, t)
    with torch.enable_grad():
        value = seen.log_prob(mean, spread(t))
        slope = _slope(value.sum(), x)
    return mean.detach(), value.detach(), slope


def _open(denoise: Denoise, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t as a leaf, and D(x_t) that knows where it came from."""
    with torch.enable_grad():
        x = x_t.detach().requires_grad_()
        mean = denoise(x, t)
    if not mean.requires_grad:
        raise bad("a denoiser that can be differentiated by x_t", "one that is detached", "denoise without no_grad")
    return x, mean


def _slope(value: Tensor, x: Tensor, keep: bool = False) -> Tensor:
    return torch.autograd.grad(value, x, retain_graph=keep)[0].detach()


def _carriers(log_w: Tensor) -> float:
    """Of the particles, how many carry the weight: 1 / sum w^2, over P."""
    return 1 / ((2 * log_w).logsumexp(0).exp().item() * len(log_w))


def _systematic(log_w: Tensor, toss: Tensor) -> Tensor:
    """Numbers of particles drawn by their weights with one toss (Kitagawa, 1996)."""
    places = (torch.arange(len(log_w), device=log_w.device) + toss) / len(log_w)
    return torch.searchsorted(log_w.exp().cumsum(0), places).clamp(max=len(log_w) - 1)
