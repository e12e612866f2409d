"""Guess or search: the posterior explorer against exact posteriors, what it draws against what it says."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import data, explorers, inference, kept
from gdm_core.explorers import ch04_posterior as posteriors
from gdm_core.explorers import own_q, read_outs
from gdm_core.models.ppca import PPCA
from gdm_core.widgets import plane

hardly_trained = stand_ins.hardly_trained


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
@pytest.mark.slow
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


@pytest.mark.slow
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
