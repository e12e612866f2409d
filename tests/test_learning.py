"""Short seeded trainings with a measured distance from what is known: learning itself works, end to end."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from to_come.denoiser import Denoiser
from torch import nn

from gdm_core import data, disentanglement, ideal, inference, latent, likelihoods, samplers, train
from gdm_core.data import toy
from gdm_core.explorers.digit_denoisers import digit_denoiser, some_digits
from gdm_core.models.autoencoder import Autoencoder
from gdm_core.models.gan import GAN
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE
from gdm_core.models.vqvae import VQVAE
from gdm_core.schedules import cosine, times

pytestmark = pytest.mark.slow

torch.set_num_threads(1)


def learn(model, x, steps, **options):
    torch.manual_seed(0)
    train.fit(model, x, steps=steps, progress=False, rate=train.falling, **options)
    torch.manual_seed(1)
    return model


@pytest.fixture(scope="module")
def digits():
    return data.load("digits"), data.load("digits", "validation")


@pytest.fixture(scope="module")
def conditional(digits):
    torch.manual_seed(0)
    model = VAE((1, 8, 8), 4, hidden=(128,), likelihood="categorical", levels=17, labels=10)
    return learn(model, (digits[0].x, digits[0].labels), 600, lr=4e-3)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_linear_vae_reaches_the_maximum_likelihood_of_ppca(posterior):
    torch.manual_seed(0)
    x = torch.randn(1000, 6) @ torch.randn(6, 6) * 0.5 + 1.0
    best = PPCA(6, 2).double().solve(x.double()).log_prob(x.double()).mean().item()
    model = learn(VAE(6, 2, hidden=(), posterior=posterior), x, 1500, batch_size=250, lr=0.02)
    with torch.no_grad():
        bound = inference.elbo(model, x, 20).mean().item()
        W, b, std = model.decoder.net[0].weight, model.decoder.net[0].bias, model.likelihood.log_std.exp()
        marginal = torch.distributions.MultivariateNormal(b, W @ W.T + std**2 * torch.eye(6))
        exact = marginal.log_prob(x).mean().item()
    assert best - 0.05 < exact <= best + 1e-4 and abs(bound - best) < 0.1


def test_vae_on_digits_reaches_a_bound_and_beats_pixels_on_their_own(digits):
    """Validation digits are by other writers.  Independent categorical pixels, smoothed by one count, are at 106."""
    train_set, held = digits
    counts = nn.functional.one_hot((train_set.x * 16).round().long(), 17).sum(0) + 1.0  # (1, 8, 8, 17)
    pixels = -likelihoods.GrayCategorical(counts.log()).log_prob(held.x).flatten(1).sum(1).mean().item()
    model = VAE((1, 8, 8), 12, hidden=(256,), likelihood=likelihoods.Discretized(17, components=3))
    learn(model, train_set.x, 600, lr=2e-3)
    with torch.no_grad():
        bound = -inference.iwae_bound(model, held.x, 100).mean().item()
    assert pixels > 104 and bound < 97.5
    assert disentanglement.active_units(model.encode(held.x).mean).sum() >= 8


def test_conditional_vae_draws_the_digit_it_was_told(digits, conditional):
    held = digits[1]
    judge = LogisticRegression(max_iter=300).fit(held.x.flatten(1), held.labels)  # never saw the model's data
    y = torch.arange(10).repeat(40)
    guessed = torch.from_numpy(judge.predict(conditional.sample(400, y).flatten(1)))
    assert (guessed == y).double().mean() > 0.75


def test_style_carries_over_from_one_digit_to_another(conditional):
    """Analogies: the same z under two labels gives pictures alike in what the label does not say."""
    z = conditional.prior().sample((300,))
    with torch.no_grad():
        one, seven = (conditional.decode(z, torch.full((300,), y)).mean.flatten(1) for y in (1, 7))
    same = (one - seven - (one - seven).mean(0)).square().sum(1).mean()
    other = (one - seven.roll(1, 0) - (one - seven.roll(1, 0)).mean(0)).square().sum(1).mean()
    assert same < 0.85 * other


def test_collapse_under_a_heavy_kl_and_its_cure_by_free_bits(digits):
    x = digits[0].x

    def active(**options):
        torch.manual_seed(0)
        model = VAE((1, 8, 8), 8, hidden=(64,), likelihood=likelihoods.Gaussian(1.0, learn=None), **options)
        learn(model, x, 300, lr=3e-3)
        return int(disentanglement.active_units(model.encode(x).mean).sum())

    assert active(beta=4.0) == 0
    assert active(beta=4.0, free_bits=0.5) == 8


def test_encoder_pays_an_amortization_gap(digits):
    train_set, held = digits
    torch.manual_seed(0)
    model = VAE((1, 8, 8), 2, hidden=(64,), likelihood=likelihoods.Gaussian(0.3, learn=None))
    learn(model, train_set.x, 500, lr=3e-3)
    x = held.x[:40]
    grid = inference.grid_posterior(model, x, half_width=8, side=300)
    gap = inference.inference_gap(model, x, log_px=grid.log_px, steps=200, samples=200)
    assert gap.amortization.value > 3 * gap.amortization.error > 0
    assert gap.approximation.value > 0 and gap.total.value < 3


def test_two_latent_spaces_are_joined_by_a_linear_map(digits):
    """Two autoencoders from other seeds: 100 matched digits are enough to carry most of a code across."""
    train_set, held = digits
    codes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = learn(Autoencoder((1, 8, 8), 6, hidden=()), train_set.x, 500, lr=1e-2)
        with torch.no_grad():
            codes.append((model.encode(train_set.x[:100]), model.encode(held.x)))
    (a, a_held), (b, b_held) = codes
    error = latent.fit_map(a, b).error(a_held, b_held)
    shuffled = latent.fit_map(a, b[torch.randperm(100)]).error(a_held, b_held)
    assert error.value < 0.2 and shuffled.value > 0.8


def test_vqvae_uses_its_codebook_and_reconstructs(digits):
    train_set, held = digits
    torch.manual_seed(0)
    model = VQVAE((1, 8, 8), codes=32, width=8, halvings=1, likelihood="categorical", levels=17)
    model.revive(train_set.x)
    history = list(train.steps(model, train_set.x, steps=200, lr=3e-3, batch_size=64))[-1]
    for _ in train.steps(model, train_set.x, steps=200, lr=3e-3, batch_size=64):
        pass
    with torch.no_grad():
        picture = model.decode_codes(model.encode_codes(held.x)).mean
    unexplained = (picture - held.x).square().sum() / (held.x - train_set.x.mean(0)).square().sum()
    assert all(math.isfinite(v) for v in history.loss) and model.perplexity(held.x) > 10 and unexplained < 0.25


def test_a_gan_learns_eight_bumps():
    """The relativistic loss with R1 and R2: every bump gets its share of samples, and most lie on one."""
    target = toy.target("eight_gaussians")

    def shares(x):
        off, bump = torch.cdist(x, target.means).min(1)
        return bump[off < 0.9].bincount(minlength=8) / len(x)  # three standard deviations

    torch.manual_seed(0)
    gan = GAN(2, 2, loss="relativistic", r1=0.1, r2=0.1, hidden=(64, 64))
    start = shares(gan.sample(4000))
    train.fit(gan, lambda n: target.sample(n), steps=800, lr=2e-3, average=0.99, progress=False)
    found = shares(gan.sample(4000))
    assert start.sum() < 0.05 and found.min() > 0.03 and found.sum() > 0.5, (start, found)


def test_a_denoiser_reaches_the_floor_of_its_loss():
    """x | y ~ N(y, 1/4): no denoiser is below E_t var(x | x_t), which is known."""
    torch.manual_seed(0)
    model, var = Denoiser(2, labels=3), 0.25

    def draw(n):
        y = torch.arange(n) % 3
        return y[:, None] + var**0.5 * torch.randn(n, 2), y

    alpha, sigma = model.schedule(torch.linspace(0, 1, 2001)[1:-1])
    floor = 2 * (var * sigma**2 / (alpha**2 * var + sigma**2)).mean().item()
    train.fit(model, draw, steps=1000, batch_size=256, lr=1e-2, rate=train.falling, progress=False)
    reached = train.evaluate(model, draw(60_000), batch_size=10_000)
    assert 0.99 * floor < reached < 1.02 * floor, (reached, floor)
    for y in range(3):
        x = model.sample(2000, y, steps=200)
        assert (x.mean(0) - y).abs().max() < 0.2 and (x.std(0) / var**0.5 - 1).abs().max() < 0.3  # 200 coarse steps


def test_a_network_denoises_and_draws_digits():
    """New digits, better than by the best straight line; drawn ones, as a classifier of real digits reads them."""
    torch.manual_seed(0)
    known, labels = some_digits(1000)
    model, run = digit_denoiser(1000, steps=200)
    for _ in run:
        pass
    new, asked, t = data.load("digits", "test"), torch.arange(200) % 10, torch.tensor(0.8)
    line, (alpha, sigma) = ideal.gaussian(known.mean(0), torch.cov(known.flatten(1).T), cosine), cosine(t)
    x = 2 * new.x - 1
    x_t = alpha * x + sigma * torch.randn_like(x)
    off = lambda told: (told - x).square().mean().item()
    judge, read = SVC().fit(known.flatten(1), labels), lambda x, y: judge.score(x.clamp(-1, 1).flatten(1), y)
    with torch.no_grad():
        errors = off(model.denoise(x_t, t, new.labels)), off(line(x_t, t))
        told = lambda x, t: model.denoise(x, t, asked)
        drawn = samplers.last(samplers.ddim(told, cosine, torch.randn(200, 1, 8, 8), times(cosine, 10, by="angle")))
    assert errors[0] < 0.9 * errors[1], errors  # .71; 1.07 where nothing is learned
    assert read(x, new.labels) > 0.9 and read(drawn, asked) > 0.6  # .86; by chance .1
