"""The hole in the picture: what is exact, against scipy; what is drawn, against what is exact."""

import numpy as np
import pytest
import stand_ins
import torch
from scipy.special import softmax
from scipy.stats import multivariate_normal
from stand_ins import numbers

from gdm_core import data, inverse, samplers, schedules
from gdm_core import observations as ob
from gdm_core.explorers import ch14_hole_in_the_picture as hole

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
REPLACEMENT, REPAINT, PSEUDO, TWISTED, EXACT, DPS = hole.METHODS
RIGHT = torch.zeros(8, 8, dtype=torch.bool)
RIGHT[:, 5:] = True


@pytest.fixture(scope="module")
def law():
    return hole.Law.of(data.load("digits"))


@pytest.fixture(scope="module")
def given(law):
    """A five of which the right side is hidden, and its posterior."""
    test = data.load("digits", "test")
    x = (16 * test.flat()[int((test.labels == 5).nonzero()[0])].double() - law.middle) / law.unit
    y = x + 0.3 * torch.randn(64, generator=torch.Generator().manual_seed(3)).double()
    seen = ob.Observation(ob.mask(~RIGHT.flatten()), y[~RIGHT.flatten()], 0.3)
    return seen, law.given(seen)


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def bars(frame):
    return {mark["label"]: mark["xy"][:, 1] for mark in view(frame, "classes")["marks"]}


def ink(frame, name, columns, count):
    """Tiles of a view as gray levels in [0, 1], 1 for ink, (count, 8, 8)."""
    image = 1 - view(frame, name)["image"].astype(float) / 255
    rows = [image[9 * (i // columns) :, 9 * (i % columns) :][:8, :8] for i in range(count)]
    return np.stack(rows)


# What is exact


def test_each_class_has_the_mean_of_its_digits_and_their_largest_variances(law):
    digits = data.load("digits")
    x = (16 * digits.flat().double() - law.middle) / law.unit
    assert x.mean().abs() < 1e-6 and x.std().item() == pytest.approx(1, abs=1e-6)
    for k in (0, 7):
        own = x[digits.labels == k]
        torch.testing.assert_close(law.means[k], own.mean(0))
        values = np.linalg.eigvalsh(np.cov(own.numpy().T, bias=True))[::-1]
        found = np.linalg.eigvalsh(law.covariances[k].numpy())[::-1]
        np.testing.assert_allclose(found, [*values[:12], *52 * [values[12:].mean()]], atol=1e-8)
        assert law.weights[k].item() == pytest.approx(len(own) / 1000)


def test_classes_of_what_is_seen_are_bayes_rule_by_scipy(law, explorer):
    stage = explorer("hole_in_the_picture")
    frame = stage.frame({"hole": RIGHT.double(), "digit": 5, "std": 0.8}).encode()
    there = ~RIGHT.flatten().numpy()
    y = hole.Noise(0)(0, 64).numpy() * 0.8
    test = data.load("digits", "test")
    y = y + (16 * test.flat()[int((test.labels == 5).nonzero()[0])].numpy() - law.middle) / law.unit
    each = [
        multivariate_normal(m.numpy()[there], S.numpy()[np.ix_(there, there)] + 0.64 * np.eye(there.sum())).logpdf(
            y[there]
        )
        for m, S in zip(law.means, law.covariances)
    ]
    p = softmax(np.array(each) + law.weights.log().numpy())
    np.testing.assert_allclose(bars(frame)["exact"], p, atol=1e-5)
    shown = ink(frame, "picture", 1, 1)[0].flatten()
    np.testing.assert_allclose(shown[there], np.clip((y * law.unit + law.middle) / 16, 0, 1)[there], atol=0.004)


def test_draws_have_the_moments_that_are_told(law, given):
    torch.manual_seed(0)
    for one in (law, given[1]):
        x = one.draw(torch.rand(4000), torch.randn(4000, 64))
        mean, var = one.moments()
        assert ((x.mean(0) - mean) / (var / 4000).sqrt()).abs().max() < 4.5
        assert (x.var(0) / var - 1).abs().max() < 0.15
        torch.testing.assert_close(one.classes(x).mean(0), one.weights, atol=0.03, rtol=0)


def test_of_which_class_a_whole_picture_is(law):
    test = data.load("digits", "test")
    x = (16 * test.flat() - law.middle) / law.unit
    found = law.classes(x)
    assert (found.argmax(1) == test.labels).float().mean() > 0.94
    law = law._replace(weights=torch.linspace(0, 60, 10).double().softmax(0))  # of some pictures they decide
    each = [multivariate_normal(m.numpy(), S.numpy()).logpdf(x.numpy()) for m, S in zip(law.means, law.covariances)]
    p = softmax(np.array(each).T + law.weights.log().numpy(), 1)
    np.testing.assert_allclose(law.classes(x), p, atol=1e-6)


# What is drawn


def run(law, seen, method, steps=24, pull=0.1, seed=0):
    torch.manual_seed(seed)
    noise = torch.randn(3 * hole.MOST * hole.REPEATS + 1, hole.DRAWS, 64)
    posterior, seen = law.given(seen), seen and ob.Observation(seen.sight, seen.y.float(), seen.std)
    times = schedules.times(hole.SCHEDULE, steps, by="angle")
    return times, noise, list(hole.fill(method, law, posterior, seen, times, pull, noise, torch.rand(hole.MOST)))


@pytest.mark.parametrize("method", hole.METHODS)
def test_every_method_begins_at_the_noise_and_ends_at_what_was_seen(law, given, method):
    seen = given[0]
    times, noise, states = run(law, seen, method)
    assert len(states) == len(times) == 25 and torch.equal(states[0][0], noise[-1])
    x, w = states[-1]
    assert x.shape == (64, 64) and w.sum().item() == pytest.approx(1, abs=1e-5)
    off = (seen.missed(x.double()).square().mean(1) @ w.double()).sqrt().item()
    assert off < 1e-6 if method in (REPLACEMENT, REPAINT) else 0.2 < off < 0.7
    assert x[:, RIGHT.flatten()].std(0).mean() > 1.15 * x[:, ~RIGHT.flatten()].std(0).mean()


def test_the_methods_are_those_of_the_library(law, given):
    seen = ob.Observation(given[0].sight, given[0].y.float(), 0.3)
    times, noise, pasted = run(law, seen, REPLACEMENT, 6)
    denoise, own, step = law.denoiser(), lambda i: noise[i], iter(range(6))
    pasting = inverse.replacement(denoise, seen, hole.SCHEDULE, lambda t: noise[3 * next(step)])
    hand = samplers.ddim(pasting, hole.SCHEDULE, noise[-1], times, eta=1.0, noise=lambda i: noise[3 * i + 1])
    torch.testing.assert_close(pasted[-1][0], samplers.last(hand))
    assert not torch.equal(run(law, seen, REPAINT, 6)[2][-1][0], pasted[-1][0])
    for pull in (0.05, 0.1):
        weak = inverse.dps(denoise, seen, hole.SCHEDULE, pull)
        hand = samplers.last(samplers.ddim(weak, hole.SCHEDULE, noise[-1], times, eta=1.0, noise=own))
        torch.testing.assert_close(run(law, seen, DPS, 6, pull)[2][-1][0], hand)
    weights = [w for _, w in run(law, seen, TWISTED, 6)[2]]
    assert all(w.sum().item() == pytest.approx(1, abs=1e-4) for w in weights) and max(w.max() for w in weights) > 0.1


def test_what_is_pasted_is_as_noisy_as_the_rest(law, given):
    """DDPM's step of a picture whose seen part is known: the law of x_s given x and nothing else."""
    seen = given[0]
    times, _, states = run(law, seen, REPLACEMENT)
    for k in (8, 16):
        alpha, sigma = hole.SCHEDULE(times[k])
        away = (seen.sight(states[k][0]).double() - alpha * seen.y) / sigma
        assert away.std().item() == pytest.approx(1, abs=0.05) and abs(away.mean().item()) < 0.1


def off(law, posterior, states):
    x, w = (a.double() for a in states[-1])
    mean, var = posterior.moments()
    there = RIGHT.flatten()
    return ((w @ x - mean)[there].square().mean() / (var[there].mean() / hole.DRAWS)).sqrt().item()


def test_the_posteriors_own_denoiser_is_right_and_replacement_is_not(law, given):
    """In units of what 64 true draws are off; 60 steps are enough."""
    seen, posterior = given
    exact = np.mean([off(law, posterior, run(law, seen, EXACT, 60, seed=s)[2]) for s in range(3)])
    pasted = np.mean([off(law, posterior, run(law, seen, REPLACEMENT, 60, seed=s)[2]) for s in range(3)])
    assert exact < 1.6 and pasted > exact + 1


def test_nothing_seen_is_the_prior(law):
    first, *others = (run(law, None, method)[2][-1][0] for method in hole.METHODS)
    assert all(torch.equal(first, x) for x in others)
    assert ((first.double().mean(0) - law.moments()[0]).square().mean() / (law.moments()[1].mean() / 64)).sqrt() < 2


# What is shown


def test_the_read_out_compares_completions_with_the_posterior(law, explorer):
    stage = explorer("hole_in_the_picture")
    frame = stage.frame({"hole": RIGHT.double(), "digit": 5, "method": TWISTED}).encode()
    said = [
        numbers(frame["text"] + frame["more"], word)[0]
        for word in ("mean off by", "by chance", "spread", "classes off by")
    ]
    drawn, exact = ink(frame, "moments", 4, 2)
    away = np.sqrt(np.square(drawn - exact)[RIGHT].mean()) * 16
    assert said[0] == pytest.approx(away, abs=0.06)
    deviations = ink(frame, "moments", 4, 4)[2:]
    assert said[1] == pytest.approx(np.sqrt(np.square(deviations[1])[RIGHT].mean() / 64) * law.unit, abs=0.05)
    sums = [np.square(d)[RIGHT].sum() for d in deviations]
    assert said[2] == pytest.approx(np.sqrt(sums[0] / sums[1]), abs=0.06)
    both = bars(frame)
    assert said[3] == pytest.approx(50 * np.abs(both["exact"] - both["completions"]).sum(), abs=0.51)
    assert deviations[1][RIGHT].mean() > 1.3 * deviations[1][~RIGHT].mean()  # what is hidden is what is unsure


def test_how_far_seen_pixels_are_off_and_should_be(law, explorer):
    """The first from the states of a run by hand, the second from draws of the posterior."""
    state = {"hole": RIGHT.double(), "digit": 5, "method": TWISTED, "std": 0.3, "steps": 6}
    frame, there, noise = explorer("hole_in_the_picture").frame(state).encode(), ~RIGHT.flatten(), hole.Noise(0)
    test = data.load("digits", "test")
    y = (16 * test.flat()[int((test.labels == 5).nonzero()[0])].double() - law.middle) / law.unit
    y = (y + 0.3 * noise(0, 64).double())[there]
    seen = ob.Observation(ob.mask(there), y, 0.3)
    posterior, small = law.given(seen), ob.Observation(seen.sight, y.float(), 0.3)
    times = schedules.times(hole.SCHEDULE, 6, by="angle")
    e, toss = noise(0, 3 * hole.MOST * hole.REPEATS + 1, hole.DRAWS, 64), noise(0, hole.MOST, uniform=True)
    *_, (x, w) = hole.fill(TWISTED, law, posterior, small, times, 0.15, e, toss)
    off = lambda x, w: (w.double() @ (x.double()[:, there] - y).square()).mean().sqrt().item() / 0.3
    torch.manual_seed(0)
    draws = posterior.draw(torch.rand(2000), torch.randn(2000, 64))
    told = numbers(frame["text"] + frame["more"], "seen pixels off by")[:2]
    assert told == pytest.approx([off(x, w), off(draws, torch.full((2000,), 1 / 2000))], abs=0.03)


def test_a_share_in_the_wrong_class_is_counted_once(explorer):
    """The lower half of a 3 may be that of several digits."""
    frame = explorer("hole_in_the_picture").frame({"method": REPLACEMENT}).encode()
    surplus = (bars(frame)["completions"] - bars(frame)["exact"]).clip(0).sum()
    assert numbers(frame["text"] + frame["more"], "classes off by")[0] == pytest.approx(100 * surplus, abs=0.51)
    assert surplus > 0.1


def test_another_seed_draws_everything_anew():
    one, other = (hole.hole_in_the_picture(seed).frame({"method": REPLACEMENT}).encode() for seed in (0, 1))
    assert not np.allclose(*(ink(f, "picture", 1, 1)[0][:4] for f in (one, other)), atol=0.01)  # noise of what is seen
    for name in ("completions", "posterior"):
        assert not np.allclose(*(ink(f, name, 4, 16)[:, 4:] for f in (one, other)), atol=0.01)


def test_more_noise_on_what_is_seen_leaves_more_open(explorer):
    stage = explorer("hole_in_the_picture")
    sums = []
    for std in (0.1, 1.0):
        frame = stage.frame({"std": std, "method": EXACT, "digit": 6}).encode()
        sums.append(ink(frame, "moments", 4, 4)[3].sum())
    assert sums[1] > 1.3 * sums[0]


def test_steps_are_shown_as_they_go_and_the_numbers_are_of_the_end(explorer):
    stage = explorer("hole_in_the_picture")
    frames = [stage.frame({"step": k, "steps": 12, "method": REPLACEMENT}).encode() for k in (0, 11, 24)]
    titles = [view(f, "completions")["label"] for f in frames]
    assert titles == [f"drawn, step {k} of 12" for k in (0, 6, 12)]
    assert len({f["text"] for f in frames}) == 1
    first, middle, last = (ink(f, "completions", 4, 16) for f in frames)
    start = hole.Noise(0)(0, 3 * hole.MOST * hole.REPEATS + 1, hole.DRAWS, 64)[-1].reshape(-1, 8, 8).numpy()
    law = hole.Law.of(data.load("digits"))
    np.testing.assert_allclose(first[0], np.clip((start[1] * law.unit + law.middle) / 16, 0, 1), atol=0.004)
    assert last[:, :4].std(0).max() < 0.01 < middle[:, :4].std(0).max()


def test_who_runs_away_is_said_and_not_counted(explorer):
    frame = explorer("hole_in_the_picture").frame({"pull": 1.0, "std": 0.1}).encode()
    assert "ran away at step" in frame["text"] and "gray levels" not in frame["text"] + frame["more"]
    assert view(frame, "completions")["warning"].startswith("It ran away")
    calm = explorer("hole_in_the_picture").frame({"pull": 0.03, "std": 0.1}).encode()
    assert "gray levels" in calm["text"] and not view(calm, "completions")["warning"]


def test_without_a_hole_there_is_nothing_to_fill(explorer):
    stage = explorer("hole_in_the_picture")
    frame = stage.frame({"hole": np.zeros((8, 8))}).encode()
    assert (
        view(frame, "completions")["warning"].startswith("Nothing is hidden") and frame["text"] == "nothing is hidden"
    )
    assert all(np.array_equal(tile, ink(frame, "picture", 1, 1)[0]) for tile in ink(frame, "completions", 4, 16))
    whole = stage.frame({"hole": np.ones((8, 8)), "method": EXACT}).encode()
    assert "seen pixels" not in whole["text"] + whole["more"]
    np.testing.assert_allclose(bars(whole)["exact"], hole.Law.of(data.load("digits")).weights, atol=1e-6)


def test_the_rim_of_a_hole_lies_between_hidden_and_seen(explorer):
    one = torch.zeros(64, dtype=torch.bool)
    one[2 * 8 + 5] = True  # row 2, column 5
    sides = {tuple(map(tuple, side[:2])) for side in hole._rim(one).reshape(-1, 3, 2)}
    assert sides == {((5, 2), (6, 2)), ((5, 3), (6, 3)), ((5, 2), (5, 3)), ((6, 2), (6, 3))}
    assert np.isnan(hole._rim(one).reshape(-1, 3, 2)[:, 2]).all()
    frame = explorer("hole_in_the_picture").frame().encode()
    rim = view(frame, "posterior")["marks"][0]["xy"].reshape(16, -1, 3, 2)
    assert np.allclose(rim[7] - rim[0], [[27, 9], [27, 9], [np.nan] * 2], equal_nan=True)
    assert rim[0][0, :2].tolist() == [[0, 4], [1, 4]]
