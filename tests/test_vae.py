"""The VAE's loss term by term, its units, labels, likelihoods and posteriors."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from gdm_core import inference, likelihoods, networks
from gdm_core.models.autoencoder import Autoencoder
from gdm_core.models.vae import VAE, demos

torch.set_num_threads(1)
plane = lambda: demos()["plane"]
GRAY = torch.linspace(0, 1, 17, dtype=torch.float64)


def off_start(model, by=0.3):
    """Known parameters, far from zeros and ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.double().parameters():
            p.copy_(by * torch.randn_like(p))
    return model


def copies(x, count):
    """The batch `count` times over, in one: each copy has noise of its own."""
    return x.repeat(count, *[1] * (x.ndim - 1))


def averaged(model, x, count=100, calls=40):
    """Mean and standard error of the loss over its noise, `calls` times that of `count` copies of the batch."""
    with torch.no_grad():
        losses = torch.stack([model.loss(copies(x, count)) for _ in range(calls)])
    return losses.mean().item(), losses.std().item() / calls**0.5


def by_hand(model, x, count=3000):
    """Reconstruction and KL, batch means in nats, from numpy's formulas."""
    with torch.no_grad():
        q = model.encode(x)
        mean, std = q.mean.numpy(), q.stddev.numpy()
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).sum(1).mean()
        noise = np.random.default_rng(0).standard_normal((count, *mean.shape))
        pictures = model.decode(torch.from_numpy(mean + std * noise)).mean.numpy()
    std_x = model.likelihood.log_std.detach().exp().numpy()
    log_prob = scipy.stats.norm.logpdf(x.numpy(), pictures, std_x).reshape(*pictures.shape[:2], -1).sum(2).mean(1)
    return log_prob.mean(), log_prob.std() / count**0.5, kl


@pytest.mark.parametrize("beta", [1.0, 4.0, 0.25])
def test_loss_is_the_sum_over_pixels_plus_beta_times_the_kl(beta):
    model = off_start(VAE((2, 3), 2, hidden=(8,), beta=beta))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    loss, error = averaged(model, x)
    reconstruction, other, kl = by_hand(model, x)
    assert abs(loss - (beta * kl - reconstruction)) < 5 * math.hypot(error, other)
    assert kl > 0.3 and -reconstruction > 5  # far from the points where a wrong sign or a mean for a sum is invisible


def test_elbo_is_the_definition_whatever_beta_is():
    model = off_start(VAE(3, 2, hidden=(8,), beta=5.0))
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.manual_seed(1)
    with torch.no_grad():
        own, defined = (bound(copies(x, 4000)) for bound in (model.elbo, lambda x: inference.elbo(model, x)))
        assert own.shape == (16_000,)
        own, defined = own.unflatten(0, (4000, 4)), defined.unflatten(0, (4000, 4))
    error = ((own.var(0) + defined.var(0)) / 4000).sqrt()
    assert ((own.mean(0) - defined.mean(0)).abs() < 5 * error).all()


def test_bound_stays_below_the_evidence_on_a_grid():
    model = off_start(VAE(3, 2, hidden=(8,)))
    x = model.sample(6)
    grid = inference.grid_posterior(model, x, half_width=12, side=300)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = model.elbo(copies(x, 4000)).unflatten(0, (4000, 6))
        gap, error = grid.log_px - draws.mean(0), draws.std(0) / 4000**0.5
        bounds = torch.stack([inference.iwae_bound(model, x, 1000) for _ in range(20)])
        kl = grid.kl(model.encode(x))
    assert ((gap - kl).abs() < 5 * error).all() and kl.max() > 0.05
    assert (bounds.mean(0) <= grid.log_px + 3 * bounds.std(0) / 20**0.5).all()


def test_gradient_passes_through_the_draw():
    """The reconstruction alone teaches the encoder: cut the path and its gradient would be exactly zero."""
    model = off_start(VAE(3, 2, hidden=(8,), beta=0.0))
    model.loss(torch.randn(16, 3, dtype=torch.float64)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 1e-6 for p in model.parameters())


def test_gradient_of_the_loss_is_that_of_its_mean():
    """Average reparameterized gradient against finite differences of the averaged loss, common noise."""
    model = off_start(VAE(2, 1, hidden=(4,)))
    x = torch.randn(3, 2, dtype=torch.float64).repeat(20_000, 1)
    torch.manual_seed(5)
    model.loss(x).backward()
    for p in model.parameters():
        flat, h = p.data.view(-1), 1e-4
        values = []
        for sign in (1, -1):
            flat[0] += sign * h
            torch.manual_seed(5)
            values.append(model.loss(x).item())
            flat[0] -= sign * h
        assert p.grad.view(-1)[0].item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4, abs=1e-6)


def test_encoder_output_is_mean_and_log_std():
    model = VAE(3, 2, encoder=nn.Sequential(nn.Flatten(), nn.Linear(3, 4)))
    with torch.no_grad():
        model.encoder[1].weight.zero_()
        model.encoder[1].bias.copy_(torch.tensor([0.5, -1.0, math.log(0.2), math.log(3.0)]))
    q = model.encode(torch.randn(6, 3))
    torch.testing.assert_close(q.mean, torch.tensor([[0.5, -1.0]]).expand(6, 2))
    torch.testing.assert_close(q.stddev, torch.tensor([[0.2, 3.0]]).expand(6, 2))


def test_full_posterior_reaches_every_covariance():
    model = VAE(3, 3, hidden=(), posterior="full").double()
    factor = torch.tensor([[0.5, 0, 0], [-0.3, 1.2, 0], [0.7, 0.1, 2.0]]).double()
    with torch.no_grad():
        linear = model.encoder.net[0]
        linear.weight.zero_()
        below = torch.stack([factor[1, 0], factor[2, 0], factor[2, 1]])
        linear.bias.copy_(torch.cat([torch.tensor([1.0, 2, 3]), factor.diagonal().log(), below]))
    q = model.encode(torch.randn(4, 3).double())
    torch.testing.assert_close(q.covariance_matrix, (factor @ factor.T).expand(4, 3, 3))
    truth = kl_divergence(q, MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double()))
    torch.testing.assert_close(inference.kl(q, model.prior()), truth)
    model.loss(torch.randn(8, 3).double()).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_linear_vae_can_hold_the_exact_posterior():
    """x = W z + b + std e: set encoder and decoder to the closed form; every weight then equals p(x) (scipy)."""
    rng = np.random.default_rng(0)
    W, b, std = rng.normal(size=(4, 2)), rng.normal(size=4), 0.7
    model = VAE(4, 2, hidden=(), posterior="full", likelihood=likelihoods.Gaussian(std, learn=None)).double()
    covariance = np.linalg.inv(np.eye(2) + W.T @ W / std**2)
    factor = np.linalg.cholesky(covariance)
    gain = covariance @ W.T / std**2
    with torch.no_grad():
        model.likelihood.log_std.fill_(math.log(std))
        model.decoder.net[0].weight.copy_(torch.from_numpy(W))
        model.decoder.net[0].bias.copy_(torch.from_numpy(b))
        constant = np.concatenate([-gain @ b, np.log(np.diag(factor)), [factor[1, 0]]])
        model.encoder.net[0].weight.copy_(torch.from_numpy(np.concatenate([gain, np.zeros((3, 4))])))
        model.encoder.net[0].bias.copy_(torch.from_numpy(constant))
    x = torch.from_numpy(rng.normal(size=(5, 4)))
    truth = scipy.stats.multivariate_normal(b, W @ W.T + std**2 * np.eye(4)).logpdf(x.numpy())
    np.testing.assert_allclose(inference.elbo(model, x).detach(), truth)
    np.testing.assert_allclose(inference.iwae_bound(model, x, 3).detach(), truth)


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_free_bits_charge_at_least_their_price_and_give_no_gradient_below_it(beta):
    plain = off_start(VAE(3, 2, hidden=(8,), beta=beta))
    x = torch.randn(64, 3, dtype=torch.float64)
    each = kl_divergence(plain.encode(x).base_dist, plain.prior().base_dist).mean(0).detach()
    between = each.mean().item()
    free = VAE(3, 2, hidden=(8,), beta=beta, free_bits=between).double()
    free.load_state_dict(plain.state_dict())
    torch.manual_seed(0)
    a = plain.loss(x).item()
    torch.manual_seed(0)
    b = free.loss(x).item()
    assert each.min() < between < each.max()
    assert b - a == pytest.approx(beta * (each.clamp(min=between).sum().item() - each.sum().item()))
    with pytest.raises(ValueError, match="diagonal"):
        VAE(3, 2, posterior="full", free_bits=0.1)


@pytest.mark.parametrize("network, event", [("mlp", (1, 8, 8)), ("conv", (1, 8, 8)), ("mlp", (5,))])
def test_labels_reach_encoder_and_decoder(network, event):
    model = off_start(VAE(event, 2, hidden=(8,) if network == "mlp" else None, labels=3, network=network), by=0.1)
    x, z, y = torch.rand(1, *event).double(), torch.randn(1, 2).double(), torch.arange(3)
    codes = model.encode(x.expand(3, *event), y).mean
    pictures = model.decode(z.expand(3, 2), y).mean.flatten(1)
    assert torch.pdist(codes).min() > 1e-4 and torch.pdist(pictures).min() > 1e-3
    many = model.decode(torch.randn(7, 3, 2).double(), y)
    assert many.batch_shape == (7, 3) and many.event_shape == event
    assert model.sample(4, y=2).shape == (4, *event)
    for call in (lambda: model.sample(4), lambda: model.encode(x), lambda: model.loss(x, torch.tensor([3]))):
        with pytest.raises(ValueError, match="label"):
            call()
    with pytest.raises(ValueError, match="unconditional .*labels=3"):  # y is 0, 1 and 2
        VAE(5, 2).encode(torch.zeros(3, 5), y)


def test_bounds_of_a_conditional_model_use_its_labels():
    """Decoder = a constant per class: log p(x | y) is that Gaussian's, whatever q."""
    model = off_start(VAE(2, 1, hidden=(), labels=2), by=0.1)
    with torch.no_grad():
        model.decoder.net[0].weight[:, 0] = 0.0
        model.likelihood.log_std.fill_(math.log(0.5))
    x, y = torch.randn(4, 2).double(), torch.tensor([0, 1, 1, 0])
    means = model.decoder.net(torch.cat([torch.zeros(4, 1), torch.eye(2)[y]], 1).double()).detach().numpy()
    truth = scipy.stats.norm.logpdf(x.numpy(), means, 0.5).sum(1)
    with torch.no_grad():
        np.testing.assert_allclose(inference.grid_posterior(model, x, y=y).log_px, truth, rtol=1e-6)
        np.testing.assert_allclose(inference.iwae_bound(model, x, 4000, y=y), truth, atol=0.05)
        *_, last = inference.fit_per_datapoint(model, x, 300, y=y)
        np.testing.assert_allclose(last.bound, truth, atol=0.02)


@pytest.mark.parametrize(
    "likelihood, levels, data",
    [
        ("bernoulli", None, lambda n: (torch.rand(n, 1, 4, 4) < 0.5).double()),
        ("categorical", 17, lambda n: GRAY[torch.randint(17, (n, 1, 4, 4))]),
        ("discretized", 17, lambda n: GRAY[torch.randint(17, (n, 1, 4, 4))]),
        (likelihoods.Discretized(17, "gaussian", 2), None, lambda n: GRAY[torch.randint(17, (n, 1, 4, 4))]),
        (likelihoods.Gaussian(0.3, "output"), None, lambda n: torch.rand(n, 1, 4, 4).double()),
    ],
)
def test_every_likelihood_trains_and_samples_its_own_kind(likelihood, levels, data):
    model = off_start(VAE((1, 4, 4), 2, hidden=(8,), likelihood=likelihood, levels=levels))
    x = data(12)
    model.loss(x).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in model.parameters())
    drawn = model.sample(9)
    assert drawn.shape == (9, 1, 4, 4) and not drawn.requires_grad
    model.elbo(drawn)  # the likelihood accepts its own draws
    assert model.decode(torch.zeros(3, 2).double()).mean.shape == (3, 1, 4, 4)


def test_sampling_is_ancestral():
    """Moments of samples against E[E[x | z]] and E[var(x | z)] + var(E[x | z]) on a fine grid of z."""
    model = off_start(plane(), by=0.5)
    torch.manual_seed(0)
    x = model.sample(100_000)
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    weight = torch.softmax(model.prior().log_prob(z), 0)
    with torch.no_grad():
        p = model.decode(z)
        mean = weight @ p.mean
        variance = weight @ (p.variance + p.mean**2) - mean**2
    assert ((x.mean(0) - mean).abs() < 5 * (variance / 100_000).sqrt()).all()
    assert ((x.var(0) / variance - 1).abs() < 0.03).all()


def test_own_networks_are_used_and_their_size_is_checked():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (1, 1, 4, 4)))
    model = VAE((1, 4, 4), 2, encoder=encoder, decoder=decoder)
    assert model.encoder is encoder and model.loss(torch.rand(3, 1, 4, 4)).isfinite()
    with pytest.raises(ValueError, match="4 units"):
        VAE((1, 4, 4), 2, encoder=nn.Sequential(nn.Flatten(), nn.Linear(16, 2))).encode(torch.rand(3, 1, 4, 4))
    with pytest.raises(ValueError, match="Unflatten"):
        VAE((1, 4, 4), 2, decoder=nn.Linear(2, 16)).sample(3)
    with pytest.raises(ValueError, match=r"\(B, 1, 4, 4\)"):
        model.loss(torch.rand(3, 16))


def test_draws_repeat_under_one_seed():
    model = plane()
    torch.manual_seed(3)
    a = model.sample(5)
    torch.manual_seed(3)
    assert torch.equal(a, model.sample(5))


def test_a_diverged_encoder_is_not_hidden():
    model = plane()
    with torch.no_grad():
        model.encoder.net[-1].bias[1] = float("nan")
    q = networks.told(model.encoder, torch.zeros(2, 2), None, 0)
    assert q.isnan().any()
    with pytest.raises(ValueError):  # torch.distributions refuses the parameters
        model.loss(torch.zeros(2, 2))


def test_prior_is_the_standard_normal():
    p = VAE(3, 2).prior()
    assert isinstance(p, Independent) and p.event_shape == (2,)
    z = torch.randn(5, 2)
    torch.testing.assert_close(p.log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(1))


# What a model is told and refuses


def test_a_class_is_drawn_as_that_class():
    model = VAE(2, 1, hidden=(), labels=3, likelihood=likelihoods.Gaussian(0.01, None))
    with torch.no_grad():
        layer = model.decoder.net[0]
        layer.weight.zero_(), layer.bias.zero_()
        layer.weight[:, 1:] = torch.tensor([1.0, 2.0, 3.0])
    for y in (0, 1, 2):
        assert (model.sample(5, y) - (y + 1)).abs().max() < 0.1
    each = torch.tensor([2, 0, 1])
    for y in (each, each.to(torch.uint8), each.int(), each.tolist()):
        torch.testing.assert_close(model.sample(3, y), (each + 1.0)[:, None].expand(3, 2), atol=0.1, rtol=0)
    torch.testing.assert_close(model.decode(torch.zeros(5, 1), 1).mean, torch.full((5, 2), 2.0))


@pytest.mark.parametrize(
    "y", [torch.arange(3), torch.zeros(5, 2).long(), [0, 1], torch.tensor([0.0] * 5), torch.ones(5) > 0]
)
def test_labels_that_do_not_fit_are_refused_in_words(y):
    model = VAE(3, 2, hidden=(4,), labels=3)
    for call in (lambda: model.sample(5, y), lambda: model.decode(torch.zeros(5, 2), y)):
        with pytest.raises(ValueError, match="needed .*labels.*got.*try"):
            call()


def test_options_without_effect_or_sense_are_refused():
    for options, said in (
        ({"network": "conv", "hidden": (7,)}, "hidden"),
        ({"levels": 17}, "levels"),
        ({"beta": math.nan}, "beta >= 0"),
        ({"free_bits": -3.0}, "free_bits >= 0"),
    ):
        with pytest.raises(ValueError, match=said):
            VAE((1, 8, 8), 2, **options)
    model = VAE(3, 2, posterior="full")
    model.free_bits = 0.1
    with pytest.raises(ValueError, match="diagonal"):
        model.loss(torch.zeros(4, 3))
    for made in (model, Autoencoder(3, 2)):
        with pytest.raises(ValueError, match=r"z of shape \(..., 2\)"):
            made.decode(torch.zeros(3, 4))


def test_a_posterior_may_be_narrow_and_hidden_layers_are_mirrored():
    model = VAE(3, 1, encoder=nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))
    with torch.no_grad():
        model.encoder[1].weight.zero_()
        model.encoder[1].bias.copy_(torch.tensor([0.0, math.log(1e-3)]))
    torch.testing.assert_close(model.encode(torch.zeros(2, 3)).stddev, torch.full((2, 1), 1e-3))
    for beyond in (-80.0, 80.0):  # where exp leaves float32
        model.encoder[1].bias.data[1] = beyond
        std = model.encode(torch.zeros(2, 3)).stddev
        torch.testing.assert_close(std.log(), torch.full((2, 1), math.copysign(10.0, beyond)))
    layers = [layer.out_features for layer in VAE(3, 1, hidden=(8, 4)).decoder.net if isinstance(layer, nn.Linear)]
    assert layers == [4, 8, 3]
