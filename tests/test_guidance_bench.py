"""The guidance bench: its densities, its fields, what an interval does; and the trees that it stands on."""

import math

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import kept
from gdm_core.data import trees
from gdm_core.explorers import ch14_guidance_bench as ours
from gdm_core.schedules import cosine

torch.set_num_threads(1)
stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
BOTH, RIGHT, LEFT = trees.pair()
COPY = "a worse copy"


@pytest.fixture
def stage(explorer):
    return explorer("guidance_bench")


@pytest.fixture
def bench(stand_in, monkeypatch):
    monkeypatch.setattr(kept, "trained", stand_in)
    return ours.Bench(0, torch.device("cpu"))


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def marks(frame, name):
    return {mark["label"]: mark for mark in view(frame, name)["marks"]}


def drawn(stage, **controls):
    return marks(stage.frame({"exact": True} | controls).encode(), "plane")["drawn"]["xy"]


def told(stage, **controls):
    """KL to what was meant, two standard errors, KL to the powered density, entropies of what is drawn and meant."""
    text = stage.frame({"exact": True} | controls).text
    return (*numbers(text, "meant)")[:2], numbers(text, "powered density")[0], *numbers(text, "branch")[:2])


# The trees


def test_trees_are_mirror_images_and_their_points_know_their_class():
    assert torch.cdist(RIGHT.means * torch.tensor([-1.0, 1.0]), LEFT.means).min(1).values.max() < 1e-5
    assert torch.cdist(RIGHT.means * torch.tensor([1.0, -1.0]), RIGHT.means).min(1).values.max() < 1e-5
    assert BOTH.weights[:28].sum().item() == pytest.approx(0.5)
    x, y = BOTH.draw(4000, torch.Generator().manual_seed(0))
    likelier = (LEFT.log_prob(x) > RIGHT.log_prob(x)).long()
    assert (likelier == y).double().mean() > 0.93 and y.double().mean().item() == pytest.approx(0.5, abs=0.05)


def test_branches_grow_thinner_and_shorter_where_the_last_one_ends():
    for k in range(1, 7):
        own, foot = (RIGHT.means[RIGHT.modes == n] for n in (k, (k - 1) // 2))
        step, last = (own[1] - own[0]), (foot[1] - foot[0])
        assert torch.allclose(own[0] - step / 2, foot[-1] + last / 2, atol=1e-5)
        assert (step.norm() / last.norm()).item() == pytest.approx(trees.SHORTER, rel=1e-4)
        cosine_between = (step @ last / step.norm() / last.norm()).item()
        assert math.acos(cosine_between) == pytest.approx(trees.ANGLE, abs=1e-3)
        ratio = RIGHT.std[RIGHT.modes == k][0] / RIGHT.std[RIGHT.modes == (k - 1) // 2][0]
        assert ratio.item() == pytest.approx(trees.THINNER)


def test_points_are_counted_on_the_branch_of_the_nearest_gaussian():
    x = RIGHT.means[RIGHT.modes.eq(2) | RIGHT.modes.eq(5)] + 0.01
    assert trees.branches(x, RIGHT).tolist() == [0, 0, 0.5, 0, 0, 0.5, 0]


# What is exact


def test_densities_are_those_of_their_time(bench):
    x = torch.randn(9, 2).double()
    for k in (0, 5, ours.STEPS):
        alpha, sigma = (a.item() for a in cosine(bench.times[k]))
        for tree, truth in ((bench.tree, RIGHT), (bench.both, BOTH)):
            torch.testing.assert_close(bench.log_noisy(tree, x, k), truth.noisy(sigma, alpha).log_prob(x))


def test_weight_one_draws_what_was_meant(stage):
    kl, error, powered, entropy, meant = told(stage, weight=1.0)
    assert abs(kl) < 0.1 and abs(powered - kl) < 0.02  # the powered density is the same then
    assert abs(entropy - meant) < 0.1


def test_weight_zero_draws_the_worse_copy_whose_distance_is_an_integral(stage, bench):
    points, cell = bench.thick.quadrature()
    log_p = bench.thick.log_prob(points)
    truth = (cell * log_p.exp() * (log_p - RIGHT.log_prob(points))).sum().item()
    kl, error, powered, *_ = told(stage, weight=0.0, away=COPY)
    assert abs(kl - truth) < 2 * error + 0.1 and truth > 0.2
    assert abs(powered) < 0.12


def test_powered_densities_are_counted_in_full(bench):
    """At w = 3, by quadrature in place of the grid that is shown."""
    x = RIGHT.sample(50)
    for away, weaker in ((ours.AWAY[0], BOTH), (COPY, bench.thick)):
        power = lambda z, weaker=weaker: 3 * RIGHT.log_prob(z) - 2 * weaker.log_prob(z)
        torch.testing.assert_close(bench.log_powered(x, away, 3.0, ours.STEPS), power(x), rtol=1e-3, atol=1e-2)


def test_the_normalizer_of_the_powered_density(stage):
    points, cell = BOTH.quadrature()
    log_z = (3 * RIGHT.log_prob(points) - 2 * BOTH.log_prob(points) + cell.log()).logsumexp(0).item()
    x = torch.as_tensor(drawn(stage, weight=3.0))
    kl, _, powered, *_ = told(stage, weight=3.0)
    shift = (-2 * RIGHT.log_prob(x) + 2 * BOTH.log_prob(x)).mean().item() + log_z
    assert powered - kl == pytest.approx(shift, abs=0.03)


def test_guidance_drives_away_from_the_other_tree_and_empties_the_trunk(stage):
    kl, _, powered, entropy, meant = told(stage, weight=3.0)
    assert kl > 0.6 and powered > 0.6 and entropy < meant - 0.3
    assert drawn(stage, weight=3.0)[:, 0].mean() > drawn(stage, weight=1.0)[:, 0].mean() + 0.3
    bars = marks(stage.frame({"exact": True, "weight": 3.0}).encode(), "branches")
    heights = {name: bars[name]["xy"][:, 1] for name in ("meant", "drawn")}
    assert heights["drawn"][0] < 0.05 < 0.15 < heights["meant"][0]
    assert heights["drawn"].sum() == pytest.approx(1) and heights["meant"].sum() == pytest.approx(1)
    p = heights["drawn"][heights["drawn"] > 0]
    assert -(p * np.log(p)).sum() == pytest.approx(entropy, abs=0.006)


def test_an_interval_guides_inside_alone_and_an_empty_one_never(stage):
    steady = lambda **controls: drawn(stage, weight=3.0, **controls)
    plain = drawn(stage, weight=1.0)
    assert np.allclose(steady(low=0.7, high=0.3), plain, atol=1e-4)
    assert np.allclose(steady(low=0.5, high=0.5), plain, atol=1e-4)
    assert "no guidance" in stage.frame({"low": 0.7, "high": 0.3}).text
    early = {"low": 0.5, "high": 1.0}
    assert np.allclose(steady(**early, t=5), steady(t=5))  # five steps began at t = 0.56 or above
    assert not np.allclose(steady(**early), steady(), atol=0.01) and not np.allclose(steady(**early), plain, atol=0.01)


def test_numbers_are_of_the_end_wherever_the_timeline_stands_and_their_error_is_that_of_other_noise(stage):
    assert told(stage, weight=2.0, t=5) == told(stage, weight=2.0)
    found = [told(stage, weight=2.0, **{"new noise": press})[:2] for press in range(7)]
    values, errors = np.array(found).T
    assert 0.5 < 2 * values.std(ddof=1) / errors.mean() < 1.7


# What is learned, and what is shown


def test_fields_are_those_of_the_label_of_none_and_of_the_copy(stand_in, bench):
    good, bad = (stand_in(ours.tree_denoiser, seed=0, steps=n) for n in (ours.TRAINED, ours.TRAINED // 4))
    x, t, right = torch.randn(6, 2), torch.tensor(0.4), torch.zeros(6, dtype=torch.long)
    with torch.no_grad():
        wanted = {"asked": good.denoise(x, t, right), ours.AWAY[0]: good.denoise(x, t), COPY: bad.denoise(x, t, right)}
        for name, mean in wanted.items():
            torch.testing.assert_close(bench.learned[name](x, t), mean)
        first = [bench.learned["asked"](x, t), bench.learned[COPY](x, t)]
        lean = bench.leaning(False, COPY, 2.0, (0.0, 1.0))(x, t)
    torch.testing.assert_close(lean, 2 * first[0] - first[1])
    assert not torch.allclose(wanted["asked"], wanted[ours.AWAY[0]], atol=1e-3)


def test_the_start_is_followed_and_a_press_draws_the_others_anew(stage):
    way = lambda **controls: view(stage.frame({"exact": True} | controls).encode(), "plane")["marks"][-2]["xy"].reshape(
        -1, 2
    )
    here = way(start=[[0.2, -0.9]])
    assert np.allclose(here[0], [0.2, -0.9], atol=1e-6) and len(here) == ours.STEPS + 1
    assert len(way(t=5)) == 6
    assert np.allclose(way(**{"new noise": 1}), way(), atol=1e-5)
    assert not np.allclose(drawn(stage, **{"new noise": 1}), drawn(stage), atol=0.1)


def test_the_chart_ends_at_the_read_out_and_starts_at_nothing(stage):
    frame = stage.frame({"exact": True, "weight": 3.0, "t": 4}).encode()
    curve = marks(frame, "distance")["KL(drawn ‖ meant)"]["xy"].reshape(-1, 2)
    assert curve[-1, 1] == pytest.approx(told(stage, weight=3.0)[0], abs=0.006)
    assert abs(curve[0, 1]) < 0.1 and curve[0, 0] == 1 and abs(curve[-1, 0]) < 1e-6
    assert np.allclose(marks(frame, "distance")[""]["xy"][0], curve[4], atol=1e-5)
    band = view(frame, "distance")["marks"][0]["xy"]
    kl, error = told(stage, weight=3.0)[:2]
    assert sorted(band[np.abs(band[:, 0]) < 1e-6, 1]) == pytest.approx([kl - error, kl + error], abs=0.012)


def test_the_ground_is_the_density_that_its_label_names(stage):
    def center(**controls):
        frame = stage.frame({"exact": True, "weight": 5.0, "t": ours.STEPS} | controls)
        image = np.asarray(frame.views["plane"].image, dtype=float) ** 2  # roots are shown
        left, right, low, high = ours.EXTENT
        x = left + (right - left) * (np.arange(ours.COLUMNS) + 0.5) / ours.COLUMNS
        y = high - (high - low) * (np.arange(ours.ROWS) + 0.5) / ours.ROWS
        p = image / image.sum()
        return (p.sum(0) * x).sum(), (p.sum(1) * y).sum(), frame.views["plane"].label

    mean = (RIGHT.weights[:, None] * RIGHT.means).sum(0)
    x, y, label = center()
    assert x == pytest.approx(mean[0].item(), abs=0.05) and abs(y) < 0.05 and label.endswith("meant")
    powered, _, label = center(powered=True)
    assert powered > x + 0.02 and label.endswith("powered density")  # the trunk lies under the other tree's
