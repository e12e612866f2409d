"""The energy model: where its chains begin, what they keep, its gradient and what it learns, by quadrature."""

import pytest
import torch
from oracles import off_init
from torch import nn

from gdm_core import train
from gdm_core.data.targets import Mixture, grid
from gdm_core.models.ebm import EBM, Chains

STILL = {"size": 1e-12, "steps": 1}  # chains that stay where they begin


def flat(**options):
    """An energy model whose network says 0: a bowl."""
    model = EBM(2, width=1.5, **options).double()
    return model.requires_grad_(False).apply(lambda m: m.weight.zero_() if isinstance(m, nn.Linear) else None)


def log_z(model, reach=9.0):
    points, weights = grid([-reach] * 2, [reach] * 2, 0.1)
    return (weights.log() - model.energy(points)).logsumexp(0)


def test_before_training_it_is_a_gaussian():
    model = flat()
    x = torch.tensor([[1.5, 0.0], [3.0, 4.0]]).double()
    biases = [m.bias for m in model.network.net if isinstance(m, nn.Linear)]
    assert biases[-1] is None
    assert model.energy(x).tolist() == pytest.approx([0.5, 25 / 4.5])
    assert log_z(model).item() == pytest.approx(torch.tensor(2 * torch.pi * 2.25).log().item(), rel=1e-8)


def test_where_the_chains_begin():
    """The loss with chains that stay is the energy at the data less that where they began."""
    torch.manual_seed(0)
    x = torch.full((2000, 2), 3.0).double()
    energy = 18 / 4.5
    assert flat(start="data", **STILL).loss(x).item() == pytest.approx(0.0, abs=1e-5)
    assert flat(start="noise", **STILL).loss(x).item() == pytest.approx(energy - 1, abs=0.15)  # E|x|^2 = 2 w^2
    for reborn, mean in ((0.0, 8 / 4.5), (1.0, 1.0), (0.5, (8 / 4.5 + 1) / 2)):
        model = flat(start="kept", chains=3000, reborn=reborn, **STILL)
        model.chains.places.fill_(2.0)
        assert model.loss(x).item() == pytest.approx(energy - mean, abs=0.15)


def test_kept_chains_begin_as_wide_as_the_bowl():
    torch.manual_seed(0)
    places = EBM(2, width=3.0, chains=5000).chains.places
    assert places.shape == (5000, 2) and places.std(0).tolist() == pytest.approx([3.0] * 2, rel=0.06)


def test_a_step_moves_as_many_kept_chains_as_it_has_examples():
    torch.manual_seed(0)
    model = EBM(2, chains=100, steps=3)
    before = model.chains.places.clone()
    for expected in (30, 100):
        model.loss(torch.randn(expected, 2))
        moved = (model.chains.places != before).any(1).sum().item()
        assert expected <= moved <= 100
        before = model.chains.places.clone()
    model.start = "data"
    model.loss(torch.randn(10, 2))
    assert torch.equal(model.chains.places, before)


def test_every_kept_chain_has_its_turn():
    torch.manual_seed(0)
    model = EBM(2, chains=60, steps=1)
    before = model.chains.places.clone()
    for _ in range(20):
        model.loss(torch.randn(30, 2))
    assert (model.chains.places != before).any(1).all()


def test_the_loss_falls_where_energy_of_data_falls():
    """Its gradient is E_data[grad e] - E_chains[grad e], at where the chains ended."""
    torch.manual_seed(0)
    model = off_init(EBM(2, hidden=(8,), chains=40, steps=4)).double()
    x = torch.randn(40, 2).double() + 1
    loss = model.loss(x)
    ended = model.chains.places  # all of them moved
    told = torch.autograd.grad(loss, list(model.network.parameters()))
    wanted = torch.autograd.grad(model.energy(x).mean() - model.energy(ended).mean(), list(model.network.parameters()))
    torch.testing.assert_close(told, wanted)


def test_that_gradient_is_the_one_of_the_likelihood():
    """Autograd through log Z, an integral, against the model's mean of the energy's gradient under the same grid."""
    torch.manual_seed(0)
    model = off_init(EBM(2, hidden=(8,))).double()
    x, weights = torch.randn(50, 2).double(), list(model.network.parameters())
    exact = torch.autograd.grad(model.energy(x).mean() + log_z(model), weights)
    points, cells = grid([-9.0] * 2, [9.0] * 2, 0.1)
    p = (cells.log() - model.energy(points) - log_z(model)).exp().detach()
    terms = torch.autograd.grad(model.energy(x).mean() - model.energy(points) @ p, weights)
    torch.testing.assert_close(terms, exact)


def test_samples_of_a_bowl_are_gaussian():
    torch.manual_seed(0)
    model = flat(size=0.2)
    x = model.sample(4000, steps=60)
    assert x.std(0).tolist() == pytest.approx([1.5] * 2, rel=0.06)
    walked = list(model.walk(torch.zeros(3, 2).double(), 5))
    assert len(walked) == 6 and walked[0].abs().max() == 0


@pytest.mark.slow
def test_it_learns_two_modes_and_their_shares():
    """KL(data, model) by quadrature."""
    torch.manual_seed(0)
    target = Mixture([[-1.5, 0.0], [1.5, 0.0]], std=0.5, weights=[0.7, 0.3])
    model = EBM(2, hidden=(32, 32), steps=20, size=0.05, chains=500)
    train.fit(model, target.sample, steps=300, batch_size=128, lr=5e-3, rate=train.falling)
    points, weights = grid([-6.0] * 2, [6.0] * 2, 0.1)
    exact = target.log_prob(points)
    with torch.no_grad():
        energy = model.energy(points.float()).double()
    log_p = -energy - (weights.log() - energy).logsumexp(0)
    assert (weights * exact.exp() * (exact - log_p)).sum().item() < 0.2
    left = (weights * log_p.exp())[points[:, 0] < 0].sum().item()
    assert left == pytest.approx(0.7, abs=0.17)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"start": "model"}, "start to be one of"),
        ({"steps": 0}, "integer steps >= 1"),
        ({"size": -0.1}, "positive, finite size"),
        ({"width": 0.0}, "positive, finite width"),
        ({"reborn": 1.5}, r"a share reborn in \[0, 1\], got 1.5"),
        ({"chains": 0}, "integer chains >= 1"),
    ],
)
def test_options_that_cannot_be(change, words):
    with pytest.raises(ValueError, match=words):
        EBM(2, **change)


def test_more_examples_than_chains_and_networks_that_do_not_fit():
    with pytest.raises(ValueError, match="at least 9 chains"):
        EBM(2, chains=8).loss(torch.zeros(9, 2))
    with pytest.raises(ValueError, match=r"needed a network whose output is \(4, 1\), got \(4, 2\)"):
        EBM(2, network=nn.Linear(2, 2)).energy(torch.zeros(4, 2))


def test_a_chain_that_moved_twice_is_put_back_where_it_stood_at_first():
    chains = Chains(torch.arange(5.0)[:, None].clone())
    put_back = chains.savepoint()
    for step in (1, 2):
        chains.write(torch.tensor([1, 3]), torch.full((2, 1), 10.0 * step))
    assert chains.places.flatten().tolist() == [0, 20, 2, 20, 4]
    put_back()
    assert chains.places.flatten().tolist() == [0, 1, 2, 3, 4]
