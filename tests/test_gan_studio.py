"""What the GAN studio shows: whose moves, whose pull, which data; by hand."""

import copy

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core import adversarial, kept
from gdm_core.explorers import ch08_gan_studio as studio

stand_in = stand_ins.stand_in
TOLD = {
    "cure": "R3GAN",
    "momentum": 0.5,
    "k": 1,
    "target": studio.TARGETS["ring"],
    "critic_alone": 0,
    "generator_alone": 0,
}


def gan():
    torch.manual_seed(0)
    return studio.studio_gan(steps=1)[0]


def test_who_goes_on_alone_is_the_one_that_was_asked():
    start = gan()
    for name, other in (("critic", "generator"), ("generator", "critic")):
        twin = studio.alone(start, TOLD | {f"{name}_alone": 3}, 0, "cpu")
        same = {who: all(map(torch.equal, start.players()[who], twin.players()[who])) for who in (name, other)}
        assert same == {name: False, other: True}
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), studio.alone(start, TOLD, 0, "cpu").parameters()))


def test_alone_it_pays_as_the_controls_say():
    start = gan()
    told = [{}, {"cure": "nothing added"}, {"momentum": 0.0}, {"target": studio.TARGETS["line"]}]
    moved = [studio.alone(start, TOLD | {"critic_alone": 3} | one, 0, "cpu").critic.net[0].weight for one in told]
    assert all((a - b).abs().max() > 1e-5 for i, a in enumerate(moved) for b in moved[:i])


def test_early_a_generator_that_goes_on_alone_leaves_the_data():
    one, run = studio.studio_gan(steps=6000)
    for history in run:
        if len(history) == 60:
            break
    radius = lambda steps: studio.alone(one, TOLD | {"generator_alone": steps}, 0, "cpu").sample(300).norm(dim=1).mean()
    assert radius(0) < 4 and radius(studio.ALONE) > 7  # the data lie at 3; 35 under some seeds


def test_alone_it_draws_numbers_of_its_own():
    ahead, moved = torch.get_rng_state(), []
    for _ in range(2):
        moved.append(studio.alone(gan(), TOLD | {"generator_alone": 2}, 0, "cpu").generator.net[0].weight)
        torch.rand(3)
    assert torch.equal(*moved)
    torch.set_rng_state(ahead)
    start = gan()
    ahead = torch.get_rng_state()
    studio.alone(start, TOLD | {"generator_alone": 2}, 0, "cpu")
    assert torch.equal(torch.get_rng_state(), ahead)


@pytest.fixture(scope="module")
def shown(stand_in):
    """The studio around players that nobody trained, and those players."""
    return studio.gan_studio(), kept.trained(studio.studio_gan, steps=studio.STEPS)


@pytest.mark.parametrize("row, column", [(0, 0), (2, 40), (31, 7)])
def test_the_field_is_the_critic_at_the_place_of_the_pixel(shown, row, column):
    stage, one = shown
    view = stage.frame().views["plane"]
    D, side = view.image, 2 * studio.LIMIT / studio.CELLS
    assert abs(D.mean()) < 1e-3 * D.std() and max(map(abs, view.limits)) == pytest.approx(abs(D).max().item())
    at = lambda r, c: torch.tensor([[-studio.LIMIT + (c + 0.5) * side, studio.LIMIT - (r + 0.5) * side]])
    rise = D[row, column] - D[20, 20]  # a constant is free
    torch.testing.assert_close(rise, (one.logits(at(row, column)) - one.logits(at(20, 20)))[0], rtol=1e-3, atol=1e-4)


def test_dots_and_words_are_of_samples_and_of_data_as_the_hand_put_them(shown):
    stage, one = shown
    real, fake, arrows = stage.frame().views["plane"].overlay
    fake = torch.as_tensor(fake.xy)
    assert torch.equal(torch.as_tensor(arrows.start), fake[: studio.PULLED])
    one = copy.deepcopy(one).requires_grad_(False)
    pull = studio.pulls(one, torch.as_tensor(real.xy)[: studio.PULLED], fake[: studio.PULLED])
    torch.testing.assert_close(torch.as_tensor(arrows.delta), 0.7 * pull / pull.norm(dim=1).max(), rtol=1e-3, atol=1e-4)
    centers = torch.cat([fake[:5], torch.tensor([[3.0, 3.0], [3.0, -3.0], [-3.0, 3.0]])])  # five are among the samples
    frame = stage.frame({"target": centers.numpy()})
    real = torch.as_tensor(frame.views["plane"].overlay[0].xy)
    e = (real - centers[torch.arange(300) % 8]) / studio.STD
    assert abs(e.mean()) < 0.15 and abs(e.std() - 1) < 0.1
    assert not torch.allclose(one.generate(e), fake[:300], atol=0.1)  # the data's noise is its own
    far, which = torch.cdist(fake, centers).min(1)
    counts = [int(((which == k) & (far <= 3 * studio.STD)).sum()) for k in range(8)]
    covered, _, near = numbers("of " + frame.text, "of ")[:3]
    assert frame.text.endswith("trained 800 steps on the ring · R3GAN")
    assert stage.frame({"generator_alone": 2}).text.endswith("R3GAN · generator 2 steps alone")
    assert covered == sum(n >= 10 for n in counts) > 0 and near == pytest.approx(sum(counts) / 8, abs=0.51)


@pytest.mark.parametrize("cure", studio.CURES)
def test_a_sample_that_follows_its_pull_costs_the_generator_less(cure):
    one = gan()
    studio.settle(one, cure)
    real, fake = studio.data(TOLD["target"], 9, "cpu"), torch.randn(9, 2)
    way = studio.pulls(one, real, fake)
    cost = lambda x: one.cost.generator(one.logits(real), one.logits(x)).detach()
    moved = (cost(fake + 1e-2 * way / way.norm(dim=1, keepdim=True)) - cost(fake)) / 1e-2
    torch.testing.assert_close(moved, -way.norm(dim=1), rtol=0.05, atol=1e-3)


def test_a_cure_changes_what_is_paid_while_one_trains():
    told = dict(TOLD)
    one = gan()
    run = studio.learn(one, lambda: told, 3)
    next(run)
    assert (one.cost, one.r1, one.gp) == (adversarial.LOSSES["relativistic"], 1.0, 0.0)
    told |= {"cure": "WGAN-GP", "momentum": 0.9, "k": 3}
    moved = one.critic.net[0].bias.clone()
    next(run)
    assert run.gi_frame.f_locals["told"].__len__() == 4 and not torch.equal(moved, one.critic.net[0].bias)
    assert (one.cost, one.r1, one.r2, one.gp) == (adversarial.LOSSES["Wasserstein"], 0.0, 0.0, 1.0)
    assert run.gi_frame.f_locals["optimizer"].param_groups[0]["betas"] == (0.9, 0.99)


def test_each_cure_is_what_it_is_called():
    told = {}
    for cure in studio.CURES:
        studio.settle(one := gan(), cure)
        told[cure] = next(name for name, cost in adversarial.LOSSES.items() if cost is one.cost), one.r1, one.r2, one.gp
        largest = max(abs(torch.linalg.svdvals(one.critic.net[i].weight.detach())[0] - 1).item() for i in (0, 2, 4))
        assert (largest < 1e-4) == (cure == "spectral norm")
    studio.settle(one, "spectral norm")
    studio.settle(one, "R3GAN")
    assert torch.equal(one.critic.net[2].weight, gan().critic.net[2].weight)  # as it was
    assert told == {
        "nothing added": ("non-saturating", 0, 0, 0),
        "minimax": ("minimax", 0, 0, 0),
        "least squares": ("least squares", 0, 0, 0),
        "WGAN-GP": ("Wasserstein", 0, 0, 1),
        "spectral norm": ("non-saturating", 0, 0, 0),
        "R1 + R2": ("non-saturating", 1, 1, 0),
        "R3GAN": ("relativistic", 1, 1, 0),
    }


def test_data_are_where_the_hand_put_the_modes():
    torch.manual_seed(0)
    x = studio.data([[2.0, -1.0], [-3.0, 0.0]], 4000, "cpu")
    right = x[:, 0] > 0
    assert right.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert np.allclose(x[right].mean(0), [2, -1], atol=0.03) and np.allclose(x[~right].std(0), studio.STD, atol=0.02)


def test_the_map_is_that_of_straight_lines():
    one = copy.deepcopy(gan())
    one.generator = torch.nn.Unflatten(1, (1, 2))  # the identity
    lines = studio._map(studio._laid(one), torch.zeros(1, 2)).encode("map")["marks"][1]
    modes = studio._map(studio._laid(one), torch.tensor([[1.0, 2.0]])).encode("map")["marks"][0]
    assert modes["xy"].tolist() == [[1.0, 2.0]]
    curves = np.split(lines["xy"], np.cumsum(lines["counts"])[:-1])
    still = [np.ptp(c, axis=0).min() for c in curves]
    assert len(curves) == 30 and max(still) < 1e-6  # each keeps one coordinate
    assert {int(np.ptp(c, axis=0).argmax()) for c in curves} == {0, 1}
    one.generator = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Unflatten(1, (1, 2)))
    torch.nn.init.constant_(one.generator.requires_grad_(False)[0].bias, studio.LIMIT + 1)
    beyond = studio._map(studio._laid(one), torch.zeros(1, 2)).encode("map")["marks"][1]["xy"]
    assert beyond.min(0).max() > 0.5 and beyond.max() > studio.LIMIT  # what leaves the picture is seen to leave it
