"""What follows from a denoiser, on a Gaussian where all of it is known; two solvers that start from the same noise."""

import math

import pytest
import torch
from oracles import errors_off
from solvers import ancestral, ddim
from torch.distributions import Normal

from gdm_core import denoising

SCHEDULES = {
    "cosine": lambda t: (torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)),
    "line": lambda t: (1 - t, t),
    "exploding": lambda t: (torch.ones_like(t), 5 * t**2),
}
MEAN, STD = 1.5, 0.6


def exact(schedule):
    """E[x | x_t] for x ~ N(1.5, 0.36) in every entry, by completing the square."""

    def denoise(x_t, t):
        alpha, sigma = denoising.at(schedule, t, x_t)
        precision = 1 / STD**2 + alpha**2 / sigma**2
        return (MEAN / STD**2 + alpha * x_t / sigma**2) / precision

    return denoise


def marginal(schedule, t):
    alpha, sigma = schedule(t)
    return alpha * MEAN, (alpha**2 * STD**2 + sigma**2).sqrt()


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return SCHEDULES[request.param]


def batch():
    torch.manual_seed(0)
    return torch.randn(6, 2, 3, dtype=torch.float64), torch.linspace(0.1, 0.9, 6, dtype=torch.float64)


def test_the_score_is_that_of_the_marginal(schedule):
    x_t, t = batch()
    mean, std = (m[:, None, None] for m in marginal(schedule, t))
    x_t.requires_grad_()
    truth = torch.autograd.grad(Normal(mean, std).log_prob(x_t).sum(), x_t)[0]
    told = exact(schedule)(x_t, t)
    torch.testing.assert_close(denoising.score(told, x_t, t, schedule), truth)
    torch.testing.assert_close(denoising.noise(told, x_t, t, schedule), -schedule(t)[1][:, None, None] * truth)


def test_the_velocity_carries_the_marginal(schedule):
    """A point at u standard deviations stays there: x_t = m_t + s_t u, so dx/dt = m'_t + s'_t u."""
    x_t, t = batch()
    told = exact(schedule)(x_t, t)
    d = 1e-5
    (before, s_before), (after, s_after) = marginal(schedule, t - d), marginal(schedule, t + d)
    mean, std = (m[:, None, None] for m in marginal(schedule, t))
    slope = (((after - before) / (2 * d))[:, None, None], ((s_after - s_before) / (2 * d))[:, None, None])
    truth = slope[0] + slope[1] * (x_t - mean) / std
    torch.testing.assert_close(denoising.velocity(told, x_t, t, schedule), truth, rtol=1e-7, atol=1e-7)


def test_noise_and_velocity_lead_back_to_the_mean(schedule):
    x_t, t = batch()
    told = torch.randn_like(x_t)
    for there, back in (
        (denoising.noise, denoising.mean_of_noise),
        (denoising.velocity, denoising.mean_of_velocity),
    ):
        torch.testing.assert_close(back(there(told, x_t, t, schedule), x_t, t, schedule), told)
    torch.testing.assert_close(
        denoising.velocity(told, x_t, t[2], schedule)[2], denoising.velocity(told, x_t, t, schedule)[2]
    )


def test_the_mean_of_noise_is_right_where_hardly_any_data_are_left():
    """alpha = .001 and sigma = 1: all that a network's noise leaves of x_t = 3, times 1,000."""
    schedule = lambda t: (torch.full_like(t, 1e-3), torch.ones_like(t))
    x_t, t = torch.full((1, 1), 3.0).double(), torch.ones(()).double()
    assert denoising.mean_of_noise(x_t - 0.002, x_t, t, schedule).item() == pytest.approx(2.0)


def test_noisy_data_mix_data_and_noise(schedule):
    x, t = batch()
    e = torch.randn_like(x)
    alpha, sigma = schedule(t)
    for i in range(6):
        torch.testing.assert_close(denoising.noisy(x, t, schedule, e)[i], alpha[i] * x[i] + sigma[i] * e[i])


@pytest.mark.parametrize("solver", [ddim, ancestral])
def test_both_solvers_reach_the_data_and_repeat_with_their_noise(solver):
    schedule, n = SCHEDULES["cosine"], 8000
    times = torch.linspace(0.999, 0, 401, dtype=torch.float64)
    draws = torch.randn(len(times), n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    run = lambda: list(solver(exact(schedule), schedule, times, lambda i: draws[i]))
    states = run()
    assert len(states) == len(times) and all(torch.equal(a, b) for a, b in zip(states, run()))
    x = states[-1]
    assert (errors_off(x, MEAN) < 5).all()
    assert abs(x.std().item() / STD - 1) < 0.03  # a step's error is 1/400, a standard error .008
    middle, (mean, std) = states[200], marginal(schedule, times[200])
    assert (errors_off(middle, mean) < 5).all() and abs(middle.std() / std - 1) < 0.03  # each state is a marginal


def test_an_ancestral_step_from_the_truth_is_as_noisy_as_the_data_of_its_time():
    """p(x_s | x_t, x) averaged over x_t is p(x_s | x) (Ho et al., 2020, eq. 6-7), however long the step."""
    schedule, x = SCHEDULES["cosine"], 2.0
    times = torch.tensor([0.8, 0.4], dtype=torch.float64)
    draws = torch.randn(2, 40_000, dtype=torch.float64)
    alpha, sigma = schedule(times)
    start = lambda i: alpha[0] * x + sigma[0] * draws[0] if i == 0 else draws[i]
    *_, x_s = ancestral(lambda x_t, t: torch.full_like(x_t, x), schedule, times, start)
    assert errors_off(x_s, alpha[1] * x) < 5 and abs(x_s.std() / sigma[1] - 1) < 0.02
