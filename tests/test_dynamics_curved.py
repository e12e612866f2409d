"""Rules of play on games without a closed form: against differences, loops by hand, dense solves; GANs as games."""

import copy
import math

import numpy as np
import pytest
import second_device
import torch
from torch import nn

from gdm_core import games, train
from gdm_core.models.gan import GAN


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


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
