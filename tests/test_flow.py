"""Flows as models: densities against closed forms, labels, start, dequantization, posteriors, and that they learn."""

import math

import pytest
import torch
from oracles import errors_off, off_init
from torch.distributions import MultivariateNormal

from gdm_core import bijections as bi
from gdm_core import inference, train
from gdm_core.data import digits, toy
from gdm_core.models import flow
from gdm_core.models.dequantized import Dequantized
from gdm_core.models.flow import Flow
from gdm_core.models.vae import VAE

torch.set_num_threads(1)


def test_a_linear_flow_is_a_gaussian():
    torch.manual_seed(0)
    model = off_init(Flow(3, [bi.ActNorm(3), bi.Mix(3)]), 0.4).double()
    back = model.to_data(torch.cat([torch.eye(3), torch.zeros(1, 3)]).double()).detach()
    A = (back[:3] - back[3]).T  # x = A z + mean
    x = torch.randn(6, 3).double()
    truth = MultivariateNormal(back[3], A @ A.T).log_prob(x)
    torch.testing.assert_close(model.log_prob(x), truth, rtol=1e-9, atol=1e-9)


def test_couplings_take_turns():
    """Both features move, and each as the other says."""
    torch.manual_seed(0)
    model = off_init(flow.realnvp(2, 2, hidden=(8,)), 0.4).double()
    x = torch.randn(1, 2).double()
    J = torch.autograd.functional.jacobian(lambda a: model.to_latent(a)[0][0], x)[:, 0]
    assert (J.abs() > 1e-3).sum() >= 3 and not (model.to_latent(x)[0] == x).any()
    z = model.to_latent(torch.tensor([[0.3, -0.8], [0.3, 0.9]]).double())[0]
    assert z[0].ne(z[1]).all(), "what changed in one feature has reached both"


@pytest.mark.parametrize("make", [flow.autoregressive, flow.transformer])
def test_what_one_layer_sees_last_the_next_sees_first(make):
    torch.manual_seed(0)
    model = off_init(make(3, 2), 0.4).double()
    J = torch.autograd.functional.jacobian(lambda a: model.to_latent(a[None])[0][0], torch.randn(3).double())
    assert (J.abs() > 1e-9).all(), "all numbers of z hear of all of x"


def test_a_spline_flow_leaves_what_is_out_of_its_reach():
    torch.manual_seed(0)
    model = off_init(flow.spline(2, 2, reach=1.5, hidden=(8,)), 0.5)
    x = torch.tensor([[1.6, -1.7], [0.3, 0.4]])
    z, log_det = model.to_latent(x)
    assert torch.equal(z[0], x[0]) and log_det[0] == 0 and (z[1] - x[1]).abs().min() > 1e-3


def test_glow_and_the_transformer_are_as_deep_as_asked():
    scales = flow.glow((1, 8, 8), scales=2, steps=3).bijection.layers[0].scales
    kinds = [[type(layer).__name__ for layer in scale.layers] for scale in scales]
    assert kinds == [["ActNorm", "Mix", "Coupling"] * 3] * 2
    net = flow.transformer(2, 5, width=6, blocks=3).bijection.layers[0].net
    assert len(net.blocks) == 3 and net.write.in_features == 6


def test_halves_take_turns():
    for made in (flow.realnvp(2, 5, hidden=(4,)), flow.spline(4, 5, hidden=(4,), bins=3)):
        assert [layer.first for layer in made.bijection.layers] == [False, True, False, True, False]


@pytest.mark.parametrize(("features", "n", "tiles"), [(2, 9500, 3), (100, 2500, 3)])
def test_long_batches_are_taken_in_tiles_that_do_not_show(monkeypatch, features, n, tiles):
    torch.manual_seed(0)
    model = off_init(flow.realnvp(features, 2, hidden=(8,), labels=3)).double()
    x, y, taken, whole = torch.randn(n, features).double(), torch.arange(n) % 3, [], model.to_latent
    monkeypatch.setattr(model, "to_latent", lambda *part: taken.append(len(part[0])) or whole(*part))
    with torch.no_grad():
        tiled = model.log_prob(x, y)
    assert len(taken) == tiles and sum(taken) == n
    torch.testing.assert_close(tiled, model.log_prob(x, y).detach(), rtol=1e-10, atol=1e-10)


def test_labels_move_the_density():
    torch.manual_seed(0)
    model = flow.realnvp(2, 4, hidden=(16,), labels=2)
    centers = torch.tensor([[-2.0, 0.0], [2.0, 1.0]])
    data = lambda n: (centers[y := torch.arange(n) % 2] + 0.5 * torch.randn(n, 2), y)
    train.fit(model, data, steps=150, batch_size=64, lr=1e-2)
    for y in (0, 1):
        assert (model.sample(500, y).mean(0) - centers[y]).norm() < 0.4


def test_start_normalizes_what_reaches_each_norm_and_only_then():
    torch.manual_seed(0)
    model = flow.glow((1, 8, 8), 2, 2, width=8)
    before, x = model.to_latent(torch.zeros(1, 1, 8, 8))[0], 3 + 2 * torch.randn(200, 1, 8, 8)
    assert (before == model.to_latent(torch.zeros(1, 1, 8, 8))[0]).all()
    model.start(x)
    z = model.to_latent(x)[0]
    assert abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.15
    again = model.to_latent(x[:5])[0]
    torch.testing.assert_close(again, z[:5], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_linear_flow_learns_a_gaussian_exactly():
    torch.manual_seed(0)
    target = toy.target("gaussian")
    model = Flow(2, [bi.ActNorm(2), bi.Mix(2)])
    train.fit(model, target.sample, steps=400, batch_size=256, lr=3e-2, rate=train.falling)
    x = target.sample(4000)
    assert (target.log_prob(x) - model.log_prob(x)).mean().item() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda: flow.realnvp(2, 6, hidden=(32, 32)), lambda: flow.spline(2, 2, hidden=(32,))],
    ids=["affine", "spline"],
)
def test_flows_learn_moons(make):
    torch.manual_seed(0)
    target, model = toy.target("moons"), make()
    train.fit(model, target.sample, steps=300, batch_size=256, lr=1e-2, rate=train.falling)
    x = target.sample(4000)
    lost = (target.log_prob(x) - model.log_prob(x)).mean().item()
    assert -0.05 < lost < 0.3, lost  # one Gaussian would lose 0.9


def test_a_flow_at_infinity_says_so():
    model = flow.realnvp(2, 2, hidden=(8,))
    for layer in model.bijection.layers:
        torch.nn.init.constant_(layer.net[-1].bias, 1e38)
    with pytest.raises(ValueError, match="needed .*finite z.* got .* try"):
        model.log_prob(torch.full((2, 2), 1e38))
    with pytest.raises(ValueError, match="needed .*finite x.* got .* try"):
        off_init(flow.realnvp(2, 2, hidden=(8,)), 5.0).to_data(torch.full((2, 2), 3e38))
    with pytest.raises(train.Diverged, match="step 1|step 0"):
        train.fit(model, torch.full((8, 2), 1e38), steps=2, batch_size=8)


def small_dequantized(variational):
    torch.manual_seed(0)
    inner = off_init(Flow(2, [bi.Logit(), *flow.realnvp(2, 2, hidden=(8,)).bijection.layers]), 0.2)
    told = lambda: off_init(bi.Chain([bi.Coupling(2, hidden=(8,), context=2), bi.Permutation.flip(2)]), 0.2)
    return Dequantized(inner, 4, told() if variational else None).double()


@torch.no_grad()
def test_a_dequantized_flow_bounds_its_exact_probability():
    """P(k) is the integral of the density over the cell; exp of the bound is unbiased: a lost constant shows."""
    model, k = small_dequantized(False), torch.tensor([[0.0, 2.0], [3.0, 1.0]]).double()
    inside = (torch.arange(60).double() + 0.5) / 60
    cell = lambda one: (one + torch.cartesian_prod(inside, inside)) / 4
    exact = torch.stack([model.flow.log_prob(cell(one)).exp().mean() / 16 for one in k])
    draws = torch.stack([model.elbo(one.expand(3000, 2) / 3) for one in k])  # (2, 3000)
    assert (draws.mean(1) < exact.log()).all() and (errors_off(draws.exp(), exact, dim=1) < 5).all()


def test_variational_noise_lies_in_its_cell_and_knows_its_density():
    model, k = small_dequantized(True), torch.tensor([[0.0, 2.0], [3.0, 1.0]]).double()
    torch.manual_seed(1)
    u, log_q = model._fill(k)
    assert u.min() > 0 and u.max() < 1
    torch.manual_seed(1)
    e = torch.randn(2, 2).double()
    for i in range(2):
        c = 2 * k[i : i + 1] / 3 - 1
        J = torch.autograd.functional.jacobian(lambda e, c=c: model.noise.to_data(e[None], c)[0].sigmoid(), e[i])
        truth = -0.5 * (e[i].square() + math.log(2 * math.pi)).sum() - torch.linalg.slogdet(J)[1]
        assert log_q[i].item() == pytest.approx(truth.item(), abs=1e-9)
    bound = model.flow.log_prob((k + u) / 4) - 2 * math.log(4) - log_q
    torch.manual_seed(1)
    torch.testing.assert_close(model.elbo(k / 3), bound)


def test_noise_fills_its_cell():
    torch.manual_seed(0)
    model = Dequantized(Flow((1, 4, 4), bi.MultiScale((1, 4, 4), [bi.ActNorm(4)])), 17)
    seen = []
    model.flow.log_prob = lambda v: seen.append(v) or v.new_zeros(len(v))
    x = (torch.arange(16.0) / 16).reshape(1, 1, 4, 4).expand(4000, -1, -1, -1)
    bound = model.elbo(x)
    cell = seen[0] * 17 - torch.arange(16.0).reshape(4, 4)
    assert cell.min() >= -1e-4 and cell.max() <= 1 + 1e-4
    assert (errors_off(cell.flatten(1).double(), 0.5) < 5).all() and (
        errors_off(cell.square().flatten().double(), 1 / 3) < 5
    )
    torch.testing.assert_close(bound, torch.full_like(bound, -16 * math.log(17)))
    torch.testing.assert_close(model.bits(x), torch.full_like(bound, math.log2(17)))


def test_samples_are_levels_and_levels_are_asked_for():
    torch.manual_seed(0)
    model = Dequantized(Flow(2, [bi.Logit(), bi.ActNorm(2)]), 5)
    assert set(model.sample(50).flatten().tolist()) <= set(model.values.tolist())
    model.flow.sample = lambda n: torch.tensor([0.0, 0.19, 0.21, 0.41, 0.79, 0.81, 1.0])
    assert model.sample(7).tolist() == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]  # five cells of equal width
    with pytest.raises(ValueError, match="needed gray levels"):
        model.elbo(torch.full((1, 2), 0.3))
    with pytest.raises(ValueError, match="needed gray levels"):
        model.elbo(torch.full((1, 2), 1.25))
    with pytest.raises(ValueError, match="without labels"):
        Dequantized(flow.realnvp(2, labels=2), 5)


def test_digits_through_glow_have_a_density_that_learns():
    torch.manual_seed(0)
    x = digits.load().x[:200]
    model = flow.glow((1, 8, 8), 2, 1, width=8)
    model.start(x + torch.rand_like(x) / 17)
    first = model.loss(x + torch.rand_like(x) / 17).item()
    train.fit(model, x + torch.rand_like(x) / 17, steps=30, batch_size=100, lr=3e-3)
    assert model.loss(x + torch.rand_like(x) / 17).item() < first - 3


def test_the_bound_with_a_flow_as_posterior_is_a_bound_and_its_terms_are_the_definitions():
    torch.manual_seed(0)
    chain = bi.Chain([bi.Coupling(2, hidden=(8,), context=4), bi.Permutation.flip(2), bi.Swapped(bi.Planar(2))])
    model = off_init(VAE(2, 2, hidden=(8,), posterior=chain), 0.2).double()
    x = torch.randn(3, 2).double()
    with torch.no_grad():
        own = torch.stack([model.elbo(x) for _ in range(2000)])
        plain = torch.stack([inference.elbo(model, x, 20) for _ in range(100)])
        z = model.prior().sample((200_000,))
        exact = torch.stack([model.decode(z).log_prob(one.expand(len(z), 2)).logsumexp(0) for one in x]) - math.log(
            len(z)
        )
    gap = (own.mean(0) - plain.mean(0)).abs() / (own.var(0) / 2000 + plain.var(0) / 100).sqrt()
    assert (gap < 5).all() and (own.mean(0) < exact + 0.05).all()
    with pytest.raises(ValueError, match="free bits"):
        VAE(2, 2, posterior=chain, free_bits=0.1)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: flow.realnvp(3), "an even number of features"),
        (lambda: flow.glow((1, 28, 28), 3), "halved 3 times"),
        (lambda: flow.realnvp(2).log_prob(torch.zeros(2, 2), torch.zeros(2).long()), "no labels"),
        (lambda: flow.realnvp(2).to_data(torch.zeros(2, 3)), r"z of shape"),
        (lambda: flow.planar(2, 0), "layers"),
    ],
)
def test_bad_input_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=f"needed .*{words}.* got .* try"):
        make()
