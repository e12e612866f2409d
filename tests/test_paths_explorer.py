"""Paths: pairs on a line against the closed forms of couplings and simulated batches; what is said of them."""

import functools

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import couplings
from gdm_core.explorers import ch13_paths as paths
from gdm_core.explorers.paired import Pairs

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
MEANS = torch.tensor(paths.BUMPS)


@functools.cache
def truth(batch):
    return paths.Truth(paths.BUMPS, batch, torch.device("cpu"))


def simulated(batch, n=320_000):
    """Noise and data, (n,) each, of equal rank in batches."""
    torch.manual_seed(0)
    data = MEANS[torch.randint(3, (n,))] + paths.STD * torch.randn(n)
    return [s.reshape(-1, batch).sort(1).values.flatten() for s in (torch.randn(n), data)]


@pytest.mark.parametrize("batch", [1, 4])
def test_floor_and_cost_of_a_gaussian_are_those_of_its_integral(batch):
    pairs = Pairs(torch.zeros(1, dtype=torch.float64), 2.0, batch)
    t, x = (torch.arange(20).double() + 0.5) / 20, torch.linspace(-9, 9, 181).double()
    p, v, variance = pairs.moments(t, x)
    assert torch.allclose(p.sum(1) * 0.1, torch.ones(20).double(), atol=1e-3)
    assert (p * variance).sum().item() * 0.1 / 20 == pytest.approx(couplings.floor(2.0, batch), rel=3e-3)
    assert (p * (variance + v**2)).sum().item() * 0.1 / 20 == pytest.approx(couplings.cost(2.0, batch), rel=1e-3)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_velocity_and_variance_are_those_of_simulated_batches(batch):
    noise, data = simulated(batch)
    exact = truth(batch)
    for k, x in ((4, 0.5), (12, -0.3), (21, 2.0)):
        t = exact.times[k]
        near = ((1 - t) * data + t * noise - x).abs() < 0.04
        slopes = (noise - data)[near]
        error = slopes.std() / near.sum() ** 0.5
        assert exact.velocity(k, x) == pytest.approx(slopes.mean().item(), abs=4 * error.item() + 0.02), (k, x)
        i = (exact.places - x).abs().argmin()
        assert exact.moments.variance[k, i].item() == pytest.approx(slopes.var().item(), rel=0.15, abs=0.02), (k, x)
        p = near.float().mean().item() / 0.08
        assert np.interp(x, exact.places, exact.moments.density[k]) == pytest.approx(p, rel=0.05, abs=0.005)
        assert exact.fan(k, x).mean() == pytest.approx(slopes.mean().item(), abs=0.12)
        assert exact.fan(k, x).std() == pytest.approx(slopes.std().item(), rel=0.15)


@pytest.mark.parametrize("batch", [1, 16, 0])
def test_the_flow_goes_along_the_velocity_and_keeps_shares(batch):
    exact, e = truth(batch), torch.tensor([-1.2, 0.4, 1.6])
    flow = exact.flow(e)
    steps = (flow[3:-1] - flow[1:-3]) / (exact.times[2:] - exact.times[:-2])[:, None]
    told = torch.tensor([[exact.velocity(k, x) for x in row.tolist()] for k, row in enumerate(flow[1:-1])])[1:-1]
    assert (steps - told).abs().median() < 0.03 and (steps - told).abs().max() < 0.3
    ends = simulated(1)[1].quantile(torch.special.ndtr(e))
    assert torch.allclose(flow[0], e) and torch.allclose(flow[-1], ends, atol=0.02)


def test_after_a_reflow_every_path_is_the_flow():
    exact, e = truth(0), torch.tensor([-1.2, 0.4, 1.6])
    flow, t = exact.flow(e), exact.times[:, None]
    assert torch.allclose(flow[1:-1], t * e + (1 - t) * flow[-1], atol=0.05)
    assert exact.floor.max() == 0 and exact.cost == pytest.approx(exact.least, abs=0.02)
    noise, data = (s.sort().values for s in simulated(1))
    assert exact.least == pytest.approx((noise - data).square().mean().item(), rel=0.02)
    assert truth(1).cost == pytest.approx((1 + MEANS.square().mean() + paths.STD**2).item(), rel=5e-3)


@pytest.mark.parametrize("batch", [1, 16, 0])
def test_what_is_trained_on_are_these_pairs(batch):
    """The loss of a velocity of 0 is the cost of the pairs, that of the exact one their floor."""
    torch.manual_seed(0)
    model, exact = paths.Joined(MEANS, batch), truth(batch)
    x = MEANS[torch.randint(3, (32_000,))][:, None] + paths.STD * torch.randn(32_000, 1)
    model._told = lambda x_t, t, y: (t, torch.zeros_like(x_t))
    assert model.loss(x).item() == pytest.approx(exact.cost, rel=0.03)

    def velocity(x_t, t, y):
        k = ((1 - t) * paths.TIMES).long().clamp(0, paths.TIMES - 1)
        i = ((x_t[:, 0] + paths.LIMIT) / exact.step).long().clamp(0, paths.PLACES - 1)
        return t, exact.moments.velocity[k, i][:, None]

    model._told = velocity
    assert model.loss(x).item() == pytest.approx(exact.floor.mean(), rel=0.04, abs=0.05)


# What is shown


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def marks(frame, name):
    return {mark["label"]: mark for mark in view(frame, name)["marks"]}


def told(frame):
    return f"{frame['text']} · {frame['more']}"


def test_the_loss_is_that_of_the_network_on_these_pairs(explorer, stand_in):
    model = stand_in(paths.paths_velocity, seed=0, points=paths.BUMPS, batch=4, steps=100)
    frame = explorer("paths").frame({"batch": 4}).encode()
    noise, data = simulated(4, 64_000)
    t = torch.rand(len(noise))
    loss = ((model.velocity(((1 - t) * data + t * noise)[:, None], t)[:, 0] - (noise - data)) ** 2).mean().item()
    assert numbers(told(frame), "loss")[0] == pytest.approx(loss, rel=0.03)
    assert numbers(told(frame), "floor")[0] == pytest.approx(truth(4).floor.mean(), abs=6e-4)
    assert numbers(told(frame), "cost")[0] == pytest.approx((noise - data).square().mean().item(), rel=0.02)


def test_lines_join_the_pairs_and_the_fan_goes_through_the_point_on_the_flow(explorer):
    for batch in (1, 16):
        frame = explorer("paths").frame({"batch": batch, "start": [[1.0, 0.9]], "t": 15}).encode()
        pairs = marks(frame, "paths")["pairs"]["xy"].reshape(-1, 2, 2)
        assert (pairs[:, 0, 0] == 1).all() and (pairs[:, 1, 0] == 0).all()
        ranks = np.corrcoef(pairs[:, 0, 1], pairs[:, 1, 1])[0, 1]
        assert ranks > 0.7 if batch == 16 else abs(ranks) < 0.6
        point = marks(frame, "paths")[""]["xy"][0]
        assert point == pytest.approx(
            [truth(batch).times[15].item(), truth(batch).flow(torch.tensor([0.9]))[16].item()], abs=1e-4
        )
        fan = marks(frame, "paths")["paths through x"]["xy"].reshape(-1, 2, 2)
        assert np.allclose(fan[:, 1, 1] + point[0] * (fan[:, 0, 1] - fan[:, 1, 1]), point[1], atol=1e-4)
        mean = marks(frame, "slopes")["mean: velocity"]["xy"][0, 0]
        assert (fan[:, 0, 1] - fan[:, 1, 1]).mean() == pytest.approx(mean, abs=0.15)


def test_other_data_are_said_and_handles_stay_on_their_sides(explorer):
    stage = explorer("paths")
    frame = stage.frame({"data": [[0.3, -1.0], [0.0, 0.4], [0.0, 9.0]], "start": [[0.5, 0.9]]})
    assert frame.controls["data"] == [[0.0, -1.0], [0.0, 0.4], [0.0, paths.HIGHEST]]
    assert frame.controls["start"] == [[1.0, 0.9]]
    assert view(frame.encode(), "paths")["warning"].startswith("The network was trained on other data")
    home = stage.frame({})
    assert not home.controls and view(home.encode(), "paths")["warning"] == ""


def test_the_learned_flow_is_followed_to_second_order():
    """v = x leads from x to x / e, whatever the start."""
    exact = truth(1)
    way = paths._followed(exact, exact.places.expand(paths.TIMES, -1), 2.0)
    assert len(way) == paths.TIMES + 2 and way[-1] == pytest.approx(2 / np.e, abs=2e-3)


def test_reflow_straightens(explorer):
    bends = {on: numbers(told(explorer("paths").frame({"reflow": on}).encode()), "bends by")[0] for on in (False, True)}
    assert bends[False] > 0.15 > 0.05 > bends[True]
    assert view(explorer("paths").frame({"reflow": True}).encode(), "paths")["label"].endswith("is too")
