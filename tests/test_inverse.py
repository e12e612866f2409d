"""Holes in pictures: every way against Bayes' rule on Gaussians, where all of it is linear."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from gdm_core import ideal, inverse, samplers, schedules
from gdm_core import observations as ob

COSINE, WIDE = schedules.cosine, schedules.exploding(50.0, 0.01)
RHO = 0.9
PAIR = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)
FIRST = ob.mask(torch.tensor([True, False]))


def when(t):
    return torch.tensor(t, dtype=torch.float64)


def double(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pair(schedule):
    return ideal.gaussian(torch.zeros(2, dtype=torch.float64), PAIR, schedule)


def told(value):
    return torch.tensor([value], dtype=torch.float64)


def slope_and_variance(way, std=0.0, *, schedule=WIDE, eta=1.0, steps=300, paste=None):
    """Of x_2 given y, exactly: `ddim` is linear; one row starts at 0 and sees y = 1, each other feels one noise."""
    times = schedules.times(schedule, steps, by="angle")
    rows = 1 + 2 + 4 * steps
    feel = torch.eye(rows, dtype=torch.float64)
    start = torch.stack([feel[1], feel[2]], 1) * schedule(times[0])[1]
    source = lambda i: torch.stack([feel[3 + 2 * i], feel[4 + 2 * i]], 1)
    y = feel[0][:, None]
    calls = iter(range(steps))
    options = {}
    if way is inverse.replacement:
        fresh = lambda _: source(steps + next(calls))
        options["noise"] = fresh if paste is None else (lambda _: source(steps))
    denoise = way(pair(schedule), ob.Observation(FIRST, y, std), schedule, **options)
    end = samplers.last(samplers.ddim(denoise, schedule, start, times, eta=eta, noise=source))[:, 1]
    return end[0].item(), end[1:].square().sum().item()


def test_replacement_falls_short_of_what_is_seen():
    slope, variance = slope_and_variance(inverse.replacement)
    assert slope == pytest.approx((1 - math.sqrt(1 - RHO**2)) / RHO, abs=0.01)  # .627 in place of .9
    assert variance == pytest.approx((1 - RHO**2) * math.atanh(RHO) / RHO, abs=0.01)  # .311 in place of .19


def test_the_same_noise_at_all_times_spreads_wider():
    fresh, same = (slope_and_variance(inverse.replacement, paste=p) for p in (None, "same"))
    assert same[0] == pytest.approx(fresh[0], abs=1e-6)
    assert same[1] > fresh[1] + 0.06


def exact(std):
    return RHO / (1 + std**2), 1 - RHO**2 / (1 + std**2)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_with_its_true_covariance_the_pull_is_exact(eta):
    slope, variance = slope_and_variance(inverse.projected, 0.1, eta=eta)
    assert slope == pytest.approx(exact(0.1)[0], abs=0.012)  # .8911
    assert variance == pytest.approx(exact(0.1)[1], abs=0.012)


def test_dps_overshoots_as_its_equation_says():
    """d mean / d v = -(score + slope of log N(y; A D, std^2)), v = sigma^2, solved by scipy."""

    def slopes(v, m):
        inner = np.linalg.inv(PAIR.numpy() + v * np.eye(2))
        K = PAIR.numpy() @ inner
        return inner @ m - K[0] * (1 - K[0] @ m) / 0.01

    truth = solve_ivp(slopes, (2500.0, 0.0), [0.0, 0.0], method="BDF", rtol=1e-8, atol=1e-10).y[1, -1]
    slope, variance = slope_and_variance(inverse.dps, 0.1, steps=400)
    assert truth == pytest.approx(0.994, abs=0.002)
    assert slope == pytest.approx(truth, abs=0.01)
    assert variance < exact(0.1)[1] - 0.03


def test_a_round_cloud_is_not_enough_for_a_long_one():
    slope, variance = slope_and_variance(inverse.pseudo_inverse, 0.1)
    assert 0.8 < slope < exact(0.1)[0] - 0.03 and variance > exact(0.1)[1]


def long_gaussian(d=4):
    L = double(d, d, seed=7)
    S, m = L @ L.T / d + 0.05 * torch.eye(d), double(d, seed=8)
    return m, S


NEAR = {"rtol": 1e-5, "atol": 1e-6}
VIEWS = {
    "mask": ob.mask(torch.tensor([True, False, False, True])),
    "linear": ob.linear(double(2, 4, seed=9)),
    "one": ob.linear(double(1, 4, seed=10)),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("t", [0.1, 0.6, 0.95])
def test_pulls_are_their_matrices(view, t):
    (m, S), sight, schedule, t = long_gaussian(), VIEWS[view], COSINE, when(t)
    alpha, sigma = schedule(t)
    denoise, x, std = ideal.gaussian(m, S, schedule), double(5, 4), 0.3
    y, A = double(5, *sight.seen, seed=1), sight.matrix()
    seen = ob.Observation(sight, y, std)
    K = alpha * S @ torch.linalg.inv(alpha**2 * S + sigma**2 * torch.eye(4))
    D = m + (x - alpha * m) @ K.T
    noise = std**2 * torch.eye(len(A), dtype=torch.float64)
    pull = lambda inner: sigma**2 / alpha * torch.linalg.solve(inner, (y - D @ A.T).T).T @ A @ K
    with torch.no_grad():
        torch.testing.assert_close(inverse.dps(denoise, seen, schedule)(x, t), D + pull(noise), **NEAR)
        torch.testing.assert_close(inverse.dps(denoise, seen, schedule, 0.5)(x, t), D + pull(noise) / 2, **NEAR)
        r2 = sigma**2 / (alpha**2 + sigma**2)
        cloud = r2 * A @ A.T + noise
        torch.testing.assert_close(inverse.pseudo_inverse(denoise, seen, schedule)(x, t), D + pull(cloud), **NEAR)
        other = inverse.pseudo_inverse(denoise, seen, schedule, lambda t: 2 * t)(x, t)
        torch.testing.assert_close(other, D + pull(2 * t * A @ A.T + noise), **NEAR)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("std", [0.0, 0.3])
def test_projected_is_the_denoiser_of_the_posterior(view, std):
    (m, S), sight, x = long_gaussian(), VIEWS[view], double(5, 4)
    y = double(*sight.seen, seed=1)
    seen = ob.Observation(sight, y, std)
    truth = ideal.gaussian(*ob.gaussian(m, S, seen), COSINE)
    found = inverse.projected(ideal.gaussian(m, S, COSINE), seen, COSINE)
    for t in (0.1, 0.6, 0.95):
        torch.testing.assert_close(found(x, when(t)), truth(x, when(t)), rtol=1e-6, atol=1e-6)
    each = torch.linspace(0.1, 0.9, 5).double()
    one_by_one = torch.cat([truth(a[None], t) for a, t in zip(x, each)])
    torch.testing.assert_close(found(x, each), one_by_one, rtol=1e-6, atol=1e-6)


def test_replacement_pastes_noisy_pixels_and_tells_clean_ones():
    kept = torch.tensor([[True, False], [False, True]])
    seen = ob.Observation(ob.mask(kept), torch.tensor([3.0, 5.0]))
    looks = []
    denoise = lambda x, t: looks.append(x) or 10 * x
    found = inverse.replacement(denoise, seen, schedules.line, lambda t: torch.full((1, 2, 2), 8.0))(
        torch.ones(1, 2, 2), torch.tensor(0.25)
    )
    assert looks[0].flatten().tolist() == [0.75 * 3 + 2, 1, 1, 0.75 * 5 + 2]
    assert found.flatten().tolist() == [3, 10, 10, 5]


def test_resampling_comes_nearer():
    """The mean is linear: no noise, y = 1.  One repeat is replacement."""
    times = schedules.times(COSINE, 40, by="angle")
    start, quiet = torch.zeros(1, 2, dtype=torch.float64), lambda _: torch.zeros(1, 2, dtype=torch.float64)
    run = lambda n: inverse.resampled(
        pair(COSINE), ob.Observation(FIRST, told(1.0)), COSINE, start, times, repeats=n, noise=quiet
    )
    once, thrice, often = (samplers.last(run(n))[0] for n in (1, 3, 20))
    pasting = inverse.replacement(pair(COSINE), ob.Observation(FIRST, told(1.0)), COSINE, quiet)
    plain = samplers.last(samplers.ddim(pasting, COSINE, start, times, eta=1.0, noise=quiet))[0]
    torch.testing.assert_close(once, plain)
    assert once[1] + 0.1 < thrice[1] < often[1] and often[1].item() == pytest.approx(RHO, abs=0.03)
    assert often[0] == 1


def test_going_back_and_forth_keeps_the_noise_level():
    """Without a pull from data, x ~ N(0, I) in the hole stays so."""
    times = torch.tensor([0.6, 0.5, 0.4], dtype=torch.float64)
    unit = ideal.gaussian(torch.zeros(2).double(), torch.eye(2).double(), COSINE)
    n = 3 * 2 * 4 + 1
    feel = torch.eye(n, dtype=torch.float64)
    source = lambda i: feel[i][:, None].expand(n, 2)
    seen = ob.Observation(FIRST, torch.zeros(n, 1).double())
    *_, end = inverse.resampled(unit, seen, COSINE, source(n - 1).clone(), times, repeats=4, noise=source)
    # DDPM's step puts the mean in the place of x and loses its variance; each time the same share
    alpha, sigma = COSINE(times)
    var = 1.0
    for i in range(2):
        share, kept, std = samplers.parts(alpha[i : i + 2], sigma[i : i + 2], eta=1.0)
        rate = alpha[i] / alpha[i + 1]
        for k in range(4):
            var = (kept + share * alpha[i]) ** 2 * var + std**2
            if k < 3:
                var = rate**2 * var + 1 - rate**2
    assert end[:, 1].square().sum().item() == pytest.approx(var.item(), rel=1e-9)


def few_steps(steps):
    """Times from the middle on, a start there, and the covariance of what DDPM makes of it in few steps, exactly."""
    times = schedules.times(WIDE, 2 * steps, by="angle")[steps:]
    (_, sigma), n = WIDE(times[0]), 2 * steps + 2
    feel, tril = torch.eye(n, dtype=torch.float64), torch.linalg.cholesky(PAIR + sigma**2 * torch.eye(2))
    source = lambda i: torch.stack([feel[2 * i], feel[2 * i + 1]], 1)
    ends = samplers.last(samplers.ddim(pair(WIDE), WIDE, source(steps) @ tril.T, times, eta=1.0, noise=source))
    return times, double(20_000, 2) @ tril.T, ends.T @ ends


@pytest.mark.parametrize("spread", [None, lambda t: 4 * inverse.unit(WIDE)(t)])
def test_weighed_particles_follow_the_posterior_of_the_sampler(spread):
    """Of its own six steps, not of the data: weights that forget a factor miss this."""
    times, start, S = few_steps(6)
    seen = ob.Observation(FIRST, told(1.5), 0.5)
    mean, covariance = ob.gaussian(torch.zeros(2), S, seen)
    for least in (0.0, 1.0):  # another seed: the start has its own
        torch.manual_seed(5)
        *_, (x, log_w) = inverse.twisted(pair(WIDE), seen, WIDE, start, times, least=least, spread=spread)
        w = log_w.exp()
        assert w.sum().item() == pytest.approx(1)
        assert inverse._carriers(log_w) > (0.8 if least else 0.1)  # drawn anew, they weigh alike
        found = w @ x
        assert (found - mean).abs().max() < 0.04
        assert ((x - found).T @ ((x - found) * w[:, None]) - covariance).abs().max() < 0.03


def test_drawn_anew_by_their_weights():
    log_w = torch.tensor([0.1, 0.6, 0.3]).log()
    assert inverse._carriers(torch.full((7,), 1 / 7).log()) == pytest.approx(1)
    assert inverse._carriers(torch.tensor([1 - 3e-9, 1e-9, 1e-9, 1e-9]).log()) == pytest.approx(0.25)
    counts = torch.stack([torch.bincount(inverse._systematic(log_w, u), minlength=3) for u in torch.rand(4000)])
    assert (counts.double().mean(0) / 3 - log_w.exp()).abs().max() < 0.02
    assert (counts.sum(1) == 3).all()


def test_edited_begins_with_the_picture_as_noisy_as_its_time():
    x, times, e = double(4, 2), schedules.times(COSINE, 10)[5:], double(4, 2, seed=1)
    first, *_, last = inverse.edited(pair(COSINE), COSINE, x, times, noise=lambda i: e)
    torch.testing.assert_close(first, math.cos(math.pi / 4) * x + math.sin(math.pi / 4) * e)
    plain = samplers.last(samplers.ddim(pair(COSINE), COSINE, first, times))
    torch.testing.assert_close(last, plain)
    asked = []
    list(inverse.edited(pair(COSINE), COSINE, x, times, eta=1.0, noise=lambda i: asked.append(i) or e))
    assert asked == list(range(len(asked))) and len(asked) > 4  # what drowned it shakes it no second time


def test_a_detached_denoiser_is_noticed():
    denoise = pair(COSINE)
    blind = lambda x, t: denoise(x, t).detach()
    seen = ob.Observation(FIRST, told(1.0), 0.1)
    for way in (inverse.dps, inverse.pseudo_inverse, inverse.projected):
        with pytest.raises(ValueError, match="differentiated"):
            way(blind, seen, COSINE)(double(3, 2), when(0.5))


SEEN = ob.Observation(FIRST, told(1.0), 0.1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: inverse.replacement(pair(COSINE), ob.Observation(VIEWS["one"], told(1.0)), COSINE),
        lambda: inverse.resampled(
            pair(COSINE), ob.Observation(VIEWS["one"], told(1.0)), COSINE, double(1, 4), schedules.times(COSINE, 3)
        ),
        lambda: inverse.resampled(pair(COSINE), SEEN, COSINE, double(1, 2), schedules.times(COSINE, 3), repeats=0),
        lambda: inverse.dps(pair(COSINE), ob.Observation(FIRST, told(1.0)), COSINE),
        lambda: inverse.dps(pair(COSINE), SEEN, COSINE, scale=-1.0),
        lambda: inverse.twisted(
            pair(COSINE), ob.Observation(FIRST, told(1.0)), COSINE, double(3, 2), schedules.times(COSINE, 3)
        ),
        lambda: inverse.twisted(
            pair(COSINE), ob.Observation(FIRST, double(3, 1), 0.1), COSINE, double(3, 2), schedules.times(COSINE, 3)
        ),
        lambda: inverse.twisted(pair(COSINE), SEEN, COSINE, double(3, 2), schedules.times(COSINE, 3), least=1.5),
        lambda: inverse.twisted(pair(COSINE), SEEN, COSINE, double(3, 3), schedules.times(COSINE, 3)),
        lambda: inverse.edited(pair(COSINE), COSINE, double(3, 2), when(0.5)),
    ],
)
def test_what_cannot_be_filled_is_refused(call):
    with pytest.raises(ValueError, match="needed .* got .* try"):
        call()
