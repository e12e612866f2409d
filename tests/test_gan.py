"""Losses, penalties and cures of a GAN, against other ways to write them; what it learns."""

import math

import pytest
import torch
from oracles import off_init
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from gdm_core import train
from gdm_core.adversarial import LOSSES
from gdm_core.models.gan import GAN, UnitNorm, clip

REAL, FAKE = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2
LAYERS = (nn.Linear, nn.Conv2d)
ONES, ZEROS = torch.ones(9).double(), torch.zeros(9).double()


def made(*shape, **options):
    torch.manual_seed(0)
    return off_init(GAN(*shape, **options)).double()


# Losses


@pytest.mark.parametrize("kind", ["minimax", "non-saturating"])
def test_the_critic_is_a_classifier(kind):
    paid = LOSSES[kind].critic(REAL, FAKE).mean()
    torch.testing.assert_close(paid, cross_entropy(REAL, ONES) + cross_entropy(FAKE, ZEROS))


def test_what_the_generator_pays():
    torch.testing.assert_close(LOSSES["minimax"].generator(REAL, FAKE).mean(), -cross_entropy(FAKE, ZEROS))
    torch.testing.assert_close(LOSSES["non-saturating"].generator(REAL, FAKE).mean(), cross_entropy(FAKE, ONES))
    torch.testing.assert_close(LOSSES["relativistic"].generator(REAL, FAKE).mean(), cross_entropy(FAKE - REAL, ONES))
    torch.testing.assert_close(LOSSES["least squares"].generator(REAL, FAKE), (FAKE - 1).square() / 2)
    for kind in ("Wasserstein", "hinge"):
        assert torch.equal(LOSSES[kind].generator(REAL, FAKE), -FAKE)
    assert torch.equal(LOSSES["Wasserstein"].critic(REAL, FAKE), FAKE - REAL)


@pytest.mark.parametrize(
    "kind, best",
    [
        ("minimax", lambda p, q: math.log(p / q)),
        ("non-saturating", lambda p, q: math.log(p / q)),
        ("least squares", lambda p, q: p / (p + q)),
        ("hinge", lambda p, q: 1.0 if p > q else -1.0),
    ],
)
def test_the_best_critic_where_the_densities_are_p_and_q(kind, best):
    D = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    for p, q in ((0.3, 0.7), (0.8, 0.2), (0.45, 0.5)):
        alone = torch.full_like(D, 1e9 if kind == "hinge" else 0.0)  # a logit on the other side that costs a constant
        paid = p * LOSSES[kind].critic(D, -alone) + q * LOSSES[kind].critic(alone, D)
        assert D[paid.argmin()].item() == pytest.approx(best(p, q), abs=1e-3)


def test_relativistic_and_wasserstein_compare_data_with_samples():
    for kind, cost in LOSSES.items():
        moved = cost.critic(REAL + 5, FAKE + 5), cost.generator(REAL + 5, FAKE + 5)
        same = torch.allclose(moved[0], cost.critic(REAL, FAKE))
        assert same == cost.differences == (kind in ("Wasserstein", "relativistic"))
        assert cost.pairs == (not torch.allclose(cost.generator(REAL + 1, FAKE), cost.generator(REAL, FAKE)))
    assert LOSSES["relativistic"].critic(FAKE, REAL).equal(LOSSES["relativistic"].generator(REAL, FAKE))


@pytest.mark.parametrize("D", [-4.0, -0.5, 2.0])
def test_the_minimax_generator_hears_nothing_from_a_critic_that_is_sure(D):
    """d loss / d logit: -s(D) for minimax, -(1 - s(D)) for the other."""
    logit = torch.tensor(D, dtype=torch.float64, requires_grad=True)
    for kind, wanted in (("minimax", -1 / (1 + math.exp(-D))), ("non-saturating", -1 / (1 + math.exp(D)))):
        (slope,) = torch.autograd.grad(LOSSES[kind].generator(None, logit), logit)
        assert slope.item() == pytest.approx(wanted, rel=1e-12)


# The critic's slope


def slope_by_jacobian(gan, x, y=None):
    """One example at a time, forward mode."""
    one = lambda a, b: gan.logits(a[None], None if b is None else b[None])[0]
    grads = [torch.func.jacfwd(one)(a, None if y is None else y[i]) for i, a in enumerate(x)]
    return torch.stack([g.square().sum().sqrt() for g in grads])


@pytest.mark.parametrize(
    "penalty, loss", [({}, "least squares"), ({"r1": 0.7}, "minimax"),
                      ({"r2": 1.3}, "hinge"), ({"gp": 10.0}, "Wasserstein"),
                      ({"r1": 0.2, "r2": 0.4, "gp": 0.6}, "relativistic")],
)  # fmt: skip
def test_penalties_stand_where_they_should(penalty, loss):
    gan = made((3, 2), 2, loss=loss, hidden=(7,), labels=2, **penalty)
    x, y = torch.randn(6, 3, 2).double(), torch.tensor([0, 1, 1, 0, 1, 0])
    torch.manual_seed(4)
    paid = gan.critic_loss(x, y)
    torch.manual_seed(4)
    fake = gan.generate(gan.prior().sample((6,)), y).detach()
    wanted = gan.cost.critic(gan.logits(x, y), gan.logits(fake, y)).mean()
    wanted = wanted + gan.r1 / 2 * slope_by_jacobian(gan, x, y).square().mean()
    wanted = wanted + gan.r2 / 2 * slope_by_jacobian(gan, fake, y).square().mean()
    if gan.gp:
        between = fake.lerp(x, torch.rand(6, 1, 1, dtype=torch.float64))
        wanted = wanted + gan.gp * (slope_by_jacobian(gan, between, y) - 1).square().mean()
    torch.testing.assert_close(paid, wanted)
    mine, theirs = (torch.autograd.grad(v, list(gan.critic.parameters())) for v in (paid, wanted))
    torch.testing.assert_close(mine, theirs)


def test_what_may_not_learn_gives_a_number():
    gan, x = made(2, 2, gp=1.0, hidden=(4,)), torch.randn(5, 2).double()
    with torch.no_grad():
        torch.manual_seed(1)
        assert not (paid := gan.critic_loss(x)).requires_grad
    torch.manual_seed(1)
    torch.testing.assert_close(gan.critic_loss(x).detach(), paid)


# Cures


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 3, 2, 2)])
def test_a_layer_divided_by_its_norm(shape):
    W = torch.randn(shape, dtype=torch.float64) * 3
    found = UnitNorm()(W)
    torch.testing.assert_close(found, W / torch.linalg.svdvals(W.flatten(1))[0])
    assert torch.autograd.gradcheck(UnitNorm(), W.requires_grad_())


@pytest.mark.parametrize("network, event", [("mlp", 2), ("conv", (1, 8, 8))])
def test_spectral_normalization_is_of_all_layers_of_the_critic(network, event):
    gan = made(event, 2, spectral=True, network=network)
    norms = [
        torch.linalg.svdvals(m.weight.flatten(1).detach())[0].item()
        for m in gan.critic.modules()
        if isinstance(m, LAYERS)
    ]
    assert len(norms) >= 3 and norms == pytest.approx([1.0] * len(norms))
    assert not [n for n, _ in gan.generator.named_parameters() if "parametrizations" in n]


def test_weights_are_clipped_after_every_move():
    gan = made(2, 2, loss="Wasserstein", hidden=(8,)).float()
    optimizer = torch.optim.RMSprop(gan.parameters(), lr=0.1)
    clip(optimizer, gan.critic, 0.03)
    for history in train.steps(gan, torch.randn(50, 2), steps=3, optimizer=optimizer, moves={"critic": 2}):
        if len(history) == 3:
            gan.critic_loss(torch.randn(50, 2)).backward()
            optimizer.step()
        largest = max(p.abs().max().item() for p in gan.critic.parameters())
        assert largest == pytest.approx(0.03) and gan.generator.net[0].weight.abs().max() > 0.1
    with pytest.raises(ValueError, match="needed a positive, finite most"):
        clip(optimizer, gan.critic, 0.0)


# Networks, labels, pictures


def test_the_generator_mirrors_the_critic_whose_last_bias_goes_where_it_would_learn_nothing():
    gan = GAN(2, 3, hidden=(7, 5))
    units = lambda net: [m.out_features for m in net.modules() if isinstance(m, nn.Linear)]
    assert torch.equal(gan.prior().stddev, torch.ones(3)) and torch.equal(gan.prior().mean, torch.zeros(3))
    assert units(gan.critic) == [7, 5, 1] and units(gan.generator) == [5, 7, 2]
    for kind, cost in LOSSES.items():
        assert (GAN(2, 3, loss=kind).critic.net[-1].bias is None) == cost.differences


def test_both_players_are_told_the_label():
    gan, z, x = made(2, 3, labels=4, hidden=(6,)), torch.randn(5, 3).double(), torch.randn(5, 2).double()
    y = torch.tensor([0, 1, 2, 3, 0])
    assert (gan.generate(z, y) - gan.generate(z, (y + 1) % 4)).abs().min() > 1e-6
    assert (gan.logits(x, y) - gan.logits(x, (y + 1) % 4)).abs().min() > 1e-6
    torch.testing.assert_close(gan.generate(z, y)[2], gan.generate(z[2], 2))
    torch.manual_seed(0)
    first = gan.critic_loss(x, y)
    torch.manual_seed(0)
    assert gan.critic_loss(x, y.flip(0)) != first


def test_a_pair_is_of_one_label():
    """The relativistic generator beats data of its own label."""
    gan, x, y = (
        made(2, 3, labels=4, hidden=(6,), loss="relativistic"),
        torch.randn(5, 2).double(),
        torch.arange(1, 6) % 4,
    )
    torch.manual_seed(1)
    paid = gan.generator_loss(x, y)
    torch.manual_seed(1)
    fake = gan.generate(gan.prior().sample((5,)), y)
    torch.testing.assert_close(paid, (1 + (gan.logits(x, y) - gan.logits(fake, y)).exp()).log().mean())


def test_pictures_lie_between_black_and_white_and_codes_keep_their_shape():
    gan = made((3, 8, 8), 5, network="conv", unit=True)
    x = gan.generate(torch.randn(2, 4, 5).double())
    assert x.shape == (2, 4, 3, 8, 8) and 0 <= x.min() < x.max() <= 1
    plain = made((3, 8, 8), 5, network="conv")
    torch.testing.assert_close(
        plain.generate(torch.ones(1, 5).double()).sigmoid(), gan.generate(torch.ones(1, 5).double())
    )


def test_own_networks():
    class Half(nn.Module):
        def forward(self, z):
            return z[:, None, :2] / 2

    gan = GAN(2, 3, generator=Half(), critic=nn.Linear(2, 1))
    assert torch.equal(gan.generate(torch.ones(4, 3)), torch.full((4, 2), 0.5))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"loss": "wasserstein"}, "loss to be one of .* try 'Wasserstein'"),
        ({"r1": -1.0}, "r1 >= 0, got -1.0"),
        ({"gp": math.nan}, "gp >= 0, got nan"),
        ({"latents": 0}, "integer latents >= 1"),
        ({"network": "conv", "hidden": (3,)}, "no hidden units beside"),
        ({"network": "conv"}, "pictures .C, H, W. with even sides"),
    ],
)
def test_options_that_cannot_be(change, words):
    with pytest.raises(ValueError, match=words):
        GAN(**{"event_shape": 2, "latents": 2} | change)


def test_networks_that_do_not_fit_are_refused():
    z, x = torch.ones(4, 3), torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"needed a generator whose output is \(B, 1, 2\), got \(4, 2\)"):
        GAN(2, 3, generator=nn.Linear(3, 2)).generate(z)
    with pytest.raises(ValueError, match=r"needed a critic whose output is \(B, 1\), got \(8, 2\)"):
        GAN(2, 3, critic=nn.Linear(2, 2)).critic_loss(x)
    with pytest.raises(ValueError, match=r"z of shape \(..., 3\)"):
        GAN(2, 3).generate(x)
