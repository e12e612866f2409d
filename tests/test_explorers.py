"""Explorers without a browser: what they draw is what the model says."""

import re

import numpy as np
import pytest
import stand_ins
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from gdm_core import data, explorers, inference, kept
from gdm_core.data import scenes as rooms
from gdm_core.explorers import ch01_mixtures as mixture
from gdm_core.explorers import ch04_latent_pad as pad
from gdm_core.explorers import ch04_posterior as posteriors
from gdm_core.explorers import em_run, own_q, read_outs
from gdm_core.models.ppca import PPCA
from gdm_core.widgets import plane


@pytest.fixture(scope="module", autouse=True)
def hardly_trained():
    """What is drawn has to follow any model: those that students see are met by the contract and its neighbors."""
    train = kept.trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", lambda recipe, **options: train(recipe, **options | {"steps": 500}))
        yield


@pytest.fixture(scope="module")
def stages():
    return {function.__name__: function() for function in (explorers.mixtures, explorers.scenes, explorers.ppca)}


def numbers(text: str, after: str) -> list[float]:
    return [float(n.replace("−", "-")) for n in re.findall(r"[-−]?\d+\.?\d*", text.split(after, 1)[1])]


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


# Guess or search, the latent pad


@pytest.fixture(scope="module")
def searching():
    """The posterior explorer, whose searches go on to the end."""
    return explorers.posterior()


@pytest.fixture(scope="module")
def broken_off():
    with pytest.MonkeyPatch.context() as patch:
        few_steps(patch, 20, 101)
        return explorers.posterior()


@pytest.fixture
def guessing(broken_off, monkeypatch):
    """The posterior explorer with searches that break off: what is drawn has to follow any."""
    few_steps(monkeypatch, 20, 101)
    return broken_off


def few_steps(patch, steps: int, side: int = 161) -> None:
    patch.setattr(own_q, "SIDE", side)
    for module in (own_q, posteriors):
        patch.setattr(module, "STEPS", steps)


@pytest.fixture(scope="module")
def padding():
    return explorers.latent_pad("digits")


def test_quadrature_gives_the_kl_of_two_gaussians():
    """PPCA's posterior is known, so KL(q || posterior) is too."""
    torch.manual_seed(0)
    W = torch.tensor([[1.0, 0.4], [-0.3, 0.8], [0.2, 0.1]], dtype=torch.float64)
    model = PPCA(3, 2).double().set(W, torch.zeros(3, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
    x = model.sample(1).detach()
    means = torch.randn(4, 2, dtype=torch.float64)
    factors = torch.randn(4, 2, 2, dtype=torch.float64).tril()
    factors.diagonal(dim1=1, dim2=2).abs_().add_(0.1)
    exact = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(means, scale_tril=factors), model.encode(x).expand((4,))
    )
    trail = own_q.measured(model, x[0], means, factors, model.log_prob(x).item())
    torch.testing.assert_close(trail.gaps, exact.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(trail.covariances, factors @ factors.mT)


@pytest.fixture(scope="module")
def inferred():
    """Model and six pictures of the posterior explorer."""
    model = kept.trained(posteriors.digits_vae, seed=0, steps=1500)
    digits = data.load("digits", "test")
    x = digits.x[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:6]]
    return model, x


@pytest.fixture(scope="module")
def grid(inferred):
    """Exact answers for the six pictures."""
    return inference.grid_posterior(*inferred, 5.0, 301)


@torch.no_grad()
def test_the_gap_of_the_encoder_is_its_kl_and_splits(searching, inferred, grid):
    model, x = inferred
    kl = grid.kl(model.encode(x))
    draws = model.prior().sample((200_000,))
    for i in (0, 3):
        text = searching.frame({"digit": i}).text
        (log_px, *_), (gap, approximation, amortization, *_) = numbers(text, "log p(x) ="), numbers(text, "gap")
        w = torch.cat([model.decode(z).log_prob(x[i]) for z in draws.split(20_000)])
        share = (w - w.max()).exp().double()
        estimate = w.max().item() + share.mean().log().item()  # no grid and no q: average over the prior
        error = (share.std() / share.mean() / len(draws) ** 0.5).item()
        assert log_px == pytest.approx(estimate, abs=4 * error + 0.01)
        assert gap == pytest.approx(kl[i].item(), abs=0.02 + 0.01 * kl[i].item())
        assert gap == pytest.approx(approximation + amortization, abs=0.011)
        assert 0 <= approximation < gap
    for i in (1, 2, 3):  # the best q of the family, found from either start, is better than the encoder's
        assert numbers(searching.frame({"digit": i}).text, "amortization")[0] > 0.05


def test_the_search_starts_where_it_says(guessing, inferred):
    model, x = inferred
    own = lambda **state: guessing.frame({"digit": 2, **state}).views["posterior"].overlay[3]
    np.testing.assert_allclose(own(step=0).means, [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(own(step=0).covs, [np.eye(2)], atol=1e-6)
    q = model.encode(x[2, None])
    warm = own(step=0, start="the encoder's answer")
    np.testing.assert_allclose(warm.means, q.mean.detach(), atol=1e-5)
    np.testing.assert_allclose(warm.covs[0].diagonal().sqrt(), q.stddev[0].detach(), rtol=1e-5)


def test_the_split_stays_whatever_own_q_is_and_is_of_searches(guessing):
    for i in (1, 2, 5):
        plain, full = (guessing.frame({"digit": i, "full": full}) for full in (False, True))
        assert full.text.startswith(plain.text.split(" · ")[0]) and "full covariance" not in plain.text
        for a, b in zip(plain.views["gap"].overlay[2:4], full.views["gap"].overlay[2:4]):
            assert a.height == b.height and a.base == b.base
        assert numbers(plain.text, "amortization")[0] > 0  # any search from the encoder's answer gets further


def test_the_split_is_that_of_the_encoders_family(searching, inferred, grid):
    """The encoder's covariance is diagonal: what only a full one could express is lost by the family."""
    model, x = inferred
    split = inference.inference_gap(model, x, log_px=grid.log_px, steps=200)
    for i in (1, 2, 5):
        plain, full = (searching.frame({"digit": i, "full": full}) for full in (False, True))
        gap, approximation, amortization = numbers(plain.text, "gap")[:3]
        exact = (split.log_px - split.best)[i].item(), (split.best - split.amortized)[i].item()
        assert (approximation, amortization) == (pytest.approx(exact[0], abs=0.06), pytest.approx(exact[1], abs=0.12))
        left = numbers(full.text, "full covariance would leave")[0]
        assert left <= approximation + 0.01
        own = numbers(searching.frame({"digit": i, "full": True, "step": 200}).text, "search: gap")[0]
        assert left <= own + 0.005 and (own - left < 0.1 or "this search ends" in full.text)


def test_all_digits_are_searched_at_once(monkeypatch):
    asked, search = [], inference.fit_per_datapoint
    monkeypatch.setattr(
        inference, "fit_per_datapoint", lambda m, x, *a, **k: asked.append(len(x)) or search(m, x, *a, **k)
    )
    few_steps(monkeypatch, 3, 101)
    stage = explorers.posterior(seed=0)
    for i in range(1, 16, 4):
        assert stage.frame({"digit": i, "start": "the encoder's answer"}).text
    assert asked == [16, 16]  # from two starts


def test_a_search_that_gets_stuck_says_so(monkeypatch):
    ends = [(0.30, 0.05), (0.05, 0.30), (0.13, 0.05), (0.05, 0.05)]  # from the prior, from the encoder's answer
    monkeypatch.setattr(own_q.Case, "_end", lambda self, warm, full: ends[self.i % 4][warm])
    few_steps(monkeypatch, 3, 101)
    stage, names = explorers.posterior(), list(own_q.STARTS)
    for i, found in enumerate(ends):
        for own, other in ((0, 1), (1, 0)):
            start = names[own][:1] + names[own][1:]  # what a page sends has its own place in memory
            text, lost = stage.frame({"digit": i, "start": start, "step": 3}).text, found[own] - found[other]
            said = f" · this search ends {lost:.2f} nats above the one from {names[other]}"
            assert text.endswith(said) == (lost >= 0.1) and ("this search" in text) == (lost >= 0.1)


def test_the_green_regions_hold_as_much_of_the_posterior_as_they_say(inferred, monkeypatch):
    """The smallest regions that hold half of it, what two standard deviations of a Gaussian hold, and 99 %."""
    model, x = inferred
    few_steps(monkeypatch, 1)
    view = explorers.posterior().frame({"digit": 1, "step": 1}).views["posterior"]
    image = np.asarray(view.image)
    shades = np.unique(image.reshape(-1, 3), axis=0)[::-1]
    assert len(shades) == 4 and (shades[0] == 1).all() and (np.diff(shades[:, 0]) < 0).all()
    assert np.ptp((1 - shades[1:]) / (1 - posteriors.GREEN), axis=1).max() < 1e-6  # white to green, nothing else
    z = torch.from_numpy(plane(view.extent, 120)).float()
    with torch.no_grad():
        density = (model.decode(z).log_prob(x[1]) + model.prior().log_prob(z)).double().flatten().softmax(0)
    for shade, share in zip(shades[1:], (0.99, 1 - np.exp(-2), 0.5)):
        inside = torch.from_numpy(image[..., 0] <= shade[0] + 1e-6).flatten()
        assert density[inside].sum().item() == pytest.approx(share, abs=0.02)
        assert density[inside].min() >= density[~inside].max()
    assert "posterior: 50, 86, 99 %" in [mark.label for mark in view.overlay]


@torch.no_grad()
def test_the_whole_plane_shows_where_the_other_digits_and_the_prior_are(guessing, inferred):
    model, _ = inferred
    near, whole = (guessing.frame({"whole": one}).views["posterior"] for one in (False, True))
    circle, codes, names, *rest = whole.overlay
    expected = model.encode(data.load("digits", "test").x).mean
    np.testing.assert_allclose(codes.xy, expected[(expected.abs() < 3.2).all(1)], atol=1e-5)
    assert codes.color == "encoder" and names.text == [str(k) for k in range(10)] and circle.color == "noise"
    assert [mark.label for mark in rest] == [mark.label for mark in near.overlay] and len(codes.xy) > 400
    np.testing.assert_allclose(circle.xy[0], circle.xy[-1], atol=1e-6)  # it closes
    assert tuple(whole.extent) == (-3.2, 3.2, -3.2, 3.2) and np.asarray(whole.image).min() < 0.5  # the posterior too


@torch.no_grad()
def test_it_opens_on_a_digit_that_the_answers_explain(guessing, inferred):
    model, _ = inferred
    new = data.load("digits", "test").x
    x = new[torch.randperm(len(new), generator=torch.Generator().manual_seed(0))[:16]]
    missed = (model.decode(model.encode(x).mean).mean - x).square().sum((1, 2, 3))
    opening = guessing.controls["digit"].value
    assert (missed < missed[opening]).sum() < 4
    gap = lambda i: numbers(guessing.frame({"digit": i}).text, "gap")[0]
    assert all(gap(i) <= gap(opening) for i in missed.argsort()[:4].tolist())


def test_the_gap_drawn_is_the_gap_said(guessing):
    frame = guessing.frame({"digit": 1, "step": 20})
    road, now = frame.views["gap"], numbers(frame.text, "search: gap")[0]
    assert road.overlay[0].xy[-1, 1] == road.overlay[4].xy[0][1] == pytest.approx(now, abs=0.006)
    for step in (0, 1, 2, 5, 10, 15):
        frame = guessing.frame({"digit": 1, "step": step})
        now, drawn, top = numbers(frame.text, "search: gap")[0], road.overlay[0].xy[step, 1], road.extent[3]
        assert drawn >= top if now > top + 0.01 else drawn == pytest.approx(now, abs=0.006)  # it leaves at the top
    approximation, amortization = road.overlay[2:4]
    assert amortization.base == approximation.height[0]
    assert amortization.base + amortization.height[0] == pytest.approx(road.overlay[1].xy[0, 1])


def test_the_parts_of_the_gap_add_up_as_they_are_printed(guessing):
    for i in range(16):
        gap, approximation, amortization = numbers(guessing.frame({"digit": i}).text, "gap")[:3]
        assert round(100 * gap) == round(100 * approximation) + round(100 * amortization)
    assert [read_outs.parted(5.076, 0.084, n) for n in (2, 1)] == [("5.08", "0.08", "5.00"), ("5.1", "0.1", "5.0")]
    assert read_outs.parted(0.104, 0.126) == ("0.10", "0.13", "−0.03")


@torch.no_grad()
@pytest.mark.parametrize("start", own_q.STARTS)
def test_both_answers_are_shown_in_their_colors_and_decoded(guessing, inferred, start):
    model, x = inferred
    frame = guessing.frame({"digit": 4, "step": 7, "start": start})
    _, way, guess, own = frame.views["posterior"].overlay
    q = model.encode(x[4, None])
    np.testing.assert_allclose(guess.means, q.mean, atol=1e-5)
    np.testing.assert_allclose(guess.covs[0].diagonal().sqrt(), q.stddev[0], rtol=1e-5)
    assert len(way.xy) == 8 and torch.equal(way.xy[-1], own.means[0]) and way.color == own.color == "family"
    assert (guess.color, guess.label, own.label) == ("encoder", "encoder's q, 86 %", "searched q, 86 %")
    assert guess.radii == own.radii == (2.0,)
    shown = [x[4], model.decode(own.means).mean[0], model.decode(q.mean).mean[0]]
    for i, picture in enumerate(shown):
        stand_ins.close(stand_ins.cell(frame.views["pictures"].image, 0, i, side=8), 1 - picture[0])
    stand_ins.close(stand_ins.cell(frame.views["digits"].image, 0, 4, side=8), 1 - x[4, 0])
    road, (gap, approximation, *_) = frame.views["gap"].overlay, numbers(frame.text, "gap")
    assert [m.color for m in road[:5]] == ["family", "encoder", "family", "encoder", "family"]
    assert [m.label for m in road[:4]] == ["searched q", "encoder's q", "approximation", "amortization"]
    assert road[1].dash and not road[0].dash and road[1].xy[0, 1] == pytest.approx(gap, abs=0.006)
    assert road[2].height[0] == pytest.approx(approximation, abs=0.006)
    assert road[4].xy[0][0] == 7


@pytest.fixture(scope="module")
def behind():
    """The model behind the pad, its pictures and where they lie."""
    model = kept.trained(pad.picture_vae, seed=0, dataset="digits", steps=1500)
    x = pad.pictures("digits").x
    with torch.no_grad():
        q = model.encode(x)
    return model, x, pad.Map(model, q.mean, q.stddev)


@torch.no_grad()
def test_the_pad_decodes_what_lies_under_it_here_and_in_the_page(padding, behind):
    model, x, chart = behind
    stage = padding
    for z in ((0.0, 0.0), (-1.3, 0.7), (2.5, -2.5)):
        views = stage.frame({"z": z, "beside": pad.NEAREST}).views
        mean = model.decode(torch.tensor(z)).mean[0]
        np.testing.assert_allclose(views["picture"].image, 1 - mean, atol=1e-6)
        assert np.abs(stage.decoder(z).astype(int) - np.rint(255 * (1 - mean).numpy())).max() <= 1
        nearest = (chart.mean - torch.tensor(z)).norm(dim=1).argmin()
        np.testing.assert_allclose(views["nearest"].image, 1 - x[nearest, 0], atol=1e-6)
    assert "decoded in this page" in stage.to_html()


@torch.no_grad()
def test_noise_stays_until_it_is_asked_to_change(padding, behind):
    stage = padding
    look = lambda z, press: stage.frame({"z": z, "beside": pad.DRAW, "new noise": press}).views["draw"].image
    here, there = look((0.2, 0.1), 0), look((0.2, 0.1), 1)
    assert torch.equal(here, look((0.2, 0.1), 0)) and not torch.equal(here, there)
    std = behind[0].likelihood.log_std.exp().item()
    mean = 1 - behind[0].decode(torch.tensor([0.2, 0.1])).mean[0]
    kept = (here > 0) & (here < 1)  # not cut off by paper or ink: the density of a Gaussian between the two ends
    low, high = (torch.special.ndtr((end - mean[kept]) / std) for end in (0.0, 1.0))
    rank = (torch.special.ndtr((here - mean)[kept] / std) - low) / (high - low)  # uniform, if the noise is right
    assert rank.mean().item() == pytest.approx(0.5, abs=4 / (12 * kept.sum().item()) ** 0.5)
    assert rank.var().item() == pytest.approx(1 / 12, rel=0.4)


def test_all_codes_together_are_a_mixture_and_holes_are_said(padding, behind):
    chart = behind[2]
    mixture_of_all = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(len(chart.mean))),
        torch.distributions.Independent(torch.distributions.Normal(chart.mean, chart.std), 1),
    )
    z = 1.5 * torch.randn(200, 2)
    torch.testing.assert_close(chart.log_marginal(z), mixture_of_all.log_prob(z), rtol=1e-4, atol=1e-3)
    draws = mixture_of_all.sample((4000,))
    assert (chart.log_marginal(draws) < chart.thin).float().mean().item() == pytest.approx(0.01, abs=0.008)
    stage = padding
    warning = lambda z: stage.frame({"z": tuple(z)}).views["picture"].warning
    inside = torch.cartesian_prod(*[torch.linspace(-2, 2, 81)] * 2)
    inside = inside[inside.norm(dim=1) < 2.2]
    log_q = chart.log_marginal(inside)
    assert warning(inside[log_q.argmin()].tolist()).startswith("a hole") and log_q.min() < chart.thin
    assert warning(inside[log_q.argmax()].tolist()) == ""
    assert warning((3.9, 3.9)).startswith("far out")
    told = stage.frame({"z": tuple(inside[7].tolist())}).text
    assert numbers(told, "log q(z) =")[0] == pytest.approx(log_q[7].item(), abs=0.006)
    assert numbers(told, "log p(z) =")[0] == pytest.approx(
        torch.distributions.Normal(0, 1).log_prob(inside[7]).sum().item(), abs=0.006
    )


def test_pressing_a_picture_moves_the_pad_to_its_code(padding, behind):
    stage, (_, x, chart) = padding, behind
    for press in (1, 8):
        moved = stage.controls["real"].press({**stage.values(), "real": press})["z"]
        np.testing.assert_allclose(moved, chart.mean[press], atol=1e-6)
    frame = stage.frame({"z": chart.mean[5].tolist(), "beside": pad.NEAREST})
    assert ", 0.00 away" in frame.text
    np.testing.assert_allclose(frame.views["nearest"].image, 1 - x[5, 0], atol=1e-6)


def test_the_board_and_the_surplus_lie_where_they_are_drawn(behind):
    model, _, chart = behind
    places = plane(pad.LIMIT, pad.BOARD)
    for row, column in ((0, 0), (2, 13), (14, 7)):
        there = chart.board[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
        expected = 1 - model.decode(torch.from_numpy(places[row, column]).float()).mean[0].detach()
        np.testing.assert_allclose(there, expected, atol=1e-5)
    z = torch.from_numpy(plane(pad.LIMIT, 80)[10, 33]).float()
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum()
    assert chart.surplus[10, 33] == pytest.approx((chart.log_marginal(z) - prior).clamp(-4, 4).item(), abs=1e-4)


def test_the_colors_of_the_surplus_are_what_the_label_says(padding, behind):
    """More codes than the prior expects in purple, holes in brown, as the page paints them."""
    z = torch.from_numpy(plane(pad.LIMIT, 80)).float()
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum(-1)
    more = behind[2].log_marginal(z) - prior
    view = padding.frame({"ground": pad.GROUNDS[2]}).views["codes"]
    said, inside = view.encode("codes"), z.norm(dim=-1) < 2.4
    red, _, blue = said["palette"][said["image"]].astype(int).transpose(2, 0, 1)
    bluer = torch.from_numpy(blue > red)
    assert view.label.startswith("purple: more") and "brown: fewer" in view.label
    assert bluer[(more > 0.5) & inside].float().mean() > 0.99 and bluer[(more < -0.5) & inside].float().mean() < 0.01
    assert said["scale"]["label"] == "nats, log q(z) − log p(z)"


def test_the_prior_lies_between_the_two_circles(padding):
    (rings,) = (m for m in padding.frame().views["codes"].overlay if "circles" in getattr(m, "label", ""))
    inner, outer = np.linalg.norm(rings.xy, axis=2).mean(1)
    np.testing.assert_allclose(rings.xy[:, 0], rings.xy[:, -1], atol=1e-6)  # they close
    draws = torch.randn(20000, 2, generator=torch.Generator().manual_seed(0)).norm(dim=1)
    assert ((draws > inner) & (draws < outer)).float().mean().item() == pytest.approx(0.9, abs=0.0085)  # 4 errors


def test_the_pad_answers_while_the_model_trains_anew():
    stage = explorers.latent_pad("digits")
    try:
        kept = stage.frame().views["picture"].image
        assert stage.frame().text.endswith("trained 1,500 steps")
        stage.trainer.step(3).wait()
        young = stage.frame()
        assert young.text.endswith("step 3 of 1,500")
        assert not np.array_equal(young.views["picture"].image, kept)
        stage.trainer.step(60).wait()
        assert stage.frame().text.endswith("step 63 of 1,500")
        assert not np.array_equal(stage.frame().views["picture"].image, young.views["picture"].image)
        assert stage.frame({"checkpoint": 0}).text.endswith("step 0 of 1,500")
        stage.trainer.reset().wait()
        assert np.array_equal(stage.frame().views["picture"].image, kept)
    finally:
        stage.trainer.stop()
    with pytest.raises(ValueError, match="try 'strokes'"):
        explorers.latent_pad("stroke")
