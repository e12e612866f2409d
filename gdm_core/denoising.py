r"""What follows from a denoiser: one mean, four names.

    x_t = alpha_t x + sigma_t noise,     noise ~ N(0, I),     denoise(x_t, t) = E[x | x_t]

    E[noise | x_t]     = (x_t - alpha_t E[x | x_t]) / sigma_t
    grad log p_t(x_t)  = (alpha_t E[x | x_t] - x_t) / sigma_t^2                  Tweedie: Robbins (1956), Efron (2011)
    E[dx_t/dt | x_t]   = alpha'_t E[x | x_t] + sigma'_t E[noise | x_t]           velocity: Lipman et al. (2023, eq. 8)

A schedule is a function `t -> (alpha_t, sigma_t)` of tensors, with alpha_0 = 1 and sigma_0 = 0.  Everywhere `x` and
`x_t` are `(B, *event)` and `t` is `(B,)` or `()`, above 0 where sigma_t divides.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]
Denoise = Callable[[Tensor, Tensor], Tensor]  # E[x | x_t] of x_t (B, *event) and t


def at(schedule: Schedule, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha_t and sigma_t in the shape that multiplies x: (B, 1, ...)."""
    return tuple(beside(a, x) for a in schedule(t))


def noisy(x: Tensor, t: Tensor, schedule: Schedule, noise: Tensor) -> Tensor:
    """x_t, with this noise (B, *event).

    >>> noisy(torch.ones(2, 3), torch.zeros(2), lambda t: (1 - t, t), torch.randn(2, 3))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    alpha, sigma = at(schedule, t, x)
    return alpha * x + sigma * noise


def noise(mean: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[noise | x_t] from mean = E[x | x_t]."""
    alpha, sigma = at(schedule, t, x_t)
    return (x_t - alpha * mean) / sigma


def score(mean: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """grad log p_t(x_t) from mean = E[x | x_t], nats a unit of x_t."""
    alpha, sigma = at(schedule, t, x_t)
    return (alpha * mean - x_t) / sigma**2


def velocity(mean: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[dx_t/dt | x_t] from mean = E[x | x_t]: along it x_t moves as its distribution does."""
    d_alpha, d_sigma = slopes(schedule, t, x_t)
    return d_alpha * mean + d_sigma * noise(mean, x_t, t, schedule)


def mean_of_noise(noise: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[x | x_t] from a network that tells the noise; alpha_t divides."""
    alpha, sigma = at(schedule, t, x_t)
    return (x_t - sigma * noise) / alpha


def mean_of_velocity(velocity: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[x | x_t] from a network that tells the velocity."""
    alpha, sigma = at(schedule, t, x_t)
    d_alpha, d_sigma = slopes(schedule, t, x_t)
    return (sigma * velocity - d_sigma * x_t) / (d_alpha * sigma - d_sigma * alpha)


def slopes(schedule: Schedule, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha'_t and sigma'_t in the shape that multiplies x."""
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        pair = [a.sum() + 0 * t.sum() for a in schedule(t)]  # one of the two may be constant
        return tuple(beside(torch.autograd.grad(a, t, retain_graph=True)[0], x) for a in pair)


def beside(a: Tensor, x: Tensor) -> Tensor:
    """() or (B,) in the shape that multiplies x: (B, 1, ...)."""
    return a.reshape(a.shape + (1,) * (x.ndim - a.ndim)) if a.ndim else a
