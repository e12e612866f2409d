"""Explorers without a browser: what they draw is what the model says."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from stand_ins import numbers

from gdm_core import data, explorers
from gdm_core.data import scenes as rooms
from gdm_core.explorers import ch01_mixtures as mixture
from gdm_core.explorers import em_run
from gdm_core.models.ppca import PPCA


@pytest.fixture(scope="module")
def stages():
    return {function.__name__: function() for function in (explorers.mixtures, explorers.scenes, explorers.ppca)}


# EM by hand


def scipy_likelihood(x, weights, means, covs):
    parts = [np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covs)]
    return logsumexp(parts, axis=0).mean()


@pytest.fixture(scope="module")
def blobs():
    torch.manual_seed(0)
    return mixture.world().sample(300)


def test_a_run_is_em_from_the_start_that_was_dragged(blobs):
    """Against scikit-learn's EM from the same start, after 1 and 12 iterations."""
    means, covs = np.array([[-2.0, 0.0], [1.0, 1.0], [1.0, -1.0]]), np.stack([np.diag([0.5, 0.8])] * 3)
    run = em_run.Run(blobs, means, covs)
    for iterations in (1, 12):
        peer = GaussianMixture(
            3, weights_init=[1 / 3] * 3, means_init=means, precisions_init=np.linalg.inv(covs),
            max_iter=iterations, tol=0, reg_covar=0,
        )  # fmt: skip
        with pytest.warns(Warning, match="converge"):
            peer.fit(blobs.numpy())
        np.testing.assert_allclose(run.means[iterations], peer.means_, atol=1e-9)
        np.testing.assert_allclose(run.covs[iterations], peer.covariances_, atol=1e-9)
        expected = scipy_likelihood(blobs.numpy(), peer.weights_, peer.means_, peer.covariances_)
        assert run.likelihood[iterations].item() == pytest.approx(expected, abs=1e-9)


def test_the_bound_is_likelihood_minus_kl_and_never_above(blobs):
    run = em_run.Run(blobs, np.array([[-2.0, 0.0], [1.0, 1.0], [1.0, -1.0]]), np.stack([np.eye(2)] * 3))
    q, posterior = run.q[:-1], run.q[1:]
    kl = (q * (q.log() - posterior.log())).nan_to_num().sum(1).mean(1)
    before, touching = run.bound[::2], run.bound[1::2]
    torch.testing.assert_close(before, run.likelihood - kl, atol=1e-10, rtol=0)
    torch.testing.assert_close(touching, run.likelihood, atol=1e-10, rtol=0)
    assert (run.bound.diff() >= -1e-12).all() and kl[0] > 0.5 and (run.q[0] == 1 / 3).all()


def test_the_text_tells_half_steps_apart(stages):
    stage = stages["mixtures"]
    start, after_e, after_m = (stage.frame({"step": half}).text for half in (0, 1, 2))
    assert " · before the first E step, q = 1/3 for all · " in start
    assert " · after 1 E step and 0 M steps · " in after_e and " · after 1 E step and 1 M step · " in after_m
    assert " · after 2 E steps and 1 M step · " in stage.frame({"step": 3}).text
    for text in (start, after_m):
        likelihood, bound = (numbers(text, name)[0] for name in ("log-likelihood", "bound"))
        assert numbers(text, "posterior)")[0] == pytest.approx(likelihood - bound, abs=0.0011) and bound < likelihood
    assert numbers(after_e, "bound")[0] == numbers(after_e, "log-likelihood")[0] == numbers(start, "log-likelihood")[0]
    assert numbers(after_e, "posterior)")[0] == 0


def test_the_road_holds_the_start_and_the_truth(stages):
    """A start far below the truth is cut off, so that it does not flatten all; its bound is said in words."""
    stage = stages["mixtures"]
    points = stage.frame().views["data"].overlay[0].xy
    far = (np.array([[3.0, 3.0], [3.5, 3.0], [3.0, -3.0]]), np.stack([0.3 * np.eye(2)] * 3))
    starts = [stage.controls[name].press({**stage.values(), name: 1})["start"] for name in ("k-means++", "bad")]
    for start, deep in ((far, True), *((start, False) for start in starts)):
        run = em_run.Run(torch.from_numpy(points), *start)
        view = stage.frame({"start": start, "step": 8}).views["road"]
        truth, likelihood, bound, gap, *_, word = view.overlay
        _, _, bottom, top = view.extent
        assert bottom < truth.xy[0][1] < top and truth.color == "exact" and run.likelihood[-1] < top
        assert (bottom > run.likelihood[0]) == deep and top - bottom < 3.6
        inside = run.likelihood.numpy() > bottom
        np.testing.assert_allclose(likelihood.xy[::2][inside, 1], run.likelihood[inside], atol=1e-9)
        np.testing.assert_allclose(bound.xy[1:, 1], np.maximum(run.bound[1:].numpy(), bottom), atol=1e-9)
        assert bound.xy[0, 1] == bottom > run.bound[0] and word.text == [f"bound −{-run.bound[0]:.2f}"]
        np.testing.assert_allclose(gap.xy, [[8, run.bound[8]], [8, run.likelihood[4]]], atol=1e-9)
        first = stage.frame({"start": start, "step": 0}).views["road"].overlay
        assert first[4].xy[0][1] >= bottom and first[5].xy[0][1] == bottom  # the dots stay in the chart


def test_the_truth_is_drawn_in_green_at_two_standard_deviations(stages):
    """No component has its color, and its points lie where the Mahalanobis distance is 2."""
    *_, truth = stages["mixtures"].frame({"truth": True}).views["data"].overlay
    world = mixture.world()
    assert truth.color == "exact" and truth.label == "truth"
    for ring, mean, cov in zip(truth.xy, world.means.detach().numpy(), world.covariances.detach().numpy()):
        away = ring - mean
        np.testing.assert_allclose(np.einsum("ni,ij,nj->n", away, np.linalg.inv(cov), away), 4.0, rtol=1e-9)


def test_a_collapsing_start_is_said_in_the_picture(blobs):
    stage = explorers.mixtures(points=12)
    point = stage.frame().views["data"].overlay[0].xy[0]
    start = [[*point, 0.08, 0.08, 0.0], [0.0, 3.0, 0.08, 0.08, 0.0], [0.5, -0.5, 3.0, 3.0, 0.0]]
    views = stage.frame({"start": start, "step": 60}).views
    assert "collapsed" in views["data"].warning or "holds no example" in views["data"].warning


def test_components_in_one_place_are_all_seen(stages):
    """Three copies: rings within rings, each in its color, and their numbers as an equation."""
    stage = stages["mixtures"]
    rings = lambda marks: [m for m in marks if hasattr(m, "radii")]
    names = lambda marks: [m.text for m in marks if hasattr(m, "text")]
    copies = stage.frame(stage.controls["copies"].press({**stage.values(), "copies": 1})).views["data"].overlay
    widths = [m.width for m in rings(copies)]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 3 and names(copies) == [["1 = 2 = 3"]]
    (place,) = (m.xy[0] for m in copies if hasattr(m, "text"))
    assert np.hypot(*(np.asarray(place) - mixture.COPIES[0])) < 0.5
    apart = stage.frame({"step": 2}).views["data"].overlay
    assert {m.width for m in rings(apart)} == {widths[-1]} and not names(apart)
    two = np.array([[1.0, 0.5], [-1.0, 0.0], [1.0, 0.5]]), np.stack([np.eye(2)] * 3)
    assert names(stage.frame({"start": two}).views["data"].overlay) == [["1 = 3"]]


def test_buttons_place_the_start_and_begin_anew(stages):
    stage = stages["mixtures"]
    for name in ("k-means++", "bad", "copies"):
        told = stage.controls[name].press({**stage.values({"step": 7}), name: 1})
        assert told["step"] == 0 and "before the first E step" in stage.frame(told).text
    assert stage.controls["k-means++"].press({**stage.values(), "k-means++": 1})["start"][0].shape == (3, 2)


# A linear latent space


def test_the_plane_decodes_as_ppca_does(stages):
    stage = stages["ppca"]
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        x = (data.load("digits").flat() * 16).double()
        x = x + torch.rand_like(x)
        gallery = torch.randperm(1000)[:16].sort().values
    model = PPCA(64, 5).double().solve(x)
    chosen = x[gallery[3], None]
    z = model.encode(chosen).mean[0].detach()
    z[:2] = torch.tensor([0.5, -1.5])
    shown = lambda v: 1 - v.detach().div(16).clamp(0, 1).reshape(8, 8)
    rebuilt = model.W @ model.encode(chosen).mean[0] + model.b
    frame = stage.frame({"latents": 5, "digit": 3, "z": [0.5, -1.5]})
    board = frame.views["pictures"].image / 255
    for i, levels in enumerate((model.W @ z + model.b, chosen, rebuilt)):
        np.testing.assert_allclose(board[:8, 9 * i : 9 * i + 8], shown(levels), atol=0.5 / 255 + 1e-9)
    missed = np.sqrt(np.mean((rebuilt - chosen[0]).detach().numpy() ** 2))
    assert numbers(frame.text, "misses the digit by")[0] == pytest.approx(missed, abs=0.006)
    assert numbers(frame.text, "log p(x) =")[0] == pytest.approx(model.log_prob(chosen).item(), abs=0.06)


def test_turning_the_latents_changes_codes_but_no_density(stages):
    stage = stages["ppca"]
    straight, turned = stage.frame({"turn": 0}), stage.frame({"turn": 70})
    assert numbers(straight.text, "log p(x) =")[0] == numbers(turned.text, "log p(x) =")[0]
    cloud = [f.views["latents"].overlay[1].xy for f in (straight, turned)]
    np.testing.assert_allclose(np.linalg.norm(cloud[0], axis=1), np.linalg.norm(cloud[1], axis=1), atol=1e-9)
    assert np.abs(cloud[0] - cloud[1]).max() > 0.3


def test_more_noise_widens_the_posterior_and_pulls_it_in(stages):
    stage = stages["ppca"]
    ellipses = [stage.frame({"noise": s, "digit": 2}).views["latents"].overlay[3] for s in (1.0, 20.0)]
    assert np.linalg.det(ellipses[1].covs[0]) > 10 * np.linalg.det(ellipses[0].covs[0])
    assert np.linalg.norm(ellipses[1].means) < np.linalg.norm(ellipses[0].means)


# Six numbers, one picture


def test_the_room_is_the_rendered_one_and_its_caption_true(stages):
    frame = stages["scenes"].frame(
        {"floor": 36.0, "object": 216.0, "shape": "cube", "orientation": -20.0, "scale": 1.2}
    )
    values = torch.tensor([[0.1, 40 / 360, 0.6, 1.2, 0.0, -20.0]])
    expected = rooms.render(values)[0].permute(1, 2, 0)
    np.testing.assert_allclose(frame.views["picture"].image, expected, atol=1e-6)
    assert rooms.caption(values)[0] in frame.text and "12,288" in frame.text
    first = rooms.render(torch.tensor([[200 / 360, 40 / 360, 0.0, 1.05, 2, 10.0]]))[0].permute(1, 2, 0)
    changed = ((expected - first).abs() > 1 / 255).any(-1).double().mean().item()
    assert numbers(frame.text, "since the first room:")[0] == pytest.approx(100 * changed, abs=0.51)
    assert numbers(stages["scenes"].frame().text, "since the first room:")[0] == 0
