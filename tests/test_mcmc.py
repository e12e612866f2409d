"""Chains against moves by hand, against the law that they must end in, and what they refuse."""

import math

import pytest
import torch
from oracles import errors_off

from gdm_core import mcmc
from gdm_core.data.ising import Ising
from gdm_core.data.targets import Mixture

WELLS = lambda x: 1.5 * (x[:, 0] ** 2 - 1) ** 2 + 0.4 * x[:, 0]  # two, one deeper
BOWL = lambda x: x.square().sum(1) / 2


def moments(f, heat=1.0):
    """E f under exp(-WELLS / heat), by quadrature."""
    x = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]
    p = (-WELLS(x) / heat).softmax(0)
    return f(x[:, 0]) @ p


def start(n, d=1, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def near(n):
    """Not where a quartic is so steep that every move is refused."""
    return start(n).clamp(-1.3, 1.3)


def test_a_move_by_hand():
    x, e = torch.tensor([[1.0, -2.0], [0.5, 0.0]]).double(), torch.tensor([[0.3, 1.0], [-2.0, 0.1]]).double()
    states = list(mcmc.langevin(lambda x: -x, x, 0.02, 2, temperature=4.0, noise=lambda i: (i + 1) * e))
    assert torch.equal(states[0], x) and len(states) == 3
    first = 0.98 * x + 0.4 * e  # sqrt(2 * 0.02 * 4)
    torch.testing.assert_close(states[1], first)
    torch.testing.assert_close(states[2], 0.98 * first + 0.8 * e)


def test_without_heat_it_is_descent():
    *_, x = mcmc.langevin(lambda x: -x, start(5), 0.5, 60, temperature=0.0)
    assert x.abs().max() < 1e-15


@pytest.mark.parametrize("size", [0.1, 0.5])
@pytest.mark.parametrize("heat", [1.0, 2.0])
def test_langevin_ends_as_wide_as_its_step_says(size, heat):
    """On a Gaussian x' = (1 - h) x + sqrt(2 h T) noise: the variance T / (1 - h / 2) is where that stands still."""
    torch.manual_seed(0)
    x = mcmc.last(mcmc.langevin(lambda x: -x, start(20_000), size, 60, temperature=heat))
    assert errors_off(x.square(), torch.tensor(heat / (1 - size / 2)).double()).max() < 5


@pytest.mark.parametrize("heat", [1.0, 1.6])
def test_corrected_chains_end_where_they_should_with_any_step(heat):
    torch.manual_seed(0)
    states = list(mcmc.corrected(WELLS, near(20_000), 0.1, 100, temperature=heat))
    x = states[-1][:, 0]
    for f in (lambda x: x, torch.square, lambda x: (x > 0).double(), lambda x: torch.exp(-5 * (x - 1) ** 2)):
        assert errors_off(f(x), moments(f, heat)).max() < 5
    stayed = (states[-1] == states[-2]).double().mean()
    assert 0.05 < stayed < 0.9


def test_the_plain_move_misses_that_by_far():
    torch.manual_seed(0)
    x = mcmc.last(mcmc.langevin(mcmc.score_of(WELLS), near(20_000), 0.05, 100))[:, 0]
    assert errors_off(x.square(), moments(torch.square)).max() > 10


def test_a_move_is_taken_or_refused_as_a_whole():
    """By hand: x' = x + h s + sqrt(2 h) e, and log q(b | a) = -|b - a - h s(a)|^2 / (4 h)."""
    x, e, h = start(50, 2), start(50, 2, 1), 0.3
    energy = lambda x: x[:, 0] ** 4 / 4 + x[:, 0] * x[:, 1] + x[:, 1] ** 2
    grad = lambda x: torch.stack([x[:, 0] ** 3 + x[:, 1], x[:, 0] + 2 * x[:, 1]], 1)
    new = x - h * grad(x) + math.sqrt(2 * h) * e
    log_q = lambda b, a: -(b - a + h * grad(a)).square().sum(1) / (4 * h)
    chance = (energy(x) - energy(new) + log_q(x, new) - log_q(new, x)).exp()
    for toss in (0.2, 0.5, 0.9):
        _, got = mcmc.corrected(
            energy, x, h, 1, noise=lambda i: e, uniform=lambda i, u=toss: torch.full((50,), u).double()
        )
        torch.testing.assert_close(got, torch.where((toss < chance)[:, None], new, x))
    assert 5 < (chance < 0.9).sum() < 45


def test_pictures_are_taken_or_refused_one_by_one():
    torch.manual_seed(0)
    x = torch.randn(40, 1, 3, 3)
    *_, new = mcmc.corrected(lambda x: 5 * x.square().flatten(1).sum(1), 0.3 * x, 0.1, 1)
    moved = (new != 0.3 * x).flatten(1)
    assert torch.equal(moved.any(1), moved.all(1)) and 0 < moved.any(1).sum() < 40


def test_annealed_moves_are_as_large_as_their_level():
    noises = start(6, 3)
    scores = []
    score = lambda x, sigma: scores.append(sigma.item()) or -x / sigma**2
    states = list(mcmc.annealed(score, torch.ones(1, 3).double(), [2.0, 0.5], 0.1, 3, noise=lambda i: noises[i]))
    assert scores == [2.0] * 3 + [0.5] * 3 and len(states) == 7
    x = torch.ones(1, 3).double()
    for i, sigma in enumerate([2.0] * 3 + [0.5] * 3):
        x = 0.9 * x + math.sqrt(0.2) * sigma * noises[i]
        torch.testing.assert_close(states[i + 1], x)


def test_annealing_finds_the_shares_of_far_modes_and_one_level_does_not():
    torch.manual_seed(0)
    target = Mixture([[-3.0], [3.0]], std=0.3, weights=[0.8, 0.2]).double()
    sigmas = torch.logspace(math.log10(5), -1, 10).tolist()
    at = {s: target.noisy(s) for s in sigmas}
    nearest = lambda sigma: at[min(sigmas, key=lambda s: abs(s - sigma.item()))]
    from_noise = 5 * start(2000)
    x = mcmc.last(mcmc.annealed(lambda x, s: nearest(s).score(x), from_noise, sigmas, 0.2, 20))
    assert (x < 0).double().mean().item() == pytest.approx(0.8, abs=0.05)
    stuck = mcmc.last(mcmc.langevin(target.score, from_noise, 0.02, 200))
    assert (stuck < 0).double().mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_score_by_autograd_can_be_differentiated_again():
    x = start(4, 2).requires_grad_()
    s = mcmc.score_of(lambda x: (x**4).sum(1))(x)
    torch.testing.assert_close(torch.autograd.grad(s.sum(), x)[0], -12 * x.detach() ** 2)
    assert not mcmc.score_of(BOWL)(x.detach()).requires_grad


def test_no_state_holds_on_to_the_network_behind_its_score():
    net, x = torch.nn.Linear(2, 2).double(), start(3, 2)
    runs = mcmc.langevin(net, x, 0.1, 2), mcmc.corrected(lambda x: net(x).square().sum(1), x, 0.1, 2)
    annealed = mcmc.annealed(lambda x, sigma: net(x), x, [1.0, 0.5], steps=1)
    assert not any(state.requires_grad for run in (*runs, annealed) for state in run)


def test_noise_follows_the_seed():
    walks = [torch.manual_seed(s) and mcmc.last(mcmc.langevin(lambda x: -x, start(3), 0.1, 4)) for s in (1, 1, 2)]
    assert torch.equal(walks[0], walks[1]) and not torch.equal(walks[0], walks[2])


def test_what_leaves_says_where():
    run = mcmc.langevin(lambda x: -3 * x**3, 10 * torch.ones(2, 1), 1.0)
    with pytest.raises(FloatingPointError, match="needed finite states, got NaN or infinity at step .*; try a smaller"):
        for _ in range(100):
            next(run)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: mcmc.langevin(BOWL, x, 0.0), "positive, finite size"),
        (lambda x: mcmc.langevin(BOWL, x, 0.1, 0), "integer steps >= 1"),
        (lambda x: mcmc.langevin(BOWL, x, 0.1, temperature=-1.0), "a temperature >= 0, got -1.0"),
        (lambda x: mcmc.corrected(BOWL, x, 0.1, temperature=0.0), "positive, finite temperature"),
        (lambda x: mcmc.annealed(BOWL, x, [0.1, 1.0]), "noise levels that fall"),
        (lambda x: mcmc.annealed(BOWL, x, []), "noise levels that fall"),
        (lambda x: mcmc.annealed(BOWL, x, [1.0, 0.0]), "positive, finite sigma"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_call(call, words):
    with pytest.raises(ValueError, match=f"needed .*{words}"):
        call(torch.zeros(2, 1))


def test_a_sweep_sees_what_it_changed():
    """x_i copies the entry before it (the last one for the first), with chance 0.9."""
    conditional = lambda x, i: torch.where(x[:, i - 1] == 1, 0.9, 0.1)
    tosses = [torch.tensor([[0.5, 0.5, 0.95]]), torch.tensor([[0.5, 0.05, 0.5]])]
    states = list(mcmc.gibbs(conditional, torch.tensor([[0.0, 0.0, 1.0]]), 2, uniform=lambda t: tosses[t]))
    assert [s.tolist() for s in states] == [[[0, 0, 1]], [[1, 1, 0]], [[0, 1, 1]]]


def test_the_heat_bath_ends_where_all_boards_say():
    """Shares of all 512 boards of 3 x 3, and the mean energy, against the list."""
    torch.manual_seed(0)
    board = Ising(3, 0.3)
    known = lambda i: torch.arange(9) != i
    conditional = lambda x, i: board.conditionals(x.reshape(-1, 1, 3, 3), known(i).reshape(1, 3, 3)).flatten(1)[:, i]
    x = mcmc.last(mcmc.gibbs(conditional, torch.zeros(8000, 9), 12)).reshape(-1, 1, 3, 3)
    p = board.log_p.exp()
    assert errors_off(board.energy(x), p @ board.energy(board.states())).max() < 5
    counts = board.index(x).bincount(minlength=512) / 8000
    assert ((counts - p).abs() < 5 * (p / 8000).sqrt() + 1e-3).all()
