"""Bijections: Jacobians by autograd, inverses, the directions of both log-determinants, the papers' equations."""

import math

import numpy as np
import pytest
import torch
from oracles import off_init
from torch.autograd.functional import jacobian
from torch.distributions import Independent, Normal

from gdm_core import bijections as bi

torch.set_num_threads(1)


def turned(layer):
    return bi.Swapped(layer)


def scaled(layer, by):
    """Strong layers: what holds near the identity need not hold here."""
    return off_init(layer, by, seed=3)


CASES = {
    "planar": lambda: scaled(bi.Planar(3), 1.0),
    "planar-swapped": lambda: turned(scaled(bi.Planar(3), 1.0)),
    "radial": lambda: scaled(bi.Radial(3), 0.8),
    "coupling": lambda: scaled(bi.Coupling(4, hidden=(8,)), 0.5),
    "coupling-first": lambda: scaled(bi.Coupling(4, first=True, hidden=(8,)), 0.5),
    "coupling-told": lambda: scaled(bi.Coupling(4, hidden=(8,), context=2), 0.5),
    "spline": lambda: scaled(bi.Coupling(4, bi.Spline(5, 3.0), hidden=(8,)), 0.8),
    "masked": lambda: scaled(bi.MaskedAutoregressive(3, hidden=(8, 8)), 0.4),
    "masked-told": lambda: scaled(bi.MaskedAutoregressive(3, hidden=(8,), context=2), 0.4),
    "masked-spline": lambda: scaled(bi.MaskedAutoregressive(3, bi.Spline(4, 3.0), hidden=(8,)), 0.8),
    "masked-swapped": lambda: turned(scaled(bi.MaskedAutoregressive(3, hidden=(8,)), 0.4)),
    "transformer": lambda: scaled(
        bi.MaskedAutoregressive(3, net=bi.CausalTransformer(3, width=8, blocks=1, context=2)), 0.3
    ),
    "norm": lambda: scaled(bi.ActNorm(3), 0.7),
    "mix": lambda: scaled(bi.Mix(3), 0.5),
    "permutation": lambda: bi.Permutation([2, 0, 1]),
    "logit": lambda: bi.Logit(0.1),
    "chain": lambda: bi.Chain(
        [scaled(bi.Mix(2), 0.3), scaled(bi.Coupling(2, hidden=(8,), context=2), 0.5), bi.Planar(2)]
    ),
}
PICTURES = {
    "squeeze": lambda: bi.Squeeze(),
    "norm-of-channels": lambda: scaled(bi.ActNorm(2), 0.7),
    "mix-of-channels": lambda: scaled(bi.Mix(2), 0.5),
    "coupling-of-channels": lambda: scaled(bi.Coupling(2, net=bi.ChannelNet(1, 2, 4)), 0.4),
    "splines-of-channels": lambda: scaled(bi.Coupling(2, bi.Spline(4), net=bi.ChannelNet(1, 11, 4)), 0.4),
    "two-scales": lambda: bi.MultiScale(
        (2, 4, 4),
        [
            bi.Chain([scaled(bi.Mix(8), 0.2), scaled(bi.Coupling(8, context=2, net=bi.ChannelNet(6, 8, 4)), 0.3)]),
            scaled(bi.ActNorm(16), 0.3),
        ],
    ),
}  # fmt: skip
ALL = CASES | PICTURES


def made(name):
    torch.manual_seed(1)
    layer = ALL[name]().double()
    x = torch.randn(5, 2, 4, 4) if name in PICTURES else torch.randn(5, features(layer))
    x = x.double()
    x = x.sigmoid() if isinstance(layer, bi.Logit) else x
    return layer, x, torch.randn(5, 2).double()


def features(layer):
    layer = layer.layer if isinstance(layer, bi.Swapped) else layer
    if isinstance(layer, bi.Coupling):
        return 2 * layer.half
    return 2 if isinstance(layer, bi.Chain) else 3


def slogdet(function, a, c, i):
    """log|det| of example i by autograd, whatever the others do."""
    J = jacobian(lambda one: function(one[None], c[i : i + 1])[0], a[i])
    size = a[i].numel()
    return torch.linalg.slogdet(J.reshape(size, size))[1].item()


@pytest.mark.parametrize("name", ALL)
def test_both_log_determinants_are_those_of_the_jacobian(name):
    """Each against its own direction: a sign turned in both would cancel where only their sum is looked at."""
    layer, x, c = made(name)
    z, log_det = layer.to_latent(x, c)
    back, other = layer.push(z, c)
    for i in range(2):
        there = slogdet(lambda a, c: layer.to_latent(a, c)[0], x, c, i)
        assert log_det[i].item() == pytest.approx(there, abs=1e-9)
        assert other[i].item() == pytest.approx(slogdet(layer.to_data, z, c, i), abs=1e-7)
    assert log_det.shape == other.shape == (5,)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_there_and_back(name):
    layer, x, c = made(name)
    far = x if isinstance(layer, bi.Logit) else 4 * x
    z = layer.to_latent(far, c)[0]
    torch.testing.assert_close(layer.to_data(z, c), far, rtol=0, atol=1e-8)
    e = x if isinstance(layer, bi.Logit) or name == "two-scales" else 4 * torch.randn_like(z)
    if name != "two-scales":
        e = layer.to_latent(e, c)[0] if isinstance(layer, bi.Logit) else e
        torch.testing.assert_close(layer.to_latent(layer.to_data(e, c), c)[0], e, rtol=0, atol=1e-8)


def test_a_chain_adds_up_its_layers_and_films_them():
    layer, x, c = made("chain")
    states = list(layer.states(x, c))
    z, log_det = layer.to_latent(x, c)
    assert torch.equal(states[-1][0], z) and len(states) == 3
    torch.testing.assert_close(sum(d for _, d in states), log_det)
    film = list(layer.film(z, c))
    for back, there in zip(film, [states[1][0], states[0][0], x]):
        torch.testing.assert_close(back, there, rtol=0, atol=1e-9)


@pytest.mark.parametrize("strength", [-30.0, -1.0, 3.0])
def test_planar_stays_invertible_whatever_its_numbers(strength):
    """u along -w, so strong that space would fold without the constraint: the map stays monotone along w."""
    layer = bi.Planar(2).double()
    with torch.no_grad():
        layer.w.copy_(torch.tensor([1.5, -0.5]))
        layer.u.copy_(strength * layer.w)
    t = torch.linspace(-4, 4, 400).double()[:, None] * layer.w
    z, log_det = layer.to_latent(t.detach())
    assert ((z @ layer.w).diff() > 0).all() and torch.isfinite(log_det).all()
    along = (layer.w @ bi.unfolded(layer.w, layer.u)).item()
    assert along == pytest.approx(math.log1p(math.exp(strength * 2.5)) - 1, abs=1e-9)


def test_planar_is_the_papers_equation():
    layer = scaled(bi.Planar(2), 0.5).double()
    x = torch.randn(4, 2).double()
    w, u, b = layer.w.detach().numpy(), bi.unfolded(layer.w, layer.u).detach().numpy(), layer.b.item()
    truth = x.numpy() + np.tanh(x.numpy() @ w + b)[:, None] * u
    np.testing.assert_allclose(layer.to_latent(x)[0].detach(), truth, rtol=1e-12)
    across = torch.stack([-layer.w[1], layer.w[0]]).detach()  # u keeps what it has across w
    assert (across @ (bi.unfolded(layer.w, layer.u) - layer.u)).abs().item() < 1e-12


def test_radial_is_the_papers_equation_and_stays_invertible():
    layer = bi.Radial(2).double()
    for raw in (-20.0, 4.0):  # beta just above -alpha: all but folded; and far above
        with torch.no_grad():
            layer.raw.fill_(raw), layer.log_alpha.fill_(-0.7)
        alpha = layer.log_alpha.exp().item()
        beta = alpha * (math.log1p(math.exp(raw)) - 1)
        r = torch.linspace(0.01, 5, 200).double()
        x = layer.center.detach() + r[:, None] * torch.tensor([0.6, 0.8], dtype=torch.float64)
        z = layer.to_latent(x)[0]
        out = (z - layer.center).norm(dim=1)
        torch.testing.assert_close(out, r + beta * r / (alpha + r), rtol=1e-10, atol=1e-10)
        assert (out.diff() > 0).all()


def test_solve_finds_the_root_and_its_gradient():
    k = torch.tensor(0.7).double().requires_grad_()
    target = torch.linspace(-3, 3, 7).double().requires_grad_()
    rises = lambda s: (s + k * torch.tanh(s), 1 + k * (1 - torch.tanh(s) ** 2))
    s = bi.solve(rises, target, target - 2, target + 2)
    assert (rises(s)[0] - target).abs().max() < 1e-14
    by_target, by_k = torch.autograd.grad(s.sum(), [target, k])
    slope = rises(s.detach())[1]
    torch.testing.assert_close(by_target, (1 / slope).detach())
    torch.testing.assert_close(by_k, (-torch.tanh(s) / slope).sum().detach())


def test_a_spline_goes_through_its_knots_with_its_slopes():
    torch.manual_seed(2)
    spline, p = bi.Spline(6, reach=3.0), torch.randn(17).double()
    share = lambda raw: 1e-3 + (1 - 6e-3) * np.exp(raw) / np.exp(raw).sum()
    knots = [np.concatenate([[-3.0], -3 + 6 * share(p[i : i + 6].numpy()).cumsum()]) for i in (0, 6)]
    slopes = 1e-3 + np.log1p(np.exp(p[12:].numpy() + math.log(math.expm1(1 - 1e-3))))
    at = torch.from_numpy(knots[0][1:-1])
    for side in (-1e-9, 1e-9):
        value, log_slope = spline(at + side, p.expand(5, -1))
        np.testing.assert_allclose(value, knots[1][1:-1], atol=1e-6)
        np.testing.assert_allclose(log_slope.exp(), slopes, atol=1e-6)
    out = torch.tensor([-7.0, -3.0, 3.0, 9.0]).double()
    value, log_slope = spline(out, p.expand(4, -1))
    assert torch.equal(value, out) and (log_slope == 0).all()
    inner = torch.linspace(-2.999, 2.999, 1000).double()
    assert (spline(inner, p.expand(1000, -1))[0].diff() > 0).all()


def test_a_spline_of_zeros_is_the_identity():
    x = torch.linspace(-6, 6, 50).double()
    value, log_slope = bi.Spline(7)(x, torch.zeros(50, 20).double())
    torch.testing.assert_close(value, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bi.Coupling(4),
        lambda: bi.Coupling(4, bi.Spline(5)),
        lambda: bi.MaskedAutoregressive(4),
        lambda: bi.MaskedAutoregressive(4, net=bi.CausalTransformer(4)),
        lambda: bi.Coupling(4, net=bi.ChannelNet(2, 4)),
    ],
    ids=["coupling", "spline", "masked", "transformer", "pictures"],
)
def test_layers_with_networks_begin_near_the_identity(make):
    torch.manual_seed(0)
    layer = make()
    x = torch.randn(50, 4, 2, 2) if "ChannelNet" in repr(layer) else torch.randn(50, 4)
    z, log_det = layer.to_latent(x)
    assert 0 < (z - x).abs().max() < 0.15 and log_det.abs().max() < 0.15


def test_a_smooth_activation_makes_a_smooth_slope():
    torch.manual_seed(0)
    x = torch.stack([torch.linspace(-4, 4, 4001), torch.ones(4001)], 1).double()
    jumps = []
    for activation in (torch.nn.ReLU, torch.nn.SiLU):
        layer = scaled(bi.Coupling(2, hidden=(8,), activation=activation), 0.5).double()
        jumps.append(layer.to_latent(x)[1].diff().diff().abs().max().item())
    assert jumps[1] < 0.05 * jumps[0]  # a kink is a jump of the slope, whatever the step


def test_an_affine_map_is_bounded_so_that_no_layer_stretches_to_infinity():
    p = torch.tensor([[100.0, 1.0], [-100.0, 1.0]]).double()
    value, log_slope = bi.Affine()(torch.ones(2).double(), p)
    torch.testing.assert_close(log_slope, torch.tensor([3.0, -3.0]).double())
    torch.testing.assert_close(value, log_slope.exp() + 1)


def test_a_coupling_leaves_its_first_half_and_moves_the_second():
    layer, x, _ = made("coupling")
    z = layer.to_latent(x)[0]
    assert torch.equal(z[:, :2], x[:, :2]) and ((z[:, 2:] - x[:, 2:]).abs() > 1e-3).all()
    J = jacobian(lambda one: layer.to_latent(one[None])[0][0], x[0])
    assert J[2, 3] == J[3, 2] == 0 and J[2:, :2].count_nonzero() == 4


@pytest.mark.parametrize("name", ["masked", "masked-told", "transformer"])
def test_autoregressive_networks_look_only_behind(name):
    layer, x, c = made(name)
    J = jacobian(lambda one: layer.net(one[None], c[:1])[0], x[0])  # (d, out, d)
    for i in range(3):
        assert (J[i, :, i:] == 0).all(), "row i sees what is before i"
        assert i == 0 or (J[i, :, :i].abs() > 1e-12).all(), "and all of it"
    if name != "masked":
        by_c = jacobian(lambda told: layer.net(x[:1], told[None])[0], c[0])
        assert by_c.abs().amax(2).min() > 1e-12, "every row sees the context"


def test_every_row_of_a_masked_network_sees_all_before_it_with_many_features():
    torch.manual_seed(0)
    net = bi.MaskedMLP(7, 2, hidden=(16, 16)).double()
    J = jacobian(lambda one: net(one[None])[0, :, 0], torch.randn(7).double())
    seen = (J.abs() > 1e-14).int()
    assert torch.equal(seen, torch.ones(7, 7).int().tril(-1))


def test_squeeze_puts_neighbors_into_channels():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    z = bi.Squeeze().to_latent(x)[0]
    assert z.shape == (1, 4, 2, 2) and sorted(z[0, :, 0, 0].tolist()) == [0, 1, 4, 5]


def test_an_activation_norm_starts_with_mean_zero_and_deviation_one():
    layer, x = bi.ActNorm(3).double(), (5 + 3 * torch.randn(64, 3, 2, 2)).double()
    layer.start(x)
    z = layer.to_latent(x)[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(z.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(z.std(1), torch.ones(3).double(), rtol=1e-9, atol=0)


def test_a_mix_starts_as_a_rotation():
    torch.manual_seed(4)
    W = bi.Mix(5).double().to_latent(torch.eye(5).double())[0].T
    torch.testing.assert_close(W @ W.T, torch.eye(5).double(), atol=1e-6, rtol=0)
    assert (W.abs() < 0.95).any(1).all()


@pytest.mark.parametrize("name", ["coupling-told", "masked-swapped", "planar-swapped"])
def test_a_pushed_distribution_integrates_and_knows_its_draws(name):
    make = {"coupling-told": lambda: bi.Coupling(2, hidden=(8,), context=2),
            "masked-swapped": lambda: turned(bi.MaskedAutoregressive(2, hidden=(8,), context=2)),
            "planar-swapped": lambda: turned(bi.Planar(2))}[name]  # fmt: skip
    torch.manual_seed(0)
    layer, c = scaled(make(), 0.4).double(), torch.randn(3, 2).double()
    base = Independent(Normal(torch.randn(3, 2).double(), torch.rand(3, 2).double() + 0.3), 1)
    q = bi.Pushed(base, layer, c)
    z = q.rsample((4,))
    assert z.shape == (4, 3, 2) and q.log_prob(z).shape == (4, 3)
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), rtol=1e-9, atol=1e-9)
    other = z.detach() + 0.3
    torch.testing.assert_close(q.log_prob(other), bi.Pushed(base, layer, c).log_prob(other))
    for i in range(3):  # each draw belongs to its own example, alone or beside others
        one = bi.Pushed(base.__class__(Normal(base.mean[i : i + 1], base.stddev[i : i + 1]), 1), layer, c[i : i + 1])
        torch.testing.assert_close(one.log_prob(z[:, i : i + 1]), q.log_prob(z)[:, i : i + 1], rtol=1e-9, atol=1e-9)
    axis = torch.linspace(-12, 12, 241).double()
    grid = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 3, -1)
    total = q.log_prob(grid).exp().sum(0) * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(total, torch.ones(3).double(), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: bi.Coupling(3), "an even number of features"),
        (lambda: bi.Coupling(4).to_latent(torch.zeros(1, 6)), "4 features"),
        (lambda: bi.Coupling(2, context=3).to_latent(torch.zeros(1, 2)), r"a context \(1, 3\)"),
        (lambda: bi.Squeeze().to_latent(torch.zeros(1, 1, 7, 8)), "even sides"),
        (lambda: bi.MultiScale((1, 28, 28), [bi.ActNorm(4)] * 3), "halved 3 times"),
        (lambda: bi.Permutation([0, 0]), "once"),
        (lambda: bi.Logit().to_latent(torch.full((1, 2), 1.5)), "gray levels"),
        (lambda: bi.Logit(0.5), "edge"),
        (lambda: bi.Spline(1), "bins"),
        (lambda: bi.Spline(500), "bins"),
        (lambda: bi.CausalTransformer(2, width=9), "width"),
    ],
)
def test_bad_input_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=f"needed .*{words}.* got .* try"):
        make()
