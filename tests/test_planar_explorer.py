"""Planar layer by hand: density, integral, loss and search against the library, counting, draws and scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from stand_ins import numbers

from gdm_core import bijections as bi
from gdm_core import explorers
from gdm_core.data.targets import Mixture
from gdm_core.explorers import ch09_planar as planar
from gdm_core.models.flow import Flow

torch.set_num_threads(1)
W, U, B = [0.9, -1.4], [-0.7, 0.8], 0.6


def hand(safe, dtype=torch.float64):
    return planar.Hand(*(torch.tensor(v, dtype=dtype) for v in (W, U, B)), safe)


def library():
    layer = bi.Planar(2).double()
    with torch.no_grad():
        layer.w.copy_(torch.tensor(W)), layer.u.copy_(torch.tensor(U)), layer.b.fill_(B)
    return Flow(2, layer).requires_grad_(False)


def marks(frame, view):
    return next(v for v in frame.encode()["views"] if v["name"] == view)["marks"]


def named(frame, view, label):
    return np.concatenate([m["xy"] for m in marks(frame, view) if m["label"] == label])


def test_the_density_in_the_hand_is_that_of_the_library():
    x = 2 * torch.randn(50, 2).double()
    torch.testing.assert_close(hand(True).log_prob(x), library().double().log_prob(x), rtol=0, atol=1e-6)


def test_what_is_turned_over_has_a_negative_determinant_by_autograd():
    the = hand(False)
    x = 1.5 * torch.randn(60, 2).double()
    J = torch.func.vmap(torch.func.jacrev(lambda x: the.to_latent(x[None])[0]))(x)
    torch.testing.assert_close(the.stretch(x @ the.w + the.b), torch.linalg.det(J))
    assert (torch.linalg.det(J) < 0).any()


@pytest.mark.parametrize("u, counted", [(U, True), ([0.7, 0.8], False)])
def test_the_integral_counts_how_many_points_share_a_z(u, counted):
    """The mean over z of N(0, I) of how many s solve s + w'u tanh(s) = w'z + b, by changes of sign."""
    stage = explorers.planar().set(vectors=[W, u], b=B, safe=False)
    w, along = np.array(W), np.dot(W, u)
    s = np.linspace(-9, 9, 4000)
    z = B + np.linalg.norm(w) * norm.ppf((np.arange(1000) + 0.5) / 1000)
    roots = np.mean([(np.diff(np.sign(s + along * np.tanh(s) - one)) != 0).sum() for one in z])
    told = numbers(stage.frame({}).text, "integral is" if counted else "integral")[0]
    assert told == pytest.approx(roots, abs=0.02 if counted else 0.006)
    assert ("no density" in stage.frame({}).text) == counted == (told > 1.1)


def test_what_is_lost_is_the_mean_over_draws():
    bumps = [[-1.0, 0.9], [1.5, -0.2]]
    data = Mixture(bumps, planar.STD)
    x = data.sample(20_000)
    gaps = (data.log_prob(x) - library().float().log_prob(x)).double()
    text = explorers.planar().set(vectors=[W, U], b=B, data=bumps).frame({}).text
    assert numbers(text, "lost against the bumps:")[0] == pytest.approx(
        gaps.mean().item(), abs=0.006 + 4 * gaps.std().item() / 20_000**0.5
    )


def test_a_search_ends_where_scipy_ends():
    data = Mixture(planar.BUMPS, planar.STD)
    side = torch.linspace(-4, 4, 41)
    at = torch.cartesian_prod(side, side)
    log_p = data.log_prob(at)

    def loss(v):
        w, u, b = (torch.tensor(part, dtype=torch.float32) for part in (v[:2], v[2:4], v[4]))
        return planar.lost(log_p, planar.Hand(w, u, b, True).log_prob(at)).item()

    start = np.array([-0.2, -0.9, 0.3, -0.6, 0.8])
    best = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400, "xatol": 1e-3, "fatol": 1e-5}).fun
    stage = explorers.planar().set(vectors=[start[:2], start[2:4]], b=start[4], safe=False)
    before = numbers(stage.set(safe=True).frame({}).text, "bumps:")[0]
    stage.set(safe=False).press("search")
    assert stage.state["safe"] is True
    assert numbers(stage.frame({}).text, "bumps:")[0] == pytest.approx(best, abs=0.02) and best < 0.5 * before


def test_vectors_crease_and_data_are_those_of_the_hand():
    stage = explorers.planar().set(vectors=[W, U], b=B)
    frame = stage.frame({})
    arrows = next(m for m in marks(frame, "data") if m["mark"] == "arrows")["xy"]
    used = bi.unfolded(torch.tensor(W), torch.tensor(U))
    np.testing.assert_allclose(arrows, [[0, 0, *W], [0, 0, *used]], atol=1e-5)
    np.testing.assert_allclose(named(frame, "data", "crease") @ W + B, 0, atol=1e-4)
    dots, carried = named(frame, "data", "data"), named(frame, "noise", "data")
    z = library().double().bijection.to_latent(torch.as_tensor(dots, dtype=torch.float64))[0]
    np.testing.assert_allclose(carried, z, atol=1e-4)
    half = len(dots) // 2
    np.testing.assert_allclose(
        [dots[:half].mean(0), dots[half:].mean(0)], planar.BUMPS, atol=4 * planar.STD / half**0.5
    )
    assert dots[:half].std(0).tolist() == pytest.approx([planar.STD] * 2, rel=0.25)
    assert len(named(frame, "noise", "folded")) == 0
    over = named(stage.set(vectors=[W, [-1.5, 1.5]], safe=False).frame({}), "noise", "folded")
    assert len(over) > 20 and (marks(stage.frame({}), "stretch")[-1]["xy"][:, 1] < 0).all()


def test_what_is_folded_is_where_the_determinant_is_negative():
    """By autograd, at every point of the grid; the fold lies off the middle."""
    frame = explorers.planar().set(vectors=[W, [-1.5, 1.5]], b=1.3, safe=False).frame({})
    the = planar.Hand(*(torch.tensor(v).double() for v in (W, [-1.5, 1.5], 1.3)), False)
    turns, along = torch.linspace(-3, 3, 13).double(), torch.linspace(-3, 3, 61).double()
    x = torch.cat([torch.cartesian_prod(turns, along), torch.cartesian_prod(turns, along).flip(1)])
    J = torch.func.vmap(torch.func.jacrev(lambda x: the.to_latent(x[None])[0]))(x)
    truth = the.to_latent(x[torch.linalg.det(J) < 0]).numpy()
    np.testing.assert_allclose(named(frame, "noise", "folded"), truth, atol=1e-4)


def test_the_picture_is_the_density_at_the_place_of_the_pixel():
    stage = explorers.planar().set(vectors=[W, U], b=B)
    image = next(v for v in stage.frame({}).encode()["views"] if v["name"] == "data")["image"]
    for row, column in ((10, 60), (40, 30), (50, 70), (62, 35), (55, 50)):
        at = torch.tensor([[-4 + 0.08 * (column + 0.5), 4 - 0.08 * (row + 0.5)]]).double()
        density = library().double().log_prob(at).exp().item()
        assert image[row, column] / 255 == pytest.approx(density / 0.2, abs=0.004)
