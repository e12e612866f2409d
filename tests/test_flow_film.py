"""The flow film: what it shows after each layer is what the flow says there."""

import functools
import math

import numpy as np
import pytest
import stand_ins
import torch
from oracles import off_init
from stand_ins import numbers

from gdm_core import kept
from gdm_core.explorers import ch09_flow_film as film
from gdm_core.models.flow import spline

torch.set_num_threads(1)
stand_in = stand_ins.stand_in


@functools.cache
def shown():
    torch.manual_seed(0)
    flow = off_init(spline(2, film.LAYERS, hidden=(8,)), 0.4).double()
    return film.Film(flow.requires_grad_(False), torch.randn(50, 2).double())


@pytest.mark.parametrize("k", range(film.LAYERS + 1))
def test_density_after_each_layer_is_that_of_the_cloud_there(k):
    """Change of variables from the noise, with the Jacobian of the way so far by autograd."""
    the = shown()
    way = lambda z: the.states(z[None])[k][0]
    for i in range(3):
        z = the.cloud[0][i]
        with torch.enable_grad():
            J = torch.autograd.functional.jacobian(lambda z: torch.cat([z[None], *the.flow.film(z[None])])[k], z)
        truth = -0.5 * z.square().sum() - math.log(2 * math.pi) - torch.linalg.slogdet(J)[1]
        assert the.density(k, way(z)[None]).log().item() == pytest.approx(truth.item(), abs=1e-8)


def test_terms_add_up_to_log_p_in_the_order_of_the_film():
    the = shown()
    x = the.cloud[-1][:1]
    log_dets = [log_det.item() for _, log_det in the.flow.states(x)]
    base, *each, total = film._terms(the.flow, x, log_dets)
    assert total == pytest.approx(the.flow.log_prob(x).item(), abs=1e-9)
    assert base == pytest.approx((-0.5 * the.cloud[0][0].square().sum() - math.log(2 * math.pi)).item(), abs=1e-8)
    grown = base + each[0]  # after one layer is undone
    assert grown == pytest.approx(the.density(1, the.cloud[1][:1]).log().item(), abs=1e-8)


@pytest.fixture(scope="module")
def stage(stand_in):
    """The explorer around a flow that nobody trained."""
    return film.flow_film()


def test_the_grid_of_the_noise_has_lines_both_ways():
    lines = shown().grid[0].reshape(26, 49, 2)
    still = [[(line[:, i] == line[0, i]).all().item() for i in (0, 1)] for line in lines]
    assert still == [[True, False]] * 13 + [[False, True]] * 13


@pytest.mark.parametrize("k, row, column", [(5, 0, 0), (5, 20, 70), (0, 60, 30)])
def test_the_picture_is_the_density_at_the_place_of_the_pixel(stage, k, row, column):
    flow, view = (
        kept.trained(film.film_flow, points=film.START, steps=film.STEPS),
        stage.frame({"layer": k}).views["film"],
    )
    side = 2 * film.REACH / 100
    at = torch.tensor([[-film.REACH + (column + 0.5) * side, film.REACH - (row + 0.5) * side]])
    p = flow.log_prob(at).exp() if k else torch.exp(-0.5 * at.square().sum()) / (2 * math.pi)
    assert view.image[row, column].item() == pytest.approx(p.item() ** 0.5, abs=1e-4)


def test_cloud_way_and_bumps_are_those_of_the_layer_and_of_the_hand(stage):
    flow = kept.trained(film.film_flow, points=film.START, steps=film.STEPS)
    bumps = np.array(film.START)[::-1] + 0.3
    for k in (0, 2, 5):
        marks = stage.frame({"layer": k, "point": [[0.5, -1.0]], "target": bumps}).views["film"].overlay
        cloud, ellipses, way, end = marks[-4:]
        x, z = torch.tensor([[0.5, -1.0]]), flow.to_latent(torch.tensor([[0.5, -1.0]]))[0]
        states = torch.cat([z, *flow.film(z)])
        np.testing.assert_allclose(way.xy, states[: k + 1], atol=1e-4)
        np.testing.assert_allclose(end.xy, states[k : k + 1], atol=1e-4)
        torch.testing.assert_close(states[5:], x, rtol=0, atol=1e-4)
        first = flow.to_latent(torch.as_tensor(stage.frame({"layer": 5}).views["film"].overlay[-4].xy))[0]
        at = torch.cat([first[None], torch.stack(list(flow.film(first)))])[k]
        np.testing.assert_allclose(cloud.xy, at, atol=1e-3)
        np.testing.assert_allclose(ellipses.means, bumps, atol=1e-6)
        np.testing.assert_allclose(ellipses.covs, np.broadcast_to(film.STD**2 * np.eye(2), (6, 2, 2)), atol=1e-6)


def test_what_is_lost_is_measured_against_the_bumps_of_the_hand(stage):
    flow = kept.trained(film.film_flow, points=film.START, steps=film.STEPS)
    for bumps in (np.array(film.START), np.array(film.START) * 0.5):
        centers = torch.as_tensor(bumps, dtype=torch.float32)
        x = centers[torch.arange(6000) % 6] + film.STD * torch.randn(6000, 2)
        near = torch.exp(-torch.cdist(x, centers).square() / (2 * film.STD**2)).mean(1) / (2 * math.pi * film.STD**2)
        lost = (near.log() - flow.log_prob(x)).mean().item()
        assert numbers(stage.frame({"target": bumps}).text, "bumps:")[0] == pytest.approx(lost, abs=0.2) and lost > 0.3
