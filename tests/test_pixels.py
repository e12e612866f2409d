"""The explorer of pixels: who is hidden, when each is drawn, what it costs and what is shown of it."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import cell, numbers

from gdm_core import causal, colors, data, decoding, kept
from gdm_core.explorers import ch10_pixels as pixels
from gdm_core.explorers import pixel_models

stand_in, explorer = stand_ins.stand_in, stand_ins.explorer
EMPTY = round(0.72 * 255)  # the gray of what is not there yet


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


@pytest.fixture(scope="module")
def said(explorer):
    """A frame as the page gets it; its views by name."""

    def frame(**state):
        seen = explorer("pixels").frame(state).encode()
        return seen, {view["name"]: view for view in seen["views"]}

    return frame


def row_by_row(hide, rows):
    """The turn of each pixel when so many rows of what is hidden are drawn at a time, and -1 for what is known."""
    known = pixels._known(hide)
    place = (~known).flatten().cumsum(0).reshape(known.shape) - 1
    return torch.where(known, -1, place // (rows * (~known)[0].sum(1).max())), known


@pytest.mark.parametrize("hide", ["lower half", "right half", "middle"])
def test_the_nats_are_those_of_the_true_rest(said, stand_in, hide):
    x = data.load("digits", "test", n=20).x[5, None]
    model, chain = (stand_in(r, seed=0, steps=100) for r in (pixel_models.any_order, pixel_models.pixel_chain))
    turn, known = row_by_row(hide, 2)
    seen, told = known.clone(), []
    for step in range(int(turn.max()) + 1):  # as `decoding.log_prob`, by hand
        with torch.no_grad():
            log_p = model.conditionals(torch.where(seen, x, 0.0), seen)[0]
        of_x = log_p.gather(0, (16 * x[0]).round().long()[None])[0]
        told.append(-of_x[turn == step].sum().item())
        seen = seen | (turn == step)
    place = (~known).flatten().cumsum(0).reshape(known.shape) - 1
    one_by_one = decoding.InTurns(torch.where(known, 0, place))
    alone = -decoding.log_prob(model.conditionals, x, one_by_one, model.values, known).sum().item()
    text = said(digit=5, hide=hide, order="row by row", steps=len(told))[0]["text"]
    assert numbers(text, "rest:")[:3] == pytest.approx([sum(told), len(told), alone], abs=0.06)
    with torch.no_grad():
        chained = -chain.elementwise(x)[0][~known].sum().item()
    text = said(digit=5, hide=hide, order="the chain's", steps=4)[0]["text"]
    assert numbers(text, "rest:")[:3] == pytest.approx([chained, (~known).sum().item(), chained], abs=0.06)


@pytest.mark.parametrize("order", ["row by row", "the chain's"])
def test_answers_fill_in_and_are_whole_at_the_last_turn(said, order):
    ink = (255 * (1 - data.load("digits", "test", n=20).x[2, 0])).numpy()
    for turn, filled in ((8, 8), (16, 16), (32, 32)):
        image = said(order=order, steps=8, turn=turn, hide="lower half")[1]["answers"]["image"]
        for answer in range(6):
            shown = 255 * cell(image, *divmod(answer, 6), side=8)
            assert np.abs(shown[:4] - ink[:4]).max() <= 1
            assert (np.abs(shown[4:] - EMPTY) <= 1).sum() == 32 - filled


def test_answers_are_drawn_with_uniform_noise(stand_in):
    """A network that says nothing: every gray level is as likely."""

    def silent(recipe, **options):
        model = stand_in(recipe, **options | {"steps": 100})
        for p in model.parameters():
            p.zero_()
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", silent)
        stage = pixels.pixels()
    state = {"hide": "all", "order": "random", "steps": 1}
    image = stage.frame(state).encode()["views"]
    image = next(v for v in image if v["name"] == "answers")["image"]
    levels = np.concatenate([cell(image, 0, k, side=8).ravel() for k in range(6)])
    shares = np.bincount((16 * levels).round().astype(int), minlength=17) / levels.size
    assert abs(shares - 1 / 17).max() < 5 * (1 / 17 / 384) ** 0.5


@pytest.mark.parametrize("hide", pixels.HIDE)
def test_a_warning_where_the_chain_overlooks_what_is_known(said, hide):
    warns = lambda order: said(order=order, hide=hide)[1]["answers"].get("warning", "")
    assert bool(warns("the chain's")) == (hide in ("right half", "middle")) and not warns("random")


def test_the_frame_is_around_the_pixel_that_was_clicked(said):
    seen, views = said(pixel=8 * 2 + 5)
    for name in ("digit", "sees"):
        (frame,) = views[name]["marks"]
        assert frame["xy"].min(0).tolist() == [5, 2] and frame["xy"].max(0).tolist() == [6, 3]
    assert numbers(seen["text"] + seen["more"], "pixel sees")[1] == 21


def test_what_is_not_there_yet_is_gray_the_clicked_pixel_too(said):
    for pixel in (0, 21, 63):
        shown = np.asarray(said(pixel=pixel)[1]["sees"]["image"]).reshape(64, -1)[:, :3].astype(float)
        gray = (abs(shown - 0.9 * 255) <= 1).all(1)
        assert gray.tolist() == [False] * pixel + [True] * (64 - pixel)


def test_the_stronger_a_pixel_is_heard_the_darker_it_is(said, stand_in):
    chain, pixel = stand_in(pixel_models.pixel_chain, seed=0, steps=100), 43
    with kept.own_draws(0):
        heard = causal.sees(chain.network, (1, 8, 8), pixel)[0].flatten().numpy()
    shown = np.asarray(said(pixel=pixel)[1]["sees"]["image"]).reshape(64, -1)[:pixel, 2] / 255.0
    strength = (1 - shown) / (1 - colors.rgb(colors.MODEL)[0][2])
    np.testing.assert_allclose(strength**2, heard[:pixel] / heard.max(), atol=0.02)


def test_what_is_hidden_is_tinted_and_no_other(said):
    ink = 255 * (1 - data.load("digits", "test", n=20).x[2, 0].numpy())
    shown = np.asarray(said(hide="lower half", digit=2)[1]["digit"]["image"])[..., :3].astype(float)
    assert np.abs(shown[:4] - ink[:4, :, None]).max() <= 1
    tint = 255 * np.array(colors.rgb(colors.ACCENT)[0])
    np.testing.assert_allclose(shown[4:], 0.72 * ink[4:, :, None] + 0.28 * tint, atol=1)


def test_the_dot_is_on_the_line_at_its_turn(said):
    for turn, done in ((16, 2), (32, 4)):
        line, dot = (mark["xy"] for mark in said(steps=4, turn=turn)[1]["nats"]["marks"])
        assert len(line) == 5 and dot.tolist() == [line[done].tolist()]


def test_surest_first_takes_as_many_turns_as_asked(said):
    assert numbers(said(order="surest first", steps=8)[0]["text"], "rest:")[1] == 8


def test_the_first_pixel_hears_nothing(said):
    seen = said(pixel=0)[0]
    assert numbers(seen["text"] + seen["more"], "pixel sees")[:2] == [0, 0]


@pytest.mark.parametrize("recipe", [pixel_models.pixel_chain, pixel_models.any_order])
def test_models_learn_from_training_digits_alone(recipe, monkeypatch):
    monkeypatch.setattr(pixel_models.train, "steps", lambda model, x, **options: x)
    assert torch.equal(recipe()[1], data.load("digits", "train").x)


def test_codes_in_no_use_begin_anew_five_times_and_no_more(monkeypatch):
    monkeypatch.setattr(pixel_models.train, "steps", lambda model, x, **options: ([0.0] * n for n in range(1, 301)))
    model, steps = pixel_models.picture_codes(pictures=20)
    assert model.grid == (7, 7) and model.codes == 32 and model.event_shape == (1, 28, 28)
    shown, times = [], []
    monkeypatch.setattr(type(model), "revive", lambda self, x: shown.append(len(x)))
    for _ in steps:
        times.append(len(shown))
    assert [times.index(n) + 1 for n in range(1, 6)] == [40, 80, 120, 160, 200] and shown == [20] * 5
