"""What the GAN studio shows: whose moves, whose pull, which data; by hand."""

import copy

import numpy as np
import pytest
import torch

from gdm_core import adversarial
from gdm_core.explorers import ch08_gan_studio as studio

TOLD = {"cure": "R3GAN", "momentum": 0.5, "target": studio.TARGETS["ring"], "critic_alone": 0, "generator_alone": 0}


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
    told |= {"cure": "WGAN-GP", "momentum": 0.9}
    next(run)
    assert (one.cost, one.r1, one.r2, one.gp) == (adversarial.LOSSES["Wasserstein"], 0.0, 0.0, 1.0)
    assert run.gi_frame.f_locals["optimizer"].param_groups[0]["betas"] == (0.9, 0.99)


def test_data_are_where_the_hand_put_the_modes():
    torch.manual_seed(0)
    x = studio.data([[2.0, -1.0], [-3.0, 0.0]], 4000, "cpu")
    right = x[:, 0] > 0
    assert right.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert np.allclose(x[right].mean(0), [2, -1], atol=0.03) and np.allclose(x[~right].std(0), studio.STD, atol=0.02)


def test_the_map_is_that_of_straight_lines():
    one = copy.deepcopy(gan())
    one.generator = torch.nn.Unflatten(1, (1, 2))  # the identity
    lines = studio._map(one, torch.zeros(1, 2)).encode("map")["marks"][1]
    curves = np.split(lines["xy"], np.cumsum(lines["counts"])[:-1])
    still = [np.ptp(c, axis=0).min() for c in curves]
    assert len(curves) == 30 and max(still) < 1e-6  # each keeps one coordinate
    assert {int(np.ptp(c, axis=0).argmax()) for c in curves} == {0, 1}
