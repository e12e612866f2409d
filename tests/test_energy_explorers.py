"""What the score field and the energy landscape say: against formulas, quadrature and moves by hand."""

import math

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import numbers

from gdm_core.data.ising import Ising
from gdm_core.data.targets import Mixture
from gdm_core.explorers.ch11_score_field import bumps_score, three_bumps

stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
BUMPS = Mixture([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], std=0.5, weights=[0.5, 0.3, 0.2])


def marks(frame, view):
    return {mark.get("label"): mark for mark in next(v for v in frame["views"] if v["name"] == view)["marks"]}


def shown(stage, **state):
    return stage.frame(state).encode()


# Score field


def test_exact_arrows_point_along_the_score_of_that_level(explorer):
    for sigma in (0.2, 1.5):
        arrows = marks(shown(explorer("score_field"), sigma=sigma), "field")["exact"]["xy"]
        at, way = torch.tensor(arrows[:, :2]).float().requires_grad_(), arrows[:, 2:]
        std = (0.25 + sigma**2) ** 0.5
        log_p = Mixture(BUMPS.means, std, BUMPS.weights).log_prob(at).sum()
        score = torch.autograd.grad(log_p, at)[0].numpy()
        cosine = (way * score).sum(1) / np.linalg.norm(way, axis=1) / np.linalg.norm(score, axis=1)
        assert np.allclose(cosine, 1, atol=1e-3)
        noise = sigma * np.linalg.norm(score, axis=1)  # that the score foretells: of size 1
        assert np.allclose(np.linalg.norm(way, axis=1), 0.51 * np.tanh(noise), atol=1e-3)


def test_the_green_point_is_the_mean_of_the_data_behind_x(explorer):
    """Half way between the two lower bumps the closer ones weigh by their shares alone."""
    far = marks(shown(explorer("score_field"), sigma=3.0, x=[[0.0, -1.0]]), "field")
    points, cells = BUMPS.quadrature()
    weight = cells * (BUMPS.log_prob(points) - (points - torch.tensor([0.0, -1.0])).square().sum(1) / 18).exp()
    truth = (weight / weight.sum()) @ points
    assert np.allclose(far["E[x | noisy x]"]["xy"][0], truth, atol=1e-3)


def test_the_error_is_that_of_the_network_where_noisy_data_lie(explorer, stand_in):
    model = stand_in(bumps_score, seed=0, steps=100)
    torch.manual_seed(0)
    for sigma in (0.3, 2.0):
        x = BUMPS.sample(20_000) + sigma * torch.randn(20_000, 2)
        exact = BUMPS.noisy(sigma).score(x)
        missed = (model.score_at(x, sigma) - exact).square().sum() / exact.square().sum()
        told = numbers(shown(explorer("score_field"), sigma=sigma)["text"], "misses")[0]
        assert told == pytest.approx(100 * missed.sqrt().item(), rel=0.15)


def test_the_dot_of_the_error_is_at_its_level(explorer):
    frame = shown(explorer("score_field"), sigma=0.2)
    line, dot = (mark["xy"] for mark in next(v for v in frame["views"] if v["name"] == "error")["marks"])
    assert dot[0].tolist() == pytest.approx([math.log10(0.2), numbers(frame["text"], "misses")[0]], rel=0.02)
    assert np.interp(dot[0, 0], *line.T) == pytest.approx(dot[0, 1], rel=0.1)


def test_learned_arrows_point_as_the_network_says(explorer, stand_in):
    model = stand_in(bumps_score, seed=0, steps=100)
    seen = shown(explorer("score_field"), sigma=0.7, show="learned")["views"][0]["marks"]
    (arrows,) = [mark["xy"] for mark in seen if mark["mark"] == "arrows"]
    with torch.no_grad():
        score = model.score_at(torch.tensor(arrows[:, :2]).float(), 0.7).numpy()
    cosine = (arrows[:, 2:] * score).sum(1) / np.linalg.norm(arrows[:, 2:], axis=1) / np.linalg.norm(score, axis=1)
    assert np.allclose(cosine, 1, atol=1e-3)


def test_the_red_point_is_what_the_network_denoises(explorer, stand_in):
    model, at = stand_in(bumps_score, seed=0, steps=100), torch.tensor([[1.5, -0.5]])
    frame = shown(explorer("score_field"), sigma=0.7, x=at.tolist(), show="exact")
    with torch.no_grad():
        guess = model.denoise(at, torch.tensor((0.7 / model.largest) ** (1 / 3)))
    points = marks(frame, "field")
    assert np.allclose(points["learned"]["xy"], guess, atol=1e-3)
    away = np.linalg.norm(points["learned"]["xy"][0] - points["E[x | noisy x]"]["xy"][0])
    assert numbers(frame["text"] + frame["more"], "denoised x")[0] == pytest.approx(away, rel=0.05)


def test_one_kind_of_arrow_or_both(explorer):
    for show, names in (("both", {"exact", "learned"}), ("exact", {"exact"}), ("learned", {"learned"})):
        frame = shown(explorer("score_field"), show=show)
        arrows = {
            m["label"]
            for m in next(v for v in frame["views"] if v["name"] == "field")["marks"]
            if m["mark"] == "arrows"
        }
        assert arrows == names


# Energy landscape


def test_the_exact_mean_energy_is_by_quadrature_at_that_temperature(explorer):
    energy = lambda x: -BUMPS.log_prob(x)
    points, cells = three_bumps().quadrature()
    for heat in (1.0, 2.5):
        p = (cells.log() - energy(points) / heat).softmax(0)
        told = numbers(shown(explorer("energy_landscape"), heat=heat)["text"], "exact")[0]
        assert told == pytest.approx((p @ energy(points)).item(), abs=0.006)
    assert numbers(shown(explorer("energy_landscape"))["text"], "exact")[0] == pytest.approx(BUMPS.entropy(), abs=0.006)


def test_walkers_begin_where_they_are_dropped_and_move_down(explorer):
    seen = shown(explorer("energy_landscape"), start=[[1.0, 3.0]], step=0)
    walkers = marks(seen, "landscape")["300 walkers"]["xy"]
    assert np.allclose(walkers.mean(0), [1.0, 3.0], atol=0.05) and walkers.std() < 2
    first = numbers(seen["text"], "walkers")[0]
    assert numbers(shown(explorer("energy_landscape"), start=[[1.0, 3.0]], step=30)["text"], "walkers")[0] < first - 1


def test_where_a_walker_begins_does_not_tell_where_it_is_pushed(explorer):
    """In a flat place the first step is all noise: it must not be the noise of the start once more."""
    state = {"start": [[-2.0, -1.0]], "size": 0.001}
    first, then = (
        marks(shown(explorer("energy_landscape"), step=s, **state), "landscape")["300 walkers"]["xy"] for s in (0, 1)
    )
    assert abs(np.corrcoef(first[:, 0], (then - first)[:, 0])[0, 1]) < 0.3
    assert (then - first).std() == pytest.approx(0.002**0.5, rel=0.15)


def test_walkers_outside_the_picture_are_counted_and_not_drawn(explorer):
    seen = shown(explorer("energy_landscape"), start=[[4.5, 0.0]], step=0)
    inside = marks(seen, "landscape")["300 walkers"]["xy"]
    (gone,) = numbers(" " + seen["views"][0]["warning"].partition(" of ")[0], " ")
    assert gone == 300 - len(inside) == pytest.approx(150, abs=45) and abs(inside).max() <= 4.5


def test_in_one_bump_they_end_as_warm_as_they_should(explorer):
    """Near a round bump of share w: e = log(2 pi s^2 / w) + |x - m|^2 / (2 s^2), whose mean is T above its floor."""
    for corrected in (False, True):
        for heat in (0.3, 1.0):
            state = {"start": [[-2.0, -1.0]], "heat": heat, "size": 0.01, "corrected": corrected}
            told = [
                numbers(shown(explorer("energy_landscape"), step=s, **state)["text"], "walkers")[0]
                for s in (100, 150, 200)
            ]
            assert np.mean(told) == pytest.approx(math.log(2 * math.pi * 0.25 / 0.5) + heat, abs=0.25)


def test_steps_too_long_leave_unless_they_are_corrected(explorer):
    state = {"energy": "moons", "size": 0.5, "step": 200}
    gone, stays = (shown(explorer("energy_landscape"), corrected=c, **state) for c in (False, True))
    assert gone["views"][0]["warning"].startswith("Gone after") and "above 1,000" in gone["text"]
    assert stays["views"][0]["warning"] == "" and numbers(stays["text"], "nats ·")[0] < 30


def test_the_share_of_accepted_moves(explorer):
    small = numbers(shown(explorer("energy_landscape"), size=0.001, corrected=True)["text"], "nats ·")[0]
    large = numbers(shown(explorer("energy_landscape"), size=0.5, corrected=True)["text"], "nats ·")[0]
    assert small > 97 and large < 60


def test_dark_is_low(explorer):
    view = shown(explorer("energy_landscape"))["views"][0]
    at = lambda x, y: int(np.asarray(view["image"])[int((4.5 - y) * 10), int((x + 4.5) * 10)].astype(int).sum())
    assert at(-2, -1) < at(0, 2) < at(-4, 4)  # by weight; the last is far from all bumps


def test_the_trail_of_a_walker_ends_where_it_stands(explorer):
    walkers = lambda step: marks(shown(explorer("energy_landscape"), step=step), "landscape")["300 walkers"]["xy"]
    seen = shown(explorer("energy_landscape"), step=40)["views"][0]["marks"]
    trails = np.stack([mark["xy"] for mark in seen if mark["mark"] == "lines"])
    for place, step in ((-1, 40), (-2, 39), (0, 28)):
        assert np.allclose(trails[:, place], walkers(step)[:12], atol=1e-4)
    assert [mark["label"] for mark in seen if mark["label"]] == ["last 12 steps of 12 walkers", "300 walkers"]


def test_each_move_has_a_toss_of_its_own(explorer):
    """With one toss for all moves, some walkers would hardly ever move and others always."""
    stage = explorer("energy_landscape")
    state = {"start": [[-2.0, -1.0]], "size": 0.25, "corrected": True}
    places = np.stack([marks(shown(stage, step=s, **state), "landscape")["300 walkers"]["xy"] for s in range(40, 60)])
    moved = (np.diff(places, axis=0) != 0).any(2).mean(0)  # (300,): how often each walker moved
    assert 0.4 < moved.mean() < 0.9 and moved.std() < 0.2


# Ising board


def of_number(number):
    return ((torch.tensor(number) >> torch.arange(16)) & 1).float().reshape(1, 1, 4, 4)


def test_chances_and_rarity_are_those_of_the_list(explorer):
    for number, J in ((13260, 0.44), (7, 0.9)):
        board, x = Ising(4, J), of_number(number)
        frame = shown(explorer("ising_board"), number=number, coupling=J)
        others = [board.conditionals(x, torch.arange(16).reshape(1, 4, 4) != i).flatten()[i].item() for i in range(16)]
        (named,) = next(v for v in frame["views"] if v["name"] == "chance")["marks"]
        assert [float(t) for t in named["text"]] == pytest.approx(others, abs=0.006)
        assert numbers(frame["text"] + frame["more"], "one of")[0] == pytest.approx(
            1 / board.log_prob(x).exp().item(), abs=0.6
        )
        energy = (board.log_p.exp() @ board.energy(board.states())).item() / J
        assert numbers(frame["text"], "exact")[0] == pytest.approx(energy, abs=0.006)


def test_a_very_rare_board_is_told_by_a_power_of_ten(explorer):
    board = Ising(4, 1.1)
    frame = shown(explorer("ising_board"), number=0b0101101001011010, coupling=1.1)
    power = -board.log_prob(of_number(0b0101101001011010)).item() / math.log(10)
    assert f"one of 10^{power:.1f} draws" in frame["text"] + frame["more"] and power > 20


def test_a_pressed_pixel_flips_and_no_other(explorer):
    stage = explorer("ising_board")
    for pixel in (0, 6):
        state = stage.controls["pixel"].press({**stage.values(), "pixel": pixel})
        assert state["number"] ^ stage.values()["number"] == 1 << pixel
        image = next(v for v in shown(stage, **state)["views"] if v["name"] == "board")["image"]
        assert np.array_equal(image < 128, of_number(state["number"])[0, 0] == 1)


def test_the_line_is_exact_and_the_dot_this_board(explorer):
    board = Ising(4, 0.3)
    seen = marks(shown(explorer("ising_board"), coupling=0.3, number=7), "energies")
    energy = (board.energy(board.states()) / 0.3).round()
    for level, p in seen["exact"]["xy"]:
        assert board.log_p.exp()[energy == level].sum().item() == pytest.approx(p, abs=1e-6)
    assert seen["this board"]["xy"].tolist() == [[(board.energy(of_number(7)) / 0.3).round().item(), 0.0]]


def test_samples_start_at_the_board_and_end_at_the_exact_energies(explorer):
    stage = explorer("ising_board")
    start = marks(shown(stage, sweep=0), "energies")["400 samples"]["xy"]
    assert start[start[:, 1] > 0][:, :2].tolist() == [[-8.0, 1.0]]  # 16 pairs agree, 8 do not
    told = [numbers(shown(stage, sweep=20, **{"new noise": k})["text"], "samples")[0] for k in range(3)]
    assert np.mean(told) == pytest.approx(numbers(shown(stage)["text"], "exact")[0], abs=0.9)
