"""The plans of the explorer of pixels: who is hidden, and when each is drawn."""

import pytest
import torch

from gdm_core.explorers import ch10_pixels as pixels


@pytest.mark.parametrize("hide", pixels.HIDE)
@pytest.mark.parametrize("order", ["row by row", "random", "spread"])
def test_what_is_hidden_is_drawn_in_even_turns_and_what_is_known_never(hide, order):
    known, log_p = pixels._known(hide), torch.zeros(1, 17, 1, 8, 8)
    count = int((~known).sum())
    assert count == {"lower half": 32, "right half": 32, "middle": 16, "all": 64}[hide]
    for steps in (1, 4, 16):
        plan, seen = pixels._plan(pixels._orders(0), order, steps, known), known.clone()
        assert plan.steps == steps
        for step in range(steps):
            now = plan(step, log_p, seen[None])[0]
            assert now.sum() == count // steps and not (now & seen).any()
            seen = seen | now
        assert seen.all()


def test_the_order_is_kept_among_the_hidden():
    known = pixels._known("right half")
    turn = pixels._plan(pixels._orders(0), "row by row", 32, known).turn[~known]
    assert turn.tolist() == list(range(32))


def test_spread_keeps_one_turn_apart():
    rank = pixels._orders(0)["spread"]
    assert sorted(rank.flatten().tolist()) == list(range(64))
    for turn in range(4):
        place = (rank[0] * 4 // 64 == turn).nonzero()
        apart = (place[:, None] - place).abs().amax(-1) + 9 * torch.eye(16, dtype=torch.long)
        assert apart.min() == 2


def test_half_of_a_digit_is_the_half_it_says():
    assert pixels._known("lower half")[0, :4].all() and not pixels._known("lower half")[0, 4:].any()
    assert pixels._known("right half")[0, :, :4].all() and not pixels._known("right half")[0, :, 4:].any()
