"""The two-sample bench: clouds that are what they say, numbers that follow from them."""

import re

import numpy as np
import pytest
import torch
from scipy.stats import norm

from gdm_core import explorers, two_sample
from gdm_core.explorers import ch06_bench as bench


@pytest.mark.parametrize("ring", [True, False])
def test_a_cloud_has_its_moments_and_its_density(ring):
    mean, cov = np.array([0.3, -0.2]), np.array([[0.9, 0.3], [0.3, 0.5]])
    cloud = bench.Cloud(mean, cov, ring, "cpu")
    axis = torch.linspace(-5, 5, 500, dtype=torch.float64)
    t = torch.cartesian_prod(axis, axis)
    p = cloud.log_prob(t).exp() * (axis[1] - axis[0]) ** 2
    assert p.sum().item() == pytest.approx(1, abs=1e-6)
    assert np.allclose((p[:, None] * t).sum(0), mean, atol=1e-6)
    away = t - torch.from_numpy(mean)
    assert np.allclose((p[:, None] * away).T @ away, cov, atol=1e-5)
    x = cloud.draw(torch.randn(20_000, 2).double(), torch.rand(20_000))
    entropy = -(p * cloud.log_prob(t)).sum()
    assert (-cloud.log_prob(x).mean() - entropy).abs() < 5 * cloud.log_prob(x).std() / 20_000**0.5


def test_what_it_says_of_two_gaussians():
    """Unit Gaussians 1.4 apart: D* is right for Phi(0.7); far apart all see them, equal ones are no ring."""
    stage = explorers.bench()
    said = lambda: re.search(r"p-value ([\d.]+): difference (seen|not seen).*right for ([\d.]+)", stage.words())
    stage.set(shape="one Gaussian", clouds=([[-0.7, 0.0], [0.7, 0.0]], np.stack([np.eye(2)] * 2)))
    assert float(said()[3]) == pytest.approx(norm.cdf(0.7), abs=0.03)
    for statistic in bench.STATISTICS:
        stage.set(statistic=statistic)
        assert said()[1] == "0.005" and said()[2] == "seen"
    stage.set(shape="one Gaussian", clouds=([[0.0, 0.0]] * 2, np.stack([np.eye(2)] * 2)))
    assert float(said()[3]) == pytest.approx(0.5, abs=0.03)


def test_the_map_is_positive_where_there_are_more_x():
    x, y = torch.randn(200, 2).double() - 1.5, torch.randn(200, 2).double() + 1.5
    places = torch.tensor([[-1.5, -1.5], [1.5, 1.5]], dtype=torch.float64)
    for statistic in bench.STATISTICS:
        left, right = bench._witness(x, y, places, statistic, 1.0)
        assert left > 0 > right, statistic


def test_what_it_draws_is_what_two_sample_says():
    """T, the limit that one in twenty passes, and the map of MMD, from the points in the picture."""
    stage = explorers.bench()
    stage.set(statistic="MMD", width=0.9, n=60)
    clouds, null = stage.frame().encode()["views"]
    x, y = (torch.from_numpy(np.array(clouds["marks"][i]["xy"])).double() for i in (1, 0))
    assert len(x) == len(y) == 60
    T = two_sample.mmd((0.9,), relative=False)(x, y).item()
    bars, limit, came, _ = null["marks"]
    assert np.array(came["xy"])[:, 0] == pytest.approx([T, T], abs=1e-5)
    place, count = np.array(bars["xy"])[:, :2].T
    share = count[place > np.array(limit["xy"])[0, 0]].sum() / count.sum()
    assert (
        limit["label"] == "1 in 20 is above"
        and count.sum() == bench.EXCHANGES
        and share == pytest.approx(0.05, abs=0.03)
    )
    axis = (torch.arange(64, dtype=torch.float64) + 0.5) / 8 - 4
    grid = torch.stack(torch.meshgrid(-axis, axis, indexing="ij")[::-1], -1).reshape(-1, 2)  # rows from the top
    assert np.corrcoef(clouds["image"].ravel(), two_sample.witness(x, y, 0.9)(grid))[0, 1] > 0.999


def test_x_and_y_are_drawn_apart_and_buttons_place_the_clouds():
    stage = explorers.bench()
    stage.set(shape="one Gaussian", n=300)
    y, x = (np.array(mark["xy"]) for mark in stage.frame().encode()["views"][0]["marks"])
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 0.3
    stage.press("shift")
    assert stage.values()["clouds"].means.tolist() == [[-0.3, 0.0], [0.3, 0.0]]
    assert np.allclose(stage.values()["clouds"].covs, 2 * np.eye(2))
    stage.press("same")
    assert stage.values()["clouds"].means.tolist() == [[0.0, 0.0]] * 2
    assert np.allclose(stage.values()["clouds"].covs, 2 * np.eye(2))


@pytest.mark.parametrize("statistic", bench.STATISTICS)
def test_the_number_in_the_picture_is_of_the_statistic_that_was_chosen(statistic):
    frame = explorers.bench().frame({"statistic": statistic}).encode()
    clouds, null = frame["views"]
    y, x = (torch.from_numpy(np.array(mark["xy"])).double() for mark in clouds["marks"])
    asked = {"means": two_sample.means, "energy": two_sample.energy, "MMD": two_sample.mmd((0.5,), relative=False)}
    came, label = null["marks"][2:]
    assert np.array(came["xy"])[0, 0] == pytest.approx(asked[statistic](x, y).item(), abs=1e-5)
    assert label["text"] == [f"T, {frame['text'].split(':')[0]}"]
    for stds in (0.5, 2.0):  # T at either end: its words go the other way, into the picture
        covs = np.stack([np.eye(2), stds * np.eye(2)])
        null = (
            explorers.bench().frame({"statistic": statistic, "clouds": ([[0.0, 0.0]] * 2, covs)}).encode()["views"][1]
        )
        label, (low, high, *_) = null["marks"][3], null["extent"]
        assert label["anchor"] == ("right" if label["xy"][0][0] > (low + high) / 2 else "left")
