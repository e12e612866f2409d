"""How sure a two-sample test is, against enumeration, loops and scipy: exchanges, intervals, power."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from oracles import normal

from gdm_core import two_sample
from gdm_core.two_sample import permutation, statistics

EVERY = {"means": two_sample.means, "energy": two_sample.energy, "ks": two_sample.ks, "mmd": two_sample.mmd()}


def null_p_values(statistic, n=14, m=9, exchanges=19, repeats=300, **options):
    return torch.tensor(
        [
            two_sample.test(
                normal(n, 1, seed=i), normal(m, 1, seed=9999 + i), statistic, permutations=exchanges, **options
            ).p
            for i in range(repeats)
        ]
    )


# Exchanges


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
    assert out.p == 0.01


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


# Intervals and power


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
