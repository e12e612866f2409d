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
SHEET = np.zeros((24, 24))
SHEET[3, 20], SHEET[20, 4] = 0.8, 0.2  # up at the right, and a quarter of that down at the left
TOLD = {
    "data": "modes",
    "drawing": np.zeros((24, 24)),
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


def test_a_drawing_is_drawn_from_by_its_ink_where_it_was_painted():
    torch.manual_seed(0)
    x = studio.examples(TOLD | {"data": "drawing", "drawing": SHEET}, 4000, "cpu")
    side = 9 / 24
    right = x[:, 0] > 0
    assert right.float().mean().item() == pytest.approx(0.8, abs=0.03)
    for part, low in ((x[right], (20 * side - 4.5, 4.5 - 4 * side)), (x[~right], (4 * side - 4.5, 4.5 - 21 * side))):
        within = (part - torch.tensor(low)) / side  # of the pixel, evenly
        assert 0 <= within.min() < 0.02 and 0.98 < within.max() <= 1
        assert np.allclose(within.mean(0), 0.5, atol=0.04) and np.allclose(within.std(0), 12**-0.5, atol=0.02)


def test_the_ends_of_the_noise_stay_on_ink():
    ends = torch.tensor([0.0, 1 - 2**-24])
    x = studio.inked(SHEET, ends, torch.full((2, 2), 0.5))
    middle = lambda row, column: [(column + 0.5) * 9 / 24 - 4.5, 4.5 - (row + 0.5) * 9 / 24]
    assert np.allclose(x, [middle(3, 20), middle(20, 4)], atol=1e-5)


def test_of_a_drawing_ink_is_counted_and_no_modes(shown):
    stage, one = shown
    sheet = np.zeros((24, 24))
    sheet[8:14, 6:15] = 0.5
    sheet[0, 0] = 1.0
    frame = stage.frame({"data": "drawing", "drawing": sheet})
    fake = np.asarray(frame.views["plane"].overlay[1].xy)
    side, on, met = 9 / 24, 0, set()
    for a, b in fake:
        row, column = int(np.floor((4.5 - b) / side)), int(np.floor((a + 4.5) / side))
        if 0 <= row < 24 and 0 <= column < 24 and sheet[row, column] > 0:
            on += 1
            met.add((row, column))
    share = sum(sheet[place] for place in met) / sheet.sum()
    assert 0 < on < len(fake) and 0 < share < 1
    assert frame.text.startswith(
        f"{100 * on / len(fake):.0f} % of the samples on ink · {100 * share:.0f} % of the ink met · no modes"
    )
    assert "covered" not in frame.text
    real = np.asarray(frame.views["plane"].overlay[0].xy)
    places = {(int((4.5 - b) // side), int((a + 4.5) // side)) for a, b in real}
    assert all(sheet[place] > 0 for place in places) and len(places) > 40
    marks = frame.views["map"].overlay
    assert np.allclose(marks[0].xy[:300], real, atol=1e-6) and marks[0].color == "data" and marks[0].label == "data"


def test_an_empty_sheet_is_refused_in_words(shown):
    stage, _ = shown
    frame = stage.frame({"data": "drawing", "generator_alone": 3})
    assert frame.text.startswith("nothing is drawn") and "alone" not in frame.text and "ink" not in frame.text
    assert frame.views["drawing"].warning == "Nothing is drawn: paint here"
    assert len(frame.views["plane"].overlay) == 2 and len(frame.views["plane"].overlay[0].xy) == 0  # nothing pulls
    with pytest.raises(ValueError, match="needed ink on the drawing, got an empty sheet; try paint"):
        studio.examples(TOLD | {"data": "drawing"}, 4, "cpu")
    told = dict(TOLD) | {"data": "drawing"}
    with pytest.raises(ValueError, match="an empty sheet"):
        next(studio.learn(gan(), lambda: told, 2))


def test_who_wipes_the_sheet_while_it_trains_keeps_the_last_data(monkeypatch):
    told, seen = dict(TOLD), []
    real = studio.examples
    monkeypatch.setattr(studio, "examples", lambda told, n, device: seen.append(real(told, n, device)) or seen[-1])
    run = studio.learn(gan(), lambda: told, 9)
    drawn = lambda: next(run) and seen[-1]
    radius = lambda x: x.norm(dim=1)
    assert abs(radius(drawn()).mean() - 3) < 0.3  # the ring
    told |= {"data": "drawing"}
    assert abs(radius(drawn()).mean() - 3) < 0.3  # nothing is drawn yet
    told |= {"drawing": SHEET}
    assert radius(drawn()).min() > 3.9
    told |= {"drawing": 0 * SHEET}
    assert radius(drawn()).min() > 3.9
    told |= {"data": "modes", "target": studio.TARGETS["line"]}
    assert drawn()[:, 1].abs().max() < 2


def test_what_is_drawn_is_trained_on_alone_and_after_a_pause_and_in_a_restored_stage(stand_in):
    stage, other = studio.gan_studio(), studio.gan_studio()
    stage.set(data="drawing", drawing=SHEET)
    lines = stage.code().splitlines()
    moved = eval(lines[-1].split(".set", 1)[1].replace("(", "dict(", 1))
    assert stage.values(moved)["drawing"].tolist() == stage.values()["drawing"].tolist()  # to a 256th of the ink
    other.set(moved)
    try:
        for one in (stage, other):
            one.trainer.step(3).wait()  # rests in between
            one.trainer.pause().step(2).wait()
        assert stage.trainer.steps == 5 and stage.frame().text == other.frame().text
        assert "no modes are known" in stage.frame().text and "step 5 of" in stage.frame().text
        assert stage.png(1.0) == other.png(1.0)
        still = stage.trainer.latest.state.model
        ring = studio.gan_studio()
        ring.trainer.step(5).wait()
        assert not torch.allclose(still.critic.net[0].weight, ring.trainer.latest.state.model.critic.net[0].weight)
        ring.trainer.stop()
    finally:
        for one in (stage, other):
            one.trainer.stop()
    told = TOLD | {"data": "drawing", "critic_alone": 3}
    moved = [studio.alone(gan(), told | {"drawing": d}, 0, "cpu").critic.net[0].weight for d in (SHEET, SHEET.T.copy())]
    assert (moved[0] - moved[1]).abs().max() > 1e-5


def test_another_drawing_moves_another_copy(shown):
    stage, _ = shown
    seen = [
        stage.frame({"data": "drawing", "drawing": d, "critic_alone": 3}).views["plane"].image for d in (SHEET, SHEET.T)
    ]
    assert not torch.allclose(seen[0], seen[1], atol=1e-5)


def test_a_button_that_places_modes_takes_the_sheet_away(shown):
    stage, _ = shown
    stage = studio.gan_studio()
    stage.set(data="drawing", drawing=SHEET).press("line")
    assert stage.state["data"] == "modes" and "drawing" not in stage.frame().views
    assert stage.values()["drawing"].sum() > 0.9  # it is still there for whoever goes back


def test_the_map_is_that_of_straight_lines():
    one = copy.deepcopy(gan())
    one.generator = torch.nn.Unflatten(1, (1, 2))  # the identity
    lines = studio._map(studio._laid(one), torch.zeros(1, 2), "modes").encode("map")["marks"][1]
    modes = studio._map(studio._laid(one), torch.tensor([[1.0, 2.0]]), "modes").encode("map")["marks"][0]
    assert modes["xy"].tolist() == [[1.0, 2.0]]
    curves = np.split(lines["xy"], np.cumsum(lines["counts"])[:-1])
    still = [np.ptp(c, axis=0).min() for c in curves]
    assert len(curves) == 30 and max(still) < 1e-6  # each keeps one coordinate
    assert {int(np.ptp(c, axis=0).argmax()) for c in curves} == {0, 1}
    one.generator = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Unflatten(1, (1, 2)))
    torch.nn.init.constant_(one.generator.requires_grad_(False)[0].bias, studio.LIMIT + 1)
    beyond = studio._map(studio._laid(one), torch.zeros(1, 2), "modes").encode("map")["marks"][1]["xy"]
    assert beyond.min(0).max() > 0.5 and beyond.max() > studio.LIMIT  # what leaves the picture is seen to leave it
