"""Diffusion on one Gaussian, where every quantity has a closed form, and on mixtures whose density is known."""

import math

import pytest
import torch
from one_gaussian import ALL, MEAN, STD, exact, flowed, marginal
from oracles import errors_off, off_init
from torch import nn
from torch.distributions import Normal

from gdm_core import denoising, schedules, train
from gdm_core.data import toy
from gdm_core.models.diffusion import PREDICTS, Diffusion


class Exact(nn.Module):
    """A network that tells what a perfect one would, for N(MEAN, STD^2) and what `model` predicts."""

    def __init__(self, model):
        super().__init__()
        self.model = [model]  # no part of it: the network belongs to the model
        self.unused = nn.Parameter(torch.zeros(()).double())

    def forward(self, x, t, y=None):
        model = self.model[0]
        alpha, sigma, c = model._levels(t, x)
        x_t = x * c
        mean = exact(model.schedule)(x_t, t)
        sigma = sigma.clamp(min=1e-12)
        return model._target(mean, (x_t - alpha * mean) / sigma, t) + 0 * self.unused


def perfect(predicts, schedule, **options):
    model = Diffusion(1, predicts=predicts, schedule=schedule, **options).double()
    model.network = Exact(model)
    return model.double()


FITTING = [
    (p, n)
    for p in PREDICTS
    for n in ("cosine", "line", "preserving", "edm")
    if (p, n)
    not in {("noise", "cosine"), ("noise", "line"), ("score", "cosine"), ("score", "line"), ("velocity", "preserving")}
]


@pytest.mark.parametrize("predicts, name", FITTING)
def test_whatever_it_predicts_the_denoiser_is_the_same(predicts, name):
    model = perfect(predicts, ALL[name], spread=1.4)
    x_t, t = torch.randn(6, 1).double(), torch.linspace(0.1, 0.9, 6).double()
    torch.testing.assert_close(model.denoise(x_t, t), exact(ALL[name])(x_t, t))
    told = denoising.velocity(exact(ALL[name])(x_t, t), x_t, t, ALL[name])
    torch.testing.assert_close(model.velocity(x_t, t), told)
    torch.testing.assert_close(model.denoise(x_t, t[3])[3], model.denoise(x_t, t)[3])


def test_edm_on_a_variance_preserving_schedule_is_the_velocity_of_the_circle():
    """Salimans & Ho (2022): v = alpha noise - sigma x, and the loss asks for -v at unit spread."""
    model = Diffusion(1, predicts="edm", hidden=(4,)).double()
    x, e, t = torch.randn(3, 5, 1).double()[0], torch.randn(5, 1).double(), torch.linspace(0.1, 0.9, 5).double()
    alpha, sigma = denoising.at(schedules.cosine, t, x)
    torch.testing.assert_close(model._target(x, e, t), sigma * x - alpha * e)


@pytest.mark.parametrize("std", [0.5, 2.0])
def test_the_floor_of_flow_matching(std):
    """N(0, 1) to N(0, s^2): no network falls below pi s / 2 a dimension, and the exact one stands there."""
    model = Diffusion(1, schedule=schedules.line).double()

    class Network(nn.Module):
        def forward(self, x, t, y=None):
            alpha, sigma, c = model._levels(t, x)
            mean = exact(schedules.line, 0.0, std)(x * c, t)
            return (x * c - mean) / sigma

    model.network = Network()
    torch.manual_seed(0)
    losses = torch.stack([model.loss(std * torch.randn(4000, 1).double()) for _ in range(20)])
    assert errors_off(losses, math.pi * std / 2) < 4.5


@pytest.mark.parametrize(
    "predicts, name, power",
    [("noise", "preserving", 0), ("score", "preserving", 0), ("data", "line", 2), ("edm", "edm", None)],
)
def test_losses_are_one_regression_in_other_units(predicts, name, power):
    """With the network at 0 the loss is the mean square of the target; score and noise ask for the same."""
    model = off_init(Diffusion(2, predicts=predicts, schedule=ALL[name], hidden=(4,)).double(), 0.0)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    torch.manual_seed(0)
    x = torch.randn(20_000, 2).double()
    truth = x.square().sum(1).mean().item() if predicts == "data" else 2.0
    assert model.loss(x).item() == pytest.approx(truth, rel=0.03)


def test_the_bound_of_the_exact_denoiser_is_tight():
    """With infinitely many steps it is log p(x) for each x (Kong et al., 2023); with T steps 1/T away from it."""
    model, x = perfect("velocity", schedules.cosine), torch.tensor([[0.2], [1.5]]).double().repeat_interleave(300, 0)
    truth = Normal(MEAN, STD).log_prob(x)
    torch.manual_seed(0)
    bound = model.elbo(x, steps=50).reshape(2, 300)
    assert (errors_off(bound.T, truth[::300, 0] - 1e-4) < 4.5).all() and (bound.std(1) < 1).all()
    gaps = []
    for steps in (100, 400):
        kls, rest = model.terms(x, steps=steps)
        gaps.append((truth[:, 0] + kls.sum(0) + rest).mean().item())
    assert gaps[0] > 0.3 and gaps[1] == pytest.approx(gaps[0] / 4, rel=0.25)


def test_the_terms_of_the_bound_are_the_kls_of_its_steps():
    """One step, with numbers: KL at the start, one KL between Gaussians of equal variance, one log density."""
    model = perfect("edm", schedules.edm(5.0), spread=0.8)
    x = torch.tensor([[0.4]]).double().expand(50_000, 1)
    torch.manual_seed(0)
    kls, rest = model.terms(x, steps=1)
    assert kls.shape == (1, 50_000) and rest.shape == (50_000,)
    high, low = 5.0, 0.008
    shrink = lambda sigma: STD**2 / (STD**2 + sigma**2)
    missed = lambda sigma: ((1 - shrink(sigma)) * (0.4 - MEAN)) ** 2 + (shrink(sigma) * sigma) ** 2
    assert errors_off(kls[0], 0.5 * (1 / low**2 - 1 / high**2) * missed(high)) < 4.5
    ends = 0.4**2 / (2 * high**2) + 0.5 * missed(low) / low**2 + 0.5 * math.log(2 * math.pi * low**2)
    assert errors_off(rest, ends) < 4.5


def test_time_reaches_the_network_and_labels_too():
    torch.manual_seed(0)
    model = off_init(Diffusion(2, labels=3, drop=0.5, hidden=(8,))).double()
    x, y = torch.randn(4, 2).double(), torch.tensor([0, 1, 2, 0])
    at = lambda t, y=y: model.denoise(x, torch.tensor(t).double(), y)
    assert not torch.allclose(at(0.3), at(0.6), atol=1e-3)
    none = at(0.3, torch.full((4,), 3))
    assert torch.equal(none, at(0.3, None)) and not torch.allclose(none[3], at(0.3)[3], atol=1e-3)
    with pytest.raises(ValueError, match="integer labels"):
        at(0.3, torch.full((4,), 4))
    assert model.sample(3).shape == (3, 2) and model.sample(3, 1).shape == (3, 2)


def test_a_share_of_the_labels_is_dropped():
    seen = []

    class Listens(nn.Module):
        def forward(self, x, t, y=None):
            seen.append(y)
            return 0 * x

    model = Diffusion(1, labels=2, drop=0.25, network=Listens())
    torch.manual_seed(0)
    model.loss(torch.zeros(8000, 1), torch.ones(8000, dtype=torch.long))
    assert set(seen[0].tolist()) == {1, 2} and (seen[0] == 2).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_each_example_has_a_time_and_a_noise_of_its_own():
    seen = []

    class Listens(nn.Module):
        def forward(self, x, t, y=None):
            seen.append((x, t))
            return 0 * x

    torch.manual_seed(0)
    Diffusion(1, network=Listens()).loss(torch.zeros(500, 1))
    x, t = seen[0]
    assert len(set(t.tolist())) == 500 and t.mean().item() == pytest.approx(0.5, abs=0.01)
    assert 0 < t.min() < 0.01 and 0.99 < t.max() < 1
    place = 500 * t.sort().values - torch.arange(500)  # of each in its share of all times
    assert place.min() < 0.05 and place.max() > 0.95 and place.std().item() == pytest.approx(12**-0.5, abs=0.03)
    noise = x[:, 0] / schedules.cosine(t)[1]
    assert noise.std().item() == pytest.approx(1, abs=0.15)


def test_samples_start_at_the_noise_of_the_last_level_and_follow_the_flow():
    model = perfect("edm", schedules.edm(20.0))
    torch.manual_seed(0)
    x = model.sample(20_000, steps=20)
    mean, std = marginal(model.schedule, 1.0)
    truth_mean = flowed(model.schedule, torch.zeros(()).double(), 1.0, 0.0)
    assert errors_off(x, truth_mean) < 4.5 and x.std().item() == pytest.approx((20.0 * STD / std).item(), rel=0.02)


def test_training_learns_a_mixture():
    """KL from the exact density to the flow's, nats: about 0.1."""
    torch.manual_seed(0)
    target = toy.target("trimodal")
    model = Diffusion(1, hidden=(32, 32))
    train.fit(
        model, target.sample, steps=500, batch_size=256, lr=1e-2, rate=train.falling, average=0.99, progress=False
    )
    x = target.sample(1000)
    gaps = target.log_prob(x) - model.log_prob(x, steps=16)
    assert -0.05 < gaps.mean() < 0.2


def test_training_without_a_drop_knows_no_label_for_none():
    model, x = Diffusion(2, labels=3, hidden=(4,)), torch.randn(4, 2)
    assert torch.isfinite(model.loss(x, torch.tensor([0, 1, 2, 0])))
    with pytest.raises(ValueError, match="needed .* got .* try"):
        model.loss(x, torch.tensor([0, 1, 2, 3]))


def test_the_bound_tells_each_example_with_its_own_label():
    seen = []

    class Listens(nn.Module):
        def forward(self, x, t, y=None):
            seen.append((x[:, 0], t, y))
            return 0 * x

    y = torch.tensor([0, 1, 1, 0, 1])
    Diffusion(1, labels=2, network=Listens()).elbo(10.0 * (2 * y[:, None] - 1), y, steps=20)
    x, t, asked = (torch.cat(a) for a in zip(*seen))
    clear = t < 0.5
    assert clear.sum() > 20 and ((x > 0) == (asked == 1))[clear].all()


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: schedules.check(lambda t: (torch.cos((t + 0.008) / 1.008), torch.sin((t + 0.008) / 1.008))),
            "starts clean",
        ),
        (lambda: schedules.check(lambda t: (1 - t, 0.1 + t)), "starts clean"),
        (lambda: schedules.check(lambda t: (torch.ones_like(t), t * (1 - t))), "noise grows"),
        (lambda: schedules.check(lambda t: (1 - t.clamp(max=0.5), t.clamp(max=0.5))), "noise grows"),
        (lambda: schedules.times(schedules.linear(100), 101), "at most the 100 steps"),
        (lambda: schedules.times(schedules.line, 0), "integer steps"),
        (lambda: schedules.times(schedules.line, 5, by="sigma"), "by to be one of"),
        (lambda: schedules.linear(10, 0.5, 0.1), "least <= most"),
        (lambda: Diffusion(1, predicts="x0"), "predicts to be one of"),
        (lambda: Diffusion(1, predicts="noise"), "data left at t = 1"),
        (lambda: Diffusion(1, schedule=schedules.preserving()), "finite velocity"),
        (lambda: Diffusion(1, drop=0.1), "labels to drop"),
        (lambda: Diffusion(2).denoise(torch.zeros(3, 2), torch.tensor(1.2)), "t from 0"),
        (lambda: Diffusion(2).denoise(torch.zeros(3, 2), torch.tensor([0.1, -0.2, 0.5])), "t from 0"),
        (lambda: Diffusion(2).log_prob(torch.zeros(3, 2), probes=-1), "integer probes"),
        (lambda: Diffusion(2, labels=3).denoise(torch.zeros(1, 2), torch.tensor(0.5)), "labels"),
        (lambda: Diffusion(2, labels=3).denoise(torch.zeros(1, 2), torch.tensor(0.5), torch.tensor([3])), "labels"),
        (lambda: Diffusion(2, network=nn.Linear(2, 3)), None),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, words):
    if words is None:

        class Wrong(nn.Linear):
            def forward(self, x, t, y=None):
                return super().forward(x)

        call, words = (
            lambda: Diffusion(2, network=Wrong(2, 3)).denoise(torch.zeros(4, 2), torch.tensor(0.5)),
            "output is",
        )
    with pytest.raises(ValueError, match=f"needed .*{words}.* got .* try"):
        call()
