"""Few steps: each method's samples against a loop by hand, distances against samples, pairs against the flow."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import metrics, schedules
from gdm_core.data.targets import Mixture
from gdm_core.explorers import ch12_diffusion_film as film
from gdm_core.explorers import ch13_few_steps as few

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
TRUTH = Mixture(film.BUMPS, film.STD)
LAW = film.Law(torch.tensor(film.BUMPS), schedules.line)
E = torch.tensor([[0.7, 0.5]])


@pytest.fixture(scope="module", autouse=True)
def fewer_dots():
    """What is said and drawn has to be that of however many samples there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few, "DOTS", 800)
        yield


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def told(frame):
    return f"{frame['text']} · {frame['more']}"


def ways(frame):
    """The way of the followed noise in each panel, around its center."""
    lines = [m for m in view(frame, "samples")["marks"] if m["mark"] == "lines" and m["color"] == "accent"]
    return {name: line["xy"] - center for name, line, center in zip(few.METHODS, lines, few.CENTERS)}


def clouds(frame):
    points = [m for m in view(frame, "samples")["marks"] if m["mark"] == "points" and m["color"] != "accent"]
    return [p["xy"] - center for p, center in zip(points, few.CENTERS)]


def test_euler_and_heun_go_by_the_velocity(explorer):
    """In the exact field, two steps by hand: dx = -1/2 (x - E[x | x_t]) / t."""
    shown = ways(explorer("few_steps").frame({"steps": 2, "exact": True}).encode())
    v = lambda x, t: (x - LAW.denoise(x, torch.tensor(t))) / t
    first = E - v(E, 1.0) / 2
    assert np.allclose(shown["Euler"], torch.cat([E, first, first - v(first, 0.5) / 2]), atol=1e-5)
    assert len(shown["Heun"]) == 3 and not np.allclose(shown["Heun"][1], first, atol=1e-3)
    fine = ways(explorer("few_steps").frame({"steps": 64, "exact": True}).encode())
    assert np.allclose(fine["Heun"][-1], fine["Euler"][-1], atol=0.1)


def test_noise_stays_in_its_panel(explorer):
    shown = ways(explorer("few_steps").frame({"start": [[5.0, -6.0]]}).encode())
    assert all(np.allclose(way[0], [few.LIMIT, -few.LIMIT]) for way in shown.values())


def test_meanflow_jumps_and_the_reflowed_takes_its_own_network(explorer, stand_in):
    jumps, straight = stand_in(few.few_jumps, seed=0, steps=100), stand_in(few.few_reflowed, seed=0, steps=100)
    shown = ways(explorer("few_steps").frame({"steps": 2}).encode())
    t = lambda s: torch.tensor([s])
    middle = E - 0.5 * jumps.average(E, t(1.0), t(0.5))
    assert np.allclose(
        shown["MeanFlow"], torch.cat([E, middle, middle - 0.5 * jumps.average(middle, t(0.5), t(0.0))]), atol=1e-5
    )
    assert np.allclose(shown["reflowed"][1], E - 0.5 * straight.velocity(E, t(1.0)), atol=1e-4)


def test_distances_are_those_of_the_samples_and_true_draws_are_near(explorer):
    stage = explorer("few_steps")
    one, many = (stage.frame({"steps": n, "exact": True}).encode() for n in (1, 64))
    assert np.allclose(clouds(one)[0], clouds(one)[1], atol=1e-5)  # one step of Heun ends at the data: Euler's
    low, high = numbers(told(one), "draws")
    torch.manual_seed(0)
    away = torch.stack(
        [metrics.sliced(TRUTH.sample(few.DOTS), TRUTH.sample(100 * few.DOTS)[::100], 16) for _ in range(5)]
    )
    assert 0 < low < high < 0.3 and away.median() < 2.5 * high
    assert numbers(told(many), "Euler")[0] < 0.2 < numbers(told(one), "Euler")[0]
    mean = LAW.denoise(torch.randn(few.DOTS, 2), torch.tensor(1.0))  # all noise goes to the mean of the data
    truth = metrics.sliced(mean, TRUTH.sample(few.DOTS), 16).item()
    assert numbers(told(one), "Euler")[0] == pytest.approx(truth, abs=0.1)


def test_calls_of_the_network_and_distances_in_powers_of_two(explorer):
    frame = explorer("few_steps").frame({"steps": 8}).encode()
    marks = view(frame, "distance")["marks"]
    heun, dot = next((a, b) for a, b in zip(marks, marks[1:]) if a["label"] == "Heun")
    assert np.allclose(2 ** heun["xy"][:, 0], [1, 3, 7, 15, 31, 63, 127])
    assert np.allclose(2 ** dot["xy"][0], [15, numbers(told(frame), "Heun")[0]], atol=0.006)
    titles = [m["text"][0] for m in view(frame, "samples")["marks"] if m["mark"] == "text"]
    assert titles == [f"{name}: {numbers(told(frame), name)[0]:.2f}" for name in few.METHODS]


def test_a_press_draws_other_noise_and_steps_keep_it(explorer):
    stage = explorer("few_steps")
    euler = lambda **state: clouds(stage.frame({"steps": 64, "exact": True, **state}).encode())[0]
    assert np.array_equal(euler(), euler()) and not np.array_equal(euler()[:10], euler(**{"new noise": 1})[:10])


def test_pairs_are_noise_and_where_the_exact_flow_takes_it():
    torch.manual_seed(0)
    noise, data = few.flown(200, "cpu").unbind(1)
    x = noise.clone()
    for t in torch.linspace(1, 0, 1001)[:-1]:
        x = x - (x - LAW.denoise(x, t)) / t / 1000
    assert (x - data).norm(dim=1).median() < 0.02
    assert noise.mean().abs() < 0.2 and noise.std().item() == pytest.approx(1, abs=0.1)


def test_the_loss_of_given_pairs():
    torch.manual_seed(0)
    pairs = few.flown(2000, "cpu")
    model = few.Straight(2, schedule=schedules.line, hidden=(4,))
    wanted = (pairs[:, 0] - pairs[:, 1]).square().sum(1).mean().item()
    model._told = lambda x, t, y: (t, torch.zeros_like(x))
    assert model.loss(pairs).item() == pytest.approx(wanted, rel=1e-5)
    one = pairs[:1].expand(50, 2, 2)

    def velocity(x, t, y):
        assert torch.allclose(x, (1 - t[:, None]) * one[:, 1] + t[:, None] * one[:, 0], atol=1e-5)
        return t, one[:, 0] - one[:, 1]

    model._told = velocity
    assert model.loss(one).item() == pytest.approx(0, abs=1e-9)


def test_the_reflowed_learns_from_many_pairs(monkeypatch):
    drawn = []
    monkeypatch.setattr(few, "PAIRS", 512)
    monkeypatch.setattr(few.train, "steps", lambda _, draw, **__: drawn.append(draw(400)))
    torch.manual_seed(0)
    few.few_reflowed()
    assert drawn[0].shape == (400, 2, 2) and len(drawn[0].unique(dim=0)) > 230  # of 512, by chance 278
