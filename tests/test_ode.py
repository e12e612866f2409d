"""The flow's density on one Gaussian, where it is closed, and Hutchinson's trace on one whose entries go together."""

import math

import pytest
import torch
from one_gaussian import ALL, MEAN, STD, each, exact, flowed, marginal
from oracles import errors_off
from torch.distributions import Normal

from gdm_core import ode, schedules


@each
def test_the_density_of_a_gaussian_by_the_flow(name):
    """That of the data where alpha_1 = 0; elsewhere the flow starts from N(0, sigma_1^2): closed too."""
    schedule, x = ALL[name], torch.linspace(-1.5, 2.5, 9).double()[:, None]
    mean, std = marginal(schedule, 1.0)
    sigma = schedule(torch.tensor(1.0).double())[1]
    there = flowed(schedule, x, 0.0, 1.0)
    truth = Normal(0.0, sigma).log_prob(there) + (std / STD).log()
    told = ode.log_prob(exact(schedule), schedule, x, steps=24)
    torch.testing.assert_close(told, truth[:, 0], rtol=0, atol=2e-4)
    if name in ("line", "cosine"):
        torch.testing.assert_close(told, Normal(MEAN, STD).log_prob(x)[:, 0], rtol=0, atol=2e-4)


def test_the_density_converges_with_order_four():
    schedule, x = schedules.cosine, torch.tensor([[0.1], [1.6]]).double()
    truth = Normal(MEAN, STD).log_prob(x)[:, 0]
    a, b = ((ode.log_prob(exact(schedule), schedule, x, steps=k) - truth).abs().max() for k in (8, 16))
    assert 3.6 < math.log2(a / b) < 5  # a stage that is taken twice makes it 3.1


def wide(x_t, t):
    """The exact denoiser of N(0, S) with S of correlation 0.8, cosine schedule."""
    alpha, sigma = schedules.cosine(t)
    S = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
    return x_t @ torch.linalg.solve(alpha**2 * S + sigma**2 * torch.eye(2).double(), alpha * S)


def test_hutchinsons_trace_has_the_right_mean_and_one_noise_for_a_whole_solve():
    x = torch.tensor([[0.3, -1.0]]).double()
    exact = ode.log_prob(wide, schedules.cosine, x, steps=12)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.tensor([[1, 0.8], [0.8, 1]]).double())
    torch.testing.assert_close(exact, truth.log_prob(x), rtol=0, atol=1e-3)
    torch.manual_seed(0)
    v = torch.randn(400, 1, 2).double().sign()
    each = torch.cat([ode.log_prob(wide, schedules.cosine, x, steps=6, probes=v[[k]]) for k in range(40)])
    assert errors_off(each, ode.log_prob(wide, schedules.cosine, x, steps=6)) < 4
    assert len({round(value, 6) for value in each.tolist()}) == 2  # two signs in the plane: equal or opposite
    together = ode.log_prob(wide, schedules.cosine, x, steps=6, probes=v[:40])
    torch.testing.assert_close(together, each.mean()[None])
    with pytest.raises(ValueError, match="needed probes"):
        ode.log_prob(wide, schedules.cosine, x, probes=v[0])


def test_the_walk_goes_where_the_flow_goes():
    schedule, x = schedules.preserving(), torch.tensor([[0.1], [1.6]]).double()
    states = list(ode.walk(exact(schedule), schedule, x, steps=20))
    assert len(states) == 21 and torch.equal(states[0][0], x) and (states[0][1] == 0).all()
    torch.testing.assert_close(states[-1][0], flowed(schedule, x, 0.0, 1.0), rtol=0, atol=1e-3)
