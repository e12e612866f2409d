"""Features, errors, bands and nats of the metrics, against loops, new draws and probabilities that can be summed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gdm_core import data, metrics, two_sample
from gdm_core.models.masked import Masked
from gdm_core.models.ppca import PPCA


def test_the_kernel_distance_is_its_sum_over_pairs():
    torch.manual_seed(0)
    x, y = torch.randn(9, 4, dtype=torch.float64), 2 * torch.randn(7, 4, dtype=torch.float64) + 1
    k = lambda a, b: (sum(s * t for s, t in zip(a.tolist(), b.tolist())) / 4 + 1) ** 3
    within = lambda s: np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j])
    truth = within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert metrics.kernel(x, y).item() == pytest.approx(truth, rel=1e-10)
    assert two_sample.test(x.repeat(4, 1), y.repeat(4, 1), metrics.kernel, permutations=99).p == 0.01


def test_frechet_of_few():
    """Two numbers each, 2 and 6 apart: variances 2 and 18 (not 1 and 9), roots that differ by 2 sqrt 2."""
    x, y = torch.tensor([-1.0, 1.0]), torch.tensor([-3.0, 3.0])
    assert metrics.frechet(x, y).item() == pytest.approx(8, rel=1e-9)


# Features


def classes(n=600, seed=0):
    """Three Gaussians in 6 dimensions whose classes lie in two of them."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=g)
    x = torch.randn(n, 6, generator=g)
    x[:, :2] += torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 4.0]])[y]
    return x, y


def test_features_have_learned_the_classes_and_repeat():
    torch.manual_seed(5)
    (x, y), (new, of) = classes(), classes(seed=1)
    model = metrics.learn_features(x, y, width=8, steps=80)
    state = torch.get_rng_state()
    again = metrics.learn_features(x, y, width=8, steps=80)
    assert torch.equal(torch.get_rng_state(), state)  # who asks for features draws nothing
    assert torch.equal(model(new), again(new)) and model(new).shape == (600, 8)
    assert model.accuracy(new, of) > 0.9
    assert not any(p.requires_grad for p in model.parameters())
    # what the classes do not need, features see less of than of what they need
    moved = lambda axis: (model(new + 2 * torch.eye(6)[axis]) - model(new)).norm(dim=1).mean()
    assert moved(0) > 1.5 * moved(5)
    assert model.logits(new).shape == (600, 3)


def test_a_classifier_that_guesses_is_refused():
    x, y = classes(300)
    wrong = y[torch.randperm(300, generator=torch.Generator().manual_seed(3))]
    with pytest.raises(ValueError, match="a classifier that has learned its classes"):
        metrics.learn_features(x[:, 2:], wrong, steps=400, lr=1e-2)
    with pytest.raises(ValueError, match="at least 20 examples of two classes"):
        metrics.learn_features(x, torch.zeros(300, dtype=torch.long))
    with pytest.raises(ValueError, match="at least 20 examples of two classes"):
        metrics.learn_features(x, y[:-1])
    with pytest.raises(ValueError, match="integer classes >= 2"):
        metrics.features.Features((6,), 1)


def test_features_of_digits_see_the_digit():
    digits = data.load("digits")
    for network in ("mlp", "conv"):
        model = metrics.learn_features(digits.x[:500], digits.labels[:500], network=network, steps=60)
        assert model.accuracy(digits.x[500:], digits.labels[500:]) > 0.8
        assert model(digits.x[:3]).shape == (3, 32)


# How sure


@pytest.mark.parametrize(
    "metric",
    [metrics.frechet, metrics.kernel, metrics.sliced, lambda x, y: metrics.neighbors(x, y).coverage],
    ids=["frechet", "kernel", "sliced", "coverage"],
)
def test_errors_are_those_of_new_draws(metric):
    torch.manual_seed(0)
    draw = lambda: (torch.randn(100, 3), 0.6 * torch.randn(100, 3) + 0.5)
    values = torch.tensor([float(metric(*draw())) for _ in range(150)])
    found = [metrics.estimate(metric, *draw()) for _ in range(12)]
    error = torch.tensor([e.error for e in found]).square().mean().sqrt()
    assert 0.6 < error / values.std() < 1.6
    assert abs(torch.tensor([e.value for e in found]).mean() - values.mean()) < 4 * values.std() / 12**0.5


def test_a_band_is_of_pictures_that_are_never_in_both():
    real = torch.arange(40.0).reshape(20, 2)
    seen = []

    def metric(x, y):
        assert len(x) == 12 and len(y) == 8
        rows = torch.cat([x, y])[:, 0]
        assert len(rows.unique()) == 20
        seen.append(tuple(x[:, 0].tolist()))
        return float(len(seen))

    found = metrics.band(metric, real, 12, 8, repeats=21, generator=torch.Generator().manual_seed(0))
    assert len(set(seen)) == 21
    assert found == (pytest.approx(11), pytest.approx(2), pytest.approx(20))
    with pytest.raises(ValueError, match="12 . 9 real examples"):
        metrics.band(metric, real, 12, 9)
    assert metrics.band(metric, real, 12, 8, repeats=2).mean == pytest.approx(22.5)  # the fewest that have a spread
    with pytest.raises(ValueError, match="integer repeats >= 2"):
        metrics.band(metric, real, 12, 8, repeats=1)


def test_a_band_holds_new_draws_of_the_same():
    torch.manual_seed(1)
    band = metrics.band(metrics.frechet, torch.randn(2000, 4), 300, 300, repeats=60)
    new = [metrics.frechet(torch.randn(300, 4), torch.randn(300, 4)).item() for _ in range(60)]
    assert np.mean(new) == pytest.approx(band.mean, rel=0.15)
    assert 0.75 < np.mean([band.low <= v <= band.high for v in new])


# Nats


class Uneven(nn.Module):
    """p(v) = 2 v_1 on the unit square."""

    event_shape = torch.Size([2])

    def sample(self, n):
        return torch.rand(n, 2)

    def log_prob(self, v):
        return (2 * v[:, 0]).log()


def test_gray_levels_fill_their_cells_and_come_back():
    x = torch.linspace(0, 1, 5).repeat(2000, 1)
    torch.manual_seed(0)
    v = metrics.spread(x, 5)
    assert (v.amin(0) - torch.arange(5) / 5).abs().max() < 1e-3 and (
        v.amax(0) - torch.arange(1, 6) / 5
    ).abs().max() < 1e-3
    assert torch.equal(metrics.levels_of(v, 5), x)
    assert metrics.levels_of(torch.tensor([-0.2, 1.3]), 5).tolist() == [0, 1]
    for wrong in (x + 0.1, x + 1, x - 1):
        with pytest.raises(ValueError, match="gray levels 0, 1/4"):
            metrics.spread(wrong, 5)


def test_a_density_bounds_the_probabilities_of_levels():
    """P(k_1) = (2 k_1 + 1)/9 for three levels, and a third for k_2."""
    x = torch.cartesian_prod(*[torch.linspace(0, 1, 3)] * 2)
    truth = -torch.tensor([(2 * k + 1) / 27 for k in range(3) for _ in range(3)]).log().mean().item()
    torch.manual_seed(0)
    found = metrics.nats(Uneven(), x, levels=3, draws=4000)
    # E log(2 (k + u)/3) + log 9 over three cells, integrated by hand
    F = lambda v: v * math.log(2 * v) - v if v else 0.0
    bound = -np.mean([3 * (F((k + 1) / 3) - F(k / 3)) for k in range(3)]) + 2 * math.log(3)
    assert found.kind == "bound" and found.nats == pytest.approx(bound, abs=0.02) and found.nats > truth
    assert metrics.nats(Uneven(), x + 0.1).kind == "exact"


def test_nats_are_exact_bounds_or_none():
    torch.manual_seed(0)
    x = torch.randn(400, 5, dtype=torch.float64)
    ppca = PPCA(5, 0).double().set(torch.zeros(5, 0), torch.zeros(5), 1.0)
    found = metrics.nats(ppca, x)
    each = 0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
    assert found.kind == "exact" and found.nats == pytest.approx(each.mean().item(), rel=1e-6)
    assert found.error == pytest.approx(each.std().item() / 20, rel=1e-6)
    assert found.bits == pytest.approx(found.nats / 5 / math.log(2))
    masked = Masked(3, 2, hidden=(4,))
    board = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    found = metrics.nats(masked, board, draws=200)
    assert found.kind == "bound" and found.nats == pytest.approx(
        -masked.elbo(board.repeat(500, 1)).mean().item(), rel=0.03
    )

    class Draws(nn.Module):
        event_shape = torch.Size([5])

    assert metrics.nats(Draws(), x).kind == "none" and math.isnan(metrics.nats(Draws(), x).nats)
    for ask in (lambda: metrics.nats(ppca, x, by="elbo"), lambda: metrics.nats(ppca, x[:, :2])):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            ask()
