"""Solvers: steps by hand, orders that are measured, and the marginals of one Gaussian, which are closed."""

import math

import pytest
import second_device
import torch
from one_gaussian import ALL, each, exact, flowed, marginal
from oracles import errors_off, off_init

from gdm_core import denoising, samplers, schedules
from gdm_core.models.diffusion import Diffusion


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
