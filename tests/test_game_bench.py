"""What the game bench says is what the rules do: against factors of f = xy and moves by hand."""

import math

import numpy as np
import pytest

from gdm_core import explorers


@pytest.fixture(scope="module")
def bench():
    return explorers.game_bench()


def marks(frame, view):
    return {mark.get("label"): mark for mark in next(v for v in frame["views"] if v["name"] == view)["marks"]}


def told(bench, **state):
    return bench.frame(state).encode()["text"]


def test_growth_predicted_and_measured(bench):
    assert (
        told(bench, step=22)
        == "growth per step: predicted 1.0440, so the players diverge · measured 1.0440 over 22 steps"
    )
    assert "predicted 1.0000, so the players keep their distance" in told(bench, rule="alternating")
    assert "predicted 1.0002, so the players diverge" in told(bench, lr=0.02)
    assert "predicted 0.9487, so the players converge" in told(bench, rule="optimistic")  # the larger pair of two
    look = told(bench, rule="extragradient", lr=1 / math.sqrt(2), step=100)
    assert (
        f"predicted {math.sqrt(3) / 2:.4f}, so the players converge · measured {math.sqrt(3) / 2:.4f} over 100" in look
    )
    assert f"predicted {math.sqrt(1 - 0.15 + 0.09):.4f}" in told(bench, gamma=0.5)
    assert "measured after the first step" in told(bench, step=0)
    assert "after the first step" in told(bench, start=[[0, 0]])


def test_the_path_is_the_rules_from_the_start_that_was_dragged(bench):
    states = marks(bench.frame({"start": [[0.4, -0.2]], "step": 2}).encode(), "plane")["states"]["xy"]
    w = 0.4 - 0.2j
    wanted = [w, (1 + 0.3j) * w, (1 + 0.3j) ** 2 * w]
    assert np.allclose(states, [[z.real, z.imag] for z in wanted], atol=1e-6)


def test_noise_multiplies_the_pull_by_one_more_or_less(bench):
    """xi = 1 + 1 or 1 - 1: a step is a long one or none."""
    states = marks(bench.frame({"noise": 1.0, "lr": 0.1, "step": 30}).encode(), "plane")["states"]["xy"]
    ratios = (states[1:, 0] + 1j * states[1:, 1]) / (states[:-1, 0] + 1j * states[:-1, 1])
    stands, moves = np.isclose(ratios, 1, atol=1e-5), np.isclose(ratios, 1 + 0.2j, atol=1e-5)
    assert (stands | moves).all() and 5 < moves.sum() < 25


def test_eigenvalues_that_leave_look_other_than_those_that_arrive(bench):
    for rule, lr, outside in (("optimistic", 0.57, 0), ("optimistic", 0.59, 2), ("alternating", 0.3, 2)):
        shown = marks(bench.frame({"rule": rule, "lr": lr}).encode(), "eigenvalues")
        assert len(shown["|λ| ≥ 1"]["xy"]) == outside, (rule, lr)
        values = np.concatenate([shown["|λ| < 1"]["xy"], shown["|λ| ≥ 1"]["xy"]])
        assert len(values) == (4 if rule == "optimistic" else 2)
        assert (shown["|λ| < 1"]["color"], shown["|λ| ≥ 1"]["color"]) == ("latent", "model")
    frame = bench.frame({"rule": "simultaneous", "lr": 1.5}).encode()
    values = np.array(marks(frame, "eigenvalues")["|λ| ≥ 1"]["xy"])
    assert np.allclose(sorted(values.tolist()), [[1, -1.5], [1, 1.5]], atol=1e-6)
    assert frame["views"][1]["extent"][1] > math.hypot(1, 1.5)  # none is out of the picture


def test_the_road_is_the_logarithm_of_the_distance(bench):
    """Measured and predicted in powers of ten, from where the players start; who is out of reach is gone."""
    road = marks(bench.frame({"start": [[0.3, 0.4]]}).encode(), "distance")
    t = np.arange(101)
    wanted = np.minimum(np.log10(0.5) + t * np.log10(1.09) / 2, 4)
    for name in ("predicted", "measured"):
        assert np.allclose(road[name]["xy"], np.stack([t, wanted], 1), atol=1e-5), name
    noisy = bench.frame({"noise": 0.5, "step": 10}).encode()
    states, now = marks(noisy, "plane")["states"]["xy"], marks(noisy, "plane")[""]["xy"]
    assert np.allclose(now, states[-1:]) and len(states) == 11
    assert np.allclose(marks(noisy, "distance")[""]["xy"], [[10, np.log10(np.linalg.norm(states[-1]))]], atol=1e-5)
    texts = lambda **state: [
        m["text"] for v in bench.frame(state).encode()["views"] for m in v["marks"] if m["mark"] == "text"
    ]
    assert texts() == [] and texts(rule="momentum", lr=1.5, noise=0.5, start=[[3.0, 3.0]]) == [["gone"]]


def test_noise_is_as_large_as_it_says_and_leaves_the_penalty(bench):
    """xi is 1 + 0.25 or 1 - 0.25, a factor on all of v = (-y, x - gamma y)."""
    state = {"noise": 0.25, "gamma": 1.5, "lr": 0.2, "start": [[1.0, 0.6]], "step": 1}
    states = np.array(marks(bench.frame(state).encode(), "plane")["states"]["xy"])
    v = np.array([-0.6, 1.0 - 1.5 * 0.6])
    assert any(np.allclose(states[1] - states[0], 0.2 * xi * v, atol=1e-6) for xi in (0.75, 1.25))
    assert "predicted without noise" in told(bench, noise=0.25)


def test_who_leaves_the_picture_is_said(bench):
    warned = lambda **state: bench.frame(state).encode()["views"][0]["warning"]
    assert warned(lr=1.0, step=10, start=[[1.0, 0.0]]) == "The players left the picture at step 4"  # sqrt(2)^4 = 4
    assert warned(rule="proximal", step=100) == ""
