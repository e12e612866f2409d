"""Games and the rules of their players: against characteristic polynomials, loops by hand, dense solves."""

import copy
import itertools
import math

import numpy as np
import pytest
import second_device
import torch
from torch import nn

from gdm_core import games, train
from gdm_core.models.gan import GAN

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


# Any game


def curved(x, y):
    """A game of 2 and 3 numbers that is neither linear nor convex."""
    A = double(0.7, -0.2, 0.4, 0.1, 0.9, -0.5).reshape(2, 3)
    return (torch.sin(x) @ A @ y) + 0.3 * (x**4).sum() + 0.2 * x.prod() - 0.25 * (y**2).sum() * (1 + x[0] ** 2)


X, Y = double(0.3, -0.6), double(0.5, 0.2, -0.4)
W, U = torch.cat([X, Y]), double(0.3, -1.0, 0.4, 0.8, -0.2)


def pull(w, f=curved):
    """v by central differences of f."""
    out = []
    for i, e in enumerate(1e-5 * torch.eye(5, dtype=torch.float64)):
        slope = (f(*(w + e).split([2, 3])) - f(*(w - e).split([2, 3]))) / 2e-5
        out.append(-slope if i < 2 else slope)
    return torch.stack(out)


def jacobian(w):
    steps = 1e-4 * torch.eye(5, dtype=torch.float64)
    return torch.stack([(pull(w + e) - pull(w - e)) / 2e-4 for e in steps], 1)


def test_field_and_its_products_against_differences():
    game, J, rate = games.zero_sum(curved, X, Y), jacobian(W), torch.full((5,), 0.4, dtype=torch.float64)
    near = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(game.field(W), pull(W), **near)
    for i, mine in enumerate((slice(0, 2), slice(2, 5))):
        alone = game.field(W, player=i)
        torch.testing.assert_close(alone[mine], pull(W)[mine], **near)
        assert alone.count_nonzero() == len(alone[mine])
    torch.testing.assert_close(game.jvp(W, U), J @ U, **near)
    torch.testing.assert_close(game.vjp(W, U), J.T @ U, **near)
    torch.testing.assert_close(games.linearize(game, W).J, J, **near)
    across = J.clone()
    across[:2, :2], across[2:, 2:] = 0, 0
    torch.testing.assert_close(game.jvp(W, U, across=True), across @ U, **near)
    torch.testing.assert_close(game.implicit(W, rate, U), torch.linalg.solve(torch.eye(5) - 0.4 * J, U), **near)
    torch.testing.assert_close(
        game.implicit(W, rate, U, across=True), torch.linalg.solve(torch.eye(5) - 0.4 * across, U), **near
    )
    game.put(W)
    games.linearize(game, W + 1)
    torch.testing.assert_close(game.state(), W)  # a look is no move


def test_rules_on_a_curved_game_against_their_equations():
    v, rate = games.zero_sum(curved, X, Y).field, double(0.1, 0.1, 0.2, 0.2, 0.2)
    lr, J = (0.1, 0.2), jacobian(W)
    first, second = double(1, 1, 0, 0, 0), double(0, 0, 1, 1, 1)
    after = W + rate * first * v(W)
    square = lambda w: (pull(w) ** 2).sum() / 2
    slope = torch.stack([(square(W + e) - square(W - e)) / 2e-4 for e in 1e-4 * torch.eye(5, dtype=torch.float64)])
    a = v(W)
    b = v(W + rate / 2 * a)
    c = v(W + rate / 2 * b)
    # eq. 4 of Schaefer & Anandkumar: dx = -h1 (I + h1 h2 F F^T)^-1 (f_x + h2 F f_y), with F = d2 f / dx dy
    F, fx, fy = -J[:2, 2:], -v(W)[:2], v(W)[2:]
    dx = -0.1 * torch.linalg.solve(torch.eye(2) + 0.02 * F @ F.T, fx + 0.2 * F @ fy)
    wanted = {
        games.simultaneous(lr): W + rate * v(W),
        games.alternating(lr): after + rate * second * v(after),
        games.alternating(lr, moves=(1, 2)): (w := after + rate * second * v(after)) + rate * second * v(w),
        games.extragradient(lr): W + rate * v(W + rate * v(W)),
        games.consensus(lr, 0.7): W + rate * (v(W) - 0.7 * slope),
        games.heun(lr): W + rate * (v(W) + v(W + rate * v(W))) / 2,
        games.runge_kutta(lr): W + rate * (a + 2 * b + 2 * c + v(W + rate * c)) / 6,
        games.competitive(lr): W + torch.cat([dx, 0.2 * (fy + F.T @ dx)]),
        games.clipped(games.simultaneous(lr), 0.3): torch.cat(
            [(W + rate * v(W))[:2], (W + rate * v(W))[2:].clamp(-0.3, 0.3)]
        ),
    }
    for rule, truth in wanted.items():
        new, _ = rule(games.zero_sum(curved, X, Y), W, None)
        torch.testing.assert_close(new, truth, rtol=1e-5, atol=1e-5)
    new, _ = games.proximal(lr)(games.zero_sum(curved, X, Y), W, None)
    torch.testing.assert_close(new, W + rate * v(new), rtol=1e-10, atol=1e-10)
    assert (new - W).norm() > 0.05
    new, _ = games.midpoint(lr)(games.zero_sum(curved, X, Y), W, None)
    torch.testing.assert_close(new, W + rate * v((W + new) / 2), rtol=1e-10, atol=1e-10)


def test_rules_with_a_memory_against_loops():
    v = games.zero_sum(curved, X, Y).field
    states = games.path(games.zero_sum(curved, X, Y), games.optimistic(0.1), 3).states
    one = W + 0.1 * v(W)
    two = one + 0.1 * (2 * v(one) - v(W))
    three = two + 0.1 * (2 * v(two) - v(one))
    torch.testing.assert_close(states, torch.stack([W, one, two, three]))
    states = games.path(games.zero_sum(curved, X, Y), games.simultaneous(0.1, momentum=-0.3), 3).states
    two = one + 0.1 * v(one) - 0.3 * (one - W)
    three = two + 0.1 * v(two) - 0.3 * (two - one)
    torch.testing.assert_close(states, torch.stack([W, one, two, three]))
    inner = games.optimistic(0.1)
    ahead = games.path(games.zero_sum(curved, X, Y), games.lookahead(inner, 2, 0.25), 1).states[1]
    fast = games.path(games.zero_sum(curved, X, Y), inner, 2).states[2]
    torch.testing.assert_close(ahead, W + 0.25 * (fast - W))
    next_ahead = games.path(games.zero_sum(curved, X, Y), games.lookahead(inner, 2, 0.25), 2).states[2]
    w, memory = ahead, v(games.path(games.zero_sum(curved, X, Y), inner, 1).states[1])  # the last pull is kept
    for _ in range(2):
        w, memory = w + 0.1 * (2 * v(w) - memory), v(w)
    torch.testing.assert_close(next_ahead, ahead + 0.25 * (w - ahead))


def test_clipping_keeps_the_memory_of_its_rule():
    wide = games.clipped(games.optimistic(0.1), 1e6)
    plain = games.path(games.bilinear(), games.optimistic(0.1), 4).states
    assert torch.equal(games.path(games.bilinear(), wide, 4).states, plain)


def test_one_object_plays_two_networks():
    """Simultaneous and alternating moves of two modules are those of torch's SGD; frozen parameters rest."""
    torch.manual_seed(0)
    generator, critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)), nn.Linear(2, 1)
    generator[0].bias.requires_grad_(False)
    z, x = torch.randn(64, 2), torch.randn(64, 2) + 1
    f = lambda G, D, x, z: D(x).mean() - D(G(z)).mean()  # the generator minimizes, the critic maximizes
    for rule, alternate in ((games.simultaneous((0.05, 0.1)), False), (games.alternating((0.05, 0.1)), True)):
        G, D = copy.deepcopy(generator), copy.deepcopy(critic)
        game = games.zero_sum(f, G, D, lambda: (x, z))
        for _ in games.play(game, rule, 5):
            pass
        G2, D2 = copy.deepcopy(generator), copy.deepcopy(critic)
        down = torch.optim.SGD([p for p in G2.parameters() if p.requires_grad], 0.05)
        up = torch.optim.SGD(D2.parameters(), 0.1, maximize=True)
        for _ in range(5):
            for optimizers in ([down], [up]) if alternate else ([down, up],):
                down.zero_grad(), up.zero_grad()
                f(G2, D2, x, z).backward()
                for optimizer in optimizers:
                    optimizer.step()
        for a, b in zip([*G.parameters(), *D.parameters()], [*G2.parameters(), *D2.parameters()]):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert game.state().dtype == torch.float32 and not torch.equal(G[2].weight, generator[2].weight)


@pytest.mark.parametrize("name", games.RULES)
def test_every_rule_moves_a_gan(name):
    """Both players of a real GAN move, nothing is left behind in .grad, and the model holds the yielded state."""
    torch.manual_seed(0)
    model = GAN(2, 2, hidden=(4,))
    game, states = games.of(model, lambda: (torch.randn(16, 2),)), []
    for w in games.play(game, games.RULES[name](0.05), 2):
        torch.testing.assert_close(w, game.state(), rtol=0, atol=0)
        states.append(w)
    moved = (states[2] - states[0]).split(game.sizes)
    assert all(part.abs().max() > 1e-6 for part in moved) and not any(w.requires_grad for w in states)
    assert all(p.grad is None for p in model.parameters())


class Told(nn.Module):
    """A GAN whose batch has the noise beside the data, (B, 2 + 2), with the samples detached for the critic, or not."""

    def __init__(self, detached=True):
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.critic = (
            nn.Linear(2, 2).double(),
            nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double(),
        )
        self.detached = detached

    def players(self):
        return {"critic": self.critic.parameters(), "generator": self.generator.parameters()}

    def critic_loss(self, batch):
        fake = self.generator(batch[:, 2:])
        fake = fake.detach() if self.detached else fake
        return (
            nn.functional.softplus(-self.critic(batch[:, :2])).mean() + nn.functional.softplus(self.critic(fake)).mean()
        )

    def generator_loss(self, batch):
        return nn.functional.softplus(-self.critic(self.generator(batch[:, 2:]))).mean()


def test_a_gan_plays_here_as_it_trains_there():
    """games.alternating is train.steps with plain gradient steps: the critic first, each move on a new batch."""
    data = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    models, rows = (Told(), Told()), [0, 0]
    draws = [lambda n, i=i: (rows.__setitem__(i, rows[i] + n), data[rows[i] - n : rows[i]])[1] for i in (0, 1)]
    for _ in games.play(games.of(models[0], lambda: (draws[0](10),)), games.alternating(0.1, moves=(2, 1)), 4):
        pass
    optimizer = torch.optim.SGD(models[1].parameters(), 0.1)
    for _ in train.steps(models[1], draws[1], steps=4, batch_size=10, optimizer=optimizer, moves={"critic": 2}):
        pass
    assert rows == [120, 120]
    for a, b, start in zip(*(m.parameters() for m in models), Told().parameters()):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        assert not torch.equal(a, start)


def test_the_jacobian_sees_through_detached_samples():
    """How the critic is pulled depends on the generator, though its loss does not go down there."""
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    game, whole = (games.of(Told(d), lambda: (x,)) for d in (True, False))
    w = game.state()
    J = games.linearize(game).J
    torch.testing.assert_close(J, games.linearize(whole).J, rtol=1e-12, atol=1e-12)
    batch = game.draw()
    steps = 1e-5 * torch.eye(len(w), dtype=torch.float64)
    columns = [(game.field(w + e, batch) - game.field(w - e, batch)) / 2e-5 for e in steps]
    torch.testing.assert_close(J, torch.stack(columns, 1), rtol=1e-6, atol=1e-8)
    critics = game.sizes[0]
    assert J[:critics, critics:].abs().max() > 1e-3
    torch.testing.assert_close(game.vjp(w, w, batch), J.T @ w, rtol=1e-10, atol=1e-10)


def test_one_batch_is_one_draw_of_the_noise_inside_the_losses():
    torch.manual_seed(0)
    model = GAN(2, 2, hidden=(4,))
    game, w = games.of(model, lambda: (torch.zeros(8, 2),)), None
    w, batch = game.state(), game.draw()
    before = torch.get_rng_state()
    first = game.field(w, batch)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(1)  # whatever else is drawn between two looks
    assert torch.equal(first, game.field(w, batch))
    assert not torch.equal(game.field(w, batch), game.field(w, game.draw()))


def test_a_game_on_another_device():
    second, ends = second_device.install(), []
    for device in ("cpu", second):
        torch.manual_seed(0)
        model, x = GAN(2, 2, hidden=(4,)).to(device), torch.randn(16, 2).to(device)
        for rule in (games.alternating((0.1, 0.05), momentum=0.3), games.extragradient(0.1), games.consensus(0.05)):
            torch.manual_seed(1)
            *_, w = games.play(games.of(model, lambda x=x: (x,)), rule, 2)
        ends.append(w.cpu())
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


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


# The Dirac-GAN


def flow(game):
    return torch.linalg.eigvals(games.linearize(game, torch.zeros(2, dtype=torch.float64)).J).numpy()


def test_eigenvalues_of_the_dirac_gan():
    for kind, size in (("minimax", 0.5), ("non-saturating", 0.5), ("Wasserstein", 1.0), ("hinge", 1.0)):
        assert sorted(flow(games.dirac(kind)).imag) == pytest.approx([-size, size])
        assert flow(games.dirac(kind)).real == pytest.approx([0, 0], abs=1e-12)
    for gamma in (0.3, 1.0, 2.0):
        root = np.sqrt(complex(gamma**2 - 1))
        wanted = [(-gamma + root) / 2, (-gamma - root) / 2]
        assert sorted(flow(games.dirac(gamma=gamma)), key=repr) == pytest.approx(sorted(wanted, key=repr), abs=1e-7)
    for var in (1.0, 1.9, 2.1):  # instance noise: z^2 + s^2 / 2 z + 1 / 4
        wanted = np.roots([1, var / 2, 0.25])
        got = flow(games.dirac(noise=math.sqrt(var)))
        assert sorted(got, key=repr) == pytest.approx(sorted(wanted, key=repr), abs=1e-9)


def test_pulls_of_the_dirac_gan():
    s = lambda u: 1 / (1 + math.exp(-u))
    theta, psi = 0.7, -1.2
    wanted = {
        "minimax": (s(theta * psi) * psi, -s(theta * psi) * theta),
        "non-saturating": (s(-theta * psi) * psi, -s(theta * psi) * theta),
        "Wasserstein": (psi, -theta),
        "hinge": (psi, -theta),
    }
    assert wanted.keys() == set(games.KINDS)
    for kind, v in wanted.items():
        assert games.dirac(kind).field(double(theta, psi)).tolist() == pytest.approx(v)
    e = torch.linspace(-8, 8, 4001, dtype=torch.float64)  # instance noise: the pulls in the mean
    p = torch.exp(-(e**2) / 2) / torch.exp(-(e**2) / 2).sum()
    logit, seen = psi * (theta + 0.6 * e), torch.sigmoid(-psi * 0.6 * e) * 0.6 * e
    noisy = games.dirac("non-saturating", noise=0.6).field(double(theta, psi))
    up = (p * (seen - torch.sigmoid(logit) * (theta + 0.6 * e))).sum().item()
    assert noisy.tolist() == pytest.approx([(p * torch.sigmoid(-logit) * psi).sum().item(), up], abs=1e-9)
    penalized = games.dirac("Wasserstein", gamma=0.5, target=1.0).field(double(theta, psi))
    assert penalized.tolist() == pytest.approx([psi, -theta + 0.5 * (1.2 - 1)])
    states = games.path(games.dirac("Wasserstein"), games.clipped(games.alternating(0.1), 0.5), 300).states
    assert states[1:, 1].abs().max() == 0.5 and states[1:, 0].abs().max() > 0.5


def test_r1_is_the_mean_squared_slope_and_reaches_the_critic():
    A = double(1.0, 0.4, 0.4, -2.0).reshape(2, 2).requires_grad_()
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    penalty = games.r1(lambda x: torch.einsum("bi,ij,bj->b", x, A, x) / 2, x, 3.0)
    assert not x.requires_grad, "the data are the caller's"
    symmetric = (A + A.T).detach() / 2
    assert penalty.item() == pytest.approx(1.5 * (x @ symmetric).square().sum(1).mean().item())
    (slope,) = torch.autograd.grad(penalty, A)
    torch.testing.assert_close(slope, 1.5 * (symmetric @ x.T @ x + x.T @ x @ symmetric) / 50)


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
