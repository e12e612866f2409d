"""Exact denoisers against Tweedie's formula on exact densities, quadrature, Bayes' rule by hand, and loops."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from gdm_core import data, ideal, metrics
from gdm_core.data import toy
from gdm_core.data.targets import Mixture

COSINE = lambda t: (torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t))
TIMES = [0.02, 0.3, 0.8, 1.0]


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def when(t):
    return torch.tensor(t, dtype=torch.float64)


def tweedie(log_prob, x_t, t):
    """(x_t + sigma^2 grad log p_t) / alpha: from the density of x_t alone."""
    alpha, sigma = COSINE(when(t))
    x_t = x_t.clone().requires_grad_()
    score = torch.autograd.grad(log_prob(x_t).sum(), x_t)[0]
    return (x_t.detach() + sigma**2 * score) / alpha


@pytest.mark.parametrize("t", TIMES[:3])
def test_gaussian_is_tweedies_mean(t):
    tril = torch.tensor([[1.5, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.4, 0.3, 0.2]]).double()
    m, S, x_t = double(3), tril @ tril.T, 2 * double(7, 3, seed=1)
    alpha, sigma = COSINE(when(t))
    p_t = MultivariateNormal(alpha * m, alpha**2 * S + sigma**2 * torch.eye(3).double())
    found = ideal.gaussian(m, S, COSINE)(x_t, when(t))
    torch.testing.assert_close(found, tweedie(p_t.log_prob, x_t, t), rtol=1e-9, atol=1e-9)


def test_gaussian_of_pictures_with_a_singular_covariance():
    x, x_t = double(3, 1, 2, 2), double(5, 1, 2, 2, seed=1)  # three pictures span a plane of the four dimensions
    m, S = x.mean(0), torch.cov(x.flatten(1).T)
    found = ideal.gaussian(m, S, COSINE)(x_t, when(0.4))
    alpha, sigma = COSINE(when(0.4))
    noise = alpha**2 * S + sigma**2 * torch.eye(4).double()
    truth = m.flatten() + (x_t.flatten(1) - alpha * m.flatten()) @ torch.linalg.solve(noise, alpha * S)
    torch.testing.assert_close(found.flatten(1), truth)
    torch.testing.assert_close(ideal.gaussian(m, S, COSINE)(x, when(0.0)), x)


@pytest.mark.parametrize("t", TIMES[:3])
@pytest.mark.parametrize("name", ["bimodal", "eight_gaussians", "of unequal width"])
def test_mixture_is_tweedies_mean(name, t):
    unequal = Mixture([[-1.0, 0.0], [1.0, 1.0], [0.0, -1.0]], std=[0.2, 0.9, 0.5], weights=[0.5, 0.2, 0.3])
    p, (alpha, sigma) = unequal if name == "of unequal width" else toy.target(name), COSINE(when(t))
    m, s = p.means.double(), p.std.double()
    std = (alpha**2 * s**2 + sigma**2).sqrt()[:, None].expand_as(m)
    p_t = MixtureSameFamily(Categorical(p.weights.double()), Independent(Normal(alpha * m, std), 1))
    x_t = 2 * double(40, m.shape[1])
    found = ideal.mixture(p.means, p.std, p.weights, COSINE)(x_t, when(t))
    torch.testing.assert_close(found, tweedie(p_t.log_prob, x_t, t), rtol=1e-5, atol=1e-5)


def three_gaussians():
    """Means (3, 1, 2, 2), covariances and weights; the last one is a plane."""
    roots = double(3, 4, 4, seed=2) * torch.tensor([1.0, 0.3, 2.0]).double()[:, None, None]
    roots[2, :, 2:] = 0
    return double(3, 1, 2, 2, seed=3), roots @ roots.mT, torch.tensor([0.2, 0.5, 0.3]).double()


@pytest.mark.parametrize("t", TIMES[:3])
def test_gaussians_are_tweedies_mean(t):
    (m, S, w), (alpha, sigma) = three_gaussians(), COSINE(when(t))
    each = MultivariateNormal(alpha * m.flatten(1), alpha**2 * S + sigma**2 * torch.eye(4).double())
    x_t = 2 * double(9, 1, 2, 2)
    found = ideal.gaussians(m, S, 5 * w, COSINE)(x_t, when(t)).flatten(1)
    torch.testing.assert_close(
        found, tweedie(MixtureSameFamily(Categorical(w), each).log_prob, x_t.flatten(1), t), rtol=1e-8, atol=1e-8
    )


def test_round_gaussians_are_the_mixture_and_clean_ones_stay():
    m, std, w = double(3, 4), torch.tensor([0.3, 1.0, 0.6]).double(), torch.tensor([1.0, 2.0, 3.0])
    x, round_ones = double(9, 4, seed=1), std[:, None, None] ** 2 * torch.eye(4).double()
    found = ideal.gaussians(m, round_ones, w, COSINE)
    torch.testing.assert_close(found(x, when(0.4)), ideal.mixture(m, std, w, COSINE)(x, when(0.4)))
    torch.testing.assert_close(found(x, when(0.0)), x)


@pytest.mark.parametrize("t", TIMES)
def test_mixture_is_the_mean_of_what_may_have_been(t):
    """By quadrature of p(x) p(x_t | x) over x."""
    p, (alpha, sigma) = toy.target("trimodal").double(), COSINE(when(t))
    x, x_t = torch.linspace(-7, 7, 40_001, dtype=torch.float64), torch.linspace(-3, 3, 9, dtype=torch.float64)
    joint = p.log_prob(x[:, None]) - (x_t[:, None] - alpha * x).square() / (2 * sigma**2)
    found = ideal.mixture(p.means, p.std, p.weights, COSINE)(x_t[:, None], when(t))
    torch.testing.assert_close(found[:, 0], joint.softmax(1) @ x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("t", TIMES)
def test_training_set_is_bayes_rule(t):
    x, x_t = double(6, 2, 3), double(4, 2, 3, seed=1)
    found = ideal.training_set(x, COSINE)(x_t, when(t))
    alpha, sigma = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
    for one, row in zip(found, x_t.numpy()):
        w = special.softmax([-np.square(row - alpha * a).sum() / (2 * sigma**2) for a in x.numpy()])
        np.testing.assert_allclose(one, np.einsum("n,nij->ij", w, x.numpy()), atol=1e-10)


def test_training_set_is_tweedies_mean():
    x, x_t, t = double(6, 3), double(5, 3, seed=1), 0.6
    alpha, sigma = COSINE(when(t))
    points = MixtureSameFamily(Categorical(torch.ones(6)), Independent(Normal(alpha * x, sigma.expand(6, 3)), 1))
    torch.testing.assert_close(ideal.training_set(x, COSINE)(x_t, when(t)), tweedie(points.log_prob, x_t, t))


def test_no_training_set_denoiser_errs_less():
    """Its mean square error falls in no direction: it is the conditional mean of the discrete x."""
    x, t = double(4, 2), when(0.5)
    alpha, sigma = COSINE(t)
    which, noise = torch.arange(4).repeat(20_000), double(80_000, 2, seed=1)
    x_t = alpha * x[which] + sigma * noise
    miss = x[which] - ideal.training_set(x, COSINE)(x_t, t)
    for probe in (torch.ones_like(x_t), x_t, x_t.square(), torch.sin(3 * x_t)):
        product = (miss * probe).flatten()
        assert abs(product.mean() / product.std() * len(product) ** 0.5) < 4.5


@pytest.mark.parametrize("name", ["set", "patches"])
def test_at_both_ends_of_time(name):
    x = double(5, 1, 3, 3)
    denoise = ideal.training_set(x, COSINE) if name == "set" else ideal.patches(x, 3, COSINE)
    torch.testing.assert_close(denoise(x + 1e-3, when(0.0)), x)
    torch.testing.assert_close(denoise(3 * double(4, 1, 3, 3), when(1.0)), x.mean(0).expand(4, -1, -1, -1))


def test_little_noise_drowns_nothing_in_single_precision():
    x = data.load("digits", n=200).x
    x_t = x + 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    line = lambda t: (torch.ones_like(t), t)
    torch.testing.assert_close(ideal.training_set(x, line)(x_t, torch.tensor(1e-3)), x)
    found = ideal.training_set(100 + x, line)(100 + x_t, torch.tensor(0.3))
    truth = ideal.training_set(100 + x.double(), line)(100 + x_t.double(), when(0.3))
    # |100|^2 / 0.3^2 would eat six of seven digits
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=2e-3)


def test_each_row_has_its_time_whatever_the_company(monkeypatch):
    x, x_t, t = double(7, 1, 3, 3), double(6, 1, 3, 3, seed=1), torch.tensor([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]).double()
    flat = x.flatten(1)
    cases = [
        (ideal.gaussian(flat.mean(0), torch.cov(flat.T), COSINE), x_t.flatten(1)),
        (ideal.mixture(flat, torch.full((7,), 0.3), torch.ones(7), COSINE), x_t.flatten(1)),
        (ideal.gaussians(x, torch.stack(7 * [torch.cov(flat.T)]), torch.ones(7), COSINE), x_t),
        (ideal.training_set(x, COSINE), x_t),
        (ideal.patches(x, 3, COSINE), x_t),
    ]
    for denoise, rows in cases:
        together = denoise(rows, t)
        torch.testing.assert_close(together, torch.cat([denoise(a[None], s) for a, s in zip(rows, t)]))
        with monkeypatch.context() as small:
            small.setattr(ideal, "ENTRIES", 30)
            torch.testing.assert_close(together, denoise(rows, t))
            torch.testing.assert_close(denoise(rows, when(0.3)), torch.cat([denoise(a[None], when(0.3)) for a in rows]))


def test_memory_is_bounded(monkeypatch):
    tables, shares = [], ideal.shares
    monkeypatch.setattr(
        ideal, "shares", lambda x_t, x, *pair: tables.append(len(x_t) * len(x)) or shares(x_t, x, *pair)
    )
    monkeypatch.setattr(ideal, "ENTRIES", 1000)
    x = double(30, 1, 2, 2)
    ideal.training_set(x, COSINE)(double(100, 1, 2, 2), when(0.5))
    ideal.patches(x, 3, COSINE)(double(100, 1, 2, 2), when(0.5))
    assert max(tables) <= 1000 and sum(tables) == 5 * 3000


@pytest.mark.parametrize("side", [1, 3, 5])
def test_patches_by_a_loop_over_pixels(side):
    x, x_t = double(5, 2, 4, 3), double(3, 2, 4, 3, seed=1)
    found = ideal.patches(x, side, COSINE)(x_t, when(0.4))
    alpha, sigma = math.cos(0.2 * math.pi), math.sin(0.2 * math.pi)
    truth = np.zeros(x_t.shape)
    for b, (i, j) in ((b, p) for b in range(3) for p in np.ndindex(4, 3)):
        seen = [(k, m) for k, m in np.ndindex(4, 3) if max(abs(k - i), abs(m - j)) <= side // 2]
        square = [sum(((x_t[b] - alpha * a)[:, k, m] ** 2).sum() for k, m in seen) for a in x]
        truth[b, :, i, j] = special.softmax(-np.array(square) / (2 * sigma**2)) @ x[:, :, i, j].numpy()
    np.testing.assert_allclose(found, truth, atol=1e-10)


def test_who_sees_the_whole_picture_is_the_ideal_denoiser():
    x, x_t = data.load("digits", n=50).x.double(), double(4, 1, 8, 8)
    whole = ideal.patches(x, 15, COSINE)(x_t, when(0.4))
    assert (whole - ideal.training_set(x, COSINE)(x_t, when(0.4))).abs().max() < 1e-12
    assert (whole - ideal.patches(x, 13, COSINE)(x_t, when(0.4))).abs().max() > 1e-6


def drawn(denoise, n, steps=30):
    """From noise to pictures along the probability flow, by hand."""
    times = torch.linspace(1, 0, steps + 1)
    x = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for t, s in zip(times, times[1:]):
        (alpha, sigma), (less, left), mean = COSINE(t), COSINE(s), denoise(x, t)
        x = less * mean + left * (x - alpha * mean) / sigma
    return x


def test_the_ideal_denoiser_copies_and_a_local_one_does_not():
    x = 2 * data.load("digits").x - 1
    found = metrics.copies(drawn(ideal.training_set(x, COSINE), 60), x)
    assert found.copied.all() and found.distance.max() < 1e-4
    few = x[:200]
    assert metrics.copies(drawn(ideal.patches(few, 3, COSINE), 20), few).copied.float().mean() < 0.2


def test_what_cannot_be_denoised_is_refused():
    x, t = double(4, 1, 3, 3), when(0.5)
    for call in (
        lambda: ideal.patches(x, 4, COSINE),
        lambda: ideal.patches(x, 0, COSINE),
        lambda: ideal.patches(x.flatten(1), 3, COSINE),
        lambda: ideal.training_set(x[:0], COSINE),
        lambda: ideal.training_set([1.0], COSINE),
        lambda: ideal.training_set(x, COSINE)(x[0], t),
        lambda: ideal.gaussian(x[0], torch.eye(3), COSINE),
        lambda: ideal.gaussians(x, torch.ones(4, 3, 3), torch.ones(4), COSINE),
        lambda: ideal.gaussians(x, torch.ones(4, 9, 9), torch.ones(3), COSINE),
        lambda: ideal.gaussians(x, torch.ones(4, 9, 9), torch.ones(4), COSINE)(x.flatten(1), t),
        lambda: ideal.mixture(x.flatten(1), torch.ones(3), torch.ones(4), COSINE),
        lambda: ideal.mixture(x.flatten(1), torch.zeros(4), torch.ones(4), COSINE),
        lambda: ideal.mixture(x.flatten(1), torch.ones(4), torch.ones(4), COSINE)(x, t),
    ):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            call()
