"""Guided denoisers against closed forms: three variances of a Gaussian, Bayes' rule, the densities of maps."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from gdm_core import guidance, ideal, samplers, schedules

WIDE = schedules.exploding(300.0, 0.01)


def when(t):
    return torch.tensor(t, dtype=torch.float64)


def double(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def round_(var, schedule):
    return ideal.gaussian(torch.zeros(1, dtype=torch.float64), torch.tensor([[var]]), schedule)


CONDITIONAL, WHOLE = round_(1.0, WIDE), round_(2.0, WIDE)


def variance(denoise, schedule, times, eta):
    """Of what `ddim` ends with, exactly: it is linear here, and each row of the batch feels one noise of size 1."""
    n = len(times)
    feel = torch.eye(n, dtype=torch.float64)[:, :, None]  # source, row, 1
    start = feel[-1] * schedule(times[0])[1]
    ends = samplers.last(samplers.ddim(denoise, schedule, start, times, eta=eta, noise=lambda i: feel[i]))
    return ends.square().sum().item()


@pytest.mark.parametrize("w", [0.0, 1.0, 2.0, 3.0])
def test_what_is_sampled_has_neither_the_variance_of_the_other_sampler_nor_that_of_the_powered_density(w):
    times = schedules.times(WIDE, 600)
    guided = guidance.guided(CONDITIONAL, WHOLE, w)
    flow, noisy = (variance(guided, WIDE, times, eta) for eta in (0.0, 1.0))
    assert flow == pytest.approx(2 ** (1 - w), rel=0.03)
    assert noisy == pytest.approx((2 - 2 ** (2 - 2 * w)) / (2 * w - 1), rel=0.03)
    if w > 1:
        assert flow < noisy < 0.97 * 2 / (w + 1)  # p(x | c)^w p(x)^(1 - w), powered


def test_weight_one_is_the_denoiser_and_zero_the_weaker():
    x, t = double(5, 1), when(0.3)
    for w, truth in ((1.0, CONDITIONAL), (0.0, WHOLE)):
        torch.testing.assert_close(guidance.guided(CONDITIONAL, WHOLE, w)(x, t), truth(x, t))
    away = guidance.guided(CONDITIONAL, WHOLE, 3.0)(x, t)
    torch.testing.assert_close(away, 3 * CONDITIONAL(x, t) - 2 * WHOLE(x, t))


def test_an_interval_guides_inside_alone_row_by_row():
    guided = guidance.guided(lambda x, t: 2 * x, lambda x, t: x, 5.0, between=(0.2, 0.5))
    x, t = torch.ones(5, 3), torch.tensor([0.1, 0.2, 0.4, 0.5, 0.6])
    assert guided(x, t)[:, 0].tolist() == [2, 6, 6, 6, 2]
    assert guided(x, torch.tensor(0.3))[0, 0] == 6

    def never(x, t):
        raise AssertionError("asked for nothing")

    outside = guidance.guided(lambda x, t: 2 * x, never, 5.0, between=(0.2, 0.5))
    assert outside(x, torch.tensor(0.6))[0, 0] == 2


def two_bumps(schedule):
    m, s, w = double(2, 3, seed=1), torch.tensor([0.5, 0.8]).double(), torch.tensor([0.3, 0.7]).double()

    def log_prob_of_first(x_t, t):
        alpha, sigma = schedule(t)
        std = (alpha**2 * s**2 + sigma**2).sqrt()[:, None].expand(2, 3)
        whole = MixtureSameFamily(Categorical(w), Independent(Normal(alpha * m, std), 1))
        return w[0].log() + Independent(Normal(alpha * m[0], std[0]), 1).log_prob(x_t) - whole.log_prob(x_t)

    first = ideal.gaussian(m[0], s[0] ** 2 * torch.eye(3), schedule)
    return ideal.mixture(m, s, w, schedule), first, log_prob_of_first


@pytest.mark.parametrize("t", [0.2, 0.7])
def test_a_perfect_classifier_makes_the_conditional_denoiser(t):
    whole, first, classifier = two_bumps(schedules.cosine)
    x, t = 2 * double(6, 3), when(t)
    guided = guidance.by_classifier(whole, classifier, schedules.cosine)
    with torch.no_grad():
        torch.testing.assert_close(guided(x, t), first(x, t))
    twice = guidance.by_classifier(whole, classifier, schedules.cosine, 2.0)(x, t)
    torch.testing.assert_close(twice, guidance.guided(first, whole, 2.0)(x, t))


@pytest.mark.parametrize("schedule", [schedules.cosine, schedules.exploding(5.0, 0.1)], ids=["cosine", "wide"])
def test_traced_is_the_sampler_and_its_density_that_of_the_map(schedule):
    whole, first, _ = two_bumps(schedule)
    guided = guidance.guided(first, whole, 1.7, between=(0.1, 0.9))
    times, widest = schedules.times(schedule, 6), schedule(when(1.0))[1]
    x = widest * double(4, 3)
    plain = samplers.last(samplers.ddim(guided, schedule, x, times))
    *_, (state, log_q) = guidance.traced(guided, schedule, x, times)
    torch.testing.assert_close(state, plain)
    end = lambda one: list(guidance.traced(guided, schedule, one[None], times))[-1][0][0]
    step = 1e-5 * torch.eye(3, dtype=torch.float64)
    for one, found in zip(x, log_q):
        jacobian = torch.stack([(end(one + h) - end(one - h)) / 2e-5 for h in step], 1)
        truth = Independent(Normal(torch.zeros(3).double(), widest), 1).log_prob(one) - jacobian.det().abs().log()
        assert found.item() == pytest.approx(truth.item(), abs=1e-6)


def test_traced_of_few_steps_is_a_density():
    whole, *_ = two_bumps(WIDE)
    line = lambda x, t: whole(torch.cat([x, torch.zeros(len(x), 2).double()], 1), t)[:, :1]
    x = torch.linspace(-7, 7, 4001).double()[:, None]
    start = WIDE(when(1.0))[1] * x
    *_, (state, log_q) = guidance.traced(line, WIDE, start, schedules.times(WIDE, 12))
    assert torch.trapezoid(log_q.exp(), state[:, 0]).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: guidance.guided(CONDITIONAL, WHOLE, -1.0), "weight=2.0"),
        (lambda: guidance.guided(CONDITIONAL, WHOLE, math.nan), "weight=2.0"),
        (lambda: guidance.guided(CONDITIONAL, WHOLE, 2.0, between=(0.5, 0.5)), "between=(0.2, 0.8)"),
        (lambda: guidance.guided(CONDITIONAL, WHOLE, 2.0, between=(0.5, 1.5)), "between=(0.2, 0.8)"),
        (lambda: guidance.by_classifier(WHOLE, None, WIDE, -0.1), "weight=2.0"),
        (lambda: guidance.traced(WHOLE, WIDE, torch.zeros(2, 1, 2), schedules.times(WIDE, 2)), "x.flatten(1)"),
    ],
)
def test_what_cannot_be_guided_is_refused(call, hint):
    with pytest.raises(ValueError, match="needed .* got .* try") as error:
        call()
    assert hint in str(error.value)
