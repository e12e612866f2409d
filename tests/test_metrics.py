"""Metrics against scipy, scikit-learn and the formulas of equal distributions."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import torch
from oracles import errors_off, ill_conditioned
from sklearn.neighbors import NearestNeighbors

from gdm_core import metrics


def test_frechet_is_its_formula_with_scipys_root():
    torch.manual_seed(0)
    x = torch.randn(300, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64)
    y = torch.randn(200, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64) + 1
    S, R = np.cov(x.T), np.cov(y.T)
    cross = scipy.linalg.sqrtm(S @ R).real
    truth = ((x.mean(0) - y.mean(0)) ** 2).sum().item() + np.trace(S + R - 2 * cross)
    assert metrics.frechet(x, y).item() == pytest.approx(truth, rel=1e-9)
    assert metrics.frechet(y, x).item() == pytest.approx(truth, rel=1e-9)


def test_frechet_of_single_precision_is_computed_in_double():
    torch.manual_seed(0)
    x, y = torch.randn(50, 3) + 2000, torch.randn(50, 3) + 2000
    assert metrics.frechet(x, y).dtype == torch.float64
    assert metrics.frechet(x, y).item() == pytest.approx(metrics.frechet(x.double(), y.double()).item(), rel=1e-9)


def test_frechet_of_one_number_and_of_hard_covariances():
    x, y = torch.tensor([0.0, 2.0]), torch.tensor([5.0, 9.0])  # std sqrt 2 and sqrt 8, means 1 and 7
    assert metrics.frechet(x, y).item() == pytest.approx(36 + 2)
    S, zero = ill_conditioned(6, 1e10), torch.zeros(6, dtype=torch.float64)
    assert metrics.frechet_of_moments(zero, S, zero, S).item() == pytest.approx(0, abs=1e-7)
    assert metrics.frechet_of_moments(zero, S, zero, 4 * S).item() == pytest.approx(S.trace().item(), rel=1e-6)
    flat = torch.ones(6, 6, dtype=torch.float64)  # of rank 1: the trace of the root is that of a number
    assert metrics.frechet_of_moments(zero, flat, zero, S).item() == pytest.approx(
        6 + S.trace().item() - 2 * S.sum().sqrt().item(), rel=1e-6
    )


def test_frechet_of_equal_distributions_falls_as_one_over_n():
    d, n = 8, 400
    torch.manual_seed(0)
    values = torch.stack([n * metrics.frechet(torch.randn(n, d), torch.randn(n, d)) for _ in range(60)])
    assert errors_off(values, 2 * d + d * (d + 1) / 2) < 4 or abs(values.mean() / (2 * d + d * (d + 1) / 2) - 1) < 0.06


def by_scikit_learn(x, y, k):
    """The four numbers, example by example."""
    ball = lambda s: NearestNeighbors(n_neighbors=k + 1).fit(s).kneighbors(s)[0][:, -1]
    of_x, of_y = ball(x), ball(y)
    apart = np.linalg.norm(x[:, None] - y, axis=-1)
    precision = np.mean([(apart[:, j] <= of_x).any() for j in range(len(y))])
    recall = np.mean([(apart[i] <= of_y).any() for i in range(len(x))])
    density = sum((apart[:, j] <= of_x).sum() for j in range(len(y))) / (k * len(y))
    coverage = np.mean([(apart[i] <= of_x[i]).any() for i in range(len(x))])
    return precision, recall, density, coverage


def test_neighbors_are_those_of_scikit_learn():
    torch.manual_seed(0)
    x, y = torch.randn(60, 3, dtype=torch.float64), 0.7 * torch.randn(45, 3, dtype=torch.float64) + 0.5
    for k in (1, 3):
        found = metrics.neighbors(x, y, k)
        assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(
            by_scikit_learn(x.numpy(), y.numpy(), k)
        )


@pytest.mark.parametrize("n, m, k", [(40, 40, 3), (60, 30, 2)])
def test_coverage_and_density_of_equal_distributions(n, m, k):
    torch.manual_seed(0)
    runs = [metrics.neighbors(torch.randn(n, 2), torch.randn(m, 2), k) for _ in range(200)]
    assert errors_off(torch.tensor([r.coverage for r in runs]), metrics.coverage_if_equal(n, m, k)) < 4
    assert errors_off(torch.tensor([r.density for r in runs]), 1.0) < 4
    assert np.mean([r.precision for r in runs]) < 0.97


def test_coverage_of_three_points():
    """Two real, one generated: it is nearer to the first than the second is as often as not."""
    assert metrics.coverage_if_equal(2, 1, 1) == 0.5


def test_bad_input_is_refused():
    x = torch.randn(10, 2)
    for words, ask in {
        "one shape": lambda: metrics.frechet(x, x[:, :1]),
        "finite": lambda: metrics.neighbors(x, x * math.nan),
        "k below the number": lambda: metrics.neighbors(x, x, 10),
        "an integer k": lambda: metrics.neighbors(x, x, 0),
    }.items():
        with pytest.raises(ValueError, match=words):
            ask()


# Modes


def test_modes_are_counted_where_a_loop_counts_them():
    means = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0], [9.0, 9.0]])
    torch.manual_seed(0)
    y = torch.cat([means[0] + 0.4 * torch.randn(60, 2), means[1] + 0.4 * torch.randn(37, 2), means[2].expand(2, 2)])
    y = torch.cat([y, torch.tensor([[9.0, 7.4]])])  # 1.6 from its mode
    near = [min(((a - m) ** 2).sum().sqrt().item() for m in means) <= 3 * 0.5 for a in y]
    found = metrics.modes(y, means, 0.5)
    assert found == (2, pytest.approx(sum(near) / 100)) and not near[-1]
    assert metrics.modes(y, means, 0.5, least=0.08).covered == 3  # two of an even 25
    assert metrics.modes(y, means, 0.55, least=0.04).covered == 4
    assert metrics.modes(y, means, 0.5, least=0.01).covered == 3
    assert metrics.modes(y[:60], means, 0.5).covered == 1
    assert metrics.modes(torch.cat([y, means[2:3]]), means, 0.5).covered == 3  # three: a tenth of 25, and no more
    far_too = torch.cat([y, y + 100])  # a share of all, not of the near
    assert metrics.modes(far_too, means, 0.5, least=0.07).covered == 2
    for wrong in (y[:3], y[:, :1], y[0]):
        with pytest.raises(ValueError, match="needed at least 4 samples"):
            metrics.modes(wrong, means, 0.5)


def test_sliced_is_the_best_matching_along_each_line():
    """Beside scipy's assignment, which tries no sorting."""
    torch.manual_seed(0)
    x, y = torch.randn(30, 3, dtype=torch.float64), 2 * torch.randn(30, 3, dtype=torch.float64) + 1
    along = torch.tensor([[1.0, 0, 0], [0, 0.6, 0.8]], dtype=torch.float64)
    costs = [((x @ a)[:, None] - y @ a).square().numpy() for a in along]
    best = np.mean([cost[scipy.optimize.linear_sum_assignment(cost)].mean() for cost in costs])
    assert metrics.sliced(x, y, along).item() == pytest.approx(best**0.5, rel=1e-12)
    assert metrics.sliced(y, x, along).item() == pytest.approx(best**0.5, rel=1e-12)


def test_sliced_of_a_shift_in_the_plane_and_in_space():
    """A shift s along a unit vector a is |s.a| long: s^2 / d in the mean of the squares."""
    torch.manual_seed(0)
    for d, s in ((2, torch.tensor([3.0, -4.0])), (3, torch.tensor([3.0, 0.0, 4.0]))):
        x = torch.randn(50, d)
        far = metrics.sliced(x, x + s, 20_000 if d == 3 else 64)
        assert far.item() == pytest.approx((25 / d) ** 0.5, rel=0.02 if d == 3 else 1e-5)
    with pytest.raises(ValueError, match="as many examples"):
        metrics.sliced(x, x[1:])


def test_copies_are_much_nearer_to_one_example_than_to_the_next():
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]])
    y = torch.tensor([[0.9, 0.0], [1.1, 0.0], [0.0, 9.0], [3.9, 0.0], [2.0, 4.0]])
    found = metrics.copies(y, x)
    assert found.copied.tolist() == [True, False, True, True, False]  # 0.9 of 3.1, 1.1 of 2.9
    assert found.nearest[:4].tolist() == [0, 0, 2, 1]
    assert found.distance.tolist() == pytest.approx([0.9, 1.1, 0.0, 0.1, 20**0.5])
    far = metrics.copies(1000 * y, 1000 * x)
    assert torch.equal(far.copied, found.copied)
    for wrong in ((y, x[:1]), (y[:, :1], x), (y, x, 1.0)):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            metrics.copies(*wrong)
