"""The score at every noise level: its form, its loss, and what it learns beside a mixture's exact scores."""

import pytest
import torch
from oracles import off_init
from torch import nn

from gdm_core import train
from gdm_core.data.targets import Mixture
from gdm_core.models.score import NoisyScore

TARGET = Mixture([[-1.2, 0.0], [1.2, 0.6]], std=0.4, weights=[0.7, 0.3])


def made(**options):
    torch.manual_seed(0)
    return off_init(NoisyScore(2, **{"hidden": (16,), "largest": 3.0} | options)).double()


class Says(nn.Module):
    """A network with one answer."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, x, t):
        return self.value.expand(x.shape)


def test_what_the_network_adds_to_the_blurred_normal():
    x = torch.tensor([[1.0, -2.0], [0.5, 0.0]]).double()
    for sigma in (0.1, 1.0, 4.0):
        c = (1 + sigma**2) ** 0.5
        for F in (0.0, 0.7):
            told = NoisyScore(2, network=Says(F)).score_at(x, sigma)
            torch.testing.assert_close(told, -x / c**2 + F / (sigma * c))


def test_the_score_at_a_level_is_that_of_its_denoiser():
    model, x = made(), torch.randn(5, 2).double()
    t = torch.linspace(0.2, 1, 5).double()
    sigma = model.schedule(t)[1]
    told = (model.denoise(x, t) - x) / sigma[:, None] ** 2
    torch.testing.assert_close(model.score_at(x, sigma), told)
    torch.testing.assert_close(model.score_at(x[2:3], sigma[2]), told[2:3])
    assert torch.equal(model.denoise(x, torch.zeros(()).double()), x)


def test_every_level_asks_the_same_of_the_network():
    """(1 + sigma^2) / (2 sigma^2) |denoise - x|^2, with the draws of the loss."""
    model, x = made(), torch.randn(400, 2).double()
    torch.manual_seed(1)
    told = model.loss(x)
    torch.manual_seed(1)
    t = 0.05 + 0.95 * torch.rand(400, dtype=torch.float64)
    x_t = x + model.schedule(t)[1][:, None] * torch.randn_like(x)
    sigma = 3 * t**3
    missed = (model.denoise(x_t, t) - x).square().sum(1)
    torch.testing.assert_close(told, ((1 + sigma**2) / (2 * sigma**2) * missed).mean())


@pytest.fixture(scope="module")
def learned():
    torch.manual_seed(0)
    model = NoisyScore(2, hidden=(64, 64), largest=3.0)
    train.fit(model, TARGET.sample, steps=800, batch_size=256, lr=5e-3, rate=train.falling)
    return model


@pytest.mark.parametrize("sigma", [0.2, 1.0, 2.5])
def test_it_learns_the_scores_of_a_mixture(learned, sigma):
    """Squared error beside the mean square of the exact score, where there are data of that level."""
    torch.manual_seed(1)
    blurred = TARGET.noisy(sigma)
    x = blurred.sample(2000)
    truth = blurred.score(x)
    with torch.no_grad():
        missed = (learned.score_at(x, sigma) - truth).square().sum(1).mean()
    assert missed < 0.12 * truth.square().sum(1).mean()


def test_samples_have_the_shares_of_the_modes(learned):
    torch.manual_seed(2)
    x = learned.sample(1000)
    assert (x[:, 0] < 0).float().mean().item() == pytest.approx(0.7, abs=0.12)
    near = (x[:, None] - TARGET.means).norm(dim=2).amin(1)
    assert (near < 1.2).float().mean() > 0.8 and near.median() > 0.25


def test_a_sample_by_hand():
    """From the largest level to the smallest, then the mean of the data behind what is left of the noise."""
    model = NoisyScore(2, largest=3.0, network=Says(0.7))
    torch.manual_seed(0)
    got = model.sample(5, levels=3, steps=2, smallest=0.75)
    torch.manual_seed(0)
    x = 3 * torch.randn(5, 2, dtype=torch.float64)
    for sigma in (3.0, 3.0, 1.5, 1.5, 0.75, 0.75):
        c = (1 + sigma**2) ** 0.5
        x = x + 0.2 * sigma**2 * (-x / c**2 + 0.7 / (sigma * c)) + (0.4**0.5) * sigma * torch.randn_like(x)
    torch.testing.assert_close(got, x / c**2 + 0.7 * sigma / c)


@pytest.mark.parametrize("sigma", [0.0, 3.1, float("nan")])
def test_levels_that_it_does_not_know(sigma):
    with pytest.raises(ValueError, match=r"needed sigma in \(0, 3\]"):
        made().score_at(torch.zeros(1, 2).double(), sigma)


def test_a_network_that_does_not_fit():
    class Wrong(nn.Linear):
        def forward(self, x, t):
            return super().forward(x)

    with pytest.raises(ValueError, match=r"needed a network whose output is \(4, 2\), got \(4, 3\)"):
        NoisyScore(2, network=Wrong(2, 3)).denoise(torch.zeros(4, 2), torch.tensor(0.5))


def test_a_mixture_with_noise_is_the_mixture_of_noisy_data():
    """log p_sigma by quadrature over the data, and its score by autograd."""
    target = Mixture([[-1.0], [0.8]], std=[0.3, 0.6], weights=[0.4, 0.6]).double()
    points, cells = target.quadrature()
    p = cells * target.log_prob(points).exp()
    x = torch.linspace(-3, 3, 7).double()[:, None]
    for sigma, alpha in ((0.7, 1.0), (0.5, 0.6)):
        noisy = target.noisy(sigma, alpha)
        kernel = torch.distributions.Normal(alpha * points[:, 0], sigma).log_prob(x).exp()  # (7, M)
        torch.testing.assert_close(noisy.log_prob(x).exp(), kernel @ p, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(noisy.modes, target.modes)
    assert torch.equal(target.noisy(0.0).std, target.std)
    with pytest.raises(ValueError, match="needed sigma >= 0 and alpha > 0"):
        target.noisy(-1.0)
