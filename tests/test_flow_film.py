"""The flow film: what it shows after each layer is what the flow says there."""

import functools
import math

import pytest
import torch
from oracles import off_init

from gdm_core.explorers import ch09_flow_film as film
from gdm_core.models.flow import spline

torch.set_num_threads(1)


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
