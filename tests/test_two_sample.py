"""Two-sample tests against scipy, scikit-learn, loops, enumeration and closed forms."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from oracles import errors_off
from sklearn.metrics.pairwise import rbf_kernel

from gdm_core import two_sample
from gdm_core.two_sample import learned, permutation, statistics

EVERY = {"means": two_sample.means, "energy": two_sample.energy, "ks": two_sample.ks, "mmd": two_sample.mmd()}


def normal(*shape, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) + shift


def off_diagonal(kernel):
    return (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))


def mmd_by_definition(x, y, h):
    """Gretton et al. (2012, eq. 3) with scikit-learn's kernel."""
    k = lambda a, b: rbf_kernel(a, b, gamma=1 / (2 * h**2))
    return off_diagonal(k(x, x)) + off_diagonal(k(y, y)) - 2 * k(x, y).mean()


def null_p_values(statistic, n=14, m=9, exchanges=19, repeats=300, **options):
    return torch.tensor(
        [
            two_sample.test(
                normal(n, 1, seed=i), normal(m, 1, seed=9999 + i), statistic, permutations=exchanges, **options
            ).p
            for i in range(repeats)
        ]
    )


# Statistics


def test_mmd_is_that_of_its_definition():
    x, y = normal(30, 3), normal(21, 3, seed=1, shift=0.4)
    pooled = np.concatenate([x, y])
    apart = np.linalg.norm(pooled[:, None] - pooled, axis=-1)
    h = np.sort(apart[apart > 0])[(apart.size - len(pooled) - 1) // 2]
    assert two_sample.mmd()(x, y).item() == pytest.approx(mmd_by_definition(x, y, h), abs=1e-13)
    several = np.mean([mmd_by_definition(x, y, s * h) for s in (0.5, 2.0)])
    assert two_sample.mmd((0.5, 2.0))(x, y).item() == pytest.approx(several, abs=1e-13)
    assert two_sample.mmd((0.7,), relative=False)(x, y).item() == pytest.approx(mmd_by_definition(x, y, 0.7), abs=1e-13)


def test_many_points_are_no_other_statistic():
    """More of them than one strip of the product has rows; labelings in any order."""
    x, y = normal(statistics.STRIP + 40, 2), normal(statistics.STRIP - 15, 2, seed=1, shift=0.2)
    z = torch.cat([x, y])
    masks = two_sample.labelings(3, len(x), len(y), torch.Generator().manual_seed(0))
    values = two_sample.mmd((0.7,), relative=False).over(z)(masks.to(z))
    for mask, value in zip(masks, values):
        assert value.item() == pytest.approx(mmd_by_definition(z[mask], z[~mask], 0.7), abs=1e-13)


@pytest.mark.parametrize("n, d", [(statistics.STRIP + 43, 16), (30, 3)])
def test_distances_of_many_long_points_are_those_of_scipy_and_have_a_gradient(n, d):
    x = normal(n, d).requires_grad_()
    with torch.no_grad():
        apart = statistics.distances(x)
    truth = scipy.spatial.distance.cdist(x.detach().numpy(), x.detach().numpy())
    np.testing.assert_allclose(apart.numpy(), truth, rtol=1e-13)
    (slope,) = torch.autograd.grad(statistics.distances(x).square().sum(), x)
    torch.testing.assert_close(slope, 4 * (n * x - x.sum(0)).detach())


def test_the_median_is_of_pairs_of_both_samples():
    """Of more points than are looked at, those that come first are all of x."""
    x, y = 0.01 * normal(600, 2), normal(600, 2, seed=1)
    apart = statistics.distances(torch.cat([x, y]))
    assert statistics.median(apart) == pytest.approx(apart[apart > 0].median().item(), rel=0.1)


def test_the_width_of_a_witness_is_the_median_of_both_samples():
    x, y = 0.1 * normal(20, 2), 0.1 * normal(30, 2, seed=1) + 4
    apart = statistics.distances(torch.cat([x, y]))
    h = apart[apart > 0].median().item()
    torch.testing.assert_close(two_sample.witness(x, y)(x), two_sample.witness(x, y, h)(x))
    x, y = 0.1 * normal(600, 1), 0.1 * normal(600, 1, seed=1) + 4  # of many points every third, of both
    some = torch.cat([x, y])[::3, 0].numpy()
    h = np.median([a for a in scipy.spatial.distance.pdist(some[:, None])])
    torch.testing.assert_close(two_sample.witness(x, y)(x), two_sample.witness(x, y, h)(x), rtol=1e-3, atol=1e-3)


def test_energy_is_scipys_but_for_the_pairs_of_an_example_with_itself():
    x, y = normal(30), normal(21, seed=1, shift=0.4)
    within = lambda s: (s[:, None] - s).abs().mean().item()
    missing = within(x) / (len(x) - 1) + within(y) / (len(y) - 1)
    truth = scipy.stats.energy_distance(x, y) ** 2 - missing
    assert two_sample.energy(x, y).item() == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("decimals", [9, 0], ids=["no ties", "ties"])
def test_ks_is_scipys(decimals):
    x, y = normal(40).round(decimals=decimals), normal(27, seed=1, shift=0.3).round(decimals=decimals)
    for a, b in ((x, y), (y, x)):
        assert two_sample.ks(a, b).item() == pytest.approx(scipy.stats.ks_2samp(a, b).statistic, abs=1e-12)


def test_means_of_three_and_two():
    x, y = torch.tensor([[0.0, 1.0], [2.0, 3.0], [1.0, 2.0]]), torch.tensor([[4.0, 6.0], [4.0, 6.0]])
    assert two_sample.means(x, y).item() == pytest.approx(5.0)


def test_mmd_and_energy_estimate_what_they_say_of_two_gaussians():
    """In the mean over samples of five: exp(-d^2/2(h^2 + 2))... of N(0, 1) and N(1, 1), and 0 where they are one."""
    h, n = 1.3, 5
    kernel = lambda d: h / math.sqrt(h**2 + 2) * math.exp(-(d**2) / (2 * (h**2 + 2)))
    folded = lambda d: 2 / math.sqrt(math.pi) * math.exp(-(d**2) / 4) + d * math.erf(d / 2)  # E|N(d, 2)|
    for statistic, shift, truth in (
        (two_sample.mmd((h,), relative=False), 1.0, 2 * kernel(0) - 2 * kernel(1)),
        (two_sample.mmd((h,), relative=False), 0.0, 0.0),
        (two_sample.energy, 1.0, 2 * folded(1) - 2 * folded(0)),
        (two_sample.energy, 0.0, 0.0),
    ):
        values = [statistic(normal(n, seed=i), normal(n + 1, seed=7000 + i, shift=shift)) for i in range(600)]
        assert errors_off(torch.stack(values), truth) < 3.5


def test_gradients_reach_the_points():
    x, y = normal(5, 2).requires_grad_(), normal(4, 2, seed=1)
    for statistic in (two_sample.mmd((1.0, 2.0), relative=False), two_sample.energy, two_sample.means):
        assert torch.autograd.gradcheck(lambda x, s=statistic: s(x, y), x)  # noqa: B023


def test_what_is_equal_but_for_rounding_is_as_large():
    """x and y exchanged altogether: the same statistic of other sums, in whatever unit."""
    for seed in range(10):
        x, y = 1e7 * normal(9, 2, seed=seed), 1e7 * normal(9, 2, seed=seed + 50)
        exchanged = (torch.arange(18) >= 9).expand(3, 18)
        assert two_sample.test(x, y, two_sample.energy, permutations=exchanged).p == 1


def test_points_that_are_all_one_differ_in_nothing():
    for statistic in EVERY.values():
        out = two_sample.test(torch.ones(6), torch.ones(5), statistic, permutations=19)
        assert out.value == 0 and out.p == 1


def test_pictures_are_flat_points():
    x, y = normal(8, 1, 3, 3), normal(6, 1, 3, 3, seed=1)
    assert two_sample.energy(x, y) == two_sample.energy(x.flatten(1), y.flatten(1))


def test_witness_is_positive_where_x_is_and_sums_to_the_biased_mmd():
    x, y, h = normal(200, 1, shift=-1), normal(150, 1, seed=1, shift=1), 0.8
    f = two_sample.witness(x, y, h)
    assert f(torch.tensor([[-1.0]], dtype=x.dtype)) > 0.1 and f(torch.tensor([[1.0]], dtype=x.dtype)) < -0.1
    k = lambda a, b: rbf_kernel(a, b, gamma=1 / (2 * h**2)).mean()
    biased = k(x, x) + k(y, y) - 2 * k(x, y)
    assert (f(x).mean() - f(y).mean()).item() == pytest.approx(biased, abs=1e-12)
    t = torch.tensor([[0.4]], dtype=x.dtype)
    smooth = lambda mean: h / math.sqrt(h**2 + 1) * math.exp(-((0.4 - mean) ** 2) / (2 * (h**2 + 1)))
    assert f(t).item() == pytest.approx(smooth(-1) - smooth(1), abs=0.1)


# Permutations


@pytest.mark.parametrize("name", EVERY)
def test_many_labelings_are_one_at_a_time(name):
    """The table of labelings against the statistic of the points so labeled."""
    statistic, x, y = EVERY[name], normal(9, 1), normal(6, 1, seed=1)
    masks = two_sample.labelings(30, 9, 6, torch.Generator().manual_seed(3))
    null = two_sample.test(x, y, statistic, permutations=masks).null
    z = torch.cat([x, y])
    one = torch.stack([statistic(z[row], z[~row]) for row in masks])
    assert torch.allclose(null, one, atol=1e-12)


def test_p_is_the_share_of_all_exchanges_that_are_as_large():
    """Four and three points: all 35 labelings, counted by hand; the one that came is among them."""
    x, y = normal(4, 2, shift=0.8), normal(3, 2, seed=1)
    z = torch.cat([x, y]).numpy()
    rows, values = [], []
    for chosen in itertools.combinations(range(7), 4):
        rest = [i for i in range(7) if i not in chosen]
        rows.append([i in chosen for i in range(7)])
        values.append(np.linalg.norm(z[list(chosen)].mean(0) - z[rest].mean(0)))
    others = torch.tensor(rows[1:])  # the first is the one that came
    out = two_sample.test(x, y, two_sample.means, permutations=others)
    assert out.p == pytest.approx(np.mean(np.array(values) >= values[0] - 1e-12))
    assert out.value == pytest.approx(values[0])


def test_p_is_never_zero():
    out = two_sample.test(normal(20), normal(20, seed=1, shift=50.0), two_sample.means, permutations=99)
    assert out.p == 0.01 and out.p_interval()[0] == 0 and 0 < out.p_interval()[1] < 0.05


def test_labelings_are_uniform_and_pair_nobody():
    masks = two_sample.labelings(4000, 6, 4, torch.Generator().manual_seed(0)).double()
    assert (masks.sum(1) == 6).all()
    assert (masks.mean(0) - 0.6).abs().max() < 4 * (0.24 / 4000) ** 0.5
    correlation = torch.corrcoef(masks.T)[~torch.eye(10, dtype=torch.bool)]
    assert (correlation + 1 / 9).abs().max() < 4.5 / 4000**0.5


@pytest.mark.parametrize("name", EVERY)
def test_null_p_values_are_uniform(name):
    """p of 19 exchanges takes the values 1/20 ... 1 equally often; ks has ties, and is only never too small."""
    p = null_p_values(EVERY[name])
    counts = torch.bincount((20 * p).round().long(), minlength=21)[1:]
    if name != "ks":
        assert scipy.stats.chisquare(counts.numpy().reshape(5, 4).sum(1)).pvalue > 1e-3
    rejected = int((p <= 0.05 + 1e-9).sum())
    low, high = scipy.stats.binom.interval(0.999, len(p), 0.05)
    assert (low if name != "ks" else 0) <= rejected <= high


def test_size_of_blocks_is_kept_and_sorted_data_are_shuffled():
    p = null_p_values(two_sample.energy, n=24, m=24, repeats=200, block=6)
    low, high = scipy.stats.binom.interval(0.999, 200, 0.05)
    assert low <= (p <= 0.05 + 1e-9).sum() <= high
    x, y = normal(60).sort().values, normal(60, seed=1, shift=3.0).sort().values
    blocks = two_sample.test(x, y, two_sample.energy, permutations=1, block=20).value
    assert blocks == pytest.approx(two_sample.energy(x, y).item(), rel=0.15)
    pieces = permutation._blocks(torch.cat([x, y])[:, None], 60, two_sample.energy, 20, None)
    assert [(len(z), n) for z, n in pieces] == [(40, 20)] * 3
    uneven = permutation._blocks(torch.arange(31.0)[:, None], 10, two_sample.energy, 5, None)
    assert sum(n for _, n in uneven) == 10 and sorted(torch.cat([z for z, _ in uneven])[:, 0]) == list(range(31))
    assert all((z[:n] < 10).all() and (z[n:] >= 10).all() for z, n in uneven)  # of a piece the first n are of x
    for n in (4, 40):  # no block without a pair of either sample
        few = permutation._blocks(torch.arange(44.0)[:, None], n, two_sample.energy, 5, None)
        assert min(min(k, len(z) - k) for z, k in few) >= 2


def test_a_hundred_thousand_points_fit(monkeypatch):
    largest, cdist = [0], torch.cdist

    def watched(a, b, **options):
        largest[0] = max(largest[0], len(a) * len(b))
        return cdist(a, b, **options)

    monkeypatch.setattr(torch, "cdist", watched)
    x, y = torch.randn(100_000), torch.randn(100_000) + 0.1
    assert two_sample.test(x, y, two_sample.energy, permutations=19, block=50).p == 0.05
    assert largest[0] == (2 * 50) ** 2
    two_sample.test(x[:6000], y[:6000], two_sample.energy, permutations=1)
    assert largest[0] == (2 * permutation.BLOCK) ** 2
    tables = []
    slow = statistics.Statistic(lambda z: lambda first: tables.append(first.numel()) or first[:, 0])
    two_sample.test(x, y, slow, permutations=99)
    assert max(tables) <= permutation.CELLS


def test_a_generator_repeats_a_test():
    run = lambda: two_sample.test(
        normal(20), normal(20, seed=1), two_sample.energy, generator=torch.Generator().manual_seed(5)
    )
    assert torch.equal(run().null, run().null)


def test_a_little_less_is_not_as_large():
    first = statistics.Statistic(lambda z: lambda labels: 1 + 1e-5 * labels[:, 0])
    torch.manual_seed(0)
    assert 0.3 < two_sample.test(normal(10), normal(10, seed=1), first, permutations=99).p < 0.7


def test_single_precision_is_tested_in_double():
    x, y = normal(20, 2).float() + 1000, normal(20, 2, seed=1).float() + 1000
    out = two_sample.test(x, y, two_sample.energy, permutations=9)
    assert out.null.dtype == torch.float64 and out.value == two_sample.energy(x.double(), y.double()).item()


# Learned statistics


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


# How sure


def test_intervals_hold_the_truth_as_often_as_they_say():
    def held(statistic, truth, n):
        ends = [
            two_sample.interval(normal(n, seed=i), normal(n, seed=5000 + i, shift=1), statistic) for i in range(120)
        ]
        return sum(low <= truth <= high for low, high in ends)

    low, high = scipy.stats.binom.interval(0.9999, 120, 0.95)
    h = 1.0
    truth = 2 / math.sqrt(3) * (1 - math.exp(-1 / 6))
    assert low <= held(two_sample.means, 1.0, 60) <= high
    assert low - 4 <= held(two_sample.mmd((h,), relative=False), truth, 60) <= high


def test_an_interval_is_the_jackknifes():
    """Quenouille and Tukey by a loop over the groups that are left out, for two levels."""
    x, y = normal(20).numpy(), normal(30, seed=1, shift=2.0).numpy()
    left = lambda s, g: np.delete(s, np.arange(g, len(s), 5))
    without = np.array([abs(left(x, g).mean() - left(y, g).mean()) for g in range(5)])
    error = math.sqrt(4 / 5 * ((without - without.mean()) ** 2).sum())
    for level in (0.5, 0.95):
        half = scipy.stats.t.interval(level, 4)[1] * error
        got = two_sample.interval(*map(torch.from_numpy, (x, y)), two_sample.means, level=level, groups=5)
        assert got == pytest.approx((abs(x.mean() - y.mean()) - half, abs(x.mean() - y.mean()) + half))


def test_a_p_value_of_the_level_counts_as_seen():
    draw = lambda n: (torch.randn(n), torch.randn(n))
    assert two_sample.power(draw, lambda x, y: 0.05, [3], repeats=4)[0].share == 1


def test_power_is_that_of_the_normal_test():
    """|mean x - mean y| of N(0, 1) and N(.5, 1): Phi(sqrt(n/2)/2 - 1.96), but for few exchanges and an unknown std."""
    draw = lambda n: (torch.randn(n), torch.randn(n) + 0.5)
    p_value = lambda x, y: two_sample.test(x, y, two_sample.means, permutations=99).p
    curve = two_sample.power(draw, p_value, [10, 60], repeats=150)
    for point in curve:
        truth = scipy.stats.norm.cdf(math.sqrt(point.n / 2) / 2 - 1.96)
        assert point.low - 0.05 < truth < point.high + 0.05
        assert (point.low, point.high) == pytest.approx(
            scipy.stats.binomtest(round(150 * point.share), 150).proportion_ci(0.95, "wilson")
        )
    assert [point.n for point in curve] == [10, 60]


# Bad input


@pytest.mark.parametrize(
    "x, y, words",
    [
        (torch.zeros(5, 2), torch.zeros(5, 3), r"one shape, got \(2,\) and \(3,\)"),
        (torch.zeros(1, 2), torch.zeros(5, 2), "x with at least 2 examples, got 1"),
        (torch.zeros(5, 2), torch.zeros(1, 2), "y with at least 2 examples"),
        (torch.zeros(5, 2), torch.full((5, 2), math.nan), "finite y, got 10 NaN"),
        (torch.zeros(5).long(), torch.zeros(5), "floating dtype"),
        (torch.zeros(5), torch.zeros(5).double(), "one dtype and device"),
        ([1.0, 2.0], torch.zeros(5), "x as a torch.Tensor"),
        (torch.tensor(1.0), torch.zeros(5), "needed x"),
    ],
)
def test_samples_that_are_none_are_refused(x, y, words):
    for ask in (
        lambda: two_sample.energy(x, y),
        lambda: two_sample.test(x, y, two_sample.means),
        lambda: two_sample.witness(x, y),
        lambda: two_sample.test_held_out(x, y, nearest),
        lambda: two_sample.interval(x, y, two_sample.means),
        lambda: two_sample.learn_classifier(x, y),
    ):
        with pytest.raises(ValueError, match=words):
            ask()


def test_what_cannot_be_asked_is_refused():
    x, y = normal(10, 2), normal(10, 2, seed=1)
    for words, ask in {
        "one number an example": lambda: two_sample.ks(x, y),
        "positive, finite bandwidths|positive number bandwidths": lambda: two_sample.mmd((0.0,))(x, y),
        "an integer permutations": lambda: two_sample.test(x, y, two_sample.means, permutations=0),
        "with 10 that play x in each": lambda: two_sample.test(
            x, y, two_sample.means, permutations=two_sample.labelings(9, 9, 11)
        ),
        "at most 10000 points to pair": lambda: two_sample.energy(torch.randn(6000), torch.randn(6000)),
        "cut into blocks": lambda: two_sample.test(torch.randn(2), torch.randn(20_000), two_sample.energy),
        "at least 4 examples": lambda: two_sample.test_held_out(x[:3], y, nearest),
        "at least 40 examples": lambda: two_sample.interval(x, y, two_sample.means),
        "level between 0 and 1": lambda: two_sample.interval(x, y, two_sample.means, level=95),
        "an integer repeats": lambda: two_sample.power(lambda n: (x, y), lambda x, y: 1.0, [10], repeats=0),
    }.items():
        with pytest.raises(ValueError, match=words):
            ask()
