"""Likelihoods against scipy's distributions, enumeration over the gray levels, and autograd."""

import numpy as np
import pytest
import scipy.stats
import torch

from gdm_core import likelihoods
from gdm_core.likelihoods import Bernoulli, Categorical, Discretized, Gaussian, GrayCategorical, GrayCut

torch.set_num_threads(1)
DISCRETE = {
    "categorical": lambda: Categorical(5),
    "logistic": lambda: Discretized(5),
    "gaussian": lambda: Discretized(5, "gaussian"),
    "mixture": lambda: Discretized(5, components=3),
}


def raw(likelihood, lead=(4,), event=(2, 3), scale=1.5):
    torch.manual_seed(1)
    return scale * torch.randn(*lead, likelihood.channels, *event, dtype=torch.float64)


def levels_like(p, count=5):
    """Every gray level in every element at once: (levels, *batch, *event)."""
    values = torch.arange(count, dtype=torch.float64) / (count - 1)
    return values.reshape(-1, *[1] * (len(p.batch_shape) + len(p.event_shape))).expand(
        count, *p.batch_shape, *p.event_shape
    )


@pytest.mark.parametrize("learn", [None, "shared", "output"])
def test_gaussian_is_scipys_normal_summed_over_the_event(learn):
    likelihood = Gaussian(0.7, learn).double()
    a = raw(likelihood)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    std = 0.7 * (a[:, 1].exp() if learn == "output" else torch.ones(4, 2, 3, dtype=torch.float64))
    truth = scipy.stats.norm.logpdf(x.numpy(), a[:, 0].numpy(), std.numpy()).sum((1, 2))
    p = likelihood(a, 2)
    np.testing.assert_allclose(p.log_prob(x).detach(), truth, rtol=1e-6)  # 0.7 is stored in float32
    assert p.event_shape == (2, 3) and p.batch_shape == (4,)
    assert any(True for _ in likelihood.parameters()) == (learn == "shared")


def test_bernoulli_is_scipys_and_refuses_gray_values():
    a = raw(Bernoulli())
    x = (torch.rand(4, 2, 3, dtype=torch.float64) < 0.5).double()
    truth = scipy.stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(a[:, 0]).numpy()).sum((1, 2))
    np.testing.assert_allclose(Bernoulli()(a, 2).log_prob(x), truth)
    with pytest.raises(ValueError, match="zeros and ones"):
        Bernoulli()(a, 2).log_prob(0.5 * x)


@pytest.mark.parametrize("learn", [None, "shared", "output"])
def test_a_std_stays_within_its_limits(learn):
    likelihood = Gaussian(2.0, learn).double()
    for beyond, limit in ((-50.0, -7.0), (50.0, 7.0)):
        with torch.no_grad():
            likelihood.log_std.fill_(beyond)
            std = likelihood(torch.zeros(1, likelihood.channels, 2, dtype=torch.float64), 1).stddev
        torch.testing.assert_close(std.log(), torch.full((1, 2), limit).double())


ALL = DISCRETE | {"bernoulli": Bernoulli, "gaussian, output": lambda: Gaussian(0.7, "output")}


@pytest.mark.parametrize("name", ALL)
def test_axes_before_the_channels_are_examples_whatever_their_number(name):
    likelihood = ALL[name]()
    for event in ((3,), (2, 3)):
        numbers = raw(likelihood, (5, 4), event)
        p, one = likelihood(numbers, len(event)), likelihood(numbers[2, 1][None], len(event))
        assert p.batch_shape == (5, 4) and p.event_shape == event
        torch.testing.assert_close(p.mean[2, 1], one.mean[0])
        torch.testing.assert_close(
            p.log_prob(torch.zeros(event).double())[2, 1], one.log_prob(torch.zeros(event).double())[0]
        )


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_of_all_levels_sum_to_one(name):
    p = DISCRETE[name]()(raw(DISCRETE[name]()), 2)
    total = p.base_dist.log_prob(levels_like(p)).exp().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("name", DISCRETE)
def test_mean_and_variance_are_the_sums_over_levels(name):
    p = DISCRETE[name]()(raw(DISCRETE[name]()), 2)
    values = levels_like(p)
    mass = p.base_dist.log_prob(values).exp()
    mean = (mass * values).sum(0)
    torch.testing.assert_close(p.mean, mean)
    torch.testing.assert_close(p.variance, (mass * (values - mean) ** 2).sum(0))


@pytest.mark.parametrize("shape", [(3,), (3, 2000)])
def test_moments_of_256_levels_in_one_piece_and_in_several(shape):
    p = GrayCut(torch.rand(shape).double(), torch.randn(shape).double() - 2, 256)
    mass = p.log_prob(torch.arange(256).double().reshape(-1, *[1] * len(shape)) / 255).exp()
    values = torch.arange(256).double() / 255
    mean = torch.tensordot(values, mass, 1)
    torch.testing.assert_close(p.mean, mean)
    torch.testing.assert_close(p.variance, torch.tensordot(values**2, mass, 1) - mean**2)


@pytest.mark.parametrize("name", DISCRETE)
def test_samples_follow_the_probabilities(name):
    p = DISCRETE[name]()(raw(DISCRETE[name](), lead=(1,), event=(2,)), 1)
    torch.manual_seed(0)
    x = p.sample((20_000,))
    for value, mass in zip(levels_like(p), p.base_dist.log_prob(levels_like(p)).exp()):
        counts = torch.isclose(x, value).double().mean(0)
        assert ((counts - mass).abs() < 5 * (mass * (1 - mass) / len(x)).sqrt() + 1e-9).all()


@pytest.mark.parametrize("family, truth", [("logistic", scipy.stats.logistic), ("gaussian", scipy.stats.norm)])
def test_cut_distribution_is_the_difference_of_scipys_cdf(family, truth):
    loc, log_scale = torch.tensor([0.1, 0.43, 0.8]).double(), torch.tensor([-1.5, -2.5, 0.3]).double()
    p, scale = GrayCut(loc, log_scale, 9, family), log_scale.exp()
    for k in range(9):
        left = -np.inf if k == 0 else (k - 0.5) / 8
        right = np.inf if k == 8 else (k + 0.5) / 8
        mass = truth.cdf(right, loc, scale) - truth.cdf(left, loc, scale)
        value = torch.full((3,), k / 8, dtype=torch.float64)
        np.testing.assert_allclose(p.log_prob(value).exp(), mass, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
def test_far_tails_stay_finite_with_gradient(family):
    """A picture far from the decoder's answer, 256 levels, float32: a difference of two cdfs would be log 0."""
    loc = torch.tensor([-3.0, 0.0, 1.0, 4.0], requires_grad=True)
    log_scale = torch.full((4,), -4.0, requires_grad=True)
    for value in (0.0, 100 / 255, 1.0):
        log_prob = GrayCut(loc, log_scale, 256, family).log_prob(torch.full((4,), value))
        gradients = torch.autograd.grad(log_prob.sum(), (loc, log_scale))
        assert torch.isfinite(log_prob).all() and all(torch.isfinite(g).all() for g in gradients)
    assert GrayCut(torch.tensor(0.5), torch.tensor(-4.0), 256, family).log_prob(torch.tensor(1.0)) < -20


def test_a_value_between_two_levels_is_refused():
    for p in (GrayCategorical(torch.zeros(3, 17)), GrayCut(torch.zeros(3), torch.zeros(3), 17)):
        p.log_prob(torch.tensor([0.0, 0.5, 1.0]))
        for wrong in (0.51, 17 / 16, -1 / 16):
            with pytest.raises(ValueError, match="17 gray levels"):
                p.log_prob(torch.full((3,), wrong))


def test_build_names_what_is_missing():
    assert isinstance(likelihoods.build("gaussian"), Gaussian)
    assert likelihoods.build("categorical", 17).channels == 17
    with pytest.raises(ValueError, match="levels=dataset.levels"):
        likelihoods.build("discretized")
    with pytest.raises(ValueError, match="'bernoulli'"):
        likelihoods.build("bernouli")


@pytest.mark.parametrize("std", [1e-4, 5e-4, 1e4])
def test_a_std_that_would_be_replaced_is_refused(std):
    for learn in (None, "shared", "output"):
        with pytest.raises(ValueError, match="std from 0.001 to 1000"):
            Gaussian(std, learn)


def test_levels_without_effect_are_refused():
    for likelihood in ("gaussian", "bernoulli", Discretized(5)):
        with pytest.raises(ValueError, match="levels"):
            likelihoods.build(likelihood, 5)


@pytest.mark.parametrize("loc, log_scale", [(0.4, -5.0), (0.8, -7.0), (300.0, 0.0), (3000.0, 0.0)])
def test_logistic_bins_keep_their_width_in_float32(loc, log_scale):
    x = torch.tensor(128 / 255)
    found, truth = [], []
    for dtype, out in ((torch.float32, found), (torch.float64, truth)):
        parameters = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in (loc, log_scale)]
        log_p = GrayCut(*parameters, 256).log_prob(x.to(dtype))
        out += [log_p, *torch.autograd.grad(log_p, parameters)]
    for a, b in zip(found, truth):
        torch.testing.assert_close(a.double(), b, rtol=0 if a is found[0] else 1e-4, atol=1e-3)


def test_discretized_starts_at_a_tenth_of_the_range():
    p = Discretized(256)(torch.zeros(1, 2, 1), 1).base_dist
    assert p.stddev.item() == pytest.approx(0.1 * np.pi / 3**0.5, abs=0.01)


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
@pytest.mark.parametrize("components", [1, 2, 3])
def test_what_knows_nothing_starts_spread_over_the_range(family, components):
    """At raw = 0: equal weights, means from black to white (one in the middle), a tenth of the range as scale."""
    likelihood = Discretized(5, family, components)
    p = likelihood(torch.zeros(likelihood.channels, 1, dtype=torch.float64), 1)
    cdf = {"logistic": scipy.stats.logistic, "gaussian": scipy.stats.norm}[family].cdf
    edges = np.array([-np.inf, 0.125, 0.375, 0.625, 0.875, np.inf])
    means = np.linspace(0, 1, components) if components > 1 else np.array([0.5])
    truth = np.diff(cdf((edges - means[:, None]) / 0.1)).mean(0)
    found = p.log_prob(levels_like(p)).exp()
    np.testing.assert_allclose(found.squeeze(), truth, rtol=1e-6)
