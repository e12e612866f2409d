"""Rules of play on f = xy, of which all is known: radii, orbits, noise; and what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from gdm_core import games

PI = math.pi
NAN = float("nan")


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def roots(*coefficients):
    return max(abs(np.roots(coefficients)))


# f = xy: a step multiplies w = x + iy, or (w, memory), so its radius is a root of a polynomial written by hand

RADII = {
    "simultaneous": lambda h: math.sqrt(1 + h**2),
    "alternating": lambda h: 1.0,
    "extragradient": lambda h: math.sqrt(1 - h**2 + h**4),
    "optimistic": lambda h: roots(1, -(1 + 2j * h), 1j * h),
    "consensus": lambda h: math.hypot(1 - h, h),
    "proximal": lambda h: 1 / math.sqrt(1 + h**2),
    "competitive": lambda h: 1 / math.sqrt(1 + h**2),
    "momentum": lambda h: _alternating_with_momentum(h, 0.5),
    "negative momentum": lambda h: _alternating_with_momentum(h, -0.5),
    "lookahead": lambda h: abs(0.5 + 0.5 * (1 + 1j * h) ** 5),
    "Heun": lambda h: math.sqrt(1 + h**4 / 4),
    "Runge-Kutta": lambda h: math.sqrt(1 - h**6 / 72 + h**8 / 576),
    "midpoint": lambda h: 1.0,
}


def _alternating_with_momentum(h, beta):
    """(z - 1)^2 (z - beta)^2 + h^2 z^3 = 0: x and y are eliminated from one another (Gidel et al., 2019)."""
    square = np.polymul([1, -1], [1, -1])
    return roots(*np.polyadd(np.polymul(square, np.polymul([1, -beta], [1, -beta])), [h**2, 0, 0, 0]))


@pytest.mark.parametrize("name", games.RULES)
def test_radius_of_each_rule_on_xy(name):
    for h in (0.1, 0.3, 0.7, 1.3):
        assert games.radius(games.RULES[name](h), games.bilinear()) == pytest.approx(RADII[name](h), abs=1e-12)
    assert games.RULES.keys() == RADII.keys()


def test_thresholds_and_optima():
    on = lambda rule, **options: games.radius(rule, games.bilinear(**options))
    assert on(games.extragradient(1 / math.sqrt(2))) == pytest.approx(math.sqrt(3) / 2, abs=1e-12)
    assert on(games.optimistic(0.577)) < 1 < on(games.optimistic(0.578))  # 1 / sqrt(3)
    assert on(games.runge_kutta(2.82)) < 1 < on(games.runge_kutta(2.83))  # 2 sqrt(2)
    assert on(games.alternating((1.0, 3.99))) == pytest.approx(1, abs=1e-12) and on(games.alternating((1.0, 4.1))) > 1
    assert on(games.lookahead(games.simultaneous(0.3), 6, 0.5)) == pytest.approx(0.7448, abs=5e-5)
    for gamma, h in ((0.5, 0.3), (1.0, 1.2)):  # R1: radius^2 = 1 - h gamma + h^2 while the eigenvalues are a pair
        wanted = math.sqrt(1 - h * gamma + h**2)
        assert on(games.simultaneous(h), gamma=gamma) == pytest.approx(wanted, abs=1e-12)
    for beta in (0.4, -0.4):  # both at once: z^2 - (1 + beta + ih) z + beta
        wanted = roots(1, -(1 + beta + 0.3j), beta)
        assert on(games.simultaneous(0.3, momentum=beta)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", games.RULES)
def test_three_ways_to_play_are_one(name):
    """By autograd, in closed form, by powers of the step's matrix; and it is the loop's radius that is foretold."""
    rule, start = games.RULES[name](0.3), double(0.8, -0.5)
    played = games.path(games.zero_sum(lambda x, y: x * y, *start), rule, 60).states
    closed = games.path(games.bilinear(start), rule, 60).states
    powers = games.orbit(rule, games.bilinear(start), 60)
    scale = played.norm(dim=1).max()
    assert played.shape == closed.shape == powers.shape == (61, 2)
    assert (played - closed).abs().max() < 1e-12 * scale and (played - powers).abs().max() < 1e-12 * scale
    far = games.orbit(rule, games.bilinear(start), 600).norm(dim=1)
    growth = (far[400:600].sum() / far[200:400].sum()) ** (1 / 200)
    assert growth.item() == pytest.approx(RADII[name](0.3), abs=1e-3)
    assert torch.equal(games.orbit(rule, games.bilinear(start), 1), powers[:2])


@pytest.mark.parametrize("rule", [games.proximal, games.midpoint, games.competitive, games.consensus])
def test_two_step_sizes_in_closed_form(rule):
    played = games.path(games.zero_sum(lambda x, y: x * y, *double(0.8, -0.5)), rule((0.2, 0.7)), 4).states
    closed = games.path(games.bilinear(double(0.8, -0.5)), rule((0.2, 0.7)), 4).states
    torch.testing.assert_close(played, closed, rtol=1e-12, atol=1e-12)


def test_many_trajectories_move_as_each_alone():
    start = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name, rule in games.RULES.items():
        together = games.path(games.bilinear(start), rule(0.2), 7).states
        alone = games.path(games.bilinear(start[2, 1]), rule(0.2), 7).states
        torch.testing.assert_close(together[:, 2, 1], alone, rtol=1e-12, atol=1e-12, msg=name)


def test_the_alternating_orbit_is_closed():
    """h2 x^2 + h1 y^2 - h1 h2 x y stays over 100,000 steps; the loop is plain Python."""
    for h1, h2 in ((0.3, 0.3), (0.2, 0.9)):
        states = games.orbit(games.alternating((h1, h2)), games.bilinear(), 100_000)
        x, y = 1.0, 0.0
        for _ in range(100_000):
            x = x - h1 * y
            y = y + h2 * x
        assert states[-1].tolist() == pytest.approx([x, y], abs=1e-9)
        x, y = states.T
        kept = h2 * x**2 + h1 * y**2 - h1 * h2 * x * y
        assert (kept - kept[0]).abs().max() < 1e-9
    far = games.orbit(games.alternating(0.3), games.bilinear(), 100_000).norm(dim=1)
    assert (far.max() / far.min()).item() ** 2 == pytest.approx(1.15 / 0.85, rel=1e-6)


def test_an_orbit_leaves_noise_out():
    start, rule = double(0.6, -0.8), games.optimistic(0.2)
    noisy = games.bilinear(start, 0.1, lambda: (3.0,))
    assert torch.equal(games.orbit(rule, noisy, 9), games.orbit(rule, games.bilinear(start, 0.1), 9))


def test_averages_converge_while_the_states_circle():
    states = games.orbit(games.alternating(0.3), games.bilinear(), 5000)
    x, y = states.T
    for T in (10, 500, 5000):
        assert y[:T].mean().item() == pytest.approx(((x[0] - x[T]) / (0.3 * T)).item(), abs=1e-12)


# Noise


@pytest.mark.parametrize("fresh, growth", [(True, lambda h: 1 + 4 * h**4), (False, lambda h: 1 - 2 * h**2 + 8 * h**4)])
def test_one_batch_or_two_in_extragradient(fresh, growth):
    """f = xi x y with xi in {0, 2}: the mean of |w|^2 over all outcomes of two steps, each equally probable."""
    for h in (0.2, 0.45, 0.6):
        looks = 4 if fresh else 2
        total = 0.0
        for outcome in itertools.product((0.0, 2.0), repeat=looks):
            left = list(outcome)
            game = games.zero_sum(lambda x, y, xi: xi * x * y, *double(0.6, 0.8), lambda left=left: (left.pop(0),))
            total += games.path(game, games.extragradient(h, fresh=fresh), 2).states[-1].square().sum().item()
            assert not left
        assert total / 2**looks == pytest.approx(growth(h) ** 2, rel=1e-12)
    with_noise = games.bilinear(torch.ones(2, 2), draw=lambda: (double(0.0, 2.0),))  # one xi a trajectory
    states = games.path(with_noise, games.proximal(0.5), 1).states
    assert torch.equal(states[1, 0], double(1, 1)) and states[1, 1].square().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("name", games.RULES)
def test_a_step_looks_at_one_batch_a_move(name):
    drawn = []
    game = games.bilinear(draw=lambda: drawn.append(1) or (double(1.0)[0],))
    games.path(game, games.RULES[name](0.1), 1)
    assert len(drawn) == {"alternating": 2, "momentum": 2, "negative momentum": 2, "lookahead": 5}.get(name, 1)


def test_consensus_goes_down_the_pull_of_its_batch():
    toss = lambda: (double(2.0)[0],)
    played = games.path(games.zero_sum(lambda x, y, xi: xi * x * y, *double(0.8, -0.5), toss), games.consensus(0.1), 3)
    closed = games.path(games.bilinear(double(0.8, -0.5), draw=toss), games.consensus(0.1), 3)
    torch.testing.assert_close(played.states, closed.states, rtol=1e-12, atol=1e-12)


def test_what_is_foretold_has_no_noise():
    noisy = games.bilinear(draw=lambda: (torch.randn(()),))
    for name, rule in games.RULES.items():
        assert games.radius(rule(0.3), noisy) == pytest.approx(RADII[name](0.3), abs=1e-6), name


# What goes wrong


def test_a_game_that_leaves_says_where():
    game = games.zero_sum(lambda x, y: x * y, *double(1.0, 0.0))
    gone = games.path(game, games.simultaneous(3.0), 100, limit=2e6)  # |w| = sqrt(10)^t
    assert gone.left == 13 and len(gone.states) == 13 and gone.states[-1].norm() == pytest.approx(1e6)
    torch.testing.assert_close(game.state(), gone.states[-1])
    assert games.path(game, games.simultaneous(0.1), 3).left is None
    many = games.bilinear(double(1.0, 0.0, 0.0, 0.0, 0.0, 0.0).reshape(3, 2))  # one leaves, two stand
    assert games.path(many, games.simultaneous(3.0), 100, limit=2e6).left == 13
    run = games.play(games.zero_sum(lambda x, y: x * y, *torch.tensor([1.0, 0.0])), games.simultaneous(3.0), 200)
    with pytest.raises(games.Diverged, match=r"finite state.*before step 7\d; try a smaller lr"):
        for w in run:
            last = w
    assert torch.isfinite(last).all()
    explosive = games.zero_sum(lambda x, y: (x * 1e3).exp() * y, *double(1.0, 1.0))
    assert games.path(explosive, games.simultaneous(0.1), 9).left == 1
    outcome = iter([1.0, 1.0, math.inf])
    with pytest.raises(games.Diverged, match="before step 3;"):
        list(games.play(games.bilinear(draw=lambda: (next(outcome),)), games.simultaneous(0.1), 9))


def test_a_stopped_game_is_at_the_last_state():
    """A step that fails half way, as under Ctrl-C, leaves the players where they were."""
    looks = []

    def f(x, y):
        looks.append(1)
        if len(looks) == 8:
            raise KeyboardInterrupt
        return x * y

    game = games.zero_sum(f, *double(1.0, 0.5))
    with pytest.raises(KeyboardInterrupt):
        for w in games.play(game, games.extragradient(0.3)):
            last = w
    assert torch.equal(game.state(), last) and last.norm() != pytest.approx(math.hypot(1, 0.5))


xy = lambda x, y: x * y
on_xy = lambda: games.zero_sum(xy, *double(1.0, 1.0))


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda: games.simultaneous(0), "positive, finite lr, got 0; try lr=0.1"),
        (lambda: games.extragradient(NAN), "finite lr, got nan"),
        (lambda: games.optimistic((0.1, -0.1)), "finite lr, got -0.1"),
        (lambda: games.proximal((0.1, 0.1, 0.1)), "one for each of two players"),
        (lambda: games.lookahead(games.heun(0.1), 0), "integer k >= 1, got 0"),
        (lambda: games.lookahead(games.heun(0.1), 2, 1.5), r"alpha in \(0, 1\], got 1.5"),
        (lambda: games.alternating(0.1, moves=(0, 1)), "integer moves >= 1, got 0"),
        (lambda: games.alternating(0.1, momentum=1.0), r"momentum in \(-1, 1\), got 1.0"),
        (lambda: games.simultaneous(0.1, momentum=NAN), r"momentum in \(-1, 1\), got nan"),
        (lambda: games.consensus(0.1, 0), "finite gamma, got 0"),
        (lambda: games.clipped(games.heun(0.1), 0), "finite most, got 0"),
        (lambda: games.bilinear(gamma=-1.0), "gamma >= 0, got -1.0"),
        (lambda: games.bilinear(start=(NAN, 0.0)), "a finite start"),
        (lambda: games.Linear(torch.eye(3), (1, 1)), r"finite J \(2, 2\)"),
        (lambda: games.Linear(torch.eye(2) * NAN, (1, 1)), r"finite J \(2, 2\)"),
        (lambda: games.dirac("minmax"), "try 'minimax'"),
        (lambda: games.zero_sum(xy, torch.tensor(1), torch.tensor(1.0)), "floating tensor or a module"),
        (lambda: games.zero_sum(xy, *double(NAN, 1.0)), "finite start, got NaN"),
        (lambda: games.zero_sum(xy, torch.tensor(1.0), double(1.0)[0]), "one dtype on one device"),
        (lambda: games.zero_sum(xy, layer := nn.Linear(1, 1), layer), "belong to one player each, got shared"),
        (lambda: games.zero_sum(xy, nn.Tanh(), nn.Linear(1, 1)), r"trainable parameters each, got \[0, 2\]"),
        (lambda: games.of(nn.Linear(1, 1), tuple), r"players\(\), got Linear"),
        (lambda: games.zero_sum(lambda x, y: 1.0, *double(1, 1)).field(double(1, 1)), r"player 1, \(\), .* got float"),
        (lambda: games.zero_sum(lambda x, y: x.detach(), *double(1, 1)).field(double(1, 1)), r"without detach\(\)"),
        (
            lambda: games.zero_sum(lambda x, y: x * y, double(1, 2), double(1, 2)).field(double(1, 1, 1, 1)),
            r"got \(2,\)",
        ),
        (lambda: games.play(on_xy(), games.heun(0.1), 0), "integer steps >= 1, got 0"),
        (lambda: games.play(on_xy(), 0.1), "rule such as"),
        (lambda: games.path(on_xy(), games.heun(0.1), 5, limit=0), "finite limit, got 0"),
        (lambda: games.orbit(games.heun(0.1), games.bilinear(), 0), "integer steps >= 1"),
        (lambda: games.orbit(games.heun(0.1), games.bilinear(torch.ones(3, 2)), 5), r"one start \(n,\)"),
        (lambda: games.r1(lambda x: x.sum(1), torch.ones(3, 2), -1.0), "gamma >= 0"),
    ],
)
def test_bad_input_is_refused_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


def test_a_loss_that_is_linear_has_a_jacobian_of_zero():
    game = games.zero_sum(lambda x, y: 3 * x - y, *double(1.0, 1.0))
    assert games.linearize(game).J.tolist() == [[0, 0], [0, 0]]
    assert game.jvp(double(1, 1), double(1, 1), across=True).tolist() == [0, 0]
    assert game.vjp(double(1, 1), double(1, 1)).tolist() == [0, 0]
    assert games.path(game, games.proximal(0.1), 1).states[1].tolist() == pytest.approx([0.7, 0.9])


def test_newton_that_does_not_settle_says_so():
    steep = lambda x, y: 100 * (x * torch.atan(50 * x) - torch.log(1 + (50 * x) ** 2) / 100) + x * y  # slope 100 atan
    jumping = games.zero_sum(steep, *double(1.0, 1.0))
    with pytest.raises(ValueError, match="Newton's method finds.*try a smaller lr"):
        games.path(jumping, games.proximal(1.0), 3)
