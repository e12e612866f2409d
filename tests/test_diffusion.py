"""Diffusion on one Gaussian, where every quantity has a closed form, and on mixtures whose density is known."""

import math

import numpy as np
import pytest
import second_device
import torch
from oracles import errors_off, off_init
from torch import nn
from torch.distributions import Normal

from gdm_core import denoising, ode, samplers, schedules, train
from gdm_core.data import toy
from gdm_core.models.diffusion import PREDICTS, Diffusion

MEAN, STD = 0.7, 0.6
ALL = {
    "line": schedules.line,
    "cosine": schedules.cosine,
    "preserving": schedules.preserving(),
    "linear": schedules.linear(),
    "exploding": schedules.exploding(20.0),
    "edm": schedules.edm(20.0),
}
each = pytest.mark.parametrize("name", ALL)


def exact(schedule, mean=MEAN, std=STD):
    """E[x | x_t] for x ~ N(mean, std^2) in every entry, by completing the square."""

    def denoise(x_t, t):
        alpha, sigma = denoising.at(schedule, t, x_t)
        return mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (x_t - alpha * mean)

    return denoise


def marginal(schedule, t, mean=MEAN, std=STD):
    alpha, sigma = schedule(torch.as_tensor(t, dtype=torch.float64))
    return alpha * mean, (alpha**2 * std**2 + sigma**2).sqrt()


def flowed(schedule, x, t, s):
    """Where the flow takes x_t: a point keeps its place in standard deviations."""
    (m, a), (n, b) = marginal(schedule, t), marginal(schedule, s)
    return n + b * (x - m) / a


# Schedules


@each
def test_schedules_start_clean_and_end_in_noise(name):
    schedule = schedules.check(ALL[name])
    alpha, sigma = schedule(torch.tensor([0.0, 1.0]).double())
    assert alpha[0] == 1 and sigma[0] == 0 and alpha[1] < 0.06 * sigma[1]
    for t in (torch.tensor(0.3), torch.rand(5).double()):
        assert all(a.shape == t.shape and a.dtype == t.dtype for a in schedule(t))


def test_the_numbers_of_the_papers():
    t = torch.tensor(0.5).double()
    assert [v.item() for v in schedules.line(t)] == [0.5, 0.5]
    assert [v.item() for v in schedules.cosine(t / 1.5)] == pytest.approx([3**0.5 / 2, 0.5])
    alpha, sigma = schedules.preserving()(2 * t)
    assert alpha**2 == pytest.approx(math.exp(-10.05)) and alpha**2 + sigma**2 == pytest.approx(1)
    assert schedules.edm(80.0)(t)[1] == pytest.approx(80 / 2**7)
    alpha, sigma = schedules.exploding(50.0, 0.01)(torch.tensor([0.5, 1.0]).double())
    assert (alpha == 1).all() and sigma.tolist() == pytest.approx([0.01 * (5001**0.5 - 1), 50.0])


def test_the_table_is_a_product_of_its_steps():
    """alpha of step k is what k steps of the chain keep, not what step k keeps."""
    table = schedules.linear(5, 0.1, 0.5)
    kept = 1.0
    for k, beta in enumerate([0.1, 0.2, 0.3, 0.4, 0.5], 1):
        kept *= 1 - beta
        alpha, sigma = table(torch.tensor(k / 5).double())
        assert (alpha**2).item() == pytest.approx(kept) and (sigma**2).item() == pytest.approx(1 - kept)
    between = table(torch.tensor(0.5).double())[0].log()
    assert between == pytest.approx(
        (table(torch.tensor(0.4).double())[0] * table(torch.tensor(0.6).double())[0]).log() / 2
    )
    assert schedules.linear()(torch.tensor(1.0).double())[0].item() ** 2 == pytest.approx(4.0358e-5, rel=1e-3)


@each
def test_the_angle_walks_back_to_its_time(name):
    t = torch.linspace(0, 1, 30).double()
    phi = schedules.angle(ALL[name], t)
    assert phi[0] == 0 and (phi.diff() > 0).all() and phi[-1] <= math.pi / 2
    torch.testing.assert_close(schedules.time_at(ALL[name], phi)[1:-1], t[1:-1], rtol=1e-6, atol=1e-9)


@each
def test_times_fall_from_noise_to_data(name):
    for by in ("time", "angle"):
        t = schedules.times(ALL[name], 20, by=by)
        assert len(t) == 21 and t[0] == 1 and t[-1] == 0 and (t.diff() < 0).all()
    root = schedules.angle(ALL[name], t).sqrt()
    torch.testing.assert_close(root.diff(), (-root[0] / 20).expand(20), rtol=1e-4, atol=1e-6)


def test_a_table_gives_its_own_times():
    t = schedules.times(schedules.linear(10), 4)
    torch.testing.assert_close(t * 10, (t * 10).round())
    torch.testing.assert_close(schedules.times(schedules.linear(10), 10) * 10, torch.arange(10, -1, -1).double())


def test_the_process_has_the_marginals_of_its_schedule():
    """f and g by differences of log alpha and sigma^2; in Song et al. (2021, eq. 11) f = -beta / 2, g^2 = beta."""
    t = torch.tensor([0.2, 0.7]).double()
    f, g2 = schedules.drift(schedules.preserving(0.1, 20.0), t)
    beta = 0.1 + 19.9 * t
    torch.testing.assert_close(f, -beta / 2)
    torch.testing.assert_close(g2, beta)
    f, g2 = schedules.drift(schedules.line, t)  # alpha' / alpha = -1 / (1 - t), 2 t + 2 t^2 / (1 - t)
    torch.testing.assert_close(f, -1 / (1 - t))
    torch.testing.assert_close(g2, 2 * t / (1 - t))
    f, g2 = schedules.drift(schedules.edm(2.0), t)
    assert (f == 0).all()
    torch.testing.assert_close(g2, 2 * 7 * 4 * t**13)


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


# Samplers


def solvers(schedule, noise=None):
    denoise = exact(schedule)
    return {
        "ddim": lambda x, t: samplers.ddim(denoise, schedule, x, t),
        "ddpm": lambda x, t: samplers.ddim(denoise, schedule, x, t, eta=1.0, noise=noise),
        "heun": lambda x, t: samplers.heun(denoise, schedule, x, t),
        "multistep": lambda x, t: samplers.multistep(denoise, schedule, x, t),
        "sde": lambda x, t: samplers.sde(denoise, schedule, x, t, noise=noise),
        "corrected": lambda x, t: samplers.predictor_corrector(denoise, schedule, x, t, noise=noise),
    }


LEVELS = {0.9: (0.6, 0.8), 0.3: (0.8, 0.6), 0.2: (0.9, 0.3)}


def by_hand(t):
    """A schedule with numbers, known at three times."""
    pairs = [LEVELS[round(v.item(), 3)] for v in t.reshape(-1)]
    return tuple(torch.tensor(levels, dtype=torch.float64).reshape(t.shape) for levels in zip(*pairs))


TOLD = {0.9: 0.5, 0.3: -0.2}


def tells(x, t):
    return torch.full_like(x, TOLD[round(t.item(), 3)])


def test_a_ddim_step_by_hand():
    """Song, Meng & Ermon (2021, eq. 12) with numbers: alpha .6 -> .8, sigma .8 -> .6, x_t = 1, mean .5."""
    e = torch.full((1, 1), 2.0).double()
    told = (1 - 0.6 * 0.5) / 0.8
    full = 0.6**2 * (1 - (0.6 * 0.6 / (0.8 * 0.8)) ** 2)
    for eta in (0.0, 0.5, 1.0):
        s, times = eta * math.sqrt(full), torch.tensor([0.9, 0.3]).double()
        *_, x = samplers.ddim(tells, by_hand, torch.ones(1, 1).double(), times, eta=eta, noise=lambda i: e)
        assert x.item() == pytest.approx(0.8 * 0.5 + math.sqrt(0.6**2 - s**2) * told + 2 * s)


def test_two_steps_of_multistep_by_hand():
    """Lu et al. (2022, alg. 2): r = h_1 / h_2, mean (1 + 1 / 2r) of the last less 1 / 2r of the one before."""
    times = torch.tensor([0.9, 0.3, 0.2]).double()
    _, first, second = samplers.multistep(tells, by_hand, torch.ones(1, 1).double(), times)
    assert first.item() == pytest.approx(0.8 * 0.5 + 0.6 * (1 - 0.6 * 0.5) / 0.8)
    h = [math.log(0.8 / 0.6) - math.log(0.6 / 0.8), math.log(0.9 / 0.3) - math.log(0.8 / 0.6)]
    ahead = -0.2 + h[1] / (2 * h[0]) * (-0.2 - 0.5)
    assert second.item() == pytest.approx(0.3 / 0.6 * first.item() - 0.9 * math.expm1(-h[1]) * ahead)


def test_a_corrected_step_by_hand():
    """DDPM's step with the first noise, then Langevin's at the new level with the second; h = .1 sigma^2."""
    draws, times = [1.5, -0.7], torch.tensor([0.9, 0.3]).double()
    noise = lambda i: torch.full((1, 1), draws[i]).double()
    *_, x = samplers.ddim(tells, by_hand, torch.ones(1, 1).double(), times, eta=1.0, noise=noise)
    score, h = (0.8 * -0.2 - x) / 0.6**2, 0.1 * 0.6**2
    *_, end = samplers.predictor_corrector(tells, by_hand, torch.ones(1, 1).double(), times, noise=noise)
    torch.testing.assert_close(end, x + h * score + math.sqrt(2 * h) * draws[1])


@each
def test_with_eta_1_a_step_is_the_posterior(name):
    """q(x_s | x_t, x) is the product of N(x_s; alpha_s x, .) and N(x_t; alpha_t / alpha_s x_s, .) (Ho et al., 7)."""
    schedule, (t, s) = ALL[name], (0.7, 0.4)
    (a, b), (c, d) = ([v.item() for v in schedule(torch.tensor(u).double())] for u in (t, s))
    x, x_t, e = 1.3, -0.4, 1.7
    step, var = a / c, b**2 - (a / c) ** 2 * d**2
    precision = 1 / d**2 + step**2 / var
    mean = (c * x / d**2 + step * x_t / var) / precision
    *_, x_s = samplers.ddim(
        lambda x_t, t: torch.full_like(x_t, x),
        schedule,
        torch.full((1, 1), x_t).double(),
        torch.tensor([t, s]).double(),
        eta=1.0,
        noise=lambda i: torch.full((1, 1), e).double(),
    )
    assert x_s.item() == pytest.approx(mean + e / math.sqrt(precision), rel=1e-6)


def test_ddim_on_the_line_is_eulers_method():
    schedule, denoise = schedules.line, exact(schedules.line)
    times, x = schedules.times(schedule, 8), torch.randn(4, 2).double()
    for t, s, here, there in zip(
        times, times[1:], states := list(samplers.ddim(denoise, schedule, x, times)), states[1:]
    ):
        told = denoising.velocity(denoise(here, t), here, t, schedule)
        torch.testing.assert_close(there, here + (s - t) * told)


@pytest.mark.parametrize("solver, order", [("ddim", 1), ("heun", 2), ("multistep", 2)])
@pytest.mark.parametrize("name", ["line", "cosine", "preserving", "edm"])
def test_the_order_of_each_solver(solver, order, name):
    """Error against the closed flow of a Gaussian, as the steps are halved twice."""
    schedule = ALL[name]
    phi = torch.linspace(1.4, 0.2, 65).double()
    x = torch.tensor([[-1.0], [2.0]]).double()
    errors = []
    for every in (4, 2, 1):
        t = schedules.time_at(schedule, phi[::every])
        *_, end = solvers(schedule)[solver](x, t)
        errors.append((end - flowed(schedule, x, t[0], t[-1])).abs().max().item())
    rates = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert all(abs(rate - order) < 0.25 for rate in rates), (rates, errors)


@pytest.mark.parametrize("solver", ["ddim", "ddpm", "heun", "multistep", "sde", "corrected"])
@pytest.mark.parametrize("name", ["cosine", "preserving", "edm"])
def test_every_solver_reaches_the_data_through_the_marginals(solver, name):
    schedule, n = ALL[name], 4000
    torch.manual_seed(0)
    t = schedules.time_at(schedule, torch.linspace(1.5, 0, 81).double())
    mean, std = marginal(schedule, t[0])
    states = list(solvers(schedule)[solver](mean + std * torch.randn(n, 1).double(), t))
    assert len(states) == len(t)
    for k in (40, 80):
        mean, std = marginal(schedule, t[k])
        assert errors_off(states[k], mean) < 4.5 and abs(states[k].std() / std - 1) < 0.08, (k, mean, std)


@pytest.mark.parametrize("solver", ["ddpm", "sde", "corrected"])
def test_the_last_step_draws_no_noise(solver):
    """It ends at the mean that the denoiser tells; whoever asks for its noise is told off."""
    schedule, asked = ALL["preserving"], []

    def noise(i):
        asked.append(i)
        return torch.ones(3, 1).double()

    t = torch.tensor([0.9, 0.5, 0.0]).double()
    *_, before, end = solvers(schedule, noise)[solver](torch.zeros(3, 1).double(), t)
    assert asked == ([0, 1] if solver == "corrected" else [0])
    if solver != "sde":
        torch.testing.assert_close(end, exact(schedule)(before, t[1]))


@pytest.mark.parametrize("solver", ["ddpm", "sde", "corrected"])
def test_noise_is_an_argument_or_follows_the_seed(solver):
    schedule, x, t = ALL["preserving"], torch.randn(5, 1).double(), torch.tensor([0.9, 0.5, 0.2]).double()
    draws = torch.randn(9, 5, 1).double()
    run = lambda noise=None: list(solvers(schedule, noise)[solver](x, t))[-1]
    assert torch.equal(run(lambda i: draws[i]), run(lambda i: draws[i]))
    a, b, c = (torch.manual_seed(seed) and run() for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_a_step_of_the_reverse_process_by_hand():
    """Song et al. (2021, eq. 6): beta(.5) = 10.05 at t = .5, a step of .1."""
    schedule, x = schedules.preserving(), torch.tensor([[1.5]]).double()
    t = torch.tensor([0.5, 0.4]).double()
    mean, std = marginal(schedule, 0.5)
    score, beta = -(1.5 - mean) / std**2, 10.05
    truth = 1.5 + 0.1 * (beta * 1.5 / 2 + beta * score) + math.sqrt(0.1 * beta) * 2
    *_, end = samplers.sde(exact(schedule), schedule, x, t, noise=lambda i: torch.full((1, 1), 2.0).double())
    torch.testing.assert_close(end, truth.reshape(1, 1))


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"eta": 1.5}, "eta from 0"),
        ({"eta": -0.1}, "eta from 0"),
        ({"times": torch.tensor([0.1, 0.9])}, "times that fall"),
        ({"times": torch.tensor([0.9])}, "times that fall"),
        ({"times": torch.tensor([1.1, 0.9])}, r"times in \[0, 1\]"),
        ({"times": torch.tensor([0.9, -0.1])}, r"times in \[0, 1\]"),
    ],
)
def test_bad_settings_are_refused_at_the_call(bad, words):
    given = {"times": torch.tensor([1.0, 0.0])} | bad
    with pytest.raises(ValueError, match=f"needed {words}"):
        samplers.ddim(exact(schedules.line), schedules.line, torch.zeros(2, 1), **given)


def test_a_process_without_a_finite_drift_is_refused():
    with pytest.raises(ValueError, match="needed times with a finite drift"):
        samplers.sde(exact(schedules.line), schedules.line, torch.zeros(2, 1), torch.tensor([1.0, 0.5]))


# The flow and its density


@each
def test_the_density_of_a_gaussian_by_the_flow(name):
    """That of the data where alpha_1 = 0; elsewhere the flow starts from N(0, sigma_1^2): closed too."""
    schedule, x = ALL[name], torch.linspace(-1.5, 2.5, 9).double()[:, None]
    mean, std = marginal(schedule, 1.0)
    sigma = schedule(torch.tensor(1.0).double())[1]
    there = flowed(schedule, x, 0.0, 1.0)
    truth = Normal(0.0, sigma).log_prob(there) + (std / STD).log()
    told = ode.log_prob(exact(schedule), schedule, x, steps=24)
    torch.testing.assert_close(told, truth[:, 0], rtol=0, atol=2e-4)
    if name in ("line", "cosine"):
        torch.testing.assert_close(told, Normal(MEAN, STD).log_prob(x)[:, 0], rtol=0, atol=2e-4)


def test_the_density_converges_with_order_four():
    schedule, x = schedules.cosine, torch.tensor([[0.1], [1.6]]).double()
    truth = Normal(MEAN, STD).log_prob(x)[:, 0]
    a, b = ((ode.log_prob(exact(schedule), schedule, x, steps=k) - truth).abs().max() for k in (8, 16))
    assert 3.6 < math.log2(a / b) < 5  # a stage that is taken twice makes it 3.1


def wide(x_t, t):
    """The exact denoiser of N(0, S) with S of correlation 0.8, cosine schedule."""
    alpha, sigma = schedules.cosine(t)
    S = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
    return x_t @ torch.linalg.solve(alpha**2 * S + sigma**2 * torch.eye(2).double(), alpha * S)


def test_hutchinsons_trace_has_the_right_mean_and_one_noise_for_a_whole_solve():
    x = torch.tensor([[0.3, -1.0]]).double()
    exact = ode.log_prob(wide, schedules.cosine, x, steps=12)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.tensor([[1, 0.8], [0.8, 1]]).double())
    torch.testing.assert_close(exact, truth.log_prob(x), rtol=0, atol=1e-3)
    torch.manual_seed(0)
    v = torch.randn(400, 1, 2).double().sign()
    each = torch.cat([ode.log_prob(wide, schedules.cosine, x, steps=6, probes=v[[k]]) for k in range(40)])
    assert errors_off(each, ode.log_prob(wide, schedules.cosine, x, steps=6)) < 4
    assert len({round(value, 6) for value in each.tolist()}) == 2  # two signs in the plane: equal or opposite
    together = ode.log_prob(wide, schedules.cosine, x, steps=6, probes=v[:40])
    torch.testing.assert_close(together, each.mean()[None])
    with pytest.raises(ValueError, match="needed probes"):
        ode.log_prob(wide, schedules.cosine, x, probes=v[0])


def test_the_walk_goes_where_the_flow_goes():
    schedule, x = schedules.preserving(), torch.tensor([[0.1], [1.6]]).double()
    states = list(ode.walk(exact(schedule), schedule, x, steps=20))
    assert len(states) == 21 and torch.equal(states[0][0], x) and (states[0][1] == 0).all()
    torch.testing.assert_close(states[-1][0], flowed(schedule, x, 0.0, 1.0), rtol=0, atol=1e-3)


# The model


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


@pytest.mark.parametrize("solver", [samplers.ddim, samplers.heun, samplers.multistep], ids=lambda f: f.__name__)
def test_the_last_step_ends_at_what_the_denoiser_says(solver):
    """Last, whatever it said before."""
    x, mean = torch.randn(5, 2).double(), torch.randn(5, 2).double()
    for times in ([0.6, 0.0], [0.9, 0.6, 0.0]):
        *_, end = solver(lambda x, t: mean * t, schedules.preserving(), x, torch.tensor(times).double())
        torch.testing.assert_close(end, 0.6 * mean)


@pytest.mark.parametrize("solver, wanted", [("ddpm", [0, 1]), ("sde", [0, 1]), ("corrected", [0, 1, 2, 3])])
def test_each_step_has_a_noise_of_its_own(solver, wanted):
    """Of the numbers that the module gives them, all the way."""
    asked, t = [], torch.tensor([0.9, 0.6, 0.3]).double()
    noise = lambda i: asked.append(i) or torch.zeros(3, 1).double()
    list(solvers(ALL["preserving"], noise)[solver](torch.zeros(3, 1).double(), t))
    assert asked == wanted


def test_a_table_between_its_steps_has_a_straight_log_signal():
    table = schedules.linear(5, 0.1, 0.3)
    log_alpha2 = np.concatenate([[0], np.log1p(-np.linspace(0.1, 0.3, 5)).cumsum()])
    t = torch.tensor([0.05, 0.19, 0.25, 0.77, 0.99]).double()
    alpha, sigma = table(t)
    wanted = np.exp(np.interp(t.numpy(), np.linspace(0, 1, 6), log_alpha2))
    np.testing.assert_allclose(alpha**2, wanted, rtol=1e-12)
    np.testing.assert_allclose(sigma**2, 1 - wanted, rtol=1e-12)


def test_training_without_a_drop_knows_no_label_for_none():
    model, x = Diffusion(2, labels=3, hidden=(4,)), torch.randn(4, 2)
    assert torch.isfinite(model.loss(x, torch.tensor([0, 1, 2, 0])))
    with pytest.raises(ValueError, match="needed .* got .* try"):
        model.loss(x, torch.tensor([0, 1, 2, 3]))


def test_a_solver_leaves_the_card_alone_with_what_depends_on_the_time_only():
    """A time is a number on the CPU, and a step of ddim three operations on the card: nobody waits for it."""
    x, seen = torch.randn(3, 2).to(second_device.NAME), []

    def denoise(x_t, t):
        seen.append((t.device.type, t.item()))
        return x_t

    times = schedules.times(schedules.cosine, 4)
    states = samplers.ddim(denoise, schedules.cosine, x, times.to(second_device.NAME))
    next(states)
    before = second_device.done
    last = samplers.last(states)
    assert second_device.done - before <= 4 * 4 and last.device == x.device
    assert seen == [("cpu", pytest.approx(t)) for t in times[:-1].tolist()]
    model = off_init(Diffusion(2, hidden=(8,), labels=3))
    y = torch.tensor([0, 2, 1])
    here = samplers.last(samplers.heun(lambda x, t: model.denoise(x, t, y), model.schedule, x.cpu(), times))
    model, there = model.to(second_device.NAME), y.to(second_device.NAME)
    far = samplers.last(samplers.heun(lambda x, t: model.denoise(x, t, there), model.schedule, x, times))
    torch.testing.assert_close(far.cpu(), here)


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
