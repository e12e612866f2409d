"""Two-sample statistics against scipy, scikit-learn and closed forms; what is refused."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from oracles import errors_off, normal
from sklearn.metrics.pairwise import rbf_kernel

from gdm_core import two_sample
from gdm_core.two_sample import statistics


def off_diagonal(kernel):
    return (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))


def mmd_by_definition(x, y, h):
    """Gretton et al. (2012, eq. 3) with scikit-learn's kernel."""
    k = lambda a, b: rbf_kernel(a, b, gamma=1 / (2 * h**2))
    return off_diagonal(k(x, x)) + off_diagonal(k(y, y)) - 2 * k(x, y).mean()


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
    learn = lambda x, y: two_sample.means
    for ask in (
        lambda: two_sample.energy(x, y),
        lambda: two_sample.test(x, y, two_sample.means),
        lambda: two_sample.witness(x, y),
        lambda: two_sample.test_held_out(x, y, learn),
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
        "at least 4 examples": lambda: two_sample.test_held_out(x[:3], y, lambda x, y: two_sample.means),
        "at least 40 examples": lambda: two_sample.interval(x, y, two_sample.means),
        "level between 0 and 1": lambda: two_sample.interval(x, y, two_sample.means, level=95),
        "an integer repeats": lambda: two_sample.power(lambda n: (x, y), lambda x, y: 1.0, [10], repeats=0),
    }.items():
        with pytest.raises(ValueError, match=words):
            ask()
