"""What is seen, and exact posteriors: against matrices, densities and quadrature."""

import numpy as np
import pytest
import second_device
import torch
from scipy import stats

from gdm_core import observations as ob


def double(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


HOLE = torch.tensor([[True, False, True], [False, False, True]])
SIGHTS = {
    "mask": (ob.mask(HOLE), double(4, 2, 3)),
    "pooled": (ob.pooled((2, 4, 6), 2), double(4, 2, 4, 6)),
    "gray": (ob.gray((3, 2, 5)), double(4, 3, 2, 5)),
    "linear": (ob.linear(double(2, 5, seed=3)), double(4, 5)),
}


@pytest.mark.parametrize("name", SIGHTS)
def test_sights_are_their_matrices(name):
    sight, x = SIGHTS[name]
    A = sight.matrix()
    assert sight(x).shape == (4, *sight.seen) and A.shape == (sight.seen.numel(), sight.event_shape.numel())
    torch.testing.assert_close(sight(x).flatten(1), x.flatten(1) @ A.T)
    gram = sight.gram.double() * torch.eye(len(A)).double() if sight.gram.ndim == 0 else sight.gram
    torch.testing.assert_close(A @ A.T, gram, rtol=1e-6, atol=1e-6)


def test_what_the_sights_see():
    x = torch.arange(6.0).reshape(1, 2, 3)
    assert SIGHTS["mask"][0](x).tolist() == [[0, 2, 5]]
    four = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert ob.pooled((1, 4, 4), 2)(four).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert ob.gray((3, 1, 1))(torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]).item() == pytest.approx(0.299)


def test_measure_adds_noise_of_the_size_that_was_asked():
    sight, x = SIGHTS["mask"]
    e = double(4, 3, seed=2)
    torch.testing.assert_close(sight.measure(x, 0.3, e), sight(x) + 0.3 * e)
    torch.testing.assert_close(sight.measure(x), sight(x))


@pytest.mark.parametrize("name", SIGHTS)
def test_log_prob_is_that_of_a_round_cloud_seen_with_noise(name):
    sight, x = SIGHTS[name]
    y, A = double(4, *sight.seen, seed=5), sight.matrix().numpy()
    r2 = torch.tensor([0.0, 0.1, 1.0, 3.0]).double()
    found = ob.Observation(sight, y, 0.7).log_prob(x, r2)
    for one, seen, r, value in zip(x, y, r2, found):
        covariance = r.item() * A @ A.T + 0.49 * np.eye(len(A))
        truth = stats.multivariate_normal(A @ one.flatten().numpy(), covariance).logpdf(seen.flatten())
        assert value.item() == pytest.approx(truth, rel=1e-5)
    one = ob.Observation(sight, y[0], 0.7).log_prob(x[:1], r2[0])
    torch.testing.assert_close(one, found[:1])


@pytest.mark.parametrize("std", [0.0, 0.4])
def test_gaussian_posterior_is_bayes_rule_in_precisions(std):
    L, m = double(6, 6), double(2, 3, seed=1)
    S, y = L @ L.T + 0.1 * torch.eye(6), double(5, 3, seed=2)
    mean, covariance = ob.gaussian(m, S, ob.Observation(ob.mask(HOLE), y, std))
    A, noise = ob.mask(HOLE).matrix(), max(std, 1e-4) ** 2
    precision = torch.linalg.inv(S) + A.T @ A / noise
    truth = torch.linalg.solve(precision, torch.linalg.solve(S, m.flatten())[:, None] + A.T @ y.T / noise).T
    torch.testing.assert_close(covariance, torch.linalg.inv(precision), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(mean, truth.reshape(5, 2, 3), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ob.gaussian(m, S, ob.Observation(ob.mask(HOLE), y[0], std))[0], mean[0])


@pytest.mark.parametrize("round_", [True, False])
def test_mixture_posterior_by_quadrature(round_):
    means = torch.tensor([[-1.0, 0.5], [1.5, -0.5]]).double()
    covariances = torch.tensor([0.3, 0.8]).double()
    if not round_:
        covariances = covariances[:, None, None] * torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double()
    weights = torch.tensor([1.0, 3.0])
    seen = ob.Observation(ob.linear(torch.tensor([[1.0, 0.5]]).double()), torch.tensor([0.3]).double(), 0.5)
    told, spread, share = ob.mixture(means, covariances, weights, seen)
    side = torch.linspace(-7, 7, 281).double()
    x = torch.cartesian_prod(side, side)
    joint = seen.log_prob(x).exp()
    parts = []
    for m, S, w in zip(means, covariances, weights):
        S = S * torch.eye(2).double() if round_ else S
        parts.append(joint * w * torch.from_numpy(stats.multivariate_normal(m.numpy(), S.numpy()).pdf(x)))
    mass = torch.stack([p.sum() for p in parts])
    torch.testing.assert_close(share, mass / mass.sum(), rtol=1e-6, atol=1e-8)
    for k, p in enumerate(parts):
        mean = p @ x / p.sum()
        torch.testing.assert_close(told[k], mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(spread[k], (x - mean).T @ ((x - mean) * p[:, None]) / p.sum(), rtol=1e-5, atol=1e-6)


def test_posteriors_are_found_where_the_means_live():
    m, S, w = double(2, 2, 3), torch.eye(6).double().expand(2, 6, 6) + 0.3, torch.tensor([1.0, 3.0])
    there = lambda *tensors: [t.to(second_device.NAME) for t in tensors]
    for y in (double(3, seed=2), double(3, seed=2).float()):
        here = ob.Observation(ob.mask(HOLE), y, 0.4)
        away = ob.Observation(ob.mask(HOLE.to(second_device.NAME)), *there(y), 0.4)
        for truth, found in (
            (ob.mixture(m, S, w, here), ob.mixture(*there(m, S), w, away)),
            (ob.gaussian(m[0], S[0], here), ob.gaussian(*there(m[0], S[0]), away)),
            (ob.mixture(m, S[:, 0, 0], w, here), ob.mixture(*there(m, S[:, 0, 0], w), away)),
        ):
            assert all(f.device.type == second_device.NAME and torch.equal(f.cpu(), t) for f, t in zip(found, truth))


def test_shares_of_a_finite_set():
    x, y = double(5, 2, 3), double(3, seed=4)
    found = ob.shares(x, ob.Observation(ob.mask(HOLE), y, 0.8))
    truth = np.exp(-((y.numpy() - x.numpy()[:, HOLE.numpy()]) ** 2).sum(1) / (2 * 0.8**2))
    np.testing.assert_allclose(found, truth / truth.sum(), rtol=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ob.mask(torch.ones(2, 3)),
        lambda: ob.mask(torch.ones(2, 3).bool()),
        lambda: ob.mask(torch.zeros(2, 3).bool()),
        lambda: ob.mask([True, False]),
        lambda: ob.pooled((1, 8, 8), 3),
        lambda: ob.pooled((8, 8), 2),
        lambda: ob.gray((1, 8, 8)),
        lambda: ob.linear(torch.ones(3)),
        lambda: ob.mask(HOLE)(torch.zeros(4, 3, 2)),
        lambda: ob.Observation(ob.mask(HOLE), torch.zeros(4)),
        lambda: ob.Observation(ob.mask(HOLE), torch.zeros(2, 2, 3)),
        lambda: ob.Observation(ob.mask(HOLE), torch.zeros(3), -0.1),
        lambda: ob.Observation(ob.mask(HOLE), torch.zeros(2, 3)).missed(torch.zeros(4, 2, 3)),
        lambda: ob.Observation(ob.mask(HOLE), torch.zeros(3)).log_prob(torch.zeros(4, 2, 3)),
        lambda: ob.Observation(ob.linear(torch.ones(1, 2)), torch.zeros(1)).log_prob(torch.zeros(4, 2)),
        lambda: ob.gaussian(torch.zeros(2, 3), torch.eye(5), ob.Observation(ob.mask(HOLE), torch.zeros(3))),
    ],
)
def test_what_cannot_be_seen_is_refused(call):
    with pytest.raises(ValueError, match="needed .* got .* try"):
        call()
