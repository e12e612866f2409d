"""What a grid of latents accepts, refuses, and how it lies, against a posterior known in closed form."""

import pytest
import torch
from linear import Linear

from gdm_core.inference import grid_posterior

torch.set_num_threads(1)


@pytest.mark.parametrize("latents", [1, 2])
@pytest.mark.parametrize("std", [0.005, 0.02, 0.05])
def test_grid_refuses_a_posterior_midway_between_two_points(latents, std):
    """There the grid of every other point is as wrong as the whole."""
    model = Linear(latents=latents, std=std)
    with pytest.raises(ValueError, match="finer than the posterior"):
        grid_posterior(model, model.b.detach()[None], side=200)


@pytest.mark.parametrize("std", [0.05, 0.1, 0.2, 0.5])
def test_what_a_grid_accepts_is_right(std):
    model = Linear(latents=1, std=std)
    accepted = 0
    for x in model.data(60)[:, None]:
        try:
            found = grid_posterior(model, x, side=121).log_px
        except ValueError:
            continue
        torch.testing.assert_close(found, model.log_prob(x), atol=0.01, rtol=0)
        accepted += 1
    width = model.encode(model.data()).stddev.max().item()
    assert accepted == 60 or width < 0.09  # a cell is 0.1 wide


def test_grid_has_the_first_latent_along_its_first_axis_and_two_borders():
    model = Linear()
    x = model.data(1)
    grid = grid_posterior(model, x, side=150)
    mass = grid.image(0) * grid.cell
    mean = torch.stack([mass.sum(1) @ grid.axis, mass.sum(0) @ grid.axis])
    truth = model.encode(x).mean[0].detach()
    assert (truth[0] - truth[1]).abs() > 0.1
    torch.testing.assert_close(mean, truth)
    thin = Linear(latents=1, std=0.3)
    for z in (-6.4, 6.4):
        with pytest.raises(ValueError, match="border"):
            grid_posterior(thin, (z * thin.W.T + thin.b).detach(), side=400)


@pytest.mark.parametrize("z", [(-6.3, 0.0), (6.3, 0.0), (0.0, -6.3), (0.0, 6.3)])
def test_grid_watches_its_edges_not_only_its_corners(z):
    """Two features that are the two latents: the posterior lies in the middle of one edge, every corner is empty."""
    model = Linear(features=2, std=0.3)
    with torch.no_grad():
        model.W.copy_(torch.eye(2))
    with pytest.raises(ValueError, match="border"):
        grid_posterior(model, model.b.detach() + torch.tensor([[0.0, 0.0], list(z)]).double(), side=200)


def test_mass_along_a_whole_edge_counts_together():
    """A posterior that is long beside the edge: no cell has a ten-thousandth of it, the edge has ten."""
    model = Linear(features=2, std=0.3)
    with torch.no_grad():
        model.W.copy_(torch.diag(torch.tensor([1.0, 0.1])))
    at = lambda z: (model.b + z * model.W[:, 0]).detach()[None]
    with pytest.raises(ValueError, match="mass 0.00.* on its border"):
        grid_posterior(model, at(5.6), side=200)
    torch.testing.assert_close(
        grid_posterior(model, at(5.0), side=200).log_px, model.log_prob(at(5.0)), atol=1e-5, rtol=0
    )
