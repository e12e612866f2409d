r"""Denoisers that lean: each has the call denoise(x_t, t) -> mean of x again, so that every sampler takes it.

    guided          V + w (D - V),  V the weaker of the two      unconditional: Ho & Salimans (2022, eq. 6)
                                                                 a bad copy of D: Karras et al. (2024, eq. 3)
                    for t in an interval alone, D elsewhere      Kynkaanniemi et al. (2024, eq. 5)
    by_classifier   D + w sigma^2 / alpha grad log p(y | x_t)    Dhariwal & Nichol (2021, eq. 10)

w = 1 is D, or the conditional denoiser where the classifier is perfect, and w = 0 is V.  With another w there need be
no density whose noisy copies have these denoisers: what a sampler makes of them has to be asked of the sampler, and
`traced` does.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gdm_core import samplers
from gdm_core.denoising import Denoise, Schedule, at, beside
from gdm_core.nats import LOG_2PI
from gdm_core.validate import bad, batch


def guided(denoise: Denoise, weaker: Denoise, weight: float, *, between: tuple[float, float] = (0.0, 1.0)) -> Denoise:
    """From the weaker denoiser through the better one and beyond.

    Args:
        denoise: what is wanted, the conditional denoiser, say: (B, *event), t () or (B,) -> (B, *event).
        weaker: what it is to be driven away from: the unconditional one, or a worse copy of `denoise`.
        weight: w >= 0; 0 is `weaker`, 1 is `denoise`.
        between: (least t, largest t) with guidance; elsewhere `denoise` alone is asked.

    Raises:
        ValueError: a weight below 0, an interval that is empty or leaves [0, 1].

    >>> two, one = lambda x, t: 2 * x, lambda x, t: x
    >>> guided(two, one, 3.0)(torch.ones(1, 2), torch.tensor(0.5))
    tensor([[4., 4.]])
    """
    weight, (low, high) = _weight(weight), _interval(between)

    def leaning(x_t: Tensor, t: Tensor) -> Tensor:
        inside = (low <= t) & (t <= high)
        if not inside.any():
            return denoise(x_t, t)
        mean, less = denoise(x_t, t), weaker(x_t, t)
        further = less + weight * (mean - less)
        return further if inside.all() else torch.where(beside(inside, mean), further, mean)

    return leaning


def by_classifier(
    denoise: Denoise, log_prob: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, weight: float = 1.0
) -> Denoise:
    """Up the slope of a classifier of noisy data.

    Args:
        denoise: the unconditional denoiser.
        log_prob: log p(y | x_t) of the y that is wanted, (B, *event), t -> (B,) nats, differentiable.
        schedule: of the denoiser.
        weight: w >= 0.

    Raises:
        ValueError: a weight below 0.
    """
    weight = _weight(weight)

    def leaning(x_t: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            slope = torch.autograd.grad(log_prob(x, t).sum(), x)[0]
        alpha, sigma = at(schedule, t, x_t)
        return denoise(x_t, t) + weight * sigma**2 / alpha * slope

    return leaning


def traced(denoise: Denoise, schedule: Schedule, x: Tensor, times: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """`samplers.ddim` without noise, and the exact log-density of each of its states: (B, d) and (B,), nats.

    A step x_s = a x_t + b D(x_t) is a map of space: densities are divided by |det(a I + b dD/dx_t)|.  What is sampled
    has this density, few steps or many, whatever D means; where a step folds space, it is that of one fold.

    Args:
        denoise: (B, d), t () -> (B, d), differentiable; d backward passes a step.
        schedule: of the denoiser.
        x: the start, draws of N(0, sigma^2 I), sigma that of times[0]; (B, d).
        times: falling, in [0, 1]; see `schedules.times`.
    """
    if not isinstance(x, Tensor) or x.ndim != 2:
        raise bad("x (B, d)", tuple(getattr(x, "shape", ())), "x.flatten(1)")
    batch(x, x.shape[1:])
    told = times.to(x)

    def run() -> Iterator[tuple[Tensor, Tensor]]:
        alpha, sigma = schedule(times.double())
        of_mean, of_state, _ = (a.tolist() for a in samplers.parts(alpha, sigma))
        state, d, std = x.detach(), x.shape[1], sigma[0].item()
        log_q = -(state / std).square().sum(1) / 2 - d * (LOG_2PI / 2 + math.log(std))
        yield state, log_q
        for i in range(len(of_mean)):
            with torch.enable_grad():
                here = state.requires_grad_()
                mean = denoise(here, told[i])
                rows = [torch.autograd.grad(mean[:, j].sum(), here, retain_graph=j < d - 1)[0] for j in range(d)]
            jacobian = of_state[i] * torch.eye(d).to(x) + of_mean[i] * torch.stack(rows, 1)  # (B, d, d)
            state = of_state[i] * state.detach() + of_mean[i] * mean.detach()
            log_q = log_q - torch.linalg.slogdet(jacobian).logabsdet
            yield state, log_q

    return run()


def _weight(weight: float) -> float:
    if not 0 <= weight < math.inf:
        raise bad("a weight of guidance >= 0", weight, "weight=2.0; 1 is the denoiser alone")
    return float(weight)


def _interval(between: tuple[float, float]) -> tuple[float, float]:
    low, high = between
    if not 0 <= low < high <= 1:
        raise bad("an interval of t with 0 <= low < high <= 1", tuple(between), "between=(0.2, 0.8)")
    return low, high
