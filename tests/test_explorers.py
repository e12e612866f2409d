"""Explorers without a browser: what they draw is what the model says."""

import re

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from gdm_core import data, explorers
from gdm_core.data import scenes as rooms
from gdm_core.explorers import mixture
from gdm_core.models.ppca import PPCA

QUICK = ("mixtures", "scenes", "ppca")  # those that train nothing


@pytest.fixture(scope="module")
def stages():
    return {name: explorers.EXPLORERS[name].function() for name in QUICK}


def numbers(text: str, after: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", text.split(after, 1)[1])]


@pytest.mark.parametrize("name", QUICK)
def test_every_end_of_every_control_draws(stages, name):
    stage = stages[name]
    for control in stage.controls.values():
        if control.kind in ("slider", "pad"):
            low, high = (control.low, control.high) if control.kind == "slider" else ([-9, -9], [9, 9])
            for end in (low, high):
                assert stage.frame({control.name: end}).text
        elif control.kind == "choice":
            for option in control.options:
                assert stage.frame({control.name: option}).text


@pytest.mark.parametrize("name", QUICK)
def test_a_state_draws_the_same_picture_again(stages, name):
    first, again = stages[name], explorers.EXPLORERS[name].function()
    assert first.png() == again.png() and first.words() == again.words()
    assert again.set(**first.state).state == first.state


@pytest.mark.parametrize("name", QUICK)
def test_the_code_cell_rebuilds_the_stage(stages, name):
    names = {}
    *lines, last = stages[name].code().splitlines()
    exec("\n".join(lines), names)
    assert eval(last, names).words() == stages[name].words()


def test_the_listing_is_in_the_order_of_the_chapters():
    chapters = [e.chapter for e in explorers.EXPLORERS.values()]
    assert chapters == sorted(chapters)
    assert all(e.title and e.question.endswith("?") for e in explorers.EXPLORERS.values())
    for name in explorers.EXPLORERS:
        assert getattr(explorers, name).__name__ == name


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
    run = mixture.Run(blobs, means, covs)
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
    run = mixture.Run(blobs, np.array([[-2.0, 0.0], [1.0, 1.0], [1.0, -1.0]]), np.stack([np.eye(2)] * 3))
    q, posterior = run.q[:, :-1], run.q[:, 1:]
    kl = (q * (q.log() - posterior.log())).nan_to_num().sum(-1).mean(0)
    torch.testing.assert_close(run.bound, run.likelihood[1:] - kl, atol=1e-10, rtol=0)
    assert (run.bound >= run.likelihood[:-1] - 1e-12).all() and (run.bound <= run.likelihood[1:] + 1e-12).all()


def test_the_text_tells_half_steps_apart(stages):
    stage = stages["mixtures"]
    after_m, after_e = stage.frame({"step": 3}).text, stage.frame({"step": 4}).text
    assert stage.frame({"step": 0}).text.startswith("0 M steps, 1 E step ·")
    assert after_m.startswith("2 M steps, 2 E steps ·") and after_e.startswith("2 M steps, 3 E steps ·")
    likelihood, bound = numbers(after_m, "log-likelihood")[:2]
    assert numbers(after_e, "bound")[0] == numbers(after_e, "log-likelihood")[0] == likelihood >= bound


def test_a_collapsing_start_is_said_in_the_picture(blobs):
    stage = explorers.mixtures(points=12)
    point = stage.frame().views["data"].overlay[0].xy[0]
    start = [[*point, 0.08, 0.08, 0.0], [0.0, 3.0, 0.08, 0.08, 0.0], [0.5, -0.5, 3.0, 3.0, 0.0]]
    views = stage.frame({"start": start, "step": 60}).views
    assert "collapsed" in views["data"].warning or "holds no example" in views["data"].warning


def test_buttons_place_the_start_and_begin_anew(stages):
    stage = stages["mixtures"]
    for name in ("k-means++", "bad", "copies"):
        told = stage.controls[name].press({**stage.values({"step": 7}), name: 1})
        assert told["step"] == 0 and stage.frame(told).text.startswith("0 M steps")
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
    expected = 1 - (model.W @ z + model.b).detach().div(16).clamp(0, 1).reshape(8, 8)
    frame = stage.frame({"latents": 5, "digit": 3, "z": [0.5, -1.5]})
    np.testing.assert_allclose(frame.views["decoded"].image, expected, atol=1e-9)
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
