"""Couplings keep both marginals; each is the best of its kind, by enumeration or by what characterizes it; floors."""

import itertools
import math

import numpy as np
import pytest
import torch

from gdm_core import couplings

COV = torch.tensor([[2.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
OTHER = torch.tensor([[1.0, -0.3], [-0.3, 0.5]], dtype=torch.float64)
MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)


def batch(n=6, d=2, seed=0):
    numbers = torch.Generator().manual_seed(seed)
    return (3 * torch.rand(n, d, generator=numbers, dtype=torch.float64), torch.randn(n, d, generator=numbers).double())


@pytest.mark.parametrize("couple", [couplings.independent, couplings.optimal])
@pytest.mark.parametrize("event", [(1,), (2,), (1, 3, 3)])
def test_every_row_is_used_once(couple, event):
    x, noise = torch.randn(40, *event), torch.randn(40, *event)
    kept, paired = couple(x, noise)
    assert torch.equal(kept, x), "labels belong to x: its rows stay"
    assert torch.equal(paired.flatten(1)[:, 0].sort().values, noise.flatten(1)[:, 0].sort().values)


def test_optimal_is_the_best_of_all_permutations():
    x, noise = batch()
    found = (x - couplings.optimal(x, noise)[1]).square().sum()
    costs = [(x - noise[list(order)]).square().sum() for order in itertools.permutations(range(6))]
    torch.testing.assert_close(found, min(costs))


def test_optimal_pairs_of_numbers_have_equal_ranks():
    x, noise = batch(200, 1)
    x, paired = couplings.optimal(x, noise)
    assert torch.equal(x.flatten().argsort(), paired.flatten().argsort())


def test_reflow_takes_noise_where_the_model_does_without_a_gradient():
    x, noise = batch()
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    made, kept = couplings.reflow(lambda z: weight * z + 3)(x, noise)
    assert torch.equal(kept, noise) and torch.equal(made, noise + 3) and not made.requires_grad


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_entropic_pairs_have_a_density_of_products_times_a_gaussian_kernel(sigma):
    """So the precision of the pair has the off-diagonal block -I / sigma^2, and no other joint with these marginals."""
    cross = couplings.bridge(COV, OTHER, sigma)
    joint = torch.cat([torch.cat([COV, cross], 1), torch.cat([cross.T, OTHER], 1)])
    eye = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.inv(joint)[:2, 2:], -eye / sigma**2, rtol=1e-8, atol=1e-8)


def test_entropic_pairs_run_from_optimal_transport_to_independent():
    """W2 of Gaussians: tr A + tr B - 2 sum of roots of the eigenvalues of A B."""
    roots = torch.linalg.eigvals(COV @ OTHER).real.sqrt().sum()
    torch.testing.assert_close(couplings.bridge(COV, OTHER, 0.0).trace(), roots)
    assert couplings.bridge(COV, OTHER, 100.0).abs().max() < 1e-3


@pytest.mark.parametrize("sigma", [0.0, 0.7, 5.0])
def test_entropic_pairs_keep_both_marginals(sigma):
    """The noise is affine in x and in the noise that came: its covariance follows from the two matrices."""
    couple, eye = couplings.entropic(MEAN, COV, sigma), torch.eye(2, dtype=torch.float64)
    zero = torch.zeros_like(eye)
    gain = couple(eye + MEAN, zero)[1].T
    rest = couple(zero + MEAN, eye)[1].T
    torch.testing.assert_close(gain @ COV @ gain.T + rest @ rest.T, eye)
    torch.testing.assert_close(COV @ gain.T, couplings.bridge(COV, eye, sigma))
    assert torch.equal(couple(eye, zero)[0], eye)


def test_floors_and_costs():
    """pi s/2 a dimension for independent pairs; the known values of batches, s = 2."""
    for s in (0.3, 2.0, 5.0):
        assert couplings.floor(s) == pytest.approx(math.pi * s / 2, rel=1e-6)
    for pairs, floor, cost in ((1, 3.14, 5.0), (4, 1.55, 2.70), (16, 0.536, 1.56)):
        assert couplings.floor(2.0, pairs) == pytest.approx(floor, abs=0.005)
        assert couplings.cost(2.0, pairs) == pytest.approx(cost, abs=0.005)
    assert couplings.cost(2.0, 400) == pytest.approx(1, abs=0.05)


def test_floor_and_cost_of_pairs_that_were_drawn():
    numbers = np.random.default_rng(0)
    x, e = (np.sort(scale * numbers.standard_normal((60_000, 4)), 1) for scale in (2.0, 1.0))
    v = (e - x).ravel()
    assert (v**2).mean() == pytest.approx(couplings.cost(2.0, 4), rel=0.02)
    variances = []
    for t in (np.arange(12) + 0.5) / 12:
        order = ((1 - t) * x + t * e).ravel().argsort()
        variances.append(v[order].reshape(300, -1).var(1).mean())  # 300 heaps of 800 neighbors
    assert np.mean(variances) == pytest.approx(couplings.floor(2.0, 4), rel=0.02)


def test_what_cannot_be_paired_is_refused_in_words():
    x, noise = batch()
    for couple in (couplings.independent, couplings.optimal, couplings.reflow(torch.sin)):
        with pytest.raises(ValueError, match="needed x and noise of one shape"):
            couple(x, noise[:3])
    with pytest.raises(ValueError, match="needed x of shape"):
        couplings.entropic(torch.zeros(3).double(), torch.eye(3).double(), 1.0)(x, noise)
    with pytest.raises(ValueError, match="needed sigma >= 0"):
        couplings.bridge(COV, OTHER, -1.0)
    with pytest.raises(ValueError, match="positive definite"):
        couplings.bridge(torch.ones(2, 2), torch.eye(2), 1.0)
    with pytest.raises(ValueError, match="needed an integer pairs"):
        couplings.floor(2.0, 0)
