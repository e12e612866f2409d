"""Per-datapoint inference and the inference gap against a linear-Gaussian model known in closed form."""

import math

import pytest
import scipy.stats
import torch
from linear import Linear, MeanField, factorized
from torch.distributions import Independent, MultivariateNormal, kl_divergence

from gdm_core import inference
from gdm_core.inference import PerDatapoint, fit_jointly, fit_per_datapoint, inference_gap

torch.set_num_threads(1)


def test_full_covariance_finds_the_exact_posterior():
    model = Linear()
    x = model.data()
    torch.manual_seed(0)
    *_, last = fit_per_datapoint(model, x, 800, full=True)
    posterior = model.encode(x)
    torch.testing.assert_close(last.q.mean, posterior.mean.detach(), atol=1e-3, rtol=0)
    torch.testing.assert_close(last.q.covariance_matrix, posterior.covariance_matrix.detach(), atol=1e-3, rtol=0)
    torch.testing.assert_close(last.bound, model.log_prob(x), atol=1e-3, rtol=0)


def test_factorized_q_finds_the_mean_field_solution():
    """Mean field on a Gaussian: exact mean, 1/variance = diagonal of the precision (Bishop, 2006, 10.1.2)."""
    model = Linear()
    x = model.data()
    torch.manual_seed(0)
    *_, last = fit_per_datapoint(model, x, 1000, samples=32)
    posterior = model.encode(x)
    variance = 1 / posterior.precision_matrix.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(last.q.mean, posterior.mean.detach(), atol=0.02, rtol=0)
    torch.testing.assert_close(last.q.stddev, variance.detach().sqrt(), atol=0.02, rtol=0)


def test_states_are_snapshots_and_the_model_stays():
    model = Linear()
    x, before = model.data(), [p.clone() for p in model.parameters()]
    states = list(fit_per_datapoint(model, x, 30))
    assert [s.step for s in states] == list(range(31)) and [s.moved for s in states] == [""] + ["nu"] * 30
    assert torch.equal(states[0].q.mean, torch.zeros(6, 2).double())
    plain = states[0].q, next(fit_jointly(Linear(), x)).q
    assert all(isinstance(q, Independent) for q in plain)  # full covariance is asked for
    assert (states[0].q.mean != states[1].q.mean).all() and states[-1].bound.mean() > states[0].bound.mean()
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters()))


def test_first_steps_are_as_long_as_they_were_told():
    """Adam's first step is its step size in every coordinate: that of nu, and that of the decoder."""
    model = Linear()
    x = model.data()
    first, second, *_ = fit_per_datapoint(model, x, 30, lr=0.07)
    torch.testing.assert_close(
        (second.q.mean - first.q.mean).abs(), torch.full((6, 2), 0.07).double(), rtol=1e-3, atol=0
    )
    W = model.W.detach().clone()
    states = fit_jointly(model, x, 30, lr=0.05, decoder_lr=0.003)
    first, second = next(states), next(states)
    torch.testing.assert_close(
        (second.q.mean - first.q.mean).abs(), torch.full((6, 2), 0.05).double(), rtol=1e-3, atol=0
    )
    torch.testing.assert_close((model.W - W).abs(), torch.full((3, 2), 0.003).double(), rtol=1e-3, atol=0)
    assert all(p.grad is None for p in model.parameters())  # nothing is left for who trains on


def test_warm_start_reproduces_q():
    torch.manual_seed(0)
    full = MultivariateNormal(torch.randn(5, 2), scale_tril=torch.tensor([[0.8, 0.0], [-0.5, 1.7]]).expand(5, 2, 2))
    plain = factorized(torch.randn(5, 2), torch.rand(5, 2) + 0.1)
    for q in (full, plain):
        nu = PerDatapoint.at(q)
        torch.testing.assert_close(nu.q().mean, q.mean)
        torch.testing.assert_close(nu.q().variance, q.variance)
        z = torch.randn(7, 5, 2)
        torch.testing.assert_close(nu.q().log_prob(z), q.log_prob(z))
    torch.testing.assert_close(PerDatapoint.at(plain, full=True).q().variance, plain.variance)
    with pytest.raises(ValueError, match="full=True"):
        PerDatapoint.at(full, full=False)
    model = Linear()
    with pytest.raises(ValueError, match=r"nu of shape \(6, 2\)"):
        fit_per_datapoint(model, model.data(), 3, nu=nu)  # at the call, not at the first step
    with pytest.raises(ValueError, match=r"q over \(B, latents\)"):
        PerDatapoint.at(model.prior())
    with pytest.raises(ValueError, match="trainable"):
        fit_jointly(model.requires_grad_(False), model.data(), 3)


@pytest.mark.parametrize("alternate", [None, (5, 5)])
@pytest.mark.slow
def test_joint_optimization_reaches_the_maximum_likelihood(alternate):
    """theta = (W, b) with one latent: the best log-likelihood of PPCA with this noise is known from the eigenvalues."""
    model = Linear(latents=1)
    x = model.data(200)
    with torch.no_grad():
        model.W += 0.8 * torch.randn_like(model.W)
        model.b -= 1.0
    torch.manual_seed(0)
    *_, last = fit_jointly(model, x, 1200, samples=4, lr=0.03, decoder_lr=0.01, alternate=alternate)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    spread = torch.cat([eigenvalues[:-1], eigenvalues[-1:]])
    model_variance = torch.tensor([model.std**2] * 2 + [max(eigenvalues[-1].item(), model.std**2)])
    best = -0.5 * (3 * math.log(2 * math.pi) + (model_variance.log() + spread / model_variance).sum())
    reached = model.log_prob(x).mean()
    assert best - 0.01 < reached <= best + 1e-9
    assert abs(last.bound.mean() - best) < 0.1


def test_alternating_steps_move_one_side_at_a_time():
    model = Linear()
    x = model.data()
    thetas, states = [], []
    for state in fit_jointly(model, x, 10, alternate=(3, 2)):
        states.append(state)
        thetas.append(model.W.detach().clone())
    assert [s.moved for s in states] == [""] + ["nu"] * 3 + ["theta"] * 2 + ["nu"] * 3 + ["theta"] * 2
    for a, b, W, V in zip(states, states[1:], thetas, thetas[1:]):
        assert torch.equal(W, V) == (b.moved == "nu")
        assert torch.equal(a.q.mean, b.q.mean) == (b.moved == "theta")


# The gap


def test_gap_splits_into_what_the_family_and_the_encoder_lose():
    """A full-covariance encoder that is off: q* is the posterior, so all of the gap is amortization."""
    model = Linear(skew=0.4)
    x = model.data(40)
    torch.manual_seed(0)
    gap = inference_gap(model, x, log_px=model.log_prob(x), steps=400, samples=300, lr=0.05)
    truth = kl_divergence(model.encode(x), Linear().encode(x)).mean().item()
    assert gap.exact and abs(gap.approximation.value) < 5e-3
    assert abs(gap.amortization.value - truth) < 5 * gap.amortization.error + 5e-3
    assert gap.total.value == pytest.approx(gap.approximation.value + gap.amortization.value)


def test_gap_of_a_mean_field_family_is_approximation():
    """KL(mean field || Gaussian) = (sum log diag(precision) + log det covariance) / 2, for a perfect encoder of it."""
    model = MeanField()
    with torch.no_grad():
        model.W[:, 1] += 2 * model.W[:, 0]  # latents that explain the same direction
    x = model.data(40)
    exact = Linear.encode(model, x)
    truth = 0.5 * (exact.precision_matrix.diagonal(dim1=-2, dim2=-1).log().sum(1) + exact.covariance_matrix.logdet())
    torch.manual_seed(0)
    gap = inference_gap(model, x, log_px=model.log_prob(x), steps=300, samples=2000)
    assert truth.mean() > 0.05
    assert abs(gap.approximation.value - truth.mean().item()) < 5 * gap.approximation.error
    assert abs(gap.amortization.value) < 0.01
    estimate = inference_gap(model, x, steps=200, samples=2000, lr=0.05)
    assert not estimate.exact and abs(estimate.log_px.mean() - model.log_prob(x).mean()) < 0.01


def test_standard_error_is_that_of_the_mean():
    values = torch.tensor([1.0, 2.0, 4.0, 9.0])
    mean = inference.mean_and_error(values)
    assert mean.value == 4.0 and mean.error == pytest.approx(scipy.stats.sem(values.numpy()))
