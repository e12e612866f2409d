"""Four losses of one score: their gradients agree in the mean, which quadrature takes exactly."""

import math

import pytest
import torch
from oracles import errors_off, off_init
from torch.distributions import Normal

from gdm_core import score_matching
from gdm_core.data.targets import Mixture
from gdm_core.networks import mlp

TARGET = Mixture([[-1.0, 0.5], [1.2, -0.3]], std=[0.5, 0.8], weights=[0.3, 0.7]).double()


def network(seed=0):
    torch.manual_seed(seed)
    return off_init(mlp(2, (12,), 2, torch.nn.Tanh)).double()


def gradient(loss, net):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()), allow_unused=False)])


def less_bias(net):
    return [p for name, p in net.named_parameters() if name != "2.bias"]


@pytest.fixture(scope="module")
def space():
    points, weights = TARGET.quadrature()
    return points, weights * TARGET.log_prob(points).exp()


def test_implicit_is_explicit_less_a_constant(space):
    """Hyvaerinen's integration by parts; the constant is half the Fisher information."""
    x, p = space
    truth, apart = TARGET.score(x), []
    for seed in (0, 1):
        net = network(seed)
        known, blind = score_matching.explicit(net, x, truth) @ p, score_matching.implicit(net, x) @ p
        gap = gradient(known, net)
        blind_gradient = torch.autograd.grad(blind, list(net.parameters()), allow_unused=True)
        told = torch.cat([torch.zeros(2).double() if g is None else g.flatten() for g in blind_gradient])
        torch.testing.assert_close(told, gap, rtol=1e-5, atol=1e-7)
        apart.append((known - blind).item())
    assert apart == pytest.approx([(truth.square().sum(1) @ p).item() / 2] * 2, rel=1e-6)


def test_sliced_along_all_axes_is_implicit(space):
    x, net = space[0][::97], network()
    axes = math.sqrt(2) * torch.eye(2).double()
    told = torch.stack([score_matching.sliced(net, x, v.expand_as(x)) for v in axes]).mean(0)
    torch.testing.assert_close(told, score_matching.implicit(net, x))
    mean = torch.stack([score_matching.sliced(net, x[:1].expand(4000, 2)).mean() for _ in range(3)]).mean()
    assert mean.item() == pytest.approx(score_matching.implicit(net, x[:1]).item(), abs=0.2)


def test_directions_are_drawn_with_mean_zero_and_unit_covariance():
    """v^T A v is tr A in the mean; at x = 0 nothing else is left of the loss."""
    torch.manual_seed(0)
    A = torch.tensor([[1.0, 3.0], [2.0, -4.0]]).double()
    told = score_matching.sliced(lambda x: x @ A, torch.zeros(20_000, 2).double())
    assert errors_off(told, A.trace()) < 5


@pytest.mark.parametrize("sigma", [0.4, 1.5])
def test_denoising_is_explicit_for_the_blurred_density(sigma):
    """Data are four points: x + sigma e is a mixture around them, and the mean over e an integral over the plane."""
    data = torch.tensor([[0.0, 1.0], [1.5, -0.5], [-1.0, -1.0], [0.2, 0.3]]).double()
    blurred = Mixture(data, std=sigma).double()
    x, cells = blurred.quadrature()
    net = network()
    known = score_matching.explicit(net, x, blurred.score(x)) @ (cells * blurred.log_prob(x).exp())
    told = torch.zeros(()).double()
    for one in data:
        p = cells * Normal(one, sigma).log_prob(x).sum(1).exp() / 4
        told = told + score_matching.denoising(net, one.expand_as(x), sigma, (x - one) / sigma) @ p
    torch.testing.assert_close(gradient(told, net), gradient(known, net), rtol=1e-6, atol=1e-8)
    assert told > known + 0.01


def test_denoising_with_a_level_each_and_pictures():
    torch.manual_seed(0)
    x, e = torch.randn(2, 3, 1, 2, 2).double()
    sigma = torch.tensor([0.5, 1.0, 3.0]).double()
    told = score_matching.denoising(lambda x: -x, x, sigma, e)
    for i, s in enumerate(sigma.tolist()):
        by_hand = (-(x[i] + s * e[i]) + e[i] / s).square().sum() / 2
        assert told[i].item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_at_the_truth_the_explicit_loss_is_zero(space):
    x = space[0][::50]
    assert score_matching.explicit(TARGET.score, x, TARGET.score(x)).abs().max() == 0
    assert score_matching.explicit(lambda x: 0 * x, x, torch.ones_like(x)).tolist() == [1.0] * len(x)


@pytest.mark.parametrize("loss", [score_matching.implicit, score_matching.sliced])
def test_a_score_that_does_not_depend_on_x_has_no_slope(loss):
    c = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert loss(lambda x: c.expand(len(x), 2), torch.zeros(3, 2).double()).tolist() == [2.5] * 3


@pytest.mark.parametrize("sigma", [0.0, -1.0, torch.ones(3), math.nan])
def test_levels_that_cannot_be(sigma):
    with pytest.raises(ValueError, match=r"needed sigma > 0, one number or \(4,\)"):
        score_matching.denoising(lambda x: -x, torch.zeros(4, 2), sigma)


def test_a_truth_of_another_shape():
    with pytest.raises(ValueError, match=r"needed the true score at x, \(4, 2\), got \(4,\)"):
        score_matching.explicit(lambda x: -x, torch.zeros(4, 2), torch.zeros(4))
