"""One Gaussian in every schedule: its denoiser, its marginals and its flow, which are closed."""

import pytest
import torch

from gdm_core import denoising, schedules

MEAN, STD = 0.7, 0.6
ALL = {
    "line": schedules.line,
    "cosine": schedules.cosine,
    "preserving": schedules.preserving(),
    "linear": schedules.linear(),
    "exploding": schedules.exploding(20.0),
    "edm": schedules.edm(20.0),
}
each = pytest.mark.parametrize("name", ALL)


def exact(schedule, mean=MEAN, std=STD):
    """E[x | x_t] for x ~ N(mean, std^2) in every entry, by completing the square."""

    def denoise(x_t, t):
        alpha, sigma = denoising.at(schedule, t, x_t)
        return mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (x_t - alpha * mean)

    return denoise


def marginal(schedule, t, mean=MEAN, std=STD):
    alpha, sigma = schedule(torch.as_tensor(t, dtype=torch.float64))
    return alpha * mean, (alpha**2 * std**2 + sigma**2).sqrt()


def flowed(schedule, x, t, s):
    """Where the flow takes x_t: a point keeps its place in standard deviations."""
    (m, a), (n, b) = marginal(schedule, t), marginal(schedule, s)
    return n + b * (x - m) / a
