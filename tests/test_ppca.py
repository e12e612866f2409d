"""PPCA against scipy, scikit-learn and numpy; closed form, EM and gradient at one maximum; edge cases; errors."""

import itertools

import numpy as np
import pytest
import torch
from oracles import errors_off, off_init
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from gdm_core.models import ppca
from gdm_core.models.ppca import PPCA

BAD = "needed .* got .* try"
SIZES = [(6, 0), (6, 1), (6, 3), (6, 5), (2, 1), (1, 0)]


def known(d=6, q=3, seed=0):
    """A model far from its initial values, and its covariance by definition."""
    torch.manual_seed(seed)
    model = off_init(PPCA(d, q).double(), 0.5, seed)
    W, b, var = (p.detach().numpy() for p in (model.W, model.b, model.var))
    return model, b, W @ W.T + var * np.eye(d)


def maximum(x, q):
    """Mean log-likelihood at the maximum over all W and var, eq. 3.12 of Tipping & Bishop, from numpy's eigenvalues."""
    x = np.asarray(x)
    d = x.shape[1]
    values = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(x.T, bias=True))))[::-1]
    var = values[q:].mean()
    return -0.5 * (d * np.log(2 * np.pi) + np.log(values[:q]).sum() + (d - q) * np.log(var) + d), var


def data(n=300, d=6, seed=1):
    """Correlated, of unequal scale, off center, not Gaussian."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_t(6, (n, d)) @ rng.standard_normal((d, d)) + 5)


# Density and posterior


@pytest.mark.parametrize("d, q", SIZES)
def test_log_prob_is_scipys(d, q):
    model, b, C = known(d, q)
    x = model.sample(100)
    truth = multivariate_normal(b, C).logpdf(x.numpy())
    torch.testing.assert_close(model.log_prob(x).detach(), torch.from_numpy(truth), rtol=0, atol=1e-10)


@pytest.mark.parametrize("d, q", SIZES)
def test_bayes_rule_holds_exactly(d, q):
    """log p(x) = log p(x | z) + log p(z) - log p(z | x) at any z."""
    model, *_ = known(d, q)
    x = model.sample(20)
    posterior = model.encode(x)
    for z in (posterior.sample(), model.prior().sample((20,))):
        assert z.shape == (20, q)
        right = model.decode(z).log_prob(x) + model.prior().log_prob(z) - posterior.log_prob(z)
        torch.testing.assert_close(model.log_prob(x), right, rtol=0, atol=1e-10)


def test_posterior_is_that_of_the_joint_gaussian():
    """Conditioning the (z, x) Gaussian by its blocks, Bishop 2.81-2.82."""
    model, b, C = known()
    W, x = model.W.detach().numpy(), model.sample(10)
    gain = W.T @ np.linalg.inv(C)
    posterior = model.encode(x)
    assert np.allclose(posterior.mean.detach(), (x.numpy() - b) @ gain.T, atol=1e-12)
    assert np.allclose(posterior.covariance_matrix.detach(), np.eye(3) - gain @ W, atol=1e-12)
    assert posterior.batch_shape == (10,) and posterior.event_shape == (3,)


def test_samples_have_the_mean_and_covariance_of_the_model():
    model, b, C = known()
    x = model.sample(40_000)
    assert (errors_off(x, torch.from_numpy(b)) < 5).all()
    away = x - torch.from_numpy(b)
    assert (errors_off(away[:, :, None] * away[:, None, :], torch.from_numpy(C)) < 5).all()


@pytest.mark.parametrize("var", [1.0, 1e-4, 1e-8])
def test_log_prob_keeps_its_digits_where_the_noise_is_small(var):
    """In extended precision: |r|^2 - r W M^-1 W r would lose a digit for each power of ten in 1 / var."""
    torch.manual_seed(0)
    model = PPCA(5, 2).double()
    model.set(torch.randn(5, 2), torch.randn(5), var)
    x = model.sample(50)
    W, b, v = (p.detach().numpy().astype(np.longdouble) for p in (model.W, model.b, model.log_var.exp()))
    a, c, e = (W.T @ W + v * np.eye(2)).ravel()[[0, 1, 3]]
    M_inverse, det = np.array([[e, -c], [-c, a]]) / (a * e - c * c), a * e - c * c
    r = x.numpy().astype(np.longdouble) - b
    square = ((r**2).sum(1) - np.einsum("ni,ij,nj->n", r @ W, M_inverse, r @ W)) / v
    truth = -0.5 * (5 * np.log(8 * np.arctan(np.longdouble(1))) + np.log(det) + 3 * np.log(v) + square)
    assert np.abs(model.log_prob(x).detach().numpy() - truth).max() < 1e-9


def test_no_d_by_d_matrix_is_made_for_many_features():
    """40,000 features: their covariance would take 13 GB."""
    d = 40_000
    model = PPCA(d, 2)
    x = model.sample(4)
    peer = LowRankMultivariateNormal(model.b, model.W, model.var.expand(d))
    torch.testing.assert_close(model.log_prob(x), peer.log_prob(x), rtol=1e-4, atol=1)
    model.solve(x)
    list(model.em(x, 2))
    assert model.encode(x).mean.shape == (4, 2)


# Maximum likelihood


@pytest.mark.parametrize("n, d, q", [(300, d, q) for d, q in SIZES] + [(5, 6, 2), (6, 6, 3), (7, 6, 5)])
def test_solve_reaches_the_maximum(n, d, q):
    x = data(n, d)
    model = PPCA(d, q).double().solve(x)
    best, var = maximum(x, q)
    assert model.log_prob(x).mean().item() == pytest.approx(best, abs=1e-8)
    assert model.var.item() == pytest.approx(var, rel=1e-8)
    assert torch.allclose(model.b, x.mean(0))


def test_solve_is_scikit_learns_pca_but_for_its_n_minus_one():
    x = data()
    n = len(x)
    model, peer = PPCA(6, 3).double().solve(x), PCA(3, svd_solver="full").fit(x.numpy())
    assert model.var.item() == pytest.approx(peer.noise_variance_ * (n - 1) / n, rel=1e-8)
    C = (model.W @ model.W.T + model.var * torch.eye(6).double()).detach().numpy()
    assert np.allclose(C, peer.get_covariance() * (n - 1) / n, rtol=0, atol=1e-8)
    axes = (model.W / model.W.norm(dim=0)).detach().numpy()
    assert np.allclose(np.abs((axes * peer.components_.T).sum(0)), 1, atol=1e-10)
    # The same parameters into scikit-learn: the same density.
    unbiased = PPCA(6, 3).double()
    scale = ((peer.explained_variance_ - peer.noise_variance_) ** 0.5)[:, None]
    unbiased.set((peer.components_ * scale).T, peer.mean_, peer.noise_variance_)
    assert np.allclose(unbiased.log_prob(x).detach(), peer.score_samples(x.numpy()), rtol=0, atol=1e-8)
    assert model.loss(x) < unbiased.loss(x)  # whose noise is that of another divisor


def test_columns_of_solve_are_orthogonal_sorted_and_of_one_sign():
    x = data()
    W = PPCA(6, 4).double().solve(x).W.detach()
    lengths = W.norm(dim=0)
    assert torch.allclose(W.T @ W, torch.diag(lengths**2), atol=1e-9)
    assert (lengths.diff() < 0).all()
    assert (W.gather(0, W.abs().argmax(0, keepdim=True)) > 0).all()
    flipped = PPCA(6, 4).double().solve(x[torch.randperm(len(x))]).W
    assert torch.allclose(W, flipped, atol=1e-8)


@pytest.mark.parametrize("n", [300, 5])
def test_solve_in_awkward_units(monkeypatch, n):
    """A mean a million times the spread, sorted rows and several tiles cost no more digits than x itself has lost."""
    monkeypatch.setattr(ppca, "TILE", 32)
    x = data(n)
    x = x[x[:, 0].argsort()]
    assert PPCA(6, 2).double().solve(x).log_prob(x).mean().item() == pytest.approx(maximum(x, 2)[0], abs=1e-8)
    plain, moved = PPCA(6, 2).double().solve(x), PPCA(6, 2).double().solve(x + 2.0**20)
    assert torch.allclose(plain.W, moved.W, rtol=0, atol=1e-8)
    assert moved.var.item() == pytest.approx(plain.var.item(), rel=1e-8)
    assert torch.allclose(moved.b - 2.0**20, plain.b, atol=1e-8)
    small = PPCA(6, 2).double().solve(x * 1e-6)
    assert torch.allclose(small.W * 1e6, plain.W, atol=1e-8)


def test_float32_is_solved_in_float64():
    x = data().float()
    model = PPCA(6, 2).solve(x)
    exact = PPCA(6, 2).double().solve(x.double())
    assert model.W.dtype == torch.float32
    assert torch.allclose(model.W.double(), exact.W, rtol=1e-6, atol=1e-6)
    assert torch.isfinite(model.log_prob(x)).all()


@pytest.mark.parametrize("q", [0, 1, 3, 5])
@pytest.mark.slow
def test_em_climbs_to_the_closed_form(q):
    x = data()
    model = PPCA(6, q).double()
    values = list(model.em(x, 3000))
    assert all(b >= a - 1e-10 for a, b in itertools.pairwise(values))
    best, var = maximum(x, q)
    assert model.log_prob(x).mean().item() == pytest.approx(best, abs=1e-7)
    assert model.var.item() == pytest.approx(var, rel=1e-4)


def test_one_em_iteration_is_eq_27_and_28():
    model, *_ = known()
    x = data()
    W, var, S = model.W.detach().numpy(), model.var.item(), np.cov(x.numpy().T, bias=True)
    M = W.T @ W + var * np.eye(3)
    new = S @ W @ np.linalg.inv(var * np.eye(3) + np.linalg.inv(M) @ W.T @ S @ W)
    noise = np.trace(S - S @ W @ np.linalg.inv(M) @ new.T) / 6
    before = model.log_prob(x).mean().item()
    run = model.em(x, 5)
    assert next(run) == pytest.approx(before, abs=1e-10)
    assert np.allclose(model.W.detach(), new, atol=1e-10) and model.var.item() == pytest.approx(noise, rel=1e-10)
    assert torch.allclose(model.b, x.mean(0))
    assert len(list(run)) == 4


def test_gradient_reaches_the_same_maximum():
    x = data()
    model = PPCA(6, 2).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_change=0)

    def closure():
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert -model.loss(x).item() == pytest.approx(maximum(x, 2)[0], abs=1e-6)


# Rotation


def test_a_rotation_of_the_latents_changes_no_density():
    model, *_ = known()
    x = model.sample(20)
    R = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    turned = model.rotated(R)
    torch.testing.assert_close(turned.log_prob(x), model.log_prob(x), rtol=0, atol=1e-11)
    assert (turned.W - model.W).abs().max() > 0.1
    torch.testing.assert_close(turned.encode(x).mean, model.encode(x).mean @ R)  # the codes turn with it
    with torch.no_grad():
        turned.b.add_(1)
    assert not torch.equal(turned.b, model.b)  # a copy
    for wrong in (2 * R, R[:2], torch.ones(3, 3).double(), None):
        with pytest.raises(ValueError, match=BAD):
            model.rotated(wrong)


def test_no_latents_is_a_sphere():
    x = data()
    model = PPCA(6, 0).double().solve(x)
    assert model.var.item() == pytest.approx(((x - x.mean(0)) ** 2).mean().item())
    peer = MultivariateNormal(x.mean(0), model.var.detach() * torch.eye(6).double())
    torch.testing.assert_close(model.log_prob(x).detach(), peer.log_prob(x), rtol=0, atol=1e-9)


def test_d_minus_one_latents_is_any_gaussian():
    x = data()
    model = PPCA(6, 5).double().solve(x)
    C = model.W @ model.W.T + model.var * torch.eye(6).double()
    assert torch.allclose(C, x.T.cov(correction=0), rtol=0, atol=1e-9)


# Errors


@pytest.mark.parametrize("features, latents", [(6, 6), (6, 7), (6, -1), (0, 0), (6, 1.5), ("6", 1)])
def test_sizes_that_make_no_sense(features, latents):
    with pytest.raises(ValueError, match=BAD):
        PPCA(features, latents)


def low_rank(n=100):
    return torch.randn(n, 2, dtype=torch.float64) @ torch.randn(2, 6, dtype=torch.float64)


@pytest.mark.parametrize("method", ["solve", "em"])
@pytest.mark.parametrize(
    "x, q, words",
    [
        (
            lambda: low_rank() + 3,
            2,
            "more than 2 directions, got .*constant or dependent columns.*; try fewer latents, or noise",
        ),
        (lambda: torch.ones(100, 6).double(), 0, "more than 0 directions"),
        (lambda: data()[:1], 1, "at least 2 examples, got 1"),
        (lambda: data()[:4], 3, "at least 5 examples for 3 latents, got 4; try fewer latents"),
        (lambda: torch.full((9, 6), float("nan")).double(), 2, "finite x"),
        (lambda: torch.cat([data(), torch.full((1, 6), float("inf"))]), 2, "finite x, got 6 NaN"),
        (lambda: data().float(), 2, "model's dtype"),
        (lambda: data()[:, :5], 2, r"x of shape \(B, 6\)"),
    ],
)
def test_bad_data_are_refused_with_cause_and_remedy(method, x, q, words):
    model = PPCA(6, q).double()
    with pytest.raises(ValueError, match=f"needed .*{words}"):
        model.solve(x()) if method == "solve" else list(model.em(x(), 2000))
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_numbers_too_large_to_square_are_refused():
    with pytest.raises(ValueError, match="squares are finite, got values up to .*e.20.; try x / x.std"):
        PPCA(6, 2).double().solve(data() * 1e200)


def test_a_constant_column_does_no_harm_while_there_is_noise():
    x = data()
    x[:, 2] = 1.0
    model = PPCA(6, 2).double().solve(x)
    assert model.log_prob(x).mean().item() == pytest.approx(
        (lambda v: -0.5 * (6 * np.log(2 * np.pi) + np.log(v[:2]).sum() + 4 * np.log(v[2:].mean()) + 6))(
            np.sort(np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True)))[::-1]
        ),
        abs=1e-8,
    )
    assert model.W[2].abs().max() < 1e-9


def test_bad_latents_and_bad_parameters_are_refused():
    model = PPCA(6, 2).double()
    for z in (torch.randn(3, 3).double(), torch.tensor(1.0), [0.0, 0.0]):
        with pytest.raises(ValueError, match=BAD):
            model.decode(z)
    W, b = torch.randn(6, 2), torch.randn(6)
    for wrong in ((W.T, b, 1.0), (W, b[:3], 1.0), (W, b, 0.0), (W, b, -1.0), (W, b, float("nan")), (W, b, b)):
        with pytest.raises(ValueError, match=BAD):
            model.set(*wrong)
    model.set(W, b, 0.5)
    assert model.var.item() == pytest.approx(0.5) and torch.equal(model.W, W.double())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_the_cpu():
    x = data()
    here, there = PPCA(6, 2).double(), PPCA(6, 2).double().cuda()
    there.load_state_dict(here.state_dict())
    assert list(there.em(x.cuda(), 5)) == pytest.approx(list(here.em(x, 5)), abs=1e-9)
    torch.testing.assert_close(there.solve(x.cuda()).W.cpu(), here.solve(x).W, rtol=1e-8, atol=1e-8)
