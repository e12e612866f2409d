"""Classifiers and kernels that learn to tell two samples apart, against loops, scikit-learn and closed forms."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from oracles import normal
from sklearn.metrics.pairwise import rbf_kernel

from gdm_core import two_sample
from gdm_core.two_sample import learned, statistics


def nearest(x, y):
    """A learner that knows its own half by heart: accuracy 1 there, whatever p and q are."""
    z, is_x = torch.cat([x, y]).reshape(len(x) + len(y), -1).double(), torch.arange(len(x) + len(y)) < len(x)
    score = lambda t: is_x[torch.cdist(t.double(), z).argmin(1)].double()
    return statistics.Statistic(lambda t: learned._linear(score(t), 0.5, 0.5))


def test_what_was_learned_is_tested_on_the_other_half():
    x, y = normal(200, 2), normal(200, 2, seed=1)
    assert nearest(x, y)(x, y).item() == pytest.approx(1)
    out = two_sample.test_held_out(x, y, nearest, permutations=99)
    assert abs(out.value - 0.5) < 4 / (2 * 200**0.5) and out.p > 0.02
    assert two_sample.test_held_out(x, y + 5, nearest, permutations=99).p == 0.01


def test_either_half_is_a_half():
    seen = []

    def learn(x, y):
        seen.extend([x, y])
        return statistics.Statistic(lambda z: seen.append(z) or two_sample.means.over(z))

    x, y = torch.arange(10.0), torch.arange(100.0, 108.0)
    two_sample.test_held_out(x, y, learn, permutations=9)
    learned_x, learned_y, tested = seen[0], seen[1], seen[2].flatten()
    assert sorted([*learned_x.tolist(), *learned_y.tolist(), *tested.tolist()]) == [*x.tolist(), *y.tolist()]
    assert learned_x.tolist() != sorted(learned_x.tolist()) or learned_y.tolist() != sorted(learned_y.tolist())


@pytest.mark.slow
def test_a_classifier_nears_the_best_accuracy_and_the_log_ratio():
    """N(0, 1) and N(1.5, 1) at the other dimension: accuracy Phi(d/2), logit log p/q; unequal samples."""
    d = torch.tensor([0.0, 1.5])
    x, y = normal(3000, 2).float(), (normal(1500, 2, seed=1) + d).float()
    torch.manual_seed(0)
    model = two_sample.learn_classifier(x, y, hidden=(16,))
    new_x, new_y = normal(20_000, 2, seed=2).float(), (normal(20_000, 2, seed=3) + d).float()
    best = scipy.stats.norm.cdf(0.75)
    assert best - 0.015 < model.accuracy(new_x, new_y) < best + 4 * (0.25 / 40_000) ** 0.5
    t = torch.tensor([[0.3, -0.5], [0.3, 0.75], [0.3, 2.0]])
    assert (model(t) - 1.5 * (0.75 - t[:, 1])).abs().max() < 0.45
    assert model.logit(new_x, new_y).item() == pytest.approx(1.5**2, rel=0.2)


def test_accuracy_is_that_of_the_guesses():
    class Fixed(learned.Classifier):
        def forward(self, x):
            return x.reshape(-1)

    model = Fixed(normal(6, 1))
    x, y = torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([-1.0, 5.0])
    assert model.accuracy(x, y).item() == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert model.logit(x, y).item() == pytest.approx(5 / 4 - 2)


def test_loss_of_the_kernel_is_mmd_over_its_deviation():
    """Liu et al. (2020, eq. 4) by loops; mmd of equally many without the pairs (i, i) across."""
    torch.manual_seed(0)
    x, y = normal(7, 2), normal(7, 2, seed=1, shift=0.5)
    model = learned.DeepKernel(torch.cat([x, y]))
    K, n = model(torch.cat([x, y])).detach().numpy(), 7
    h = np.array([[K[i, j] + K[n + i, n + j] - K[i, n + j] - K[n + i, j] for j in range(n)] for i in range(n)])
    mmd = sum(h[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    variance = 4 / n**3 * sum(h[i].sum() ** 2 for i in range(n)) - 4 / n**4 * h.sum() ** 2
    assert model.loss(x, y).item() == pytest.approx(-mmd / math.sqrt(variance + 1e-8), rel=1e-9)
    assert np.allclose(K, K.T) and np.allclose(np.diag(K), 1)


def test_a_learned_kernel_is_its_formula_and_all_of_it_learns():
    """Liu et al. (2020, eq. 1) off the start, by scikit-learn's kernels."""
    torch.manual_seed(0)
    x, y = normal(12, 2), normal(12, 2, seed=1, shift=0.5)
    model = two_sample.learn_kernel(x, y, steps=3, lr=0.05)
    z, h = torch.cat([x, y]), [p.exp().item() for p in (model.log_feature_bandwidth, model.log_bandwidth)]
    of_features, of_points = (rbf_kernel(s, gamma=1 / (2 * b**2)) for s, b in zip((model.net(z), z), h))
    np.testing.assert_allclose(model(z), (0.9 * of_features + 0.1) * of_points, rtol=1e-9)
    torch.manual_seed(0)
    fresh = dict(learned.DeepKernel(z).named_parameters())
    assert all((p != fresh[name]).any() for name, p in model.named_parameters())
    assert {"log_bandwidth", "log_feature_bandwidth"} <= fresh.keys()


def test_a_kernel_learns_from_samples_of_two_sizes():
    for n, m in ((9, 5), (5, 9)):
        for learn in (two_sample.learn_kernel, two_sample.learn_classifier):
            model = learn(normal(n, 2), normal(m, 2, seed=1), steps=2)
            assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_a_classifier_does_not_see_units():
    z, said = normal(30, 2), []
    for scale, shift in ((1.0, 0.0), (torch.tensor([1000.0, 0.1]), 5e4)):
        torch.manual_seed(0)
        said.append(learned.Classifier(scale * z + shift)(scale * z + shift))
    torch.testing.assert_close(*said)


@pytest.mark.slow
def test_a_learned_kernel_sees_what_the_median_does_not():
    """Two fine checkers: the same board, one square on.  Not where there is nothing to see."""
    torch.manual_seed(0)
    board = lambda n, parity: _checkers(n, parity)
    learn = lambda x, y: two_sample.learn_kernel(x, y, steps=150).statistic
    x, y, z = board(1000, 0), board(1000, 1), board(1000, 0)
    assert two_sample.test_held_out(x, y, learn, permutations=99).p <= 0.02
    assert two_sample.test_held_out(x, z, learn, permutations=99).p > 0.01


def _checkers(n, parity):
    point = torch.rand(8 * n, 2) * 3
    return point[(point.floor().sum(1) % 2) == parity][:n]
