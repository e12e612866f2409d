"""Bounds, grids and gradient estimators against a linear-Gaussian model known in closed form."""

import numpy as np
import pytest
import scipy.stats
import torch
from linear import Drawn, Linear, factorized, ring
from torch.distributions import Bernoulli, Categorical, Independent, MultivariateNormal, Normal, kl_divergence

from gdm_core import inference
from gdm_core.inference import elbo, fit_per_datapoint, gradient_samples, grid_posterior, inference_gap, iwae_bound
from gdm_core.models.vae import VAE

torch.set_num_threads(1)


# Bounds


def test_exact_posterior_makes_every_weight_the_likelihood():
    model = Linear()
    x = model.data()
    for bound in (elbo(model, x), elbo(model, x, 7), iwae_bound(model, x, 1), iwae_bound(model, x, 50, chunk=7)):
        torch.testing.assert_close(bound.detach(), model.log_prob(x))


@pytest.mark.parametrize("analytic", [False, True])
@pytest.mark.slow
def test_gap_of_the_bound_is_the_kl_to_the_posterior(analytic):
    model, wrong = Linear(), Linear(skew=0.4)
    x = model.data()
    torch.manual_seed(3)
    with torch.no_grad():
        q = wrong.encode(x)
        draws = torch.stack([elbo(model, x, 1, q, analytic=analytic) for _ in range(4000)])
        gap, error = model.log_prob(x) - draws.mean(0), draws.std(0) / 4000**0.5
        truth = kl_divergence(q, model.encode(x))
    assert ((gap - truth).abs() < 5 * error).all() and (truth > 20 * error).all()


def test_more_samples_average_the_bound():
    model = Linear(skew=0.4)
    x = model.data()
    torch.manual_seed(0)
    with torch.no_grad():
        one = torch.stack([elbo(model, x) for _ in range(400)])
        many = torch.stack([elbo(model, x, 25) for _ in range(400)])
    ratio = one.var(0) / many.var(0)
    assert ((ratio > 25 / 1.6) & (ratio < 25 * 1.6)).all()


def test_draws_are_averaged_beside_an_analytic_kl():
    model = Linear(skew=0.4)
    x = model.data()
    with torch.no_grad():
        torch.manual_seed(0)
        found = elbo(model, x, 7, analytic=True)
        torch.manual_seed(0)
        q = model.encode(x)
        expected = model.decode(q.rsample((7,))).log_prob(x).mean(0) - kl_divergence(
            q, MultivariateNormal(0 * q.mean, torch.eye(2))
        )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bound", [elbo, iwae_bound])
def test_gradient_of_a_bound_reaches_q(bound):
    """With one draw both are the ELBO: its gradient is minus that of KL(q || posterior), in closed form."""
    model = Linear()
    x = model.data(2)
    mean = torch.tensor([[0.3, -0.4], [1.0, 0.2]]).double().expand(2000, 2, 2).clone().requires_grad_()
    factor = torch.tensor([[0.7, 0.0], [0.3, 1.2]]).double().expand(2000, 2, 2, 2).clone().requires_grad_()
    of_each = lambda bound: torch.autograd.grad(bound.sum(), (mean, factor), retain_graph=True)
    q = MultivariateNormal(mean.flatten(0, 1), scale_tril=factor.flatten(0, 1).tril())
    x = x.repeat(2000, 1)  # each copy has a q and a draw of its own
    for g, t in zip(of_each(bound(model, x, 1, q)), of_each(-kl_divergence(q, model.encode(x)))):
        assert ((g.mean(0) - t[0]).abs() <= 5 * g.std(0) / 2000**0.5).all()


def test_analytic_kl_of_a_full_posterior_and_factorized_prior_is_the_integral():
    torch.manual_seed(0)
    q = MultivariateNormal(torch.tensor([0.3, -1.0]), scale_tril=torch.tensor([[0.8, 0.0], [-0.5, 1.7]]))
    p = factorized(torch.tensor([0.1, 0.2]), torch.tensor([1.1, 0.7]))
    z = q.sample((200_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    assert abs(inference.kl(q, p) - draws.mean()) < 5 * draws.std() / 200_000**0.5
    with pytest.raises(ValueError, match="analytic=False"):
        inference.kl(q, Categorical(torch.ones(3)))


def test_iwae_rises_to_the_likelihood_and_never_passes_it():
    model = Linear(skew=0.4)
    x = model.data()
    torch.manual_seed(0)
    with torch.no_grad():
        bounds = {k: torch.stack([iwae_bound(model, x, k) for _ in range(200)]) for k in (1, 10, 1000)}
    truth, mean = model.log_prob(x), {k: b.mean(0) for k, b in bounds.items()}
    error = {k: b.std(0) / 200**0.5 for k, b in bounds.items()}
    assert (mean[1] < mean[10]).all() and (mean[10] < mean[1000]).all()
    assert (mean[1000] < truth + 3 * error[1000]).all() and (mean[1000] > truth - 0.02).all()


@pytest.mark.slow
def test_iwae_keeps_to_its_chunk_and_averages_over_all_of_them():
    model = Linear(skew=0.4)
    x = model.data(4)
    with torch.no_grad():
        iwae_bound(model, x, 50, chunk=8)
        assert model.largest == 8 * 4
        torch.manual_seed(0)
        a = torch.stack([iwae_bound(model, x, 10, chunk=3) for _ in range(800)])
        b = torch.stack([iwae_bound(model, x, 10, chunk=10) for _ in range(800)])
    assert ((a.mean(0) - b.mean(0)).abs() < 5 * ((a.var(0) + b.var(0)) / 800).sqrt()).all()


@pytest.mark.parametrize("chunk", [1, 4, 7, 19, 20, 50])
def test_pieces_that_do_not_divide_the_draws_weigh_by_their_size(chunk):
    model = Linear(skew=0.4)
    x = model.data(3)
    with torch.no_grad():
        q = Drawn(model.encode(x), 20)
        weights = model.decode(q.z).log_prob(x) + model.prior().log_prob(q.z) - q.log_prob(q.z)
        bound = iwae_bound(model, x, 20, q, chunk=chunk)
    assert q.used == 20
    np.testing.assert_allclose(bound, scipy.special.logsumexp(weights, axis=0, b=1 / 20))


@pytest.mark.parametrize("rows", [1, 2, 5, 11, 12, 34, 35])
def test_likelihood_in_uneven_pieces_is_that_of_the_whole(rows, monkeypatch):
    """Seven draws for five examples with labels, `rows` pairs at a time: over examples, over draws, both uneven."""
    model = VAE(3, 2, hidden=(4,), labels=3).double()
    x, y, z = torch.randn(5, 3).double(), torch.tensor([2, 0, 1, 1, 0]), torch.randn(7, 5, 2).double()
    whole = model.decode(z, y).log_prob(x)
    monkeypatch.setattr(inference.bounds, "decoded_size", lambda *_: 2**22 // rows)
    with torch.no_grad():
        torch.testing.assert_close(inference.bounds.log_likelihood(model, x, z, y), whole)


@pytest.mark.parametrize("points", [1, 7, 60])
def test_grid_in_uneven_pieces_is_the_whole_grid(points, monkeypatch):
    model = VAE(3, 1, hidden=(4,), labels=3).double()
    x, y = torch.randn(5, 3).double(), torch.tensor([2, 0, 1, 1, 0])
    grid = grid_posterior(model, x, side=64, y=y)
    monkeypatch.setattr(inference.grid, "decoded_size", lambda *_: 2**20 // points)
    pieces = grid_posterior(model, x, side=64, y=y)
    torch.testing.assert_close(pieces.log_px, grid.log_px)
    torch.testing.assert_close(pieces.log_posterior, grid.log_posterior)
    z = grid.points[:, None].expand(64, 5, 1)
    with torch.no_grad():
        joint = (model.decode(z, y).log_prob(x) + model.prior().log_prob(z)).T
    torch.testing.assert_close(grid.log_posterior + grid.log_px[:, None], joint)


def test_discrete_latents_have_a_bound_too():
    """A two-component mixture with its exact responsibilities: every weight is p(x)."""
    means, weights = torch.tensor([[-1.0], [2.0]]).double(), torch.tensor([0.3, 0.7]).double()

    class Mixture:
        event_shape = (1,)
        prior = lambda self: Categorical(weights)
        decode = lambda self, z: factorized(means[z], torch.full_like(means[z], 0.8))
        encode = lambda self, x: Categorical(logits=Normal(means[:, 0], 0.8).log_prob(x) + weights.log())

    x = torch.tensor([[-1.2], [0.4], [3.0]]).double()
    truth = np.log(0.3 * scipy.stats.norm.pdf(x[:, 0], -1, 0.8) + 0.7 * scipy.stats.norm.pdf(x[:, 0], 2, 0.8))
    np.testing.assert_allclose(elbo(Mixture(), x, 5), truth)
    np.testing.assert_allclose(iwae_bound(Mixture(), x, 5), truth)


def test_wrong_shapes_are_refused():
    model = Linear()
    with pytest.raises(ValueError, match=r"\(B, 3\)"):
        elbo(model, torch.zeros(4, 2).double())
    with pytest.raises(ValueError, match="samples"):
        iwae_bound(model, model.data(), 0)


# Grid


@pytest.mark.parametrize("latents", [1, 2])
def test_grid_gives_the_closed_form(latents):
    model = Linear(latents=latents)
    x = model.data()
    grid, posterior = grid_posterior(model, x, side=150), model.encode(x)
    torch.testing.assert_close(grid.log_px, model.log_prob(x))
    torch.testing.assert_close(grid.mean, posterior.mean.detach())
    torch.testing.assert_close(grid.covariance, posterior.covariance_matrix.detach())
    torch.testing.assert_close(grid.mass.sum(1), torch.ones(len(x)).double())
    truth = posterior.log_prob(grid.points[:, None]).T.detach()
    near = truth > -20
    torch.testing.assert_close(grid.log_posterior[near], truth[near])
    assert grid.image(2).shape == (150,) * latents


def test_grid_kl_is_the_closed_form():
    model = Linear()
    x = model.data()
    q = factorized(model.encode(x).mean.detach() + 0.1, torch.full((6, 2), 0.4).double())
    truth = kl_divergence(MultivariateNormal(q.mean, torch.diag_embed(q.variance)), model.encode(x)).detach()
    torch.testing.assert_close(grid_posterior(model, x).kl(q), truth)
    for off in (6.0, 5.0):  # nearly all of q, and of one example a fiftieth, lies beyond the grid
        with pytest.raises(ValueError, match="q on the grid"):
            grid_posterior(model, x).kl(factorized(0 * q.mean + off * (torch.arange(6) == 3)[:, None], q.stddev + 0.05))


def test_bound_plus_kl_is_the_evidence_on_a_curved_posterior():
    """log p(x) - L[q] = KL(q || posterior), measured without Gaussian formulas on either side."""
    model = ring()
    x = torch.tensor([[1.0, 0.1, 0.0], [2.0, -0.2, 0.1]]).double()
    grid = grid_posterior(model, x, side=400)
    q = factorized(torch.tensor([[0.5, 0.8], [-1.0, 1.5]]).double(), torch.full((2, 2), 0.2).double())
    torch.manual_seed(0)
    with torch.no_grad():
        w = inference.log_weights(model, x, q.sample((200_000,)), q)
    assert ((w.mean(0) + grid.kl(q) - grid.log_px).abs() < 5 * w.std(0) / 200_000**0.5).all()


def test_grid_refuses_what_it_cannot_see():
    model = Linear()
    x = model.data()
    with pytest.raises(ValueError, match="on its border.*half_width"):
        grid_posterior(model, x, half_width=1.0)
    with pytest.raises(ValueError, match="finer than the posterior.*side=80"):
        grid_posterior(Linear(std=0.02), Linear(std=0.02).data(), side=40)
    with pytest.raises(ValueError, match="iwae_bound"):
        grid_posterior(Linear(latents=3), Linear(latents=3).data())


# Gradients


def bernoulli_model():
    class Coin(Linear):
        def decode(self, z):
            return Independent(Bernoulli(logits=z @ self.W.T + self.b), 1)

    return Coin()


@pytest.mark.parametrize("baseline", [False, True])
def test_both_gradients_have_the_mean_of_the_closed_form(baseline):
    model = Linear()
    x = model.data(2)
    mean = torch.tensor([[0.3, -0.4], [1.0, 0.2]]).double().requires_grad_()
    log_std = torch.tensor([[-0.5, -1.0], [0.1, -0.2]]).double().requires_grad_()
    q = MultivariateNormal(mean, scale_tril=torch.diag_embed(log_std.exp()))
    truth = torch.cat(torch.autograd.grad(-kl_divergence(q, model.encode(x)).sum(), (mean, log_std)), -1)
    torch.manual_seed(0)
    estimates = gradient_samples(model, x, factorized(mean, log_std.exp()), 40_000, baseline=baseline)
    for g in estimates:
        assert ((g.mean(0) - truth).abs() < 5 * g.std(0) / 200).all()
    path, score = estimates
    assert (score.var(0) > path.var(0)).all()


def test_each_draw_is_measured_against_the_others_alone():
    """Three draws, so that a mean which held the draw itself would be off by a half; log p(x, z) by scipy."""
    model, x = Linear(), Linear().data(2)
    mean, std = torch.tensor([[0.3, -0.4], [1.0, 0.2]]).double(), torch.tensor([[0.6, 0.4], [1.1, 0.8]]).double()
    torch.manual_seed(5)
    with torch.no_grad():  # what is around it does not matter: it makes gradients
        found = gradient_samples(model, x, factorized(mean, std), 3, baseline=True)[1]
    torch.manual_seed(5)
    noise = torch.randn(3, 2, 2, dtype=torch.float64).numpy()
    z = mean.numpy() + std.numpy() * noise
    W, b, log_normal = model.W.detach().numpy(), model.b.detach().numpy(), scipy.stats.norm.logpdf
    f = log_normal(x.numpy(), z @ W.T + b, model.std).sum(-1) + log_normal(z).sum(-1)
    f -= log_normal(z, mean.numpy(), std.numpy()).sum(-1)
    slope = np.concatenate([noise / std.numpy(), noise**2 - 1], -1)  # of log q with respect to (mean, log_std)
    for s, (first, second) in enumerate(((1, 2), (0, 2), (0, 1))):
        rest = f[s] - (f[first] + f[second]) / 2
        np.testing.assert_allclose(found[s], rest[:, None] * slope[s])


def test_baseline_lowers_the_variance_of_the_score_function():
    model = bernoulli_model()
    x = torch.tensor([[1.0, 0.0, 1.0]]).double()
    q = factorized(torch.zeros(1, 2).double(), torch.full((1, 2), 0.7).double())
    torch.manual_seed(0)
    plain, based = (gradient_samples(model, x, q, 20_000, baseline=b)[1] for b in (False, True))
    assert (based.var(0) < 0.5 * plain.var(0)).all()
    with pytest.raises(ValueError, match="factorized"):
        gradient_samples(model, x, MultivariateNormal(torch.zeros(1, 2), torch.eye(2)))


# Needed, got, try


def test_a_q_that_is_not_over_the_examples_is_refused():
    """It would broadcast: one number for all examples, or each example paired with one draw."""
    model = Linear()
    x = model.data(5)
    for bound in (elbo, iwae_bound):
        for samples in (1, 5):
            with pytest.raises(ValueError, match=r"try q.expand\(\(5,\)\)"):
                bound(model, x, samples, q=model.prior())
        assert bound(model, x, 4, q=model.prior().expand((5,))).shape == (5,)


@pytest.mark.parametrize("count", [2, 9])
def test_labels_for_other_examples_are_refused(count):
    model, x, y = VAE(3, 2, hidden=(4,), labels=2), torch.randn(5, 3), torch.zeros(count, dtype=torch.long)
    calls = [elbo, iwae_bound, inference_gap, fit_per_datapoint, grid_posterior]
    for call in [*calls, lambda model, x, y: gradient_samples(model, x, model.prior().expand((5,)), y=y)]:
        with pytest.raises(ValueError, match=r"one label for each of 5 examples, got \(.,\)"):
            call(model, x, y=y)


def test_bounds_without_a_gradient_decode_piece_by_piece_and_say_the_same():
    """Some million numbers of the decoder at a time, whichever of channels, examples or draws are many."""

    class Watched(VAE):
        largest = 0

        def decode(self, z, y=None):
            self.largest = max(self.largest, z[..., 0].numel())
            return super().decode(z, y)

    model = Watched((1, 16, 16), 2, hidden=(), likelihood="categorical", levels=64, labels=2)
    x, y = torch.randint(64, (400, 1, 16, 16)) / 63, torch.randint(2, (400,))
    with torch.no_grad():
        q = model.encode(x, y)
        z = q.sample((3,))
        whole = torch.stack([model.decode(z[:, i : i + 10], y[i : i + 10]).log_prob(x[i : i + 10]) for i in (0, 390)])
        model.largest = 0
        pieces = inference.bounds.log_likelihood(model, x, z, y)
        torch.testing.assert_close(torch.stack([pieces[:, :10], pieces[:, 390:]]), whole)
        elbo(model, x, 2, q, y, analytic=True), iwae_bound(model, x, 3, q, y)
    assert model.largest * 64 * 256 <= 2**22
    model.largest = 0
    assert elbo(model, x, 1, y=y).requires_grad and model.largest == 400  # a gradient needs all of it at once
