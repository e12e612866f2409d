"""InfoGAN, BiGAN, CycleGAN and drifting, against other ways to write them; what they learn where that is known."""

import math

import pytest
import torch
from oracles import off_init
from torch import nn
from torch.distributions import MixtureSameFamily, MultivariateNormal
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from gdm_core import train, two_sample
from gdm_core.models.bigan import BiGAN
from gdm_core.models.cyclegan import CycleGAN
from gdm_core.models.drifting import Drifting, drift, shift
from gdm_core.models.infogan import InfoGAN


def made(model):
    return off_init(model).double()


def noise(*shape, seed=3):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# InfoGAN


def test_noise_and_a_class_of_each_kind():
    torch.manual_seed(0)
    z = InfoGAN(2, 3, 4, hidden=(8,)).prior().sample((8000,))
    assert z.shape == (8000, 7) and (z[:, 3:].sum(1) == 1).all() and z[:, 3:].unique().tolist() == [0, 1]
    assert (z[:, 3:].mean(0) - 0.25).abs().max() < 5 * (0.25 * 0.75 / 8000) ** 0.5
    assert z[:, :3].mean(0).abs().max() < 0.06 and (z[:, :3].std(0) - 1).abs().max() < 0.05


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_generator_and_reader_pay_for_a_class_that_is_not_read(loss):
    torch.manual_seed(0)
    model = made(InfoGAN(2, 2, 3, info=0.7, fog=0.3, hidden=(6,), loss=loss))
    x = noise(5, 2)
    torch.manual_seed(1)
    paid = model.generator_loss(x)
    torch.manual_seed(1)
    z = model.prior().sample((5,))
    y = model.generate(z)
    told = torch.softmax(model.reader(y + 0.3 * torch.randn_like(y)), 1)
    right = torch.stack([told[i, z[i, 2:].argmax()] for i in range(5)])
    wanted = model.cost.generator(model.logits(x), model.logits(y)).mean() - 0.7 * right.log().mean()
    torch.testing.assert_close(paid, wanted)
    both = model.players()["generator"]
    torch.testing.assert_close(torch.autograd.grad(paid, both), torch.autograd.grad(wanted, both))
    assert torch.equal(model.code(z[:, :2], z[:, 2:].argmax(1)), z)


def test_the_reader_has_the_units_of_the_critic():
    model = InfoGAN(2, 1, 3, hidden=(7, 5))
    units = lambda net: [m.out_features for m in net.modules() if isinstance(m, nn.Linear)]
    assert units(model.reader) == [7, 5, 3] and units(model.critic) == [7, 5, 1]


def test_three_heaps_become_three_classes():
    """No label is told: the classes that are read are the heaps, in any order."""
    torch.manual_seed(0)
    kind = torch.arange(900) % 3
    x = 3 * torch.tensor([[0.0, 1.0], [-0.9, -0.5], [0.9, -0.5]])[kind] + 0.2 * torch.randn(900, 2)
    model = InfoGAN(2, 1, 3, hidden=(16,), r1=0.3, fog=1.0)
    train.fit(model, x, steps=200, batch_size=64, lr=1e-2, progress=False)
    table = torch.zeros(3, 3).index_put_((kind, model.read(x).probs.argmax(1)), torch.ones(()), accumulate=True)
    assert table.amax(1).sum() > 0.95 * 900 and sorted(table.argmax(1).tolist()) == [0, 1, 2]


def test_what_an_infogan_cannot_be():
    for options, words in (
        ({"labels": 3}, "finds its classes"),
        ({"info": 0.0}, "info > 0"),
        ({"fog": -1.0}, "fog >= 0"),
    ):
        with pytest.raises(ValueError, match=words):
            InfoGAN(2, 2, 3, **options)
    with pytest.raises(ValueError, match="integer classes >= 2"):
        InfoGAN(2, 2, 1)
    with pytest.raises(ValueError, match=r"reader whose output is \(B, 3\)"):
        InfoGAN(2, 2, 3, reader=nn.Linear(2, 2)).read(torch.ones(4, 2))


# BiGAN


@pytest.mark.parametrize("r1", [0.0, 0.8])
def test_pairs_of_data_and_pairs_of_samples(r1):
    torch.manual_seed(0)
    model, x = made(BiGAN(3, 2, r1=r1, hidden=(7,))), noise(6, 3)
    torch.manual_seed(1)
    paid = model.critic_loss(x)
    torch.manual_seed(2)
    theirs = model.generator_loss(x)
    torch.manual_seed(1)
    z = model.prior().sample((6,))
    pair, other = torch.cat([x, model.encode(x).detach()], 1), torch.cat([model.generate(z).detach(), z], 1)
    bet = lambda p: model.critic(p)[:, 0]
    ones = torch.ones(6).double()
    wanted = cross_entropy(bet(pair), ones) + cross_entropy(bet(other), 0 * ones)
    slope = torch.func.vmap(torch.func.jacfwd(lambda p: model.critic(p)[0]))(pair)
    wanted = wanted + r1 / 2 * slope.square().sum(1).mean()
    torch.testing.assert_close(paid, wanted)
    own = list(model.critic.parameters())
    torch.testing.assert_close(torch.autograd.grad(paid, own), torch.autograd.grad(wanted, own))
    with torch.no_grad():
        assert not model.critic_loss(x).requires_grad
    torch.manual_seed(2)
    z = model.prior().sample((6,))
    wanted = cross_entropy(model.logits(x, model.encode(x)), 0 * ones)
    torch.testing.assert_close(theirs, wanted + cross_entropy(model.logits(model.generate(z), z), ones))


def test_the_encoder_learns_to_invert():
    """Data N(1, 4), linear maps: the encoder's is the generator's inverse, though no loss compares them."""
    torch.manual_seed(0)
    model, line = BiGAN(1, 1, r1=0.1, hidden=(16,)), torch.linspace(-1.5, 1.5, 50)[:, None]
    model.generator, model.encoder = nn.Linear(1, 1), nn.Linear(1, 1)
    train.fit(model, lambda n: (1 + 2 * torch.randn(n, 1),), steps=400, lr=1e-2, rate=train.falling, progress=False)
    assert 0.5 < (model.encoder.weight * model.generator.weight).item() < 1.5
    assert (model.encode(model.generate(line)) - line).abs().mean() < 0.4  # 0.77 where codes say nothing


def test_pictures_of_a_bigan_lie_between_black_and_white():
    model = made(BiGAN((1, 8, 8), 3, network="conv", unit=True, hidden=(32,)))
    z = noise(5, 3)
    torch.testing.assert_close(model.generate(z), model.generator(z)[:, 0].sigmoid())
    assert torch.equal(model.prior().stddev, torch.ones(3).double())


# CycleGAN


class Plus(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by, dtype=torch.float64))

    def forward(self, x):
        return x + self.by


class Total(nn.Module):
    """A critic that sums what it sees, times a weight."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x):
        return self.weight * x.sum(1, keepdim=True)


def test_each_critic_judges_its_own_domain():
    """there(x) = x + 1, back(y) = y + 2, D_X = 3 sum x, D_Y = 5 sum y: all by hand, least squares."""
    model = CycleGAN((2,), cycle=10.0, r1=0.5, maps=(Plus(1.0), Plus(2.0)), critics=(Total(3.0), Total(5.0)))
    x, y = noise(2, 4, 2)
    X, Y, both = x.sum(1), y.sum(1), torch.stack([x, y], 1)
    pays = lambda real, fake: ((real - 1) ** 2 + fake**2).mean() / 2
    wanted = pays(3 * X, 3 * (Y + 4)) + pays(5 * Y, 5 * (X + 2)) + 0.5 / 2 * (2 * 9 + 2 * 25)
    torch.testing.assert_close(model.critic_loss(both), wanted)
    wanted = ((3 * (Y + 4) - 1) ** 2 + (5 * (X + 2) - 1) ** 2).mean() / 2
    torch.testing.assert_close(paid := model.generator_loss(both), wanted + 10 * (3 + 3))
    there, back = torch.autograd.grad(paid, [model.there.by, model.back.by])  # both critics and both circles reach both
    torch.testing.assert_close(there, (10 * (5 * (X + 2) - 1)).mean() + 20)
    torch.testing.assert_close(back, (6 * (3 * (Y + 4) - 1)).mean() + 20)


def test_relativistic_maps_beat_the_data_of_the_domain_they_lead_to():
    model = CycleGAN(
        (2,), cycle=0.0, loss="relativistic", maps=(Plus(1.0), Plus(2.0)), critics=(Total(3.0), Total(5.0))
    )
    x, y = noise(2, 4, 2)
    X, Y = x.sum(1), y.sum(1)
    beaten = (1 + (3 * X - 3 * (Y + 4)).exp()).log() + (1 + (5 * Y - 5 * (X + 2)).exp()).log()
    torch.testing.assert_close(model.generator_loss(torch.stack([x, y], 1)), beaten.mean())


def test_nothing_in_its_losses_knows_the_pairs():
    """Two equally frequent kinds in each domain: the map that swaps them pays exactly what the true one pays."""
    x = torch.tensor([[-1.0], [1.0]]).double().repeat(50, 1)
    both = torch.stack([x, x[torch.randperm(100)]], 1)

    class Times(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by = nn.Parameter(torch.tensor(by, dtype=torch.float64))

        def forward(self, x):
            return self.by * x

    critics = tuple(made(nn.Sequential(nn.Linear(1, 4), nn.SiLU(), nn.Linear(4, 1))) for _ in range(2))
    paid = []
    for by in (1.0, -1.0):
        model = CycleGAN((1,), maps=(Times(by), Times(by)), critics=critics)
        paid.append([model.critic_loss(both).item(), model.generator_loss(both).item()])
    assert paid[0] == pytest.approx(paid[1], rel=1e-12)


def test_a_map_of_pictures_begins_near_the_picture():
    torch.manual_seed(0)
    x = torch.rand(8, 3, 12, 10)
    model = CycleGAN((3, 12, 10))
    assert model.there(x).shape == x.shape and (model.there(x) - x).abs().mean() < 0.12
    with pytest.raises(ValueError, match="cycle >= 0, got -1"):
        CycleGAN((1, 8, 8), cycle=-1)
    with pytest.raises(ValueError, match=r"needed x of shape \(B, 2, 1, 8, 8\)"):
        CycleGAN((1, 8, 8)).critic_loss(torch.rand(4, 1, 8, 8))


# Drifting


def test_the_drift_is_a_difference_of_scores():
    """h^2 (grad log p_h - grad log q_h), by automatic differentiation of two mixtures, and the best critic's slope."""
    x, y, t, h = noise(30, 2), noise(20, 2, seed=4) + 1, 2 * noise(15, 2, seed=5), 0.7

    def blurred(points):
        weights = torch.distributions.Categorical(torch.ones(len(points)).double())
        return MixtureSameFamily(weights, MultivariateNormal(points, h**2 * torch.eye(2).double()))

    t.requires_grad_()
    (slope,) = torch.autograd.grad((blurred(x).log_prob(t) - blurred(y).log_prob(t)).sum(), t)
    torch.testing.assert_close(drift(t, x, y, h), h**2 * slope)
    torch.testing.assert_close(drift(t, x, y, h), -drift(t, y, x, h))
    assert drift(t, x, x.clone(), h).abs().max() < 1e-12
    # the witness of MMD: both halves weighted by their densities
    (slope,) = torch.autograd.grad(two_sample.witness(x, y, h)(t).sum(), t)
    k = lambda s: torch.exp(-(t[:, None] - s).square().sum(-1) / (2 * h**2)).mean(1)[:, None]
    torch.testing.assert_close(slope, (k(x) * shift(t, x, h) - k(y) * shift(t, y, h)) / h**2)


def test_a_sample_has_no_say_in_its_own_repulsion():
    y, x = noise(6, 2), noise(4, 2, seed=4)
    alone = torch.stack([drift(y[i : i + 1], x, y[torch.arange(6) != i], 0.8)[0] for i in range(6)])
    torch.testing.assert_close(drift(y, x, y, 0.8), alone)
    far = torch.full((1, 2), 1e4).double()  # where every kernel is zero to the last bit
    assert torch.equal(shift(far, x, 0.1), x[(x - far).norm(dim=1).argmin()] - far)
    with pytest.raises(ValueError, match="at least 2 samples"):
        shift(y[:1], y[:1], 1.0, apart=True)


def test_samples_go_where_they_drift():
    torch.manual_seed(0)
    model, x = made(Drifting(2, 2, h=0.6, hidden=(5,))), noise(7, 2)
    torch.manual_seed(1)
    loss = model.loss(x)
    torch.manual_seed(1)
    y = model.generate(model.prior().sample((7,)))
    V = drift(here := y.detach(), x, here, 0.6)
    torch.testing.assert_close(loss, V.square().sum(1).mean())
    mine = torch.autograd.grad(loss, list(model.generator.parameters()))
    torch.testing.assert_close(
        mine, torch.autograd.grad(-2 * (V * y).sum(1).mean(), list(model.generator.parameters()))
    )


def test_a_collapsed_generator_comes_apart():
    """All samples in one point beside two far modes: both are reached, about equally often."""
    torch.manual_seed(0)
    model = Drifting(1, 1, h=1.5, hidden=(32,))
    with torch.no_grad():
        model.generator.net[-1].weight.mul_(1e-3)
        model.generator.net[-1].bias.fill_(-2.0)
    draw = lambda n: (torch.randint(2, (n, 1)) * 4 - 2 + 0.2 * torch.randn(n, 1),)
    assert model.sample(500).std() < 0.01
    train.fit(model, draw, steps=400, lr=5e-3, progress=False)
    right = (model.sample(2000) > 0).double().mean().item()
    assert math.isclose(right, 0.5, abs_tol=0.2)
