"""Noise that stays, and words on where a latent lies."""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats

from gdm_core import widgets as w


def test_noise_stays_until_it_is_pressed():
    noise, state = w.Noise(3), torch.get_rng_state()
    first = noise(0, 5000)
    assert torch.equal(first, noise(0, 5000)) and torch.equal(first, w.Noise(3)(0, 5000))
    for other in (noise(1, 5000), w.Noise(4)(0, 5000)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / math.sqrt(5000)
    for other in (noise(0, 5000, uniform=True), noise(0, 2, 2500).flatten(), noise(0, 5001)[:5000]):  # another shape
        assert abs(stats.spearmanr(first, other).statistic) < 5 / math.sqrt(5000)
    assert stats.kstest(first.numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(noise(0, 5000, uniform=True).numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's numbers were used
    for press in range(200):
        noise(press, 3)
    assert len(noise._kept) <= 32 and torch.equal(first, noise(0, 5000))


@pytest.mark.parametrize("d", [1, 2, 7, 64])
def test_density_and_shell_of_a_latent(d):
    z = np.random.default_rng(d).normal(size=d)
    assert w.log_normal(z) == pytest.approx(stats.multivariate_normal(np.zeros(d)).logpdf(z), rel=1e-12)
    low, median, high = w.shell(d, 0.8)
    inside = [stats.chi2.cdf(r**2, d) for r in (low, median, high)]
    np.testing.assert_allclose(inside, [0.1, 0.5, 0.9], atol=1e-9)


def test_leaving_the_data_is_said():
    assert w.atypical([0.0, 0.0]) == "" and w.atypical(np.ones(30)) == ""
    assert "far out" in w.atypical([4.0, 0.0]) and "too central" in w.atypical(np.zeros(30))
    for z, side in (([4.0, 0.0], stats.chi(2).sf), (np.zeros(30), stats.chi(30).cdf)):  # half of the rest on each side
        share, radius = re.search(r"only ([\d.]+) % .* radius ([\d.]+)", w.atypical(z, mass=0.9)).groups()
        assert side(float(radius)) == pytest.approx(float(share) / 100, rel=0.15)  # of a rounded radius
    assert w.atypical([3.0, 0.2]) == "" and w.atypical([3.3, 0.0]) != ""  # 99 % lie within 3.25
    said = w.where_is([3.0, 4.0], mass=0.5)
    assert "radius 5.00" in said and "log p(z) = −14.34 nats" in said and "50\xa0%" in said
    with pytest.raises(ValueError, match="finite latent"):
        w.where_is([math.nan])
