"""Causal networks and the model over them: who sees whom, the same draws fast and slow, exact truths."""

import itertools
import math

import pytest
import torch
from oracles import errors_off, event_space, off_init
from scipy.stats import norm
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from gdm_core import causal, likelihoods, train
from gdm_core.data.ising import Ising
from gdm_core.models.autoregressive import Autoregressive, demos
from gdm_core.quantiles import quantile
from gdm_core.unit_interval import UnitInterval

DEMOS = list(demos())


def demo(name, by=0.3):
    torch.manual_seed(0)
    return off_init(demos()[name], by).double().eval()


def told(model, n):
    return (torch.arange(n) % model.labels,) if model.labels else ()


# Who sees whom


def hears(network, x, *y):
    """(element, element of x): whether the first changes when the second does, in some example."""
    with torch.no_grad():
        before, heard = network(x, *y).flatten(2), []
        for j in range(x[0].numel()):
            other = x.clone().flatten(1)
            other[:, j] = 1 - other[:, j]
            heard.append((network(other.view_as(x), *y).flatten(2) != before).any(1).any(0))
    return torch.stack(heard, 1)


@pytest.mark.parametrize("name", DEMOS)
def test_an_element_hears_all_before_it_and_nothing_else(name):
    model = demo(name)
    x = torch.randint(0, 2, (16, *model.event_shape)).double()
    order = model.network.order
    heard = hears(model.network, x, *told(model, 16))[order][:, order]
    assert sorted(order) == list(range(x[0].numel()))
    earlier = torch.ones_like(heard).tril(-1)
    if name == "line":  # two layers reach four elements back
        earlier &= torch.ones_like(heard).triu(-4)
    assert torch.equal(heard, earlier)


def test_colors_come_pixel_by_pixel():
    assert demo("colors").network.order == [0, 4, 1, 5, 2, 6, 3, 7] == demo("attention").network.order


def test_the_receptive_field_has_no_blind_spot():
    torch.manual_seed(0)
    network = off_init(causal.PixelCNN((1, 9, 9), 1, width=8, layers=4)).double()
    field = causal.sees(network, (1, 9, 9), 4 * 9 + 4)[0] > 0
    above, own = field[:4], field[4]
    assert above.all(), "pixels above to the right are what the first PixelCNN could not see"
    assert own.tolist() == [True] * 4 + [False] * 5 and not field[5:].any()


def test_a_short_stack_sees_as_far_as_it_has_layers():
    network = off_init(causal.PixelCNN((1, 9, 9), 1, width=8, layers=2)).double()
    field = causal.sees(network, (1, 9, 9), 6 * 9 + 4)[0] > 0
    assert field.nonzero().amin(0).tolist() == [3, 1] and field[:, 7:].logical_not().all()


def test_gradients_are_those_of_changes():
    model = demo("board")
    x = torch.rand(16, *model.event_shape).double()
    heard = hears(model.network, x)
    for i in range(9):
        assert torch.equal(causal.sees(model.network, model.event_shape, i).flatten() > 0, heard[i])


# Keeping what was computed


@pytest.mark.parametrize("name", DEMOS)
def test_what_is_kept_is_what_is_computed_anew(name):
    model = demo(name)
    x, y = model.sample(6, *told(model, 6)), told(model, 6)
    with torch.no_grad():
        for fast, slow in zip(model.network.walk(x, *y), causal.naive_walk(model.network, x, *y), strict=True):
            torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", DEMOS)
def test_cached_and_naive_draws_are_the_same(name):
    model, noise = demo(name), torch.rand(12, *demo(name).event_shape, dtype=torch.float64)
    fast, slow = (model.sample(12, *told(model, 12), noise=noise, kept=kept) for kept in (True, False))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)
    assert fast.flatten(1).std(0).mean() > 0.1


@pytest.mark.slow
def test_cached_and_naive_pictures_are_the_same():
    torch.manual_seed(0)
    model = off_init(Autoregressive((1, 12, 12), levels=17, width=16, layers=3), 0.1).double()
    noise = torch.rand(4, 1, 12, 12, dtype=torch.float64)
    assert torch.equal(model.sample(4, noise=noise), model.sample(4, noise=noise, kept=False))


# The model


def test_conditionals_on_a_board_are_learned():
    """A chain of masked layers on 2 x 2 spins, by exact expected loss: its minimum is the entropy."""
    torch.manual_seed(0)
    ising, x = Ising(2, 0.8), Ising(2, 0.8).states()
    model = Autoregressive((1, 2, 2), levels=2, width=8, layers=2)
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(250):
        optimizer.zero_grad()
        loss = -(ising.log_p.exp().float() * model.log_prob(x)).sum()
        loss.backward()
        optimizer.step()
    assert -1e-5 < loss.item() - ising.entropy() < 0.01
    for turn in range(4):  # raster order: what is known is what comes before
        known = (torch.arange(4) < turn).reshape(1, 2, 2)
        with torch.no_grad():
            one = (model.elementwise(x) * torch.where(x == 1, 1, torch.nan)).exp().flatten(1)[:, turn]
        truth = ising.conditionals(x, known).flatten(1)[:, turn]
        assert (one.double() - truth)[x.flatten(1)[:, turn] == 1].abs().max() < 0.05


def test_elements_add_up():
    model = demo("colors")
    x, y = model.sample(5, *told(model, 5)), told(model, 5)
    torch.testing.assert_close(model.elementwise(x, *y).flatten(1).sum(1), model.log_prob(x, *y))


def test_a_density_in_the_plane_is_learned():
    """Two ridges: a straight line would not do."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(4000, 1, generator=generator)
    side = torch.where(torch.rand(4000, 1, generator=generator) < 0.5, -1.0, 1.0)
    x = torch.cat([first, side * (1 + first.square()) / 2 + 0.2 * torch.randn(4000, 1, generator=generator)], 1)
    truth = Normal(0, 1).log_prob(x[:, 0])
    ridges = torch.stack([-(1 + x[:, 0] ** 2) / 2, (1 + x[:, 0] ** 2) / 2], 1)
    truth = truth + (Normal(ridges, 0.2).log_prob(x[:, 1:]).logsumexp(1) - math.log(2))
    torch.manual_seed(0)
    model = Autoregressive(2, likelihood=likelihoods.Gaussians(4), network="chain")
    train.fit(model, x[:3000], steps=400, batch_size=250, lr=0.02, rate=train.falling)
    with torch.no_grad():
        assert (truth - model.log_prob(x))[3000:].mean() < 0.15


def test_completion_keeps_what_is_known_and_samples_the_rest():
    model = demo("board", 0.6)
    x, known = torch.tensor([1.0, 0, 1, 1, 0, 0, 0, 0, 0]).double().reshape(1, 1, 3, 3), torch.arange(9) < 4
    torch.manual_seed(0)
    drawn = model.complete(x.expand(4000, -1, -1, -1), known.reshape(1, 3, 3))
    assert (drawn.flatten(1)[:, :4] == x.flatten()[:4]).all()
    states = event_space(model.values, model.event_shape)
    with torch.no_grad():
        p = model.log_prob(states).exp() * (states.flatten(1)[:, :4] == x.flatten()[:4]).all(1)
    assert (errors_off(drawn.flatten(1)[:, 4:], (p / p.sum()) @ states.flatten(1)[:, 4:]) < 5).all()
    assert torch.equal(model.complete(x, torch.ones(1, 3, 3).bool()), x)
    each, of_each = torch.rand(50, 1, 3, 3).double().round(), torch.rand(50, 1, 3, 3) < 0.5
    assert torch.equal(model.complete(each, of_each)[of_each], each[of_each])


def test_completion_of_nothing_is_sampling():
    model, noise = demo("colors"), torch.rand(5, 2, 2, 2, dtype=torch.float64)
    y = told(model, 5)
    junk = torch.rand(5, 2, 2, 2, dtype=torch.float64)
    nothing = torch.zeros(2, 2, 2, dtype=torch.bool)
    assert torch.equal(model.complete(junk, nothing, *y, noise=noise), model.sample(5, *y, noise=noise))


def test_completion_leaves_what_it_was_given_and_takes_any_layout():
    model, noise = demo("board"), torch.rand(4, 1, 3, 3, dtype=torch.float64)
    turned = torch.rand(4, 1, 3, 3).double().round().transpose(2, 3)
    before, known = turned.clone(), (torch.rand(4, 1, 3, 3) < 0.5).transpose(2, 3)
    drawn = model.complete(turned, known, noise=noise)
    anew = model.complete(turned.contiguous(), known.contiguous(), noise=noise)
    assert torch.equal(drawn, anew) and torch.equal(turned, before) and drawn[~known].sum() > 0
    alone = [model.complete(turned[i, None], known[i, None], noise=noise[i, None]) for i in range(4)]
    assert torch.equal(drawn, torch.cat(alone))  # whatever is known of the others
    for x in (before.clone(), before.contiguous()):
        model.complete(x, known, noise=1 - noise)
        assert torch.equal(x, before)


def test_codes_are_symbols():
    """What follows a symbol is a table; as a number a code of 6 lies between 5 and 7, as a name it does not."""
    torch.manual_seed(0)
    follows = torch.tensor([5, 0, 7, 2, 6, 1, 3, 4])
    start = torch.randint(8, (600,))
    x = torch.stack([start, follows[start], follows[follows[start]]], 1).float() / 7
    model = Autoregressive(3, levels=8, network="convolution", symbols=8, layers=1, width=16)
    train.fit(model, x, steps=150, batch_size=100, lr=0.03, rate=train.falling)
    with torch.no_grad():
        assert abs(-model.log_prob(x).mean().item() - math.log(8)) < 0.1


# Quantiles


def test_quantiles_are_where_the_distribution_passes_u():
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    raw = torch.randn(6, 50, dtype=torch.float64)
    mixture = MixtureSameFamily(Categorical(logits=raw[:3].T), Normal(10 * raw[3:].T, 0.5))
    torch.testing.assert_close(mixture.cdf(quantile(mixture, u)), u, atol=1e-9, rtol=0)
    torch.testing.assert_close(quantile(Normal(raw[0], 2.0), u), raw[0] + 2 * torch.special.ndtri(u))
    for likelihood in (likelihoods.Categorical(6), likelihoods.Discretized(9, components=2)):
        values = likelihoods.values(likelihood, u)
        p = likelihood(torch.randn(50, likelihood.channels, dtype=torch.float64), 0)
        x = quantile(p, u, values)
        table = p.log_prob(values[:, None].expand(-1, 50)).exp()
        to = torch.where(values[:, None] <= x + 1e-9, table, 0).sum(0)
        assert (to >= u - 1e-9).all() and (to - p.log_prob(x).exp() < u + 1e-9).all()


def test_u_of_one_is_the_last_value():
    """Probabilities add up to a little less than 1 in half of all rows."""
    torch.manual_seed(0)
    p = likelihoods.Discretized(17, components=2)(torch.randn(500, 6), 0)
    values = torch.linspace(0, 1, 17)
    assert p.log_prob(values[:, None].expand(-1, 500)).exp().cumsum(0)[-1].min() < 1
    assert quantile(p, torch.ones(500), values).max() == 1


# Gray levels as cells


@pytest.mark.parametrize("family", ["kumaraswamy", "logit-normal"])
def test_cells_hold_the_mass_of_their_density(family):
    torch.manual_seed(0)
    raw = torch.randn(2, 40, dtype=torch.float64)
    p = UnitInterval(5, family)(raw, 1)
    values = torch.linspace(0, 1, 5, dtype=torch.float64)
    mass = p.base_dist.log_prob(values[:, None].expand(-1, 40)).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(40, dtype=torch.float64), atol=1e-5, rtol=0)
    if family == "kumaraswamy":
        F = lambda u: 1 - (1 - u ** raw[0].exp()) ** raw[1].exp()
    else:
        F = lambda u: Normal(raw[0], raw[1].exp()).cdf(torch.logit(torch.as_tensor(u, dtype=torch.float64)))
    for k in range(1, 4):
        torch.testing.assert_close(mass[k], F((k + 1) / 5) - F(k / 5), atol=1e-9, rtol=1e-6)
    x = p.sample((4000,))
    for value, share in zip(values, mass):
        far = ((x == value).double().mean(0) - share).abs() / (share * (1 - share) / 4000 + 1e-6).sqrt()
        assert (far < 5).all()


def test_cells_far_out_in_the_tails():
    """Phi(b) - Phi(a) where both are 1 to the last digit, or 0."""
    for m in (-6.0, 6.0):
        p = UnitInterval(9, "logit-normal")(torch.tensor([[m], [-0.5]], dtype=torch.float64), 1).base_dist
        for k in range(1, 8):
            a, b = sorted(abs((math.log(edge / (9 - edge)) - m) / math.exp(-0.5)) for edge in (k, k + 1))
            outer, inner = norm.logsf(b), norm.logsf(a)
            truth = inner + math.log1p(-math.exp(outer - inner))
            got = p.log_prob(torch.tensor([k / 8], dtype=torch.float64)).item()
            assert got == pytest.approx(truth, rel=1e-9) and truth < -5


@pytest.mark.parametrize("family", ["kumaraswamy", "logit-normal"])
def test_cells_keep_finite_gradients(family):
    extreme = [torch.tensor(pair, dtype=torch.float32) for pair in itertools.product((-9.0, 0.0, 9.0), repeat=2)]
    raw = nn.Parameter(torch.stack(extreme, 1))
    for x in (0.0, 0.5, 1.0):
        (-UnitInterval(5, family)(raw, 1).log_prob(torch.full((9,), x))).backward()
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Autoregressive(4, levels=2), "pictures .* for the network 'pixelcnn'.*network='chain'"),
        (lambda: Autoregressive((1, 4, 4), levels=2, network="chain"), "events .*network='pixelcnn'"),
        (lambda: Autoregressive((1, 4, 4), levels=2, network="pixlcnn"), "try 'pixelcnn'"),
        (lambda: Autoregressive((1, 4, 4)), "levels, the number of gray values"),
        (lambda: Autoregressive((1, 4, 4), levels=2, kernel=4), "an odd kernel, got 4; try kernel=5"),
        (lambda: Autoregressive((1, 4, 4), levels=2, network="attention", width=10), "4 heads share evenly"),
        (lambda: demo("board").log_prob(torch.full((1, 1, 3, 3), 0.5).double()), "2 gray levels"),
        (lambda: demo("board").sample(2, noise=torch.rand(1, 1, 3, 3)), "noise of shape"),
        (lambda: demo("board").sample(1, noise=torch.full((1, 1, 3, 3), 2.0)), "from 0 to 1"),
        (lambda: demo("board").complete(torch.zeros(2, 1, 3, 3).double(), torch.ones(3)), "known as bool"),
        (lambda: demo("board").sample(2, 1), "no labels for an unconditional model"),
        (lambda: causal.Chain((3,), 2, hidden=()), "at least one hidden layer"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=f"needed .*{words}|{words}"):
        call()
